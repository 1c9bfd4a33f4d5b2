"""Files with millions of sessions, made by SQL: a session that a library has written, copied under fresh random keys.

Keys come in random order, as they do in real life, so pages are as full as they are there. What is not random is
copied from the pattern; columns are not named, so that a further one needs nothing here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Tick

BATCH = 100_000
IP = " || '.' || ".join(["(abs(random()) % 223 + 1)", *["(abs(random()) % 256)"] * 3])


@dataclass(frozen=True)
class Growth:
    """How a table of sessions grows: expressions of SQL by column, with `n` for the number of the row."""

    table: str
    pattern: str  # the condition that finds the row to copy
    fresh: Mapping[str, str]

    def statement(self, connection: sqlite3.Connection, changed: Mapping[str, str]) -> str:
        """Insert rows number `?1 + 1` to `?2`, differing from the pattern in `fresh` and `changed`."""
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({self.table})")]
        values = {**self.fresh, **changed}
        selected = ", ".join(values.get(column, f"pattern.{column}") for column in columns)
        return f"""
            WITH RECURSIVE numbers (n) AS (SELECT ?1 + 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
            INSERT INTO {self.table} ({", ".join(columns)})
            SELECT {selected} FROM numbers, (SELECT * FROM {self.table} WHERE {self.pattern}) AS pattern
        """


@contextmanager
def unhurried(path: Path) -> Generator[sqlite3.Connection, None, None]:
    """A connection that waits for no disk and keeps no journal; after it the file is as it was, in WAL."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1500000", "foreign_keys = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    yield connection
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def grow(
    connection: sqlite3.Connection, growth: Growth, *, count: int, tick: Tick, changed: Mapping[str, str] | None = None
) -> None:
    """Add `count` rows."""
    statement = growth.statement(connection, changed or {})
    for start in range(0, count, BATCH):
        connection.execute("BEGIN")
        connection.execute(statement, (start, min(start + BATCH, count)))
        connection.execute("COMMIT")
        tick()


def steps_of(count: int) -> int:
    """How often `grow` will tick."""
    return -(-count // BATCH)


def put(connection: sqlite3.Connection, growth: Growth, column: str, keys: Sequence[object]) -> None:
    """Add a row for each of these keys: those that will be asked for."""
    statement = growth.statement(connection, {column: "?3"})
    connection.execute("BEGIN")
    connection.executemany(statement, ((number, number + 1, key) for number, key in enumerate(keys)))
    connection.execute("COMMIT")


def bytes_of(connection: sqlite3.Connection) -> int:
    """The size of the file's pages in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
