"""Talking to PostgreSQL in either colour: links, where psycopg's colours differ, and the pools that keep them.

What a link says and hears is in `exchange`; here is who waits for it, and for how long.

A link is a connection with a deadline: whoever does not hear from the server in time lets go of it. The pools are
ours. psycopg's own waits longer and longer between attempts to connect; here a call that finds no link opens one, so
that the first call after a recovery is answered. After trouble with one link no other is trusted.

Nothing is opened before first use. A forked child forgets the links it inherited without a word to the server, for
the server's end of them belongs to the parent.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from psycopg import AsyncConnection, Connection, OperationalError, generators, waiting
from psycopg.conninfo import conninfo_attempts, conninfo_attempts_async, make_conninfo
from psycopg.pq import ConnStatus, TransactionStatus

from coatcheck.errors import StoreUnavailable
from coatcheck.stores.postgres.exchange import Exchange, Parameters, Statement
from coatcheck.stores.postgres.troubles import NotLetIn, words

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from coatcheck.stores.postgres.address import Address
    from coatcheck.stores.rows import Row

Attempt: TypeAlias = dict[str, Any]

WAKE = 0.1  # seconds after which a blocking wait looks whether somebody pressed Ctrl-C
BUSY = (
    "the store is busy: no connection to PostgreSQL was free in time; more than connections=... of the URL are needed, "
    "or PostgreSQL is slow"
)


class _BlockingConnection(Connection[Any]):
    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.deadline = float("inf")
        self.pid = os.getpid()

    def wait(self, gen: PQGen[Any], interval: float = WAKE, timeout: float | None = None) -> Any:
        left = self.deadline - monotonic() if timeout is None else timeout
        try:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=max(0.0, left))
        except BaseException as error:
            _let_go(self, gen, error)
            raise

    def __del__(self, _warn: Any = None) -> None:
        _finish(self)


class _AsyncConnection(AsyncConnection[Any]):
    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.deadline = float("inf")
        self.pid = os.getpid()

    # psycopg's own, when a task is cancelled, asks the server to cancel and waits for an answer that may never come.
    # Here the connection is given up: what is under way at the server commits or does not.
    async def wait(self, gen: PQGen[Any], interval: float = WAKE, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg's
        left = self.deadline - monotonic() if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=max(0.0, left))
        except BaseException as error:
            _let_go(self, gen, error)
            raise

    def __del__(self, _warn: Any = None) -> None:
        _finish(self)


def _let_go(connection: _BlockingConnection | _AsyncConnection, gen: PQGen[Any], error: BaseException) -> None:
    # An error of the server's leaves the connection usable. Out of time or interrupted, an answer is still to come.
    if not isinstance(error, Exception) or monotonic() >= connection.deadline:
        connection.pgconn.finish()
        with suppress(Exception):
            gen.close()


def _finish(connection: _BlockingConnection | _AsyncConnection) -> None:
    # psycopg would warn of a connection that nobody closed; here one that nobody refers to any more is dropped.
    if hasattr(connection, "pgconn") and connection.pid == os.getpid():
        connection.pgconn.finish()


class Link:
    """A connection in use by one caller at a time, who sets its deadline. What differs by colour is in subclasses."""

    def __init__(self, connection: _BlockingConnection | _AsyncConnection) -> None:
        self._connection: Any = connection
        self._exchange = Exchange(connection)
        self._news = select.poll()
        self._news.register(connection.pgconn.socket, select.POLLIN)
        self.is_direct = False  # no pooler stands between: what is set for the session stays with it
        self.seats: Seats  # where it belongs
        self.attempt: Attempt  # what led to it
        _links.add(self)

    async def rows(self, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement and give its rows, if it has any: one round trip."""
        raise NotImplementedError

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements in one round trip and give the rows of each; the first error ends it and is raised."""
        raise NotImplementedError

    def until(self, deadline: float) -> None:
        """Set the instant (of `time.monotonic`) until which the server's answers are waited for."""
        self._connection.deadline = deadline

    def prepare(self, *, named: bool) -> None:
        """Let the server keep statements by name, which spares it to parse and plan them anew."""
        self._exchange.names = named

    @property
    def backend(self) -> int:
        """What the other end calls itself: the server's process, unless a pooler stands between."""
        number: int = self._connection.pgconn.backend_pid
        return number

    def setting(self, name: str) -> str | None:
        """Read what the server announced when the connection was made."""
        value: bytes | None = self._connection.pgconn.parameter_status(name.encode())
        return None if value is None else value.decode(errors="replace")

    def is_idle(self) -> bool:
        """Say whether it stands between transactions."""
        return bool(self._connection.pgconn.transaction_status == TransactionStatus.IDLE)

    def is_lost(self) -> bool:
        """Say whether the connection is gone."""
        return bool(self._connection.pgconn.status == ConnStatus.BAD)

    def is_quiet(self) -> bool:
        """Say whether the server has sent nothing unasked: a farewell, most likely."""
        return not self._news.poll(0)

    def drop(self) -> None:
        """Close the connection; what runs on it at the server comes to its end there."""
        self._connection.pgconn.finish()

    def forget(self) -> None:
        """Let go of what was inherited from a parent: our end of the descriptor, without a farewell to the server."""
        if not self.is_lost():
            with suppress(OSError):
                os.close(self._connection.pgconn.socket)


def _arranged(attempts: list[Attempt], last: Attempt | None) -> list[Attempt]:
    # Of several hosts the one that can be written is meant, whichever that is by now. It is asked first from then on:
    # one that is gone without a word would take its share of the time of each call.
    if len(attempts) > 1:
        attempts = [{"target_session_attrs": "read-write", **attempt} for attempt in attempts]
    return sorted(attempts, key=lambda attempt: attempt != last)


def _told_of(attempt: Attempt, error: OperationalError) -> str:
    # libpq mostly names the server of which it speaks; nobody does of one that is silent.
    said = words(error)
    place = ":".join(str(attempt[part]) for part in ("host", "port") if attempt.get(part))
    return said if "connection to server" in said or not place else f"{place}: {said}"


class BlockingLink(Link):
    """A link that blocks its thread."""

    async def rows(self, sql: str, parameters: Parameters) -> list[Row]:
        found: list[Row] = self._connection.wait(self._exchange.one(sql, parameters))
        return found

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        found: list[list[Row]] = self._connection.wait(self._exchange.several(statements))
        return found

    @staticmethod
    async def open(address: Address, deadline: float, *, last: Attempt | None = None) -> BlockingLink:
        """Connect to the first of the address's hosts that lets us in, beginning with the one that did so last."""
        attempts = _arranged(conninfo_attempts(address.parameters), last)
        said: list[str] = []
        for left, attempt in zip(range(len(attempts), 0, -1), attempts, strict=True):
            timeout = max(0.0, deadline - monotonic()) / left
            try:
                opening = generators.connect(make_conninfo("", **attempt))
                connection = _BlockingConnection(waiting.wait_conn(opening, interval=WAKE, timeout=timeout))
            except OperationalError as error:
                said.append(_told_of(attempt, error))
            else:
                connection.autocommit = True
                link = BlockingLink(connection)
                link.attempt = attempt
                return link
        raise NotLetIn(said)


class AsyncLink(Link):
    """A link that lets the event loop go on."""

    async def rows(self, sql: str, parameters: Parameters) -> list[Row]:
        found: list[Row] = await self._connection.wait(self._exchange.one(sql, parameters))
        return found

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        found: list[list[Row]] = await self._connection.wait(self._exchange.several(statements))
        return found

    @staticmethod
    async def open(address: Address, deadline: float, *, last: Attempt | None = None) -> AsyncLink:
        """Connect to the first of the address's hosts that lets us in, beginning with the one that did so last."""
        import asyncio

        try:
            async with asyncio.timeout(deadline - monotonic()):  # looking up names takes time too
                found = await conninfo_attempts_async(address.parameters)
        except TimeoutError:
            raise OperationalError("no connection in time") from None
        attempts = _arranged(found, last)
        said: list[str] = []
        for left, attempt in zip(range(len(attempts), 0, -1), attempts, strict=True):
            timeout = max(0.0, deadline - monotonic()) / left
            try:
                opening = generators.connect(make_conninfo("", **attempt))
                connection = _AsyncConnection(await waiting.wait_conn_async(opening, interval=WAKE, timeout=timeout))
            except OperationalError as error:
                said.append(_told_of(attempt, error))
            else:
                await connection.set_autocommit(True)
                link = AsyncLink(connection)
                link.attempt = attempt
                return link
        raise NotLetIn(said)


Greet: TypeAlias = Callable[[Link], Awaitable[None]]


class Pool(Protocol):
    """Links that wait for their next use, and no more in all than the address allows."""

    async def take(self, deadline: float) -> Link:
        """Give a link that nobody else uses: the one used last, or a new one that was greeted.

        Raises StoreUnavailable if none is free in time, and what opening and greeting raise.
        """
        ...

    def give(self, link: Link) -> None:
        """Take a link back. One that is not between transactions is dropped; if it was lost, all idle ones are."""
        ...

    def close(self) -> None:
        """Drop the links; those in use when they come back. The next `take` opens another."""
        ...


class Seats:
    """The idle links of a process or of an event loop, and how many may be in use there (`free`, a semaphore)."""

    def __init__(self, free: Any) -> None:
        self.free = free
        self.idle: list[Link] = []
        self.is_closed = False

    def sound(self) -> Link | None:
        """Give the link used last, if one is idle that nothing has happened to."""
        while True:
            try:
                link = self.idle.pop()
            except IndexError:
                return None
            if link.is_quiet():
                return link
            link.drop()

    def take_back(self, link: Link) -> None:
        """Keep a link for its next use, or drop it."""
        if link.is_idle() and not self.is_closed:
            self.idle.append(link)
        else:
            was_lost = link.is_lost()
            link.drop()
            if was_lost or self.is_closed:
                self.drop_idle()
        self.free.release()

    def close(self) -> None:
        """Drop idle links, and from now on those that are taken back."""
        self.is_closed = True
        self.drop_idle()

    def drop_idle(self) -> None:
        """Drop idle links: what happened to one may have happened to them."""
        while self.idle:
            with suppress(IndexError):  # another thread was faster
                self.idle.pop().drop()


class BlockingPool:
    """Links for the threads of a process."""

    def __init__(self, address: Address, greet: Greet) -> None:
        self._address = address
        self._greet = greet
        self._last: Attempt | None = None
        self.forget()
        _pools.add(self)

    async def take(self, deadline: float) -> Link:
        seats = self._seats
        if not seats.free.acquire(timeout=max(0.0, deadline - monotonic())):
            raise StoreUnavailable(BUSY)
        try:
            link = seats.sound()
            if link is None:
                link = await BlockingLink.open(self._address, deadline, last=self._last)
                await greeted(link, seats, self._greet, deadline)
                self._last = link.attempt
        except BaseException:
            seats.free.release()
            raise
        link.until(deadline)
        return link

    def give(self, link: Link) -> None:
        link.seats.take_back(link)

    def close(self) -> None:
        self._seats.close()
        self.forget()

    def forget(self) -> None:
        """Begin anew, without a look at what there was."""
        self._seats = Seats(threading.Semaphore(self._address.connections))


class AsyncPool:
    """Links for tasks, apart for each event loop: a connection is bound to the loop that waits for it."""

    def __init__(self, address: Address, greet: Greet) -> None:
        # Not before now: `import coatcheck` must not cost an application without asyncio what asyncio costs.
        import asyncio

        self._asyncio = asyncio
        self._address = address
        self._greet = greet
        self._last: Attempt | None = None
        self.forget()
        _pools.add(self)

    async def take(self, deadline: float) -> Link:
        loop = self._asyncio.get_running_loop()
        seats = self._seats.get(loop)
        if seats is None:
            seats = self._seats[loop] = Seats(self._asyncio.Semaphore(self._address.connections))
        if not seats.free.locked():
            await seats.free.acquire()  # at once
        else:
            try:
                async with self._asyncio.timeout(deadline - monotonic()):
                    await seats.free.acquire()
            except TimeoutError:
                raise StoreUnavailable(BUSY) from None
        try:
            link = seats.sound()
            if link is None:
                link = await AsyncLink.open(self._address, deadline, last=self._last)
                await greeted(link, seats, self._greet, deadline)
                self._last = link.attempt
        except BaseException:
            seats.free.release()
            raise
        link.until(deadline)
        return link

    def give(self, link: Link) -> None:
        link.seats.take_back(link)

    def close(self) -> None:
        for seats in list(self._seats.values()):
            seats.close()
        self.forget()

    def forget(self) -> None:
        """Begin anew, without a look at what there was."""
        self._seats: WeakKeyDictionary[AbstractEventLoop, Seats] = WeakKeyDictionary()


async def greeted(link: Link, seats: Seats, greet: Greet, deadline: float) -> None:
    """Make a new link one of a pool's, if the greeting goes well."""
    link.seats = seats
    link.until(deadline)
    try:
        await greet(link)
    except BaseException:
        link.drop()
        raise


_links: WeakSet[Link] = WeakSet()
_pools: WeakSet[BlockingPool | AsyncPool] = WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.forget()
    for link in list(_links):
        link.forget()
    _links.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
