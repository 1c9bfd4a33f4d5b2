"""Rows as a failing disk, a bad restore or a curious hand may leave them, one kind after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

NO_TEXT = "CAST(x'ff00fe' AS TEXT)"
PICKLE = "x'80049510000000000000008c057075777a7a948c0362797494932e'"
HUGE = 2**63 - 1
ENORMOUS_WORK = (
    "'$argon2id$v=19$m=4294967295,t=4294967295,p=1$c29tZXNhbHRzb21lc2FsdA$' || 'YWFhYWFhYWFhYWFhYWFhYWFhYWE'"
)


class Damage(NamedTuple):
    """What befalls the row that belongs to an account: `table.column` gets a value, whatever its type."""

    table: str
    column: str
    value: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column} = {self.value}"


# The rows of one account, whose integer id is :id.
ROWS = {
    "accounts": "id = :id",
    "counters": "true",
    "events": "subject = :id",
    "passwords": "account = :id",
    "sessions": "subject = :id",
    "subjects": "id = :id",
    "user_agents": "id IN (SELECT user_agent FROM sessions WHERE subject = :id)",
}
INTEGERS = {
    "accounts": ["created_at"],
    "counters": ["failures", "pending", "counted_at", "blocked_until"],
    "events": ["at", "subject", "user_agent"],
    "passwords": ["version", "changed_at"],
    "sessions": [
        "subject", "epoch", "created_at", "auth_time", "last_seen_at", "idle_timeout", "expires_at", "is_persistent",
        "user_agent", "ended_at",
    ],
    "subjects": ["epoch", "epoch_at", "disabled_at", "credential_version"],
    "user_agents": ["uses"],
}  # fmt: skip
TEXTS = {
    "accounts": ["username", "username_key", "email", "email_key"],
    "events": ["name", "session_id", "ip", "details"],
    "passwords": ["hash"],
    "sessions": ["id", "methods", "ip", "end_reason"],
    "subjects": ["subject", "epoch_reason"],
    "user_agents": ["text"],
}
BYTES = {"sessions": ["digest", "data"], "counters": ["key"]}
NOT_INTEGERS = ["'soon'", NO_TEXT, "x'00ff'", "1.5", str(HUGE), str(-HUGE - 1), "-1", "NULL"]
NOT_TEXTS = [NO_TEXT, "x'00ff'", "7", "''", "NULL", "'a' || char(0) || 'b'"]
NOT_DATA = ["x''", "x'ff'", PICKLE, "'text'", "7", "CAST('[]' AS BLOB)", "CAST('{\"app\": 3}' AS BLOB)",
            "CAST('{\"app\": {\"a\": ' AS BLOB)", "CAST('null' AS BLOB)", "zeroblob(100000)"]  # fmt: skip
NOT_HASHES = ["'$argon2id$v=19$m='", "'$argon2id$'", "'$2b$12$abcdefghijklmnopqrstuv'", ENORMOUS_WORK, "hash || 'x'",
              "substr(hash, 1, 60)", "upper(hash)"]  # fmt: skip
NOT_DETAILS = ["'{'", "'[1]'", '\'{"a": {"b": 1}}\'', "'{\"a\": 1e400}'", "'null'", "'\"text\"'"]

DAMAGES = [
    *(Damage(table, column, value) for table in INTEGERS for column in INTEGERS[table] for value in NOT_INTEGERS),
    *(Damage(table, column, value) for table in TEXTS for column in TEXTS[table] for value in NOT_TEXTS),
    *(Damage(table, column, value) for table in BYTES for column in BYTES[table] for value in NOT_DATA),
    *(Damage("passwords", "hash", value) for value in NOT_HASHES),
    *(Damage("events", "details", value) for value in NOT_DETAILS),
]


def inflict(store: Path, damage: Damage, username: str) -> bool:
    """Damage the rows of an account; False if there is no way to, because a key holds."""
    with _loosened(store), _connected(store) as connection:
        (account,) = connection.execute("SELECT id FROM accounts WHERE username_key = ?", (username,)).fetchone()
        sql = f"UPDATE {damage.table} SET {damage.column} = {damage.value} WHERE {ROWS[damage.table]}"
        try:
            return connection.execute(sql, {"id": account}).rowcount > 0
        except sqlite3.IntegrityError:
            return False


@contextmanager
def _loosened(store: Path) -> Iterator[None]:
    """Have the tables take any type meanwhile, as bytes on a disk do; other connections do not notice."""
    with _connected(store) as connection:
        strict = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%STRICT%'").fetchall()
    _rewrite(store, {name: sql.replace("STRICT, ", "").replace("STRICT", "") for name, sql in strict})
    try:
        yield
    finally:
        _rewrite(store, dict(strict))


def _rewrite(store: Path, tables: dict[str, str]) -> None:
    with _connected(store) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for name, sql in tables.items():
            connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))


@contextmanager
def _connected(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(store, isolation_level=None, timeout=10)) as connection:
        yield connection
