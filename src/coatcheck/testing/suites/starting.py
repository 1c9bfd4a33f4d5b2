# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Starting sessions: `start`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.records import EMPTY_DATA, SessionRecord, SubjectState
from coatcheck.core.session_data import FLASHES, decode
from coatcheck.core.sessions import EVICTED, LOGGED_OUT, PASSWORD_CHANGED, REPLACED
from coatcheck.core.throttle import Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import Answer, Found, Started, Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    DAY,
    HOUR,
    NOW,
    a_digest,
    a_gate,
    a_handle,
    a_password,
    a_session,
    admit,
    an_account,
    an_event,
    data_of,
    fail,
    is_standing,
    put,
    raise_epoch,
    start,
    started,
)

replace = msgspec.structs.replace


class StartContract(Suite):
    """`start`."""

    async def test_tok_04_a_digest_that_is_there_is_refused_and_its_session_unharmed(self, store: Store) -> None:
        first = await started(store, 1)

        with pytest.raises(StoreConflict):
            await start(store, replace(a_session(2, subject="eve"), digest=first.digest))

        assert await store.find(first.digest) == Found(first, SubjectState("ada"), None)

    async def test_tok_04_an_id_that_is_there_is_refused_and_nothing_of_it_kept(self, store: Store) -> None:
        first = await started(store, 1)

        with pytest.raises(StoreConflict):
            await start(store, replace(a_session(2, subject="eve"), id=first.id), events=[an_event()])

        assert await store.find(a_digest(2)) is None
        assert await store.states_of(["eve"]) == {}
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_a_conflict_ends_no_session_that_was_to_be_replaced(self, store: Store) -> None:
        first = await started(store, 1)
        other = await started(store, 2)

        with pytest.raises(StoreConflict):
            await start(store, replace(a_session(3), id=other.id), replaces=first.digest)

        assert await is_standing(store, first.digest)

    async def test_ses_09_the_present_epoch_is_stamped_into_the_session(self, store: Store) -> None:
        await raise_epoch(store)

        outcome = await start(store, a_session())

        assert isinstance(outcome, Started)
        assert outcome.session.epoch == 1
        assert await is_standing(store, outcome.session.digest)

    async def test_what_start_gives_is_what_find_reads(self, store: Store) -> None:
        outcome = await start(store, a_session())

        found = await store.find(a_digest(1))
        assert isinstance(outcome, Started)
        assert found is not None
        assert found.session == outcome.session

    async def test_a_disabled_subject_is_refused_and_nothing_written(self, store: Store) -> None:
        await raise_epoch(store, disabled_at=NOW)
        anonymous = await started(store, 1, subject=None)

        outcome = await start(store, a_session(2), replaces=anonymous.digest, events=[an_event()])

        assert outcome is Answer.REFUSED
        assert await store.find(a_digest(2)) is None
        assert await is_standing(store, anonymous.digest)
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_a_log_in_with_an_older_password_is_refused(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await start(store, a_session(1), credential_version=2)

        assert await start(store, a_session(2), credential_version=1) is Answer.REFUSED
        assert await store.find(a_digest(2)) is None

    async def test_rev_05_a_log_in_with_a_newer_password_ends_the_sessions_of_the_older(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await start(store, a_session(1), credential_version=1)

        await start(store, a_session(2, at=NOW + 5), credential_version=2)

        state = SubjectState("ada", 1, NOW + 5, PASSWORD_CHANGED, None, 2)
        assert await store.states_of(["ada"]) == {"ada": state}
        assert [found.session.id for found in await store.sessions_of("ada")] == [a_handle(2)]

    async def test_rev_05_nothing_is_carried_from_a_session_that_a_newer_password_ends(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        old = await started(store, 1)
        await put(store, old.digest, cart=b"[1]")

        outcome = await start(store, a_session(2), replaces=old.digest, credential_version=2)

        found = await store.find(old.digest)
        assert isinstance(outcome, Started)
        assert outcome.session.data == EMPTY_DATA
        assert await data_of(store, a_digest(2)) == {}
        assert found is not None
        assert found.session.ended_at is None

    async def test_an_accounts_first_version_ends_nothing(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await start(store, a_session(1))

        await start(store, a_session(2), credential_version=1)

        assert len(await store.sessions_of("ada")) == 2

    async def test_a_later_version_raises_the_epoch_even_if_none_was_told_before(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await start(store, a_session(1))

        await start(store, a_session(2), credential_version=2)

        assert [found.session.id for found in await store.sessions_of("ada")] == [a_session(2).id]

    async def test_a_session_does_not_replace_itself(self, store: Store) -> None:
        await start(store, a_session(1), replaces=a_digest(1))

        assert await is_standing(store, a_digest(1))

    async def test_a_replaced_session_is_marked_ended_and_its_data_dropped(self, store: Store) -> None:
        old = await started(store, 1, subject=None)
        await put(store, old.digest, cart=b"[1]")

        await start(store, a_session(2, at=NOW + 9), replaces=old.digest)

        found = await store.find(old.digest)
        assert found is not None
        assert (found.session.ended_at, found.session.end_reason) == (NOW + 9, REPLACED)
        assert found.session.data == EMPTY_DATA

    @pytest.mark.parametrize(
        ("keep_at_login", "crossing"),
        [(None, ["cart", "theme"]), (("cart", FLASHES, "more"), ["cart"]), ((), [])],
        ids=["all", "some", "none"],
    )
    async def test_fix_02_ses_12_of_nobodys_data_that_crosses_a_log_in_which_may(
        self, store: Store, keep_at_login: tuple[str, ...] | None, crossing: list[str]
    ) -> None:
        old = await started(store, 1, subject=None)
        mine = {"cart": b"[1]", "theme": b'"dark"', FLASHES: b"[]"}
        await store.patch(old.digest, namespace="app", puts=mine, removes=(), limit=99)
        await store.patch(old.digest, namespace="shop", puts={"other": b"1"}, removes=(), limit=99)

        outcome = await start(store, a_session(2), replaces=old.digest, keep_at_login=keep_at_login)

        kept = {key: mine[key] for key in crossing}
        others = {"shop": {"other": b"1"}} if keep_at_login is None else {}
        assert isinstance(outcome, Started)
        assert await data_of(store, a_digest(2)) == ({"app": kept} if kept else {}) | others
        assert decode(outcome.session.data) == decode((await _kept(store, 2)).data)
        assert (await _kept(store, 1)).data == EMPTY_DATA

    @pytest.mark.parametrize("subject", ["ada", None], ids=["somebody", "nobody"])
    async def test_a_subjects_own_data_stays_theirs_whole(self, store: Store, subject: str | None) -> None:
        old = await started(store, 1, subject=subject)
        theirs = {"cart": b"[1]", FLASHES: b"[]"}
        await store.patch(old.digest, namespace="app", puts=theirs, removes=(), limit=99)

        outcome = await start(store, a_session(2, subject=subject), replaces=old.digest, keep_at_login=())

        assert isinstance(outcome, Started)
        assert await data_of(store, a_digest(2)) == {"app": theirs}
        assert decode(outcome.session.data) == decode((await _kept(store, 2)).data)

    @pytest.mark.parametrize("subject", ["ada", None], ids=["somebody", "nobody"])
    async def test_ses_10_another_subjects_session_ends_and_leaves_nothing(
        self, store: Store, subject: str | None
    ) -> None:
        old = await started(store, 1, subject="eve")
        await put(store, old.digest, cart=b"[1]")

        outcome = await start(store, a_session(2, subject=subject), replaces=old.digest)

        assert isinstance(outcome, Started)
        assert outcome.session.data == (await _kept(store, 2)).data == EMPTY_DATA
        assert (await _kept(store, 1)).end_reason == REPLACED

    @pytest.mark.parametrize(
        ("idle_timeout", "lifetime", "lives"),
        [(HOUR, DAY, HOUR + 60), (60, DAY, 63), (14 * DAY, HOUR, HOUR)],
        ids=["idle", "soon idle", "absolute"],
    )
    @pytest.mark.parametrize("subject", ["ada", None], ids=["somebody", "nobody"])
    async def test_ses_05_a_session_that_time_has_ended_leaves_nothing(
        self, store: Store, subject: str | None, idle_timeout: int, lifetime: int, lives: int
    ) -> None:
        left: list[bool] = []
        for number, passed in ((1, lives - 1), (2, lives)):
            old = a_session(number, subject=subject, idle_timeout=idle_timeout, lifetime=lifetime)
            await start(store, old)
            await put(store, old.digest, cart=b"[1]")

            await start(store, a_session(number + 2, at=NOW + passed), replaces=old.digest)

            left.append(await data_of(store, a_digest(number + 2)) != {})
            assert (await _kept(store, number)).end_reason == REPLACED

        assert left == [True, False]

    async def test_data_of_its_own_gives_way_to_what_is_carried(self, store: Store) -> None:
        old = await started(store, 1, subject=None)
        its_own = replace(a_session(2), data=b'{"app":{"n":1}}')

        await start(store, its_own)
        await start(store, replace(its_own, digest=a_digest(3), id=a_handle(3)), replaces=old.digest)

        assert await data_of(store, a_digest(2)) == {"app": {"n": b"1"}}
        assert await data_of(store, a_digest(3)) == {}

    async def test_ses_05_a_save_to_the_replaced_session_is_told_gone(self, store: Store) -> None:
        old = await started(store, 1, subject=None)
        await start(store, a_session(2), replaces=old.digest)

        assert await put(store, old.digest, cart=b"[1]") is Answer.GONE
        assert await data_of(store, a_digest(2)) == {}

    async def test_an_ended_session_is_replaced_by_nothing_carried(self, store: Store) -> None:
        old = await started(store, 1, subject=None)
        await put(store, old.digest, cart=b"[1]")
        await store.end(old.digest, at=NOW, reason=LOGGED_OUT, events=())

        await start(store, a_session(2), replaces=old.digest)

        found = await store.find(old.digest)
        assert found is not None
        assert found.session.end_reason == LOGGED_OUT
        assert await data_of(store, a_digest(2)) == {}

    async def test_rev_07_one_session_too_many_ends_the_one_seen_longest_ago(self, store: Store) -> None:
        for number in (1, 2, 3):
            await start(store, a_session(number, at=NOW + number))
        await store.touch(a_digest(1), seen_at=NOW + 50)

        outcome = await start(store, a_session(4, at=NOW + 60), most=3)

        found = await store.find(a_digest(2))
        assert isinstance(outcome, Started)
        assert outcome.evicted == (a_handle(2),)
        assert found is not None
        assert (found.session.ended_at, found.session.end_reason) == (NOW + 60, EVICTED)
        assert len(await store.sessions_of("ada")) == 3

    async def test_rev_07_log_07_each_that_is_ended_so_has_its_event_kept_with_it(self, store: Store) -> None:
        for number in (1, 2, 3):
            await start(store, a_session(number, at=NOW + number))
        begun, eviction = an_event("logged_in"), replace(an_event("session_evicted"), session_id=None)

        await start(store, a_session(4, at=NOW + 60), most=2, events=[begun], eviction=eviction)
        await start(store, a_session(5, at=NOW + 61, subject="eve"), most=2, eviction=replace(eviction, subject="eve"))

        events = (await store.events_of(None, after=None, limit=9)).events
        ended = [replace(eviction, session_id=a_handle(number)) for number in (1, 2)]
        assert tuple(reversed(events)) == (begun, *ended)
        assert (await store.events_of("ada", after=None, limit=9)).events == events

    async def test_rev_07_the_new_session_stays_even_if_its_clock_is_behind(self, store: Store) -> None:
        for number in (1, 2):
            await start(store, a_session(number, at=NOW + number))

        outcome = await start(store, a_session(3, at=NOW - 999), most=1)

        assert isinstance(outcome, Started)
        assert set(outcome.evicted) == {a_handle(1), a_handle(2)}
        assert await is_standing(store, a_digest(3))

    async def test_rev_07_only_standing_sessions_of_the_subject_count(self, store: Store) -> None:
        await started(store, 1)
        await raise_epoch(store)
        await started(store, 2)
        await store.end(a_digest(2), at=NOW, reason=LOGGED_OUT, events=())
        await started(store, 3, subject="bob")
        await started(store, 4, subject=None)

        outcome = await start(store, a_session(5), most=1)

        assert isinstance(outcome, Started)
        assert outcome.evicted == ()

    async def test_rev_07_sessions_that_time_has_ended_push_nobody_out(self, store: Store) -> None:
        await start(store, a_session(1, at=NOW, idle_timeout=10 * HOUR))
        for number in (2, 3, 4):
            await start(store, a_session(number, at=NOW + number, idle_timeout=HOUR))

        outcome = await start(store, a_session(5, at=NOW + 3 * HOUR), most=2)

        assert isinstance(outcome, Started)
        assert outcome.evicted == ()
        assert await is_standing(store, a_digest(1))

    async def test_anonymous_sessions_are_never_too_many(self, store: Store) -> None:
        await started(store, 1, subject=None)

        outcome = await start(store, a_session(2, subject=None), most=1)

        assert isinstance(outcome, Started)
        assert outcome.evicted == ()

    async def test_start_applies_settlements_and_keeps_events(self, store: Store) -> None:
        gate = a_gate(free=1)
        await fail(store, gate)

        await start(store, a_session(), settlements=[Settlement(gate, "success", NOW)], events=[an_event("logged_in")])

        assert await admit(store, [gate]) == 0
        assert (await store.events_of("ada", after=None, limit=9)).events == (an_event("logged_in"),)


async def _kept(store: Store, number: int) -> SessionRecord:
    found = await store.find(a_digest(number))
    assert found is not None
    return found.session
