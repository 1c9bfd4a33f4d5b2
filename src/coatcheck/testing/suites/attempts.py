# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Counters of attempts: `AttemptStore`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.throttle import Outcome, Settlement
from coatcheck.stores.protocols import Answer, Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    DAY,
    NEVER,
    NOW,
    a_digest,
    a_gate,
    a_lock,
    a_session,
    admit,
    an_event,
    fail,
    purge_round,
    raise_epoch,
    start,
)

OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "unread", "lifted")
replace = msgspec.structs.replace


class AttemptContract(Suite):
    """`AttemptStore`."""

    async def test_failures_are_admitted_until_the_free_ones_are_used(self, store: Store) -> None:
        waits = [await fail(store, a_gate(free=3)) for _ in range(4)]

        assert waits == [0, 0, 0, 30]

    async def test_rat_01_waits_end_at_their_second_and_double(self, store: Store) -> None:
        gate = a_gate(free=1)

        waits = [await fail(store, gate, at=NOW + passed) for passed in (0, 29, 30, 31, 89, 90)]

        assert waits == [0, 1, 0, 59, 1, 0]

    async def test_rat_06_pending_attempts_take_up_the_free_ones_and_close_nothing(self, store: Store) -> None:
        gate = a_gate(free=3)

        waits = [await admit(store, [gate]) for _ in range(5)]
        for _ in range(3):
            await store.settle([Settlement(gate, "success", NOW)], account=None, events=())

        assert waits == [0, 0, 0, 1, 1]
        assert await admit(store, [gate]) == 0

    async def test_rat_06_a_failed_gate_lets_one_try_at_a_time_through_after_its_wait(self, store: Store) -> None:
        gate = a_gate(free=1)
        await fail(store, gate)

        waits = [await admit(store, [gate], at=NOW + 30) for _ in range(3)]

        assert waits == [0, 1, 1]

    async def test_a_crowd_may_be_pending_where_the_gate_allows_it(self, store: Store) -> None:
        gate = a_gate(free=2, crowd=3)

        waits = [await admit(store, [gate]) for _ in range(6)]

        assert waits == [0, 0, 0, 0, 0, 1]

    async def test_an_attempt_that_is_never_settled_becomes_a_failure(self, store: Store) -> None:
        gate = a_gate(free=2)
        await admit(store, [gate])

        waits = [await fail(store, gate, at=NOW + 60) for _ in range(2)]

        assert waits == [0, 30]

    async def test_rat_03_a_gate_that_starts_over_forgets_when_its_wait_is_served(self, store: Store) -> None:
        gate = a_gate(free=2, starts_over=True)
        for _ in range(2):
            await fail(store, gate)

        waits = [await fail(store, gate, at=NOW + 30) for _ in range(3)]

        assert waits == [0, 0, 30]

    async def test_a_refused_attempt_changes_no_counter(self, store: Store) -> None:
        closed, open_ = a_gate("closed", free=1), a_gate("open", free=2)
        await fail(store, closed)

        for _ in range(5):
            assert await admit(store, [open_, closed]) == 30

        assert [await admit(store, [open_]) for _ in range(3)] == [0, 0, 1]

    async def test_the_longest_wait_is_told(self, store: Store) -> None:
        first, second = a_gate("first", free=1), a_gate("second", free=1)
        await fail(store, first)
        await fail(store, second, at=NOW + 10)

        assert await admit(store, [first, second], at=NOW + 20) == 20

    async def test_success_forgets_all_failures_where_the_gate_says_so(self, store: Store) -> None:
        cleared, kept = a_gate("cleared", free=2), a_gate("kept", free=2, is_cleared=False)
        for gate in (cleared, kept):
            await fail(store, gate)
            await admit(store, [gate])

            await store.settle([Settlement(gate, "success", NOW)], account=None, events=())

        assert [await fail(store, cleared) for _ in range(3)] == [0, 0, 30]
        assert [await fail(store, kept) for _ in range(2)] == [0, 30]

    async def test_an_unread_attempt_is_taken_back(self, store: Store) -> None:
        gate = a_gate(free=2)
        await fail(store, gate)
        await admit(store, [gate])

        await store.settle([Settlement(gate, "unread", NOW)], account=None, events=())

        assert [await fail(store, gate) for _ in range(2)] == [0, 30]

    async def test_settling_what_nobody_counted_does_nothing(self, store: Store) -> None:
        gate = a_gate(free=1)

        for outcome in OUTCOMES:
            await store.settle([Settlement(gate, outcome, NOW)], account=None, events=())
        await store.settle([], account=None, events=())

        assert [await fail(store, gate) for _ in range(2)] == [0, 30]

    async def test_settling_keeps_its_events(self, store: Store) -> None:
        await store.settle([], account=None, events=[an_event("log_in_failed")])

        assert (await store.events_of("ada", after=None, limit=9)).events == (an_event("log_in_failed"),)

    async def test_rat_02_a_lock_refuses_success_from_its_last_failure_on(self, store: Store) -> None:
        lock, other = a_lock(free=2), a_gate("other", free=2)
        failure, success = Settlement(lock, "failure", NOW), Settlement(lock, "success", NOW)
        await fail(store, other)

        answers = [await store.settle([one], account=None, events=()) for one in (failure, failure, failure)]
        refused = await store.settle([Settlement(other, "success", NOW), success], account=None, events=[an_event()])

        assert answers == [None, Answer.LOCKED, None]
        assert refused is Answer.LOCKED
        assert (await store.events_of(None, after=None, limit=9)).events == ()
        assert [await fail(store, other) for _ in range(2)] == [0, 30]

    async def test_rat_02_a_lock_counts_straight_failures_only(self, store: Store) -> None:
        lock = a_lock(free=2)

        answers = [
            await store.settle([Settlement(lock, outcome, NOW)], account=None, events=())
            for outcome in ("failure", "success", "failure", "unread", "failure", "success")
        ]

        assert answers == [None, None, None, None, Answer.LOCKED, Answer.LOCKED]

    async def test_rat_02_a_lock_remembers_for_years_and_is_lifted_by_an_operator(self, store: Store) -> None:
        lock = a_lock(free=2)
        for at in (NOW, NOW + 300 * DAY):
            await store.settle([Settlement(lock, "failure", at)], account=None, events=())
            await purge_round(store, replace(NEVER, counters_before=at + 300 * DAY))
        later = NOW + 600 * DAY

        assert await store.settle([Settlement(lock, "success", later)], account=None, events=()) is Answer.LOCKED
        assert await store.settle([Settlement(lock, "lifted", later)], account=None, events=[an_event()]) is None
        assert await store.settle([Settlement(lock, "success", later)], account=None, events=()) is None

    async def test_rat_02_a_locked_account_starts_no_session(self, store: Store) -> None:
        lock, gate = a_lock(free=1), a_gate(free=1)
        await store.settle([Settlement(lock, "failure", NOW)], account=None, events=())
        await fail(store, gate)
        settlements = [Settlement(gate, "success", NOW), Settlement(lock, "success", NOW)]

        refused = await start(store, a_session(), settlements=settlements, events=[an_event()])

        assert refused is Answer.LOCKED
        assert await store.find(a_digest(1)) is None
        assert await admit(store, [gate]) == 30
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_enu_08_whoever_is_admitted_hears_at_once_that_a_lock_has_closed(self, store: Store) -> None:
        lock, gate = a_lock(free=1), a_gate(free=1)
        before = await admit(store, [lock])
        await store.settle([Settlement(lock, "failure", NOW)], account=None, events=())

        assert before == 0
        assert [await admit(store, [gate, lock]) for _ in range(2)] == [Answer.LOCKED, 1]
        await store.settle([Settlement(lock, "lifted", NOW)], account=None, events=())
        assert await admit(store, [lock]) == 0

    async def test_enu_08_whoever_is_admitted_hears_at_once_that_the_subject_is_disabled(self, store: Store) -> None:
        gate, lock = a_gate(free=2), a_lock(free=1)
        await raise_epoch(store, disabled_at=NOW)

        answers = [await admit(store, [gate], subject="ada") for _ in range(3)]
        alone = await admit(store, [], subject="ada")
        before = await admit(store, [lock], subject="ada")
        await store.settle([Settlement(lock, "failure", NOW)], account=None, events=())
        after = await admit(store, [lock], subject="ada")
        await store.enable("ada", events=())

        assert answers == [Answer.REFUSED, Answer.REFUSED, 1], "it is counted like any other"
        assert (alone, before, after) == (Answer.REFUSED, Answer.REFUSED, Answer.LOCKED)
        assert await admit(store, [], subject="ada") == 0

    @pytest.mark.parametrize("subject", [None, "eve", "nobody", "", "ad_", "ada\x00", "\ud800", "x" * 10_000])
    async def test_enu_02_whoever_else_is_tried_is_admitted(self, store: Store, subject: str | None) -> None:
        await raise_epoch(store, disabled_at=NOW)
        await raise_epoch(store, "eve")

        assert await admit(store, [a_gate()], subject=subject) == 0
        assert await admit(store, [], subject=subject) == 0

    async def test_lifting_forgets_failures_of_any_gate(self, store: Store) -> None:
        gate = a_gate(free=1, is_cleared=False)
        await fail(store, gate)

        await store.settle([Settlement(gate, "lifted", NOW)], account=None, events=())

        assert await admit(store, [gate]) == 0

    async def test_rat_12_a_day_without_attempts_starts_afresh(self, store: Store) -> None:
        gate = a_gate(free=2)
        await fail(store, gate)

        waits = [await fail(store, gate, at=NOW + DAY) for _ in range(3)]

        assert waits == [0, 0, 30]

    async def test_no_gates_admit_all(self, store: Store) -> None:
        assert await admit(store, []) == 0
