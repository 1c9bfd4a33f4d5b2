"""Stores filled once and copied for each play, and the count of what was played."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.meetings import Prepared
from coatcheck.testing.servers import PostgresServer, ValkeyServer


def copies_of_memory(make: Callable[[], MemoryStore] = MemoryStore) -> Prepared:
    """Keeps what was filled in as the dicts and lists of frozen records that it is, and copies those."""

    def prepared(fill: Callable[[Store], None]) -> Callable[[], Store]:
        filled = MemoryStore()
        fill(filled)
        return lambda: _copied(filled, make())

    return prepared


def copies_of_two_in_memory(wrap: Callable[[Store], Any] = lambda store: store) -> Prepared:
    """The same for accounts in one store and sessions in another, each wrapped."""

    def prepared(fill: Callable[[Store], None]) -> Callable[[], Store]:
        accounts, sessions = MemoryStore(), MemoryStore(holds_accounts=False)
        fill(ApartStore(accounts, sessions))
        return lambda: ApartStore(wrap(_copied(accounts, MemoryStore())), wrap(_copied(sessions, MemoryStore())))

    return prepared


def _copied(filled: MemoryStore, store: MemoryStore) -> MemoryStore:
    for name, value in vars(filled).items():
        if name != "_lock":
            setattr(store, name, value.copy() if isinstance(value, dict | list) else value)
    return store


def copies_of_a_file(folder: Path) -> Prepared:
    """Keeps what was filled in as a file, closed and so complete, and copies that over the one of the last play."""

    def prepared(fill: Callable[[Store], None]) -> Callable[[], Store]:
        filled = _sqlite(folder / "filled.db")
        fill(filled)
        run_blocking(filled.close())

        def copy() -> Store:
            assert not list(folder.glob("play.db-*")), "the last play did not close its store"
            shutil.copyfile(folder / "filled.db", folder / "play.db")
            return _sqlite(folder / "play.db")

        return copy

    return prepared


@contextmanager
def copies_in_postgres(server: PostgresServer) -> Iterator[Prepared]:
    """Keep what was filled in as a database, and give each play a copy of it."""
    with ExitStack() as databases, ExitStack() as played:

        def prepared(fill: Callable[[Store], None]) -> Callable[[], Store]:
            model = server.fresh()
            databases.callback(server.drop, model)
            _fill(model, fill)

            def copy() -> Store:
                played.close()
                url = server.copy(model)
                played.callback(server.drop, url)
                return _blocking(url)

            return copy

        yield prepared


@contextmanager
def copies_in_redis(server: ValkeyServer) -> Iterator[Prepared]:
    """Keep what was filled in as a numbered database, and copy its keys into that of the plays."""
    with ExitStack() as databases:

        def prepared(fill: Callable[[Store], None]) -> Callable[[], Store]:
            model, played = server.fresh(), server.fresh()
            databases.callback(server.drop, model)
            databases.callback(server.drop, played)
            _fill(model, fill)
            number = int(played.rpartition("/")[2])
            source = databases.enter_context(redis.Redis.from_url(model))
            target = databases.enter_context(redis.Redis.from_url(played))
            keys = source.keys()

            def copy() -> Store:
                target.flushdb()
                with source.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.copy(key, key, destination_db=number)
                    assert all(pipeline.execute())
                return _blocking(played)

            return copy

        yield prepared


def _fill(url: str, fill: Callable[[Store], None]) -> None:
    store = _blocking(url)
    fill(store)
    run_blocking(store.close())


def _blocking(url: str) -> Store:
    return open_store(url, Blocking(HashingLane(queue=1, nice=0)))


def _sqlite(path: Path) -> SqliteStore:
    return SqliteStore(str(path), Blocking(HashingLane(queue=1, nice=0)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was played."""
    counts = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in getattr(report, "user_properties", ())
        if name == "orders"
    ]
    if counts:
        terminalreporter.write_line(f"interleavings: {len(counts)} meetings in {sum(counts)} orders")
