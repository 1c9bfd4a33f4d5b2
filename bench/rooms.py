"""How much room a session takes in each store, and how fast a copy goes: `python -m bench.rooms [COUNT]`.

Subjects come first, then sessions, one for each, with an address, one of a hundred user agents and no data; then the
same number of sessions in a store of their own with 200 bytes of data each. What a store grows by is what they take:
bytes on disk for SQLite and PostgreSQL, bytes of memory for Valkey. The last two columns are records a second.
docs/stores.md quotes what comes out.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import psycopg
import redis

from bench.people import USER_AGENTS
from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.core.records import EMPTY_DATA, SessionRecord, SubjectState
from coatcheck.core.tokens import encode
from coatcheck.flows.copying import copy_store
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Contents, Cutoffs, Store
from coatcheck.testing.servers import PostgresServer, ValkeyServer

COUNT = 200_000
PAGE = 1000
NOW = 1_800_000_000
DATA = b'{"app":{"cart":"%b"}}' % (b"x" * 180)


def main(count: int) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres, valkey = stack.enter_context(PostgresServer()), stack.enter_context(ValkeyServer())
        places: dict[str, Callable[[], tuple[str, Callable[[], int]]]] = {
            "SQLite": lambda: _sqlite(folder / f"{time.monotonic_ns()}.db"),
            "PostgreSQL": lambda: _postgres(postgres.fresh()),
            "Valkey": lambda: _valkey(valkey.fresh()),
        }
        print(f"{count:,} subjects and sessions; bytes each\n")
        print("| store | subject | session | with 200 bytes of data | purge looks at | copy from SQLite |")
        print("|---|--:|--:|--:|--:|--:|")
        source_url, _ = _sqlite(folder / "source.db")
        source = _opened(source_url)
        _load(source, _states(count))
        _load(source, _sessions(count, EMPTY_DATA))
        for name, place in places.items():
            url, size_of = place()
            subject, session = _grown((url, size_of), [_states(count), _sessions(count, EMPTY_DATA)])
            looked = count / _purged(url)
            _, laden = _grown(place(), [_states(count), _sessions(count, DATA)])
            target = _opened(place()[0])
            began = time.perf_counter()
            run_blocking(copy_store(source, target, now=NOW, progress=None, verifies=False))
            rate = 2 * count / (time.perf_counter() - began)
            run_blocking(target.close())
            sizes = " | ".join(f"{size / count:.0f}" for size in (subject, session, laden))
            print(f"| {name} | {sizes} | {looked:,.0f}/s | {rate:,.0f}/s |", flush=True)
        run_blocking(source.close())


def _grown(place: tuple[str, Callable[[], int]], stages: list[Iterator[Contents]]) -> list[int]:
    url, size_of = place
    store = _opened(url)
    run_blocking(store.ready())
    sizes = [size_of()]
    for stage in stages:
        _load(store, stage)
        sizes.append(size_of())
    run_blocking(store.close())
    return [after - before for before, after in pairwise(sizes)]


def _purged(url: str) -> float:
    """Purge where nothing is due; give the seconds it takes to look."""
    store, after = _opened(url), None
    began = time.perf_counter()
    while True:
        after = run_blocking(store.purge(Cutoffs(0, 0, 0), after=after, limit=PAGE)).next
        if after is None:
            break
    took = time.perf_counter() - began
    run_blocking(store.close())
    return took


def _load(store: Store, pages: Iterator[Contents]) -> None:
    for page in pages:
        run_blocking(store.load(page, bookmark=None))


def _states(count: int) -> Iterator[Contents]:
    for begin in range(0, count, PAGE):
        yield Contents(states=tuple(SubjectState(_subject(number)) for number in range(begin, begin + PAGE)))


def _sessions(count: int, data: bytes) -> Iterator[Contents]:
    for begin in range(0, count, PAGE):
        yield Contents(sessions=tuple(_session(number, data) for number in range(begin, begin + PAGE)))


def _session(number: int, data: bytes) -> SessionRecord:
    return SessionRecord(
        digest=os.urandom(32),
        id=encode(os.urandom(9)),
        subject=_subject(number),
        epoch=0,
        created_at=NOW,
        auth_time=NOW,
        last_seen_at=NOW,
        idle_timeout=3600,
        expires_at=NOW + 86_400,
        is_persistent=False,
        methods="pwd",
        ip=f"198.51.{number // 250 % 250}.{number % 250}",
        user_agent=USER_AGENTS[number % len(USER_AGENTS)],
        data=data,
    )


def _subject(number: int) -> str:
    return encode(number.to_bytes(16, "big"))


def _opened(url: str) -> Store:
    return open_store(url, Blocking(HashingLane(queue=1, nice=0)))


def _sqlite(path: Path) -> tuple[str, Callable[[], int]]:
    def size() -> int:
        import sqlite3

        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.stat().st_size

    return f"sqlite:///{path}", size


def _postgres(url: str) -> tuple[str, Callable[[], int]]:
    def size() -> int:
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
                "WHERE relnamespace = 'coatcheck'::regnamespace AND relkind = 'r'"
            ).fetchone()
        return int(found[0]) if found else 0

    return url, size


def _valkey(url: str) -> tuple[str, Callable[[], int]]:
    def size() -> int:
        with redis.Redis.from_url(url) as client:
            return int(client.info("memory")["used_memory"])

    return url, size


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
