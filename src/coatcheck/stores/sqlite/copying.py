"""Everything a file holds, page by page, and how a page comes into another one (`CopyStore`).

The walk is `coatcheck.stores.copying`'s. While a copy comes in, its bookmark stands in a table of its own, which is
there as long as the copy is under way.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

import sqlite3
from typing import Protocol

from coatcheck.core.records import AccountRecord, PasswordCredential, SubjectState
from coatcheck.stores import copying, rows
from coatcheck.stores.protocols import Contents, Extent
from coatcheck.stores.rows import Row
from coatcheck.stores.sqlite import steps

_WALKS = copying.walks(
    sessions=rows.SELECT_FOUND, session_of=lambda row: rows.found_with_user_agent(row).session, events=rows.SELECT_EVENT
)


class Read(Protocol):
    """Reads rows, with a mark in place of text that is none (`rows.text_or_unreadable`)."""

    def __call__(self, sql: str, /, *parameters: object) -> list[Row]:
        """Run a SELECT."""
        ...


def page_of(read: Read, *, after: str | None, limit: int) -> Contents:
    """Read the next page."""
    page = copying.page_of(_WALKS, after=after, limit=limit)
    try:
        sql, parameters = next(page)
        while True:
            sql, parameters = page.send(read(sql, *parameters))
    except StopIteration as done:
        contents: Contents = done.value
        return contents


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
        agents = steps.user_agent_keys(cursor, [session.user_agent])
        steps.insert_session(cursor, session, owner, user_agent=agents[session.user_agent])
    steps.write_counters(cursor, contents.counters)
    for place, event in contents.events:
        replaced = cursor.execute("DELETE FROM events WHERE id = ? RETURNING user_agent", (place,))
        steps.release_user_agents(cursor, [key for (key,) in replaced.fetchall()])
        subject = None if event.subject is None else steps.subject_key(cursor, event.subject)
        agents = steps.user_agent_keys(cursor, [event.user_agent])
        steps.insert_event(cursor, event, subject=subject, user_agent=agents[event.user_agent], place=place)
    if bookmark is None:
        cursor.execute("DROP TABLE IF EXISTS copying")
    else:
        cursor.execute("CREATE TABLE IF NOT EXISTS copying (id INTEGER PRIMARY KEY, bookmark TEXT NOT NULL) STRICT")
        cursor.execute("INSERT OR REPLACE INTO copying (id, bookmark) VALUES (0, ?)", (bookmark,))


def extent(read: Read) -> Extent:
    """Count what there is: some tenths of a second for a million of each kind."""
    return Extent(*(read(f"SELECT count(*) FROM {kind}")[0][0] for kind in copying.KINDS))


def bookmark(read: Read) -> str | None:
    """Read the bookmark of a copy under way."""
    if not read("SELECT 1 FROM sqlite_schema WHERE name = 'copying'"):
        return None
    found = read("SELECT bookmark FROM copying")
    return found[0][0] if found and isinstance(found[0][0], str) else None


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
