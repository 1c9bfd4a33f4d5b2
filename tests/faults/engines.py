"""Servers that stores talk to, over a wire, and what can befall them.

An outage is a context: it begins when that is entered and is over when it is left. It says what may be expected of
reads and writes meanwhile; "either" where that depends on the moment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

import psycopg
import redis

from coatcheck.testing.patience import eventually
from coatcheck.testing.servers import PostgresServer, Server, ValkeyServer
from tests.faults.disk import full
from tests.faults.wire import Wire

Expected = Literal["refused", "answered", "either"]
AnyServer = TypeVar("AnyServer", bound=Server)
BALLAST = 2**18
TERMINATE_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
LOCK_ALL = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LOOP
            EXECUTE 'LOCK TABLE ' || name || ' IN ACCESS EXCLUSIVE MODE';
        END LOOP;
    END $$
"""


class Ground(Generic[AnyServer]):
    """A server of its own, the wire to it, and an empty database there, for one outage after the other."""

    def __init__(self, server: AnyServer) -> None:
        self.server = server
        self.wire = Wire(server.port)
        self.direct = ""  # where its operator connects
        self._all = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self.server)
            opened.enter_context(self.wire)
            self.direct = self.server.fresh()
            self._all = opened.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._all.close()

    @property
    def url(self) -> str:
        """What a store is given."""
        return self.wire.instead_of(self.direct)

    def processes(self) -> list[int]:
        """The server's processes, first the one that the others are children of."""
        pid = self.server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *map(int, children.split())]


class PostgresGround(Ground[PostgresServer]):
    """With as few connections as a small machine has."""

    def __init__(self, place: Path | None = None) -> None:
        super().__init__(PostgresServer(settings={"max_connections": "60"}, place=place))

    def tell(self, statement: str) -> list[Any]:
        """Do what an operator does, not over the wire."""
        with psycopg.connect(self.direct, autocommit=True) as operator:
            done = operator.execute(statement.encode())
            return done.fetchall() if done.description else []


class ValkeyGround(Ground[ValkeyServer]):
    """One that writes down what it acknowledges, as it has to for sessions that survive it.

    With `everysec` it acknowledges before it writes while a sync is under way, which takes long on a busy machine; but
    with `always` it ends when its disk is full.
    """

    def __init__(self, place: Path | None = None, *, appendfsync: str = "always") -> None:
        super().__init__(ValkeyServer(settings={"appendonly": "yes", "appendfsync": appendfsync}, place=place))

    def tell(self, *words: str | int) -> Any:
        """Do what an operator does, not over the wire."""
        with redis.Redis.from_url(self.direct) as operator:
            return operator.execute_command(*words)


class Outage(NamedTuple):
    """What befalls a server, and what may be expected of whoever asks it something meanwhile."""

    name: str
    happens: Callable[[Any], AbstractContextManager[None]]
    reads: Expected = "refused"
    writes: Expected = "refused"


@contextmanager
def stopped(ground: Ground[Any]) -> Iterator[None]:
    ground.server.stop()
    try:
        yield
    finally:
        ground.server.start()


@contextmanager
def crashed(ground: Ground[Any]) -> Iterator[None]:
    ground.server.crash()
    try:
        yield
    finally:
        ground.server.start()


@contextmanager
def restarted(ground: Ground[Any]) -> Iterator[None]:
    ground.server.stop()
    ground.server.start()
    yield


@contextmanager
def cut(ground: Ground[Any]) -> Iterator[None]:
    ground.wire.cut()
    yield


@contextmanager
def black_hole(ground: Ground[Any]) -> Iterator[None]:
    ground.wire.hold()
    try:
        yield
    finally:
        ground.wire.release()


@contextmanager
def frozen(ground: Ground[Any]) -> Iterator[None]:
    processes = ground.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def slow(seconds: float) -> Callable[[Ground[Any]], AbstractContextManager[None]]:
    @contextmanager
    def slowed(ground: Ground[Any]) -> Iterator[None]:
        ground.wire.slow_down(seconds)
        try:
            yield
        finally:
            ground.wire.slow_down(0)

    return slowed


# --- PostgreSQL alone --------------------------------------------------------------------------------------------


@contextmanager
def terminated(ground: PostgresGround) -> Iterator[None]:
    ground.tell(TERMINATE_OTHERS)
    yield


@contextmanager
def read_only(ground: PostgresGround) -> Iterator[None]:
    """As on a server that another took over from, or a replica."""
    ground.tell("ALTER SYSTEM SET default_transaction_read_only = on")
    _reload(ground, read_only="on")
    try:
        yield
    finally:
        ground.tell("ALTER SYSTEM RESET default_transaction_read_only")
        _reload(ground, read_only="off")


def _reload(ground: PostgresGround, *, read_only: str) -> None:
    """Have the server read its settings, and wait until it has: it tells its processes before it makes another."""
    ground.tell("SELECT pg_reload_conf()")

    def has_read() -> bool:
        with psycopg.connect(ground.direct) as other:
            return other.execute("SHOW default_transaction_read_only").fetchone() == (read_only,)

    eventually(has_read, "the server did not read its settings")


@contextmanager
def locked(ground: PostgresGround) -> Iterator[None]:
    """As by an operator's `ALTER TABLE` that does not come to its end."""
    with psycopg.connect(ground.direct) as other:
        other.execute(LOCK_ALL)
        yield


@contextmanager
def crowded_out(ground: PostgresGround) -> Iterator[None]:
    """Others have taken all connections, those of the store included."""
    with ExitStack() as others, psycopg.connect(ground.direct, autocommit=True) as operator:
        for _ in range(int(ground.server.settings["max_connections"]) - 1):  # and the operator's
            # Whoever is quick may get one of those that became free.
            while (taken := _taken(ground.server.url)) is None:
                operator.execute(TERMINATE_OTHERS)
            others.enter_context(taken)
        yield


def _taken(url: str) -> psycopg.Connection[Any] | None:
    try:
        return psycopg.connect(url)
    except psycopg.OperationalError:
        return None


@contextmanager
def full_postgres(ground: PostgresGround) -> Iterator[None]:
    """The disk is full; somebody's large import has taken what was left."""
    with full(ground.server.folder.parent):
        with suppress(psycopg.OperationalError), psycopg.connect(ground.direct, autocommit=True) as other:
            other.execute("CREATE TABLE IF NOT EXISTS ballast (stuff text)")
            while True:
                other.execute("INSERT INTO ballast SELECT repeat(md5(n::text), 100) FROM generate_series(1, 2000) AS n")
        yield
    if not ground.server.is_answering():  # it gives up when it cannot write ahead; its operator starts it again
        ground.server.stop()
        ground.server.start()


# --- Valkey alone ------------------------------------------------------------------------------------------------


@contextmanager
def clients_killed(ground: ValkeyGround) -> Iterator[None]:
    ground.tell("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    yield


def configured(**settings: str) -> Callable[[ValkeyGround], AbstractContextManager[None]]:
    @contextmanager
    def set_for_a_while(ground: ValkeyGround) -> Iterator[None]:
        before = {name: ground.tell("CONFIG", "GET", name)[name.encode()].decode() for name in settings}
        for name, value in settings.items():
            ground.tell("CONFIG", "SET", name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                ground.tell("CONFIG", "SET", name, value)

    return set_for_a_while


@contextmanager
def replica(ground: ValkeyGround) -> Iterator[None]:
    """As on a server that another took over from."""
    ground.tell("REPLICAOF", "127.0.0.1", 1)
    try:
        yield
    finally:
        ground.tell("REPLICAOF", "NO", "ONE")


@contextmanager
def busy(ground: ValkeyGround) -> Iterator[None]:
    """Somebody's script does not end."""
    ground.tell("CONFIG", "SET", "busy-reply-threshold", 100)
    with redis.Redis.from_url(ground.direct, single_connection_client=True) as other:
        other.connection.send_command("EVAL", "while true do end", 0)  # type: ignore[union-attr] # it has its connection
        eventually(lambda: _is_busy(ground), "the script does not run")
        try:
            yield
        finally:
            ground.tell("SCRIPT", "KILL")


def _is_busy(ground: ValkeyGround) -> bool:
    try:
        ground.tell("PING")
    except redis.RedisError as error:
        return "BUSY" in str(error)
    return False


@contextmanager
def full_valkey(ground: ValkeyGround) -> Iterator[None]:
    """The disk is full; somebody's large import has taken what was left."""
    with full(ground.server.folder.parent):
        with suppress(redis.RedisError):
            while True:
                ground.tell("SET", "ballast", "x" * BALLAST)
        yield


BOTH = (
    Outage("stopped", stopped),
    Outage("crashed (`kill`)", crashed),
    Outage("restarted", restarted, "either", "either"),
    Outage("connections reset by the network", cut, "either", "either"),
    Outage("partition: nothing comes through, nothing is refused", black_hole),
    Outage("stalled (`SIGSTOP`)", frozen),
    Outage("answers 0.2 s late", slow(0.2), "answered", "answered"),
    Outage("answers 5 s late", slow(5)),
)
POSTGRES = (
    *BOTH,
    Outage("connections terminated (`pg_terminate_backend`)", terminated, "either", "either"),
    # A connection that was there before reads on; whoever opens one is told at once.
    Outage("read-only, as after a switch to another server", read_only, "either", "refused"),
    Outage("tables locked by somebody", locked),
    Outage("no connection left", crowded_out),
)
VALKEY = (
    *BOTH,
    Outage("connections killed (`CLIENT KILL`)", clients_killed, "either", "either"),
    Outage("read-only, as after a switch to another server", replica, "either", "refused"),
    Outage("memory full (`maxmemory`)", configured(maxmemory="1"), "answered", "refused"),
    Outage("busy with a script that does not end", busy),
)
FULL_POSTGRES = Outage("disk full", full_postgres, "either", "either")
FULL_VALKEY = Outage("disk full", full_valkey, "answered", "either")
