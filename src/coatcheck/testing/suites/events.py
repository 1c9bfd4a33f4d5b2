# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Security events: `EventStore`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.records import EventRecord
from coatcheck.stores.protocols import Store
from coatcheck.testing.driving import Driver, Suite
from coatcheck.testing.samples import (
    NOW,
    an_event,
)

replace = msgspec.structs.replace


class EventContract(Suite):
    """`EventStore`."""

    async def test_events_are_read_back_as_they_went_in(self, store: Store) -> None:
        full = EventRecord(
            NOW, "odd 'name'\x00", "ada", "id", "::1", "UA/é", "r-1", {"a": "\u2028", "b": -5, "c": False}
        )
        empty = EventRecord(NOW, "empty", None, None, None, None, None, {})

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
