"""The schema of an SQLite file: numbered steps, and how a file gets from one to the next.

Step n turns version n - 1 into version n and is never edited once released. All steps that are due run in one
transaction: a process killed half way leaves the old schema whole (DAT-08).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from coatcheck.errors import SchemaMismatch
from coatcheck.stores.protocols import Progress

Step = tuple[str, ...]

# "COAT" in the file's header: tells our files from other programs' (https://sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x434F4154

STEPS: tuple[Step, ...] = (
    (
        # A subject has a row as soon as anything speaks of it; `epoch` is NULL until it has a state. Its integer
        # stands for it everywhere else, so that rows stay small.
        """
        CREATE TABLE subjects (
            id INTEGER PRIMARY KEY,
            subject TEXT NOT NULL UNIQUE,
            epoch INTEGER,
            epoch_at INTEGER NOT NULL DEFAULT 0,
            epoch_reason TEXT NOT NULL DEFAULT '',
            disabled_at INTEGER,
            credential_version INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        # `uses` counts the rows of sessions and events that name it: purge deletes a user agent at zero without
        # searching for who else names it. That is also why those columns are no foreign keys. AUTOINCREMENT: an id is
        # never given again, so a process may remember which text it stood for.
        """
        CREATE TABLE user_agents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            text TEXT NOT NULL UNIQUE,
            uses INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE accounts (
            id INTEGER PRIMARY KEY REFERENCES subjects (id),
            username TEXT,
            username_key TEXT UNIQUE,
            email TEXT,
            email_key TEXT UNIQUE,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE passwords (
            account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
            hash TEXT NOT NULL,
            version INTEGER NOT NULL,
            changed_at INTEGER NOT NULL
        ) STRICT
        """,
        # `data` is NULL while there is none.
        """
        CREATE TABLE sessions (
            digest BLOB NOT NULL PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            subject INTEGER REFERENCES subjects (id),
            epoch INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            auth_time INTEGER,
            last_seen_at INTEGER NOT NULL,
            idle_timeout INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            is_persistent INTEGER NOT NULL,
            methods TEXT NOT NULL,
            ip TEXT,
            user_agent INTEGER,
            ended_at INTEGER,
            end_reason TEXT,
            data BLOB
        ) STRICT, WITHOUT ROWID
        """,
        # Finds and counts a subject's sessions. It holds nothing that a touch changes.
        """
        CREATE INDEX sessions_of_subject ON sessions (subject, epoch)
        WHERE ended_at IS NULL AND subject IS NOT NULL
        """,
        """
        CREATE TABLE counters (
            key BLOB NOT NULL PRIMARY KEY,
            failures INTEGER NOT NULL,
            pending INTEGER NOT NULL,
            counted_at INTEGER NOT NULL,
            blocked_until INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            name TEXT NOT NULL,
            subject INTEGER REFERENCES subjects (id),
            session_id TEXT,
            ip TEXT,
            user_agent INTEGER,
            details TEXT
        ) STRICT
        """,
        "CREATE INDEX events_of_subject ON events (subject, id) WHERE subject IS NOT NULL",
    ),
    (
        # One row, whose epoch ends every session when it is raised.
        """
        CREATE TABLE everybody (
            id INTEGER PRIMARY KEY CHECK (id = 0),
            epoch INTEGER NOT NULL DEFAULT 0,
            epoch_at INTEGER NOT NULL DEFAULT 0,
            epoch_reason TEXT NOT NULL DEFAULT ''
        ) STRICT
        """,
        "INSERT INTO everybody (id) VALUES (0)",
        # Lock counters outlive the others, so each says for itself how long it is kept.
        "ALTER TABLE counters ADD COLUMN kept_until INTEGER NOT NULL DEFAULT 0",
        "UPDATE counters SET kept_until = counted_at + 86400",
        "ALTER TABLE events ADD COLUMN request_id TEXT",
        # Ended sessions too: an account that is deleted takes them along.
        "DROP INDEX sessions_of_subject",
        "CREATE INDEX sessions_of_subject ON sessions (subject, epoch, ended_at) WHERE subject IS NOT NULL",
    ),
)
LATEST = len(STEPS)


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """Read the version of a file's schema; 0 for a file in which nobody has kept anything yet.

    Raises:
        SchemaMismatch: the file belongs to another program.
    """
    # In one snapshot: between two looks another process may create the schema, and half of ours would seem foreign.
    is_alone = not connection.in_transaction
    if is_alone:
        connection.execute("BEGIN")
    try:
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        objects: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    finally:
        if is_alone and connection.in_transaction:
            connection.execute("ROLLBACK")
    if application == APPLICATION_ID and version > 0:
        return version
    if application == 0 and version == 0 and objects == 0:
        return 0
    raise SchemaMismatch(f"store: {path} is another program's database; name a file of Coatcheck's own")


def check(version: int, path: str, *, latest: int) -> None:
    """Accept the latest version and no other. Raises SchemaMismatch, which says what to do (DAT-08)."""
    if version > latest:
        raise SchemaMismatch(
            f"store: {path} has schema version {version}, newer than the {latest} this Coatcheck knows; "
            "run the newer Coatcheck that wrote it"
        )
    if version < latest:
        raise SchemaMismatch(
            f"store: {path} has schema version {version}, older than the {latest} this Coatcheck needs; "
            f"run: coatcheck schema upgrade --store sqlite:///{path}"
        )


def apply_steps(
    connection: sqlite3.Connection,
    path: str,
    steps: Sequence[Step],
    *,
    only_if_empty: bool,
    progress: Progress | None = None,
) -> int:
    """Bring a file to the latest version in one transaction and give the version it had.

    With `only_if_empty` a file that has a schema is left as it is: another process may have created it meanwhile.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection, path)
        if version < len(steps) and not (only_if_empty and version > 0):
            statements = [statement for step in steps[version:] for statement in step]
            for done, statement in enumerate(statements, start=1):
                connection.execute(statement)
                if progress is not None:
                    progress(done, len(statements))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return version
