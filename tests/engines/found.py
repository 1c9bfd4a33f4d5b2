"""The engines this machine has: those of the wheels, those on PATH, those that environment variables name.

Wheels are what `./dev test` runs on. A server found on PATH joins in the long run (`./dev test --long`), one named by
`COATCHECK_TEST_POSTGRES` or `COATCHECK_TEST_REDIS` always: a URL whose user may create databases, and a URL with the
number of a database that is empty and ours until the tests end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from coatcheck.facade import Coatcheck
from coatcheck.testing.servers import PostgresServer, ValkeyServer, create_database, drop_database, empty_database


class Engine(Protocol):
    """A running server that has databases to give."""

    def fresh(self) -> str: ...
    def drop(self, url: str) -> None: ...


Start = Callable[[], AbstractContextManager[Any]]


class GivenPostgres:
    """A server that somebody else runs, where we may create databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fresh(self) -> str:
        return create_database(self.url)

    def copy(self, url: str) -> str:
        return create_database(self.url, like=url)

    def drop(self, url: str) -> None:
        drop_database(self.url, url)


class Stocked:
    """A PostgreSQL server whose fresh databases hold the tables of a store that keeps nothing yet.

    Tests of what a store does are many, and begin with it. How it makes its tables is a question of its own.
    """

    def __init__(self, server: PostgresServer | GivenPostgres) -> None:
        self._server = server
        self._model = server.fresh()
        with Coatcheck(self._model) as desk:
            desk.ready()

    def fresh(self) -> str:
        return self._server.copy(self._model)

    def drop(self, url: str) -> None:
        self._server.drop(url)

    def close(self) -> None:
        self._server.drop(self._model)


class GivenRedis:
    """A database of a server that somebody else runs. It is not ours if it holds something."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fresh(self) -> str:
        import redis

        assert re.search(r"/\d+$", self.url), "COATCHECK_TEST_REDIS must name its database, like redis://host:6379/5"
        with redis.Redis.from_url(self.url) as client:
            assert client.dbsize() == 0, "the database of COATCHECK_TEST_REDIS is not empty: give one that is"
        return self.url

    def drop(self, url: str) -> None:
        empty_database(url)


@contextmanager
def _given(engine: Engine) -> Iterator[Engine]:
    yield engine


def postgres_servers() -> Iterator[tuple[str, Start, bool]]:
    """Name each PostgreSQL, say how it is started, and whether it is for the long run."""
    yield "wheel", PostgresServer, False
    on_path = [Path(program).resolve().parent for program in filter(None, [shutil.which("initdb")])]
    # Debian keeps the programs of each version in a folder of its own, and none of them on PATH.
    for folder in sorted({*on_path, *Path("/usr/lib/postgresql").resolve().glob("*/bin")}):
        if (folder / "initdb").exists():
            yield _version(folder / "postgres"), lambda folder=folder: PostgresServer(folder), True  # type: ignore[misc]
    if url := os.environ.get("COATCHECK_TEST_POSTGRES"):
        yield "COATCHECK_TEST_POSTGRES", lambda: _given(GivenPostgres(url)), False


def redis_servers() -> Iterator[tuple[str, Start, bool]]:
    """Name each Valkey or Redis, say how it is started, and whether it is for the long run."""
    yield "wheel", ValkeyServer, False
    for name in ("valkey-server", "redis-server"):
        if program := shutil.which(name):
            yield _version(Path(program)), lambda program=program: ValkeyServer(Path(program)), True  # type: ignore[misc]
    if url := os.environ.get("COATCHECK_TEST_REDIS"):
        yield "COATCHECK_TEST_REDIS", lambda: _given(GivenRedis(url)), False


def as_parameters(servers: Iterator[tuple[str, Start, bool]]) -> list[object]:
    return [
        pytest.param(start, id=name, marks=[pytest.mark.long] if is_long else [])  # type: ignore[list-item]
        for name, start, is_long in servers
    ]


def _version(program: Path) -> str:
    told = subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout
    number = re.search(r"\d+(\.\d+)+", told)
    return f"{program.name}-{number[0] if number else 'unknown'}"
