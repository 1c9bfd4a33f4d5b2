# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Counters of attempts: `AttemptStore`."""

from __future__ import annotations

import msgspec

from coatcheck.core.throttle import Settlement
from coatcheck.stores.protocols import Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    DAY,
    NOW,
    a_gate,
)

replace = msgspec.structs.replace


class AttemptContract(Suite):
    """`AttemptStore`."""

    async def test_attempts_are_admitted_until_the_free_ones_are_used(self, store: Store) -> None:
        waits = [await store.admit([a_gate(free=3)], now=NOW) for _ in range(4)]

        assert waits == [0, 0, 0, 30]

    async def test_rat_01_waits_end_at_their_second_and_double(self, store: Store) -> None:
        gate = a_gate(free=1)

        waits = [await store.admit([gate], now=NOW + passed) for passed in (0, 29, 30, 31, 89, 90)]

        assert waits == [0, 1, 0, 59, 1, 0]

    async def test_a_refused_attempt_changes_no_counter(self, store: Store) -> None:
        closed, open_ = a_gate("closed", free=1), a_gate("open", free=2)
        await store.admit([closed], now=NOW)

        for _ in range(5):
            assert await store.admit([open_, closed], now=NOW) == 30

        assert [await store.admit([open_], now=NOW) for _ in range(3)] == [0, 0, 30]

    async def test_the_longest_wait_is_told(self, store: Store) -> None:
        first, second = a_gate("first", free=1), a_gate("second", free=1)
        await store.admit([first], now=NOW)
        await store.admit([second], now=NOW + 10)

        assert await store.admit([first, second], now=NOW + 20) == 20

    async def test_clearing_forgets_all_failures(self, store: Store) -> None:
        gate = a_gate(free=2)
        for _ in range(2):
            await store.admit([gate], now=NOW)

        await store.settle([Settlement(gate.key, "clear")])

        assert [await store.admit([gate], now=NOW) for _ in range(3)] == [0, 0, 30]

    async def test_uncounting_takes_back_one_attempt(self, store: Store) -> None:
        gate = a_gate(free=2)
        for _ in range(2):
            await store.admit([gate], now=NOW)

        await store.settle([Settlement(gate.key, "uncount")])

        assert [await store.admit([gate], now=NOW) for _ in range(2)] == [0, 30]

    async def test_settling_what_nobody_counted_does_nothing(self, store: Store) -> None:
        gate = a_gate(free=1)

        await store.settle([Settlement(gate.key, "uncount"), Settlement(gate.key, "clear")])
        await store.settle([])

        assert [await store.admit([gate], now=NOW) for _ in range(2)] == [0, 30]

    async def test_rat_12_a_day_without_attempts_starts_afresh(self, store: Store) -> None:
        gate = a_gate(free=2)
        await store.admit([gate], now=NOW)

        waits = [await store.admit([gate], now=NOW + DAY) for _ in range(3)]

        assert waits == [0, 0, 30]

    async def test_no_gates_admit_all(self, store: Store) -> None:
        assert await store.admit([], now=NOW) == 0
