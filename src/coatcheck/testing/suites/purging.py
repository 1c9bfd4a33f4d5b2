# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""What purging may delete, and what it must."""

from __future__ import annotations

import msgspec

from coatcheck.core.records import SessionRecord
from coatcheck.core.sessions import LOGGED_OUT, idle_deadline
from coatcheck.stores.protocols import Cutoffs, Purged, Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    DAY,
    NEVER,
    NOW,
    a_digest,
    a_gate,
    a_rotation,
    a_session,
    admit,
    an_event,
    is_standing,
    purge_round,
    raise_epoch,
    start,
    started,
)

replace = msgspec.structs.replace


def _ended_before(cutoff: int) -> Cutoffs:
    return replace(NEVER, ended_before=cutoff)


class PurgeContract(Suite):
    """`purge`, on both sides of each boundary."""

    async def _goes_exactly_after(self, store: Store, session: SessionRecord, died_at: int) -> None:
        kept = await purge_round(store, _ended_before(died_at))
        assert (kept, await store.find(session.digest) is None) == (Purged(0, 0, 0, None), False)

        purged = await purge_round(store, _ended_before(died_at + 1))
        assert (purged, await store.find(session.digest)) == (Purged(1, 0, 0, None), None)

    async def test_dat_06_an_ended_session_goes_after_its_end(self, store: Store) -> None:
        session = await started(store)
        await store.end(session.digest, at=NOW + 7, reason=LOGGED_OUT, events=())

        await self._goes_exactly_after(store, session, NOW + 7)

    async def test_dat_06_a_session_past_its_absolute_deadline_goes(self, store: Store) -> None:
        session = a_session(idle_timeout=DAY, lifetime=DAY)
        await start(store, session)

        await self._goes_exactly_after(store, session, session.expires_at)

    async def test_dat_06_a_session_past_its_idle_deadline_goes(self, store: Store) -> None:
        for idle_timeout in (60, 119, 1199, 1200, 3600):
            session = a_session(idle_timeout=idle_timeout)
            await start(store, session)

            await self._goes_exactly_after(store, session, idle_deadline(session))

    async def test_tmo_08_the_idle_deadline_counts_from_the_last_touch(self, store: Store) -> None:
        session = a_session()
        await start(store, session)
        await store.touch(session.digest, seen_at=NOW + 500)

        await self._goes_exactly_after(store, session, idle_deadline(session) + 500)

    async def test_dat_06_a_session_outlived_by_its_epoch_goes_after_the_epoch_was_raised(self, store: Store) -> None:
        session = await started(store)
        await raise_epoch(store, at=NOW + 9)

        await self._goes_exactly_after(store, session, NOW + 9)

    async def test_dat_06_a_session_outlived_by_everybodys_epoch_goes_after_that_was_raised(self, store: Store) -> None:
        for number, subject in ((1, "ada"), (2, None)):
            session = await started(store, number, subject=subject)
            await store.raise_everybody(at=NOW + 9 * number, reason="everybody_revoked", events=())

            await self._goes_exactly_after(store, session, NOW + 9 * number)

    async def test_a_session_kept_when_the_epoch_was_raised_is_not_outlived(self, store: Store) -> None:
        session = await started(store)
        await raise_epoch(store, at=NOW + 9, keep=a_rotation(session, 2))

        await purge_round(store, _ended_before(NOW + 10))

        assert await is_standing(store, a_digest(2))

    async def test_rat_12_a_counter_goes_a_day_after_it_was_last_counted(self, store: Store) -> None:
        gate = a_gate(free=1)
        await admit(store, [gate])

        first = await purge_round(store, replace(NEVER, counters_before=NOW + DAY))
        second = await purge_round(store, replace(NEVER, counters_before=NOW + DAY + 1))

        assert (first.counters, second.counters) == (0, 1)
        assert await admit(store, [gate]) == 0

    async def test_an_event_goes_after_its_time(self, store: Store) -> None:
        await store.record([an_event("old", at=NOW), an_event("new", at=NOW + 1), an_event("older", at=NOW - 1)])

        purged = await purge_round(store, replace(NEVER, events_before=NOW + 1), limit=1)

        assert purged.events == 2
        assert (await store.events_of(None, after=None, limit=9)).events == (an_event("new", at=NOW + 1),)

    async def test_nothing_that_no_cutoff_names_is_deleted(self, store: Store) -> None:
        await start(store, a_session(), events=[an_event()])
        await admit(store, [a_gate(free=1)])

        purged = await purge_round(store, Cutoffs(NOW, NOW, NOW))

        assert purged == Purged(0, 0, 0, None)
        assert await is_standing(store, a_digest(1))
        assert await admit(store, [a_gate(free=1)]) != 0
        assert len((await store.events_of(None, after=None, limit=9)).events) == 1

    async def test_dat_06_a_round_in_small_batches_deletes_all_that_was_past(self, store: Store) -> None:
        for number in range(40):
            at = NOW if number % 4 else NOW + 10 * DAY
            await start(store, a_session(number, subject=None, at=at), events=[an_event(at=at)])
            await admit(store, [a_gate(str(number))], at=at)

        purged = await purge_round(store, Cutoffs(NOW + 5 * DAY, NOW + 5 * DAY, NOW + 5 * DAY), limit=7)

        left = [number for number in range(40) if await store.find(a_digest(number)) is not None]
        assert purged == Purged(30, 30, 30, None)
        assert left == list(range(0, 40, 4))
        assert len((await store.events_of(None, after=None, limit=99)).events) == 10

    async def test_what_other_records_share_with_a_purged_session_stays(self, store: Store) -> None:
        await start(store, a_session(1, subject=None))
        await start(store, a_session(2, subject=None, at=NOW + 10 * DAY))

        await purge_round(store, _ended_before(NOW + 5 * DAY))

        found = await store.find(a_digest(2))
        assert found is not None
        assert found.session.user_agent == "Browser/1.0"

    async def test_a_purged_digest_and_id_are_free_again(self, store: Store) -> None:
        await started(store, 1)
        await purge_round(store, _ended_before(NOW + 5 * DAY))

        session = await started(store, 1)

        assert await is_standing(store, session.digest)
