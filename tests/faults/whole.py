"""What must hold in a database file whoever died over it, and at what moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

FILES = ("", "-wal", "-shm")  # of one database

HALF_DONE = {
    "a session of a subject without a state": """
        SELECT s.id FROM sessions s LEFT JOIN subjects u ON u.id = s.subject
        WHERE s.subject IS NOT NULL AND u.epoch IS NULL""",
    "a session of an epoch that is yet to come": """
        SELECT s.id FROM sessions s JOIN subjects u ON u.id = s.subject
        WHERE s.epoch > u.epoch + (SELECT epoch FROM everybody)""",
    "an account without a password": """
        SELECT a.id FROM accounts a LEFT JOIN passwords p ON p.account = a.id WHERE p.account IS NULL""",
    "a password older than the sessions it started": """
        SELECT p.account FROM passwords p JOIN subjects u ON u.id = p.account WHERE p.version < u.credential_version""",
    "an end without a reason, or a reason without an end": """
        SELECT id FROM sessions WHERE (ended_at IS NULL) <> (end_reason IS NULL)""",
    "a user agent counted wrongly": """
        SELECT g.id FROM user_agents g WHERE g.uses <>
            (SELECT count(*) FROM sessions WHERE user_agent = g.id) +
            (SELECT count(*) FROM events WHERE user_agent = g.id)""",
    "a live session that nobody was seen to log in for": """
        SELECT s.id FROM sessions s
        WHERE s.subject IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM events e WHERE e.session_id = s.id AND e.name = 'logged_in')""",
    "a session revoked without an event": """
        SELECT s.id FROM sessions s WHERE s.end_reason = 'revoked' AND NOT EXISTS
            (SELECT 1 FROM events e WHERE e.session_id = s.id AND e.name = 'session_revoked')""",
}


def troubles_of(store: Path) -> list[str]:
    """Say in words what is broken or half done in a file of the present schema; nothing, if all is well."""
    with _looking(store) as connection:
        return list(_troubles(connection))


def structure_of(store: Path) -> list[str]:
    """Say what is broken in a file of any schema."""
    with _looking(store) as connection:
        return list(_structure(connection))


def contents_of(store: Path) -> tuple[str, ...]:
    """Read all there is in a file, schema included, in a form in which two can be compared."""
    with _looking(store) as connection:
        return tuple(_lines(connection))


def contents_and_troubles_of(store: Path) -> tuple[tuple[str, ...], list[str]]:
    """Give both at one look."""
    with _looking(store) as connection:
        return tuple(_lines(connection)), list(_troubles(connection))


@contextmanager
def _looking(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(store, timeout=10)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # to close a file is to tidy it up, and nobody waits for that
        yield connection


def _troubles(connection: sqlite3.Connection) -> Iterator[str]:
    yield from _structure(connection)
    for trouble, query in HALF_DONE.items():
        if connection.execute(query).fetchall():
            yield trouble


def _structure(connection: sqlite3.Connection) -> Iterator[str]:
    for (words,) in connection.execute("PRAGMA integrity_check").fetchall():
        if words != "ok":
            yield str(words)
    for row in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield f"a dangling reference: {row}"


def _lines(connection: sqlite3.Connection) -> Iterator[str]:
    schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
    yield from map(repr, schema)
    for pragma in ("user_version", "application_id"):
        yield f"{pragma} {connection.execute(f'PRAGMA {pragma}').fetchall()}"
    for kind, name, _ in schema:
        if kind == "table":
            for row in connection.execute(f"SELECT * FROM {name} ORDER BY 1"):
                yield f"{name} {row!r}"
