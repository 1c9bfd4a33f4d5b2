"""Everything a file holds, page by page, and how a page comes into another one (`CopyStore`).

A round walks the tables one after the other along their keys; where it stands is in the cursor: `part:last key`. While
a copy comes in, its bookmark stands in a table of its own, which is there as long as the copy is under way.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.throttle import Counter
from coatcheck.errors import CorruptRecord
from coatcheck.stores import rows
from coatcheck.stores.protocols import Contents
from coatcheck.stores.rows import Row
from coatcheck.stores.sqlite import steps

R = TypeVar("R")
replace = msgspec.structs.replace


class Read(Protocol):
    """Reads rows, with a mark in place of text that is none (`rows.text_or_unreadable`)."""

    def __call__(self, sql: str, /, *parameters: object) -> list[Row]:
        """Run a SELECT."""
        ...


class _Walk(NamedTuple):
    part: str
    select: str
    table: str  # as the SELECT calls it
    key: str
    parse: Callable[[str], bytes | int]
    first: bytes | int  # below every key


_WALKS = (
    _Walk("accounts", f"{rows.SELECT_IDENTIFIED} WHERE", "accounts a", "a.id", int, 0),
    # Under an everybody whose epoch was never raised: the subject's own state.
    _Walk(
        "states",
        "SELECT u.subject, u.epoch, u.epoch_at, u.epoch_reason, u.disabled_at, u.credential_version, 0, 0, '' "
        "FROM subjects u WHERE u.epoch IS NOT NULL AND",
        "subjects u",
        "u.id",
        int,
        0,
    ),
    _Walk("sessions", f"{rows.SELECT_FOUND} WHERE", "sessions s", "s.digest", bytes.fromhex, b""),
    _Walk(
        "counters",
        "SELECT key, failures, pending, counted_at, blocked_until, kept_until FROM counters c WHERE",
        "counters c",
        "c.key",
        bytes.fromhex,
        b"",
    ),
    _Walk("events", f"{rows.SELECT_EVENT} WHERE", "events e", "e.id", int, 0),
)
_EVERYBODY = "SELECT '', epoch, epoch_at, epoch_reason, NULL, 0, 0, 0, '' FROM everybody"


def page_of(read: Read, *, after: str | None, limit: int) -> Contents:
    """Read the next page."""
    part, _, position = (after or "accounts:").partition(":")
    place = next(place for place, walk in enumerate(_WALKS) if walk.part == part)
    walk = _WALKS[place]
    start = walk.parse(position) if position else walk.first
    ends = read(
        f"SELECT {walk.key} FROM {walk.table} WHERE {walk.key} > ? ORDER BY {walk.key} LIMIT 1 OFFSET ?",
        start,
        max(1, limit) - 1,
    )
    end = ends[0][0] if ends else None
    upper, bounds = ("", (start,)) if end is None else (f"AND {walk.key} <= ?", (start, end))
    found = read(f"{walk.select} {walk.key} > ? {upper} ORDER BY {walk.key}", *bounds)
    unreadable: list[str] = []
    page = Contents(next=_next(place, end))
    match part:
        case "accounts":
            page = replace(page, accounts=_readable(_account_of, found, unreadable))
        case "states":
            everybody = [] if position else read(_EVERYBODY)
            page = replace(page, states=_readable(rows.state_of, [*everybody, *found], unreadable))
        case "sessions":
            page = replace(page, sessions=_readable(_session_of, found, unreadable))
        case "counters":
            page = replace(page, counters=_readable(_counter_of, found, unreadable))
        case _:
            page = replace(page, events=_readable(_event_of, found, unreadable))
    return replace(page, unreadable=tuple(unreadable))


def load(cursor: sqlite3.Cursor, contents: Contents, *, bookmark: str | None) -> None:
    """Take in a page, in place of what is there under the same keys, and keep the bookmark."""
    for account, credential in contents.accounts:
        _load_account(cursor, account, credential)
    for state in contents.states:
        _load_state(cursor, state)
    for session in contents.sessions:
        replaced = cursor.execute("DELETE FROM sessions WHERE digest = ? RETURNING user_agent", (session.digest,))
        steps.release_user_agents(cursor, [key for (key,) in replaced.fetchall()])
        owner = None if session.subject is None else steps.subject_key(cursor, session.subject)
        steps.insert_session(cursor, session, owner)
    for key, counter in contents.counters:
        steps.write_counter(cursor, key, counter)
    for place, event in contents.events:
        replaced = cursor.execute("DELETE FROM events WHERE id = ? RETURNING user_agent", (place,))
        steps.release_user_agents(cursor, [key for (key,) in replaced.fetchall()])
        steps.insert_event(cursor, event, place=place)
    if bookmark is None:
        cursor.execute("DROP TABLE IF EXISTS copying")
    else:
        cursor.execute("CREATE TABLE IF NOT EXISTS copying (id INTEGER PRIMARY KEY, bookmark TEXT NOT NULL) STRICT")
        cursor.execute("INSERT OR REPLACE INTO copying (id, bookmark) VALUES (0, ?)", (bookmark,))


def bookmark(read: Read) -> str | None:
    """Read the bookmark of a copy under way."""
    if not read("SELECT 1 FROM sqlite_schema WHERE name = 'copying'"):
        return None
    found = read("SELECT bookmark FROM copying")
    return found[0][0] if found and isinstance(found[0][0], str) else None


def _next(place: int, end: bytes | int | None) -> str | None:
    if end is not None:
        return f"{_WALKS[place].part}:{end.hex() if isinstance(end, bytes) else end}"
    return f"{_WALKS[place + 1].part}:" if place + 1 < len(_WALKS) else None


def _readable(make: Callable[[Row], R], found: Iterable[Row], unreadable: list[str]) -> tuple[R, ...]:
    made: list[R] = []
    for row in found:
        try:
            made.append(make(row))
        except CorruptRecord as error:
            unreadable.append(error.record)
    return tuple(made)


def _account_of(row: Row) -> tuple[AccountRecord, PasswordCredential | None]:
    identified = rows.identified_of(row)
    return identified.account, identified.credential


def _session_of(row: Row) -> SessionRecord:
    return rows.found_with_user_agent(row).session


def _counter_of(row: Row) -> tuple[bytes, Counter]:
    key, *numbers = row
    if type(key) is not bytes or not all(type(number) is int for number in numbers):
        raise CorruptRecord("counter")
    return key, Counter(*numbers)


def _event_of(row: Row) -> tuple[int, EventRecord]:
    return row[0], rows.event_of(row)


def _load_account(cursor: sqlite3.Cursor, account: AccountRecord, credential: PasswordCredential | None) -> None:
    key = steps.subject_key(cursor, account.subject)
    cursor.execute("DELETE FROM accounts WHERE id = ?", (key,))  # the password goes with it
    steps.insert_account(cursor, key, account)
    if credential is not None:
        steps.insert_password(cursor, key, credential)


def _load_state(cursor: sqlite3.Cursor, state: SubjectState) -> None:
    if not state.subject:
        cursor.execute(
            "UPDATE everybody SET epoch = ?, epoch_at = ?, epoch_reason = ?",
            (state.epoch, state.epoch_at, state.epoch_reason),
        )
        return
    cursor.execute(
        """
        UPDATE subjects SET epoch = ?, epoch_at = ?, epoch_reason = ?, disabled_at = ?, credential_version = ?
        WHERE id = ?
        """,
        (
            state.epoch, state.epoch_at, state.epoch_reason, state.disabled_at, state.credential_version,
            steps.subject_key(cursor, state.subject),
        ),
    )  # fmt: skip
