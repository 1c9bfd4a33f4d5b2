"""Flows killed at every message they send to a server. This runs in a process of its own with one thread.

The wire between a flow and its server is this process. At each exchange of messages the flow's process is killed three
times over: before its message has left, when half of it has arrived, and when the server has answered and nobody hears.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

import psycopg
import redis
from psycopg import sql

from coatcheck.colour import Colour
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.kill_points import Death, Tell
from coatcheck.testing.patience import eventually
from coatcheck.testing.servers import create_database, drop_database, empty_database
from tests.faults.dying import FLOWS, Drama, Toll, toll

CHUNK = 1 << 20
KINDS = ("before it is sent", "when half of it has arrived", "before its answer is heard")
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


class PostgresGround:
    """A database, copied anew for each life."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._model = self.url = create_database(server_url)

    def open(self, colour: Colour) -> Store:
        return open_store(self.url, colour)

    def keep(self) -> None:
        """The model is the database that was filled."""

    def restore(self) -> None:
        self.clear()
        self.url = create_database(self._server_url, like=self._model)

    def clear(self) -> None:
        if self.url != self._model:
            drop_database(self._server_url, self.url)

    def contents(self) -> tuple[str, ...]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
            ).fetchall()
            lines = []
            for table in tables:
                every = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(*table))
                lines += [f"{table[1]} {row}" for (row,) in connection.execute(every)]
            return tuple(lines)

    def troubles(self) -> list[str]:
        return []

    def is_left(self) -> bool:
        """Say whether nobody is connected any more."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(OTHERS, [connection.info.dbname]).fetchone() == (0,)

    def close(self) -> None:
        self.clear()
        drop_database(self._server_url, self._model)


class RedisGround:
    """A numbered database, its keys copied from another one for each life."""

    def __init__(self, model: str, played: str) -> None:
        self._model = self.url = model
        self._played = played

    def open(self, colour: Colour) -> Store:
        return open_store(self.url, colour)

    def keep(self) -> None:
        """The model is the database that was filled."""

    def restore(self) -> None:
        self.url = self._played
        empty_database(self._played)
        number = int(self._played.rpartition("/")[2])
        with redis.Redis.from_url(self._model) as client:
            assert all(client.copy(key, key, destination_db=number) for key in client.scan_iter(count=1000))

    def contents(self) -> tuple[str, ...]:
        readers = {b"string": "get", b"hash": "hgetall", b"set": "smembers", b"list": "lrange", b"zset": "zrange"}
        more = {b"list": (0, -1), b"zset": (0, -1, False, True)}
        with redis.Redis.from_url(self.url) as client:
            lines = []
            for key in sorted(client.keys()):
                kind = client.type(key)
                value = getattr(client, readers[kind])(key, *more.get(kind, ()))
                told = sorted(value.items()) if isinstance(value, dict) else value
                lines.append(f"{key!r} {sorted(told) if isinstance(told, set) else told!r}")
            return tuple(lines)

    def troubles(self) -> list[str]:
        return []

    def is_left(self) -> bool:
        """Say whether nobody is connected any more."""
        number = self.url.rpartition("/")[2]
        with redis.Redis.from_url(self.url) as client:
            return sum(one["db"] == number for one in client.client_list()) == 1


class Moment(NamedTuple):
    """When to kill: at which exchange, and at which point of it."""

    exchange: int
    kind: str


class Line:
    """One life's way to the server."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._all = ExitStack()
        self._listener = self._all.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        self._partners: dict[socket.socket, socket.socket] = {}
        self._questions: set[socket.socket] = set()  # those ends at which the flow is
        self._is_asked = False
        self.exchanges = 0

    def live(self, child: int, told: int, go: int, deadly: Moment | None) -> list[str]:
        """Carry everything until the child is gone; give what it told. Nothing counts before it says "ready"."""
        lines: list[str] = []
        rest, is_watched = b"", False
        while True:
            ready, _, _ = select.select([self._listener, told, *self._partners], [], [])
            if told in ready:
                heard = os.read(told, CHUNK)
                if not heard:
                    break
                *whole, rest = (rest + heard).split(b"\n")
                lines += [line.decode() for line in whole]
                if not is_watched and "ready" in lines:
                    is_watched, self.exchanges, self._is_asked = True, 0, False
                    os.write(go, b".")
            if self._listener in ready:
                self._accept()
            for end in [one for one in ready if isinstance(one, socket.socket) and one in self._partners]:
                if self._carry(end, child, deadly if is_watched else None):
                    self._close()
                    break
        self._close()
        return lines[lines.index("ready") + 1 :] if "ready" in lines else lines

    def close(self) -> None:
        self._close()
        self._all.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._target)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._partners |= {near: far, far: near}
        self._questions.add(near)

    def _carry(self, end: socket.socket, child: int, deadly: Moment | None) -> bool:
        """Carry what one end said to the other; say whether that was the moment to kill."""
        other = self._partners[end]
        try:
            said = end.recv(CHUNK)
        except ConnectionError:
            said = b""
        if not said:
            for one in (end, other):
                self._partners.pop(one).close()
            return False
        is_question = end in self._questions
        if is_question != self._is_asked:  # the first of it
            self._is_asked = is_question
            self.exchanges += is_question
            if deadly is not None and deadly.exchange == self.exchanges and is_question == (deadly.kind != KINDS[2]):
                os.kill(child, signal.SIGKILL)
                if deadly.kind == KINDS[1]:
                    other.sendall(said[: len(said) // 2])
                return True
        with suppress(ConnectionError):
            other.sendall(said)
        return False

    def _close(self) -> None:
        for end in self._partners:
            end.close()
        self._partners.clear()
        self._questions.clear()


def deaths(
    life: Callable[[Tell], None], arrange: Callable[[], Callable[[], None]], ground: PostgresGround | RedisGround
) -> Iterator[Death]:
    """Kill a child at each moment of a life on the wire; give each when it has died."""
    status, told, exchanges = _live(life, arrange, ground, None)
    if status != 0:
        raise RuntimeError(f"the life fails by itself: exit status {status} after {told}")
    moments = [Moment(exchange, kind) for exchange in range(1, exchanges + 1) for kind in KINDS]
    for number, moment in enumerate(moments):
        status, told, reached = _live(life, arrange, ground, moment)
        if status != -signal.SIGKILL or reached != moment.exchange:
            raise RuntimeError(f"no life like the first: exit status {status} at {moment}")
        yield Death(number, len(moments), f"message {moment.exchange}, {moment.kind}", tuple(told))


def _live(
    life: Callable[[Tell], None],
    arrange: Callable[[], Callable[[], None]],
    ground: PostgresGround | RedisGround,
    deadly: Moment | None,
) -> tuple[int, list[str], int]:
    prepare = arrange()
    direct = ground.url
    port = int(direct.rpartition("@")[2].partition("/")[0].partition(":")[2])
    line = Line(port)
    reading, writing = os.pipe()
    waiting, go = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            ground.url = direct.replace(f":{port}/", f":{line.port}/")
            prepare()
            os.write(writing, b"ready\n")
            os.read(waiting, 1)
            life(lambda words: os.write(writing, words.encode() + b"\n") and None)
            status = 0
        except BaseException:  # noqa: BLE001 - nobody else will tell of it
            traceback.print_exc()
        finally:
            os._exit(status)  # nothing is closed or flushed
    os.close(writing)
    os.close(waiting)
    told = line.live(child, reading, go, deadly)
    exchanges = line.exchanges
    line.close()
    os.close(reading)
    os.close(go)
    # The server learns of a death when the connection ends.
    eventually(ground.is_left, "the server does not let go of who was killed")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told, exchanges


def kill_flow_on_postgres(name: str, server_url: str) -> Toll:
    """Kill a flow over PostgreSQL at each of its messages."""
    ground = PostgresGround(server_url)
    try:
        return _killed(name, ground)
    finally:
        ground.close()


def kill_flow_on_redis(name: str, model: str, played: str) -> Toll:
    """Kill a flow over Valkey at each of its messages. Both databases are empty."""
    try:
        return _killed(name, RedisGround(model, played))
    finally:
        empty_database(model)


def _killed(name: str, ground: PostgresGround | RedisGround) -> Toll:
    drama = Drama(FLOWS[name], ground)
    return toll(deaths(drama.life, drama.arrange, ground), drama.judge)
