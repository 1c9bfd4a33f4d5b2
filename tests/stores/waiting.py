"""Whether anybody waits for a lock in a PostgreSQL database."""

from __future__ import annotations

import psycopg

# Of this database alone: the server has others, where other tests and its own housekeeping wait for each other.
_WAITING = """
    SELECT EXISTS (
        SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
        WHERE NOT granted AND relation IS NOT NULL AND d.datname = current_database()
    )
"""


def somebody_waits(url: str) -> bool:
    """Tell whether somebody waits for a table."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(_WAITING).fetchone()
    return found == (True,)
