"""Reading everything an SQL store keeps, page by page (`CopyStore.export`); the engines differ in two SELECTs.

A round walks the tables one after the other along their keys; where it stands is in the cursor: `part:last key`.
`page_of` says what to read and is told the rows, so that it serves either colour. Parameters are marked `?`.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord
from coatcheck.core.throttle import Counter
from coatcheck.errors import CorruptRecord
from coatcheck.stores import rows
from coatcheck.stores.protocols import Contents
from coatcheck.stores.rows import Row

replace = msgspec.structs.replace

Question: TypeAlias = tuple[str, tuple[object, ...]]
# What there is of each kind, in the order of `Extent`. A subject without a state is nothing to be copied.
KINDS = ("accounts", "subjects WHERE epoch IS NOT NULL", "sessions", "counters", "events")
_EVERYBODY = "SELECT '', epoch, epoch_at, epoch_reason, NULL, 0, 0, 0, '' FROM everybody"


class Walk(NamedTuple):
    """How one part of `Contents` is read: a table, its key, and what is made of a row."""

    part: str
    select: str
    table: str  # as the SELECT calls it
    key: str
    parse: Callable[[str], bytes | int]
    first: bytes | int  # below every key
    make: Callable[[Row], Any]


def walks(*, sessions: str, session_of: Callable[[Row], SessionRecord], events: str) -> Sequence[Walk]:
    """Give the parts in the order in which they are loaded: what is referred to comes first."""
    return (
        Walk("accounts", f"{rows.SELECT_IDENTIFIED} WHERE", "accounts a", "a.id", int, 0, _account_of),
        # Under an everybody whose epoch was never raised: the subject's own state.
        Walk(
            "states",
            "SELECT u.subject, u.epoch, u.epoch_at, u.epoch_reason, u.disabled_at, u.credential_version, 0, 0, '' "
            "FROM subjects u WHERE u.epoch IS NOT NULL AND",
            "subjects u",
            "u.id",
            int,
            0,
            rows.state_of,
        ),
        Walk("sessions", f"{sessions} WHERE", "sessions s", "s.digest", bytes.fromhex, b"", session_of),
        Walk(
            "counters",
            "SELECT key, failures, pending, counted_at, blocked_until, kept_until FROM counters c WHERE",
            "counters c",
            "c.key",
            bytes.fromhex,
            b"",
            _counter_of,
        ),
        Walk("events", f"{events} WHERE", "events e", "e.id", int, 0, _event_of),
    )


def page_of(walks: Sequence[Walk], *, after: str | None, limit: int) -> Generator[Question, list[Row], Contents]:
    """Yield what to read, be sent the rows, and return the page."""
    part, _, position = (after or f"{walks[0].part}:").partition(":")
    place = next(place for place, walk in enumerate(walks) if walk.part == part)
    walk = walks[place]
    start = walk.parse(position) if position else walk.first
    ends = yield (
        f"SELECT {walk.key} FROM {walk.table} WHERE {walk.key} > ? ORDER BY {walk.key} LIMIT 1 OFFSET ?",
        (start, max(1, limit) - 1),
    )
    end = ends[0][0] if ends else None
    upper, bounds = ("", (start,)) if end is None else (f"AND {walk.key} <= ?", (start, end))
    found = yield f"{walk.select} {walk.key} > ? {upper} ORDER BY {walk.key}", bounds
    if part == "states" and not position:
        found = [*(yield _EVERYBODY, ()), *found]
    made, unreadable = _readable(walk.make, found)
    return replace(Contents(unreadable=unreadable, next=_next(walks, place, end)), **{part: made})


def _next(walks: Sequence[Walk], place: int, end: bytes | int | None) -> str | None:
    if end is not None:
        return f"{walks[place].part}:{end.hex() if isinstance(end, bytes) else end}"
    return f"{walks[place + 1].part}:" if place + 1 < len(walks) else None


def _readable(make: Callable[[Row], Any], found: Iterable[Row]) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    made: list[Any] = []
    unreadable: list[str] = []
    for row in found:
        try:
            made.append(make(row))
        except CorruptRecord as error:
            unreadable.append(error.record)
    return tuple(made), tuple(unreadable)


def _account_of(row: Row) -> tuple[AccountRecord, PasswordCredential | None]:
    identified = rows.identified_of(row)
    return identified.account, identified.credential


def _counter_of(row: Row) -> tuple[bytes, Counter]:
    key, *numbers = row
    if type(key) is not bytes:
        raise CorruptRecord("counter")
    return key, rows.counter_of(tuple(numbers))


def _event_of(row: Row) -> tuple[int, EventRecord]:
    return row[0], rows.event_of(row)
