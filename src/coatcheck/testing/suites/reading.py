# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Reading sessions: `find`, `find_by_id`, `sessions_of`, `scan_sessions`, `states_of`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from coatcheck.core.records import SubjectState
from coatcheck.core.sessions import LOGGED_OUT, idle_deadline
from coatcheck.stores.protocols import Found, Started, Store
from coatcheck.testing.driving import Driver, Suite
from coatcheck.testing.samples import (
    DAY,
    HOUR,
    NOW,
    a_digest,
    a_handle,
    a_password,
    a_rotation,
    a_session,
    an_account,
    is_standing,
    raise_epoch,
    start,
    started,
)

replace = msgspec.structs.replace


async def _end_three(store: Store) -> None:
    for number in range(3):
        assert await store.end(a_digest(number), at=NOW, reason=LOGGED_OUT, events=())


# All that can happen to ada's sessions 0 to 2 but the passing of time.
DEATHS: dict[str, Callable[[Store], Coroutine[Any, Any, object]]] = {
    "ended": _end_three,
    "of an epoch before": raise_epoch,
    "of an epoch before, like everybody's": lambda store: store.raise_everybody(at=NOW, reason="", events=()),
    "of a disabled subject": lambda store: raise_epoch(store, disabled_at=NOW),
}


class FindContract(Suite):
    """`find`, `find_by_id`, `sessions_of`, `scan_sessions`, `states_of`: reading."""

    async def test_find_gives_back_every_field_as_it_went_in(self, store: Store) -> None:
        session = replace(a_session(), is_persistent=True, methods="pwd otp", data=b'{"app":{"a":1}}')

        await start(store, session)

        found = await store.find(session.digest)
        assert found == Found(session, SubjectState("ada"), None)

    async def test_fields_that_are_none_stay_none(self, store: Store) -> None:
        session = replace(a_session(subject=None), ip=None, user_agent=None)

        await start(store, session)

        assert await store.find(session.digest) == Found(session, SubjectState(""), None)

    async def test_text_is_neither_trimmed_nor_folded_nor_interpreted(self, store: Store) -> None:
        odd = " Ünï\u202e%_' OR 1=1--\x00\n*\\ "
        session = replace(a_session(subject=odd), user_agent=odd, ip=odd, methods=odd)

        await start(store, session)

        found = await store.find(session.digest)
        assert found is not None
        assert found.session == session

    async def test_find_knows_no_unknown_digest(self, store: Store) -> None:
        await started(store, 1)

        assert await store.find(a_digest(2)) is None

    async def test_find_brings_the_account_where_the_store_has_it(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        session = await started(store)

        found = await store.find(session.digest)

        assert found is not None
        assert found.account == an_account()

    async def test_an_anonymous_session_stands_under_everybodys_state_and_has_no_account(self, store: Store) -> None:
        session = await started(store, subject=None)

        assert await store.find(session.digest) == Found(session, SubjectState(""), None)

    async def test_tmo_08_an_expired_session_is_found_until_purged_for_stores_do_not_judge(self, store: Store) -> None:
        session = a_session(at=1)

        await start(store, session)

        assert await is_standing(store, session.digest)

    async def test_find_by_id_reads_a_session_also_after_its_end(self, store: Store) -> None:
        session = await started(store)
        await store.end(session.digest, at=NOW, reason=LOGGED_OUT, events=())

        found = await store.find_by_id(session.id)

        assert found is not None
        assert found.session.end_reason == LOGGED_OUT

    @pytest.mark.parametrize("odd", ["", "x", "é", "\x00", "\ud800", a_handle(2), "%", "A" * 10_000])
    def test_find_by_id_knows_no_unknown_id(self, store: Store, driver: Driver, odd: str) -> None:
        driver.run(started(store))

        assert driver.run(store.find_by_id(odd)) is None

    async def test_sessions_of_gives_the_standing_ones_newest_first(self, store: Store) -> None:
        for number in (1, 2, 3, 4):
            await start(store, a_session(number, at=NOW + number))
        await start(store, a_session(5, subject="bob"))
        await store.end(a_digest(2), at=NOW, reason=LOGGED_OUT, events=())

        listed = await store.sessions_of("ada")

        assert [found.session.id for found in listed] == [a_handle(4), a_handle(3), a_handle(1)]

    async def test_sessions_of_a_stranger_are_none(self, store: Store) -> None:
        assert await store.sessions_of("nobody") == ()

    async def test_any_live_looks_at_limits_of_time_at_the_instant_it_is_told(self, store: Store) -> None:
        nothing = await store.any_live(at=NOW)
        idle = await start(store, a_session(1, idle_timeout=HOUR, lifetime=DAY))
        await start(store, a_session(2, idle_timeout=7 * DAY, lifetime=DAY, subject=None))

        assert isinstance(idle, Started)
        assert nothing is False
        assert [await store.any_live(at=NOW + at) for at in (0, DAY - 1, DAY)] == [True, True, False]
        await store.end(a_digest(2), at=NOW, reason=LOGGED_OUT, events=())
        ends = idle_deadline(idle.session)
        assert [await store.any_live(at=at) for at in (ends - 1, ends)] == [True, False]

    @pytest.mark.parametrize("death", DEATHS)
    def test_any_live_knows_how_sessions_end(self, store: Store, driver: Driver, death: str) -> None:
        for number in range(3):
            driver.run(started(store, number))

        driver.run(DEATHS[death](store))

        assert driver.run(store.any_live(at=NOW)) is False
        driver.run(started(store, 9, subject="bob"))
        assert driver.run(store.any_live(at=NOW)) is True

    async def test_scanning_sessions_meets_each_once_though_others_come_and_go(self, store: Store) -> None:
        for number in range(10):
            await started(store, number)
        met: list[str] = []
        after: str | None = None

        for number in range(100, 200):
            page = await store.scan_sessions(after=after, limit=3)
            met += [found.session.id for found in page.sessions]
            after = page.next
            if after is None:
                break
            await started(store, number, subject=None)
            await store.rotate(a_rotation(a_session(number % 10), number + 1000), events=())

        assert after is None
        assert len(met) == len(set(met))
        assert {a_handle(number) for number in range(10)} <= set(met)

    async def test_states_of_leaves_out_subjects_without_a_state(self, store: Store) -> None:
        await store.create_account(an_account("carol"), a_password("carol"), events=())
        await started(store, 1, subject="ada")
        await raise_epoch(store, "bob", at=NOW, reason="revoked")

        states = await store.states_of(["ada", "bob", "carol", "nobody", "\x00"])

        assert states == {"ada": SubjectState("ada"), "bob": SubjectState("bob", 1, NOW, "revoked")}

    async def test_states_of_nobody_are_none(self, store: Store) -> None:
        assert await store.states_of([]) == {}
