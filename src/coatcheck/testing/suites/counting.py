# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Counters of attempts, events, and the engine: `AttemptStore`, `EventStore`, `ready` and `close`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.records import EventRecord
from coatcheck.core.throttle import Settlement
from coatcheck.stores.protocols import Store
from coatcheck.testing.driving import Driver, Suite
from coatcheck.testing.samples import (
    DAY,
    NOW,
    a_gate,
    an_event,
    started,
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


class EventContract(Suite):
    """`EventStore`."""

    async def test_events_are_read_back_as_they_went_in(self, store: Store) -> None:
        full = EventRecord(NOW, "odd 'name'\x00", "ada", "id", "::1", "UA/é", {"a": "\u2028", "b": -5, "c": False})
        empty = EventRecord(NOW, "empty", None, None, None, None, {})

        await store.record([full, empty])

        assert (await store.events_of(None, after=None, limit=9)).events == (empty, full)

    async def test_events_come_newest_first_whatever_their_clocks_said(self, store: Store) -> None:
        await store.record([an_event("first", at=NOW + 99)])
        await store.record([an_event("second", at=NOW), an_event("third", at=NOW + 5)])

        page = await store.events_of("ada", after=None, limit=9)

        assert [event.name for event in page.events] == ["third", "second", "first"]
        assert page.next is None

    async def test_pages_of_events_meet_each_once_though_new_ones_come(self, store: Store) -> None:
        for number in range(7):
            await store.record([an_event(f"old {number}"), an_event("not mine", subject="bob")])
        met: list[str] = []
        after: str | None = None

        for _ in range(9):
            page = await store.events_of("ada", after=after, limit=3)
            met += [event.name for event in page.events]
            after = page.next
            if after is None:
                break
            await store.record([an_event("new")])

        assert met == [f"old {number}" for number in reversed(range(7))]

    async def test_a_page_that_ends_exactly_has_no_next(self, store: Store) -> None:
        await store.record([an_event(), an_event()])

        assert (await store.events_of("ada", after=None, limit=2)).next is None

    async def test_a_strangers_events_are_none(self, store: Store) -> None:
        await store.record([an_event(), an_event(subject=None)])

        assert (await store.events_of("eve", after=None, limit=9)).events == ()

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1e9", "9" * 30, "²", "\ud800"])
    def test_a_cursor_that_no_page_gave_leads_to_an_empty_page(self, store: Store, driver: Driver, cursor: str) -> None:
        driver.run(store.record([an_event()]))

        page = driver.run(store.events_of(None, after=cursor, limit=9))

        assert (page.events, page.next) == ((), None)

    async def test_recording_nothing_is_fine(self, store: Store) -> None:
        await store.record([])

        assert (await store.events_of(None, after=None, limit=9)).events == ()


class EngineContract(Suite):
    """`ready`, `close`, and general promises."""

    async def test_a_new_store_is_ready(self, store: Store) -> None:
        await store.ready()

    async def test_a_closed_store_opens_again(self, store: Store) -> None:
        session = await started(store)
        await store.close()
        await store.close()

        found = await store.find(session.digest)

        assert found is not None
        assert found.session == session

    async def test_a_store_announces_at_most_eight_shelf_bits(self, store: Store) -> None:
        assert 0 <= store.shelf_bits <= 8
