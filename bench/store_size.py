"""Print what a session costs on disk in the SQLite store, indexes included: python bench/store_size.py [sessions]."""

import secrets
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.core.records import SessionRecord
from coatcheck.core.tokens import HANDLE_BYTES, encode, session_digest
from coatcheck.stores import sqlite_steps as steps
from coatcheck.stores.sqlite import SqliteStore

NOW = 1_760_000_000
SUBJECTS = 20_000
USER_AGENTS = 200
BATCH = 5_000


def sessions(count: int) -> Iterator[SessionRecord]:
    for number in range(count):
        now = NOW + number
        yield SessionRecord(
            digest=session_digest(encode(secrets.token_bytes(32))),
            id=encode(secrets.token_bytes(HANDLE_BYTES)),
            subject=f"subject-{secrets.randbelow(SUBJECTS):08}",
            epoch=0,
            created_at=now,
            auth_time=now,
            last_seen_at=now,
            idle_timeout=3600,
            expires_at=now + 86_400,
            is_persistent=False,
            methods="pwd",
            ip=".".join(str(byte) for byte in secrets.token_bytes(4)),
            user_agent=f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{secrets.randbelow(USER_AGENTS)}.0.0.0 Safari/537.36",
        )


def fill(cursor: sqlite3.Cursor, batch: list[SessionRecord]) -> None:
    for session in batch:
        owner, _ = steps.admit_subject(cursor, str(session.subject), credential_version=None, at=NOW)
        steps.insert_session(cursor, session, owner)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = SqliteStore(str(path), Blocking(HashingLane(queue=1, nice=0)))
        batch: list[SessionRecord] = []
        for session in sessions(count):
            batch.append(session)
            if len(batch) == BATCH:
                run_blocking(store._write(lambda cursor, batch=batch: fill(cursor, batch), durable=False))
                batch = []
        run_blocking(store._write(lambda cursor: fill(cursor, batch), durable=False))
        run_blocking(store.close())
        page_sizes = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
        connection = sqlite3.connect(path)
        try:
            tables = dict(connection.execute(page_sizes))
        except sqlite3.OperationalError:  # this SQLite was built without dbstat
            tables = {"the whole file": path.stat().st_size}
        connection.close()
    for name, size in tables.items():
        print(f"{size / count:8.1f}  {name}")
    of_sessions = sum(size for name, size in tables.items() if "session" in name or name == "the whole file")
    print(f"{of_sessions / count:8.1f}  bytes per session, indexes included ({count} sessions)")


if __name__ == "__main__":
    main()
