"""Connections, and the few lines in which the two colours differ.

A call takes an idle connection or opens one, sends one thing, reads one answer, and puts the connection back. What
fails in between leaves the connection closed: an answer that nobody waited for must not be taken for the next one. All
of a call, with waiting for a turn and opening, has `PATIENCE` seconds.

Nothing is tried twice that may have happened, but for reading: a connection that went stale while it lay idle is
replaced once. Before a write such a connection is looked at, and replaced if the server has closed it. There is no
back-off: the first call after an outage opens a new connection.

Connections belong to one process, in the async colour to one event loop. A forked child or another loop opens its own.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, Protocol, cast

import hiredis
from redis import Connection, SSLConnection, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from coatcheck.errors import StoreUnavailable
from coatcheck.stores.redis.address import Address

PATIENCE = 2.0
MOST = 64  # connections of one event loop; a blocking process has one for each thread that is at it
READ_AT_ONCE = 65_536

Command = tuple[str | bytes | int, ...]
pack_command = cast("Callable[[Command], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType] - says nothing of its result
_inherited: list[object] = []  # what a child of a fork got from its parent and must not even close


class Line(Protocol):
    """One connection."""

    async def open(self, deadline: float) -> None:
        """Connect. Nothing is sent yet."""
        ...

    async def ask(self, commands: bytes, *, deadline: float) -> Any:
        """Send a packed command and read its answer. Raises what the server or the way to it has to say."""
        ...

    async def ask_all(self, commands: bytes, count: int, *, deadline: float) -> list[Any]:
        """Send several packed commands and read their answers; errors of the server are answers."""
        ...

    async def is_stale(self) -> bool:
        """Say whether the server has closed it, or said what nobody asked."""
        ...

    async def close(self, *, politely: bool) -> None:
        """Let go of it."""
        ...


class Lines:
    """The connections of a store. `look` is called with each new one before it is used."""

    def __init__(self, address: Address, *, is_async: bool, look: Callable[[Line, float], Awaitable[None]]) -> None:
        self._address = address
        self._look = look
        self._is_async = is_async
        self._forget()

    async def call(self, command: Command, *, is_read: bool) -> Any:
        """Send a command and give its answer.

        Raises what the driver raises; StoreUnavailable when no connection came free in time.
        """
        packed = pack_command(command)
        deadline = monotonic() + PATIENCE
        nest = self._nest()
        async with nest.turn(deadline):
            line = await self._idle_line(nest, is_read=is_read)
            if line is not None:
                try:
                    return await self._ask(nest, line, packed, deadline)
                except exceptions.ConnectionError:
                    if not is_read:
                        raise
            return await self._ask(nest, await self._open(deadline), packed, deadline)

    async def _ask(self, nest: _Nest, line: Line, packed: bytes, deadline: float) -> Any:
        try:
            answer = await line.ask(packed, deadline=deadline)
        except exceptions.ResponseError:
            nest.idle.append(line)
            raise
        except BaseException as error:
            await line.close(politely=False)
            # The others lay idle through whatever this one met: each would cost a call its patience.
            if isinstance(error, exceptions.RedisError):
                await self._clear(nest)
            raise
        nest.idle.append(line)
        return answer

    async def close(self) -> None:
        """Close the idle connections of this process or loop; a later call opens new ones."""
        await self._clear(self._nest(), politely=True)

    async def discard(self) -> None:
        """Close what is idle: the server is not the one that was looked at any more."""
        await self._clear(self._nest())

    def _nest(self) -> _Nest:
        if self._pid != os.getpid():
            _inherited.append((self._blocking, self._by_loop))
            self._forget()
        return _nest_of_loop(self._by_loop) if self._is_async else self._blocking

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._blocking: _Nest = _BlockingNest()
        self._by_loop: dict[Any, _Nest] = {}

    async def _idle_line(self, nest: _Nest, *, is_read: bool) -> Line | None:
        while True:
            try:
                line = nest.idle.pop()
            except IndexError:
                return None
            if is_read:
                return line
            try:
                is_stale = await line.is_stale()
            except BaseException:  # cancelled: nobody else has it
                await line.close(politely=False)
                raise
            if not is_stale:
                return line
            await line.close(politely=False)

    async def _open(self, deadline: float) -> Line:
        line: Line = _AsyncLine(self._address) if self._is_async else _BlockingLine(self._address)
        try:
            await line.open(deadline)
            await self._look(line, deadline)
        except BaseException:
            await line.close(politely=False)
            raise
        return line

    async def _clear(self, nest: _Nest, *, politely: bool = False) -> None:
        while nest.idle:
            try:
                line = nest.idle.pop()
            except IndexError:
                return
            await line.close(politely=politely)


def left_until(deadline: float) -> float:
    """Give the seconds left. Raises TimeoutError of the driver when there are none."""
    left = deadline - monotonic()
    if left <= 0:
        raise exceptions.TimeoutError("no answer in time")
    return left


class _Nest(Protocol):
    """Idle connections, the last used first, and the turns of who needs one."""

    idle: deque[Line]

    def turn(self, deadline: float) -> Any:
        """Give what to be in while using a connection."""
        ...


class _NoTurn:
    """Threads are few: each has its turn at once."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


_no_turn = _NoTurn()


class _BlockingNest:
    def __init__(self) -> None:
        self.idle: deque[Line] = deque()

    def turn(self, deadline: float) -> _NoTurn:  # noqa: ARG002 - as that of the other colour
        return _no_turn


class _LoopNest:
    def __init__(self) -> None:
        import asyncio

        self.idle: deque[Line] = deque()
        self._free = asyncio.Semaphore(MOST)

    def turn(self, deadline: float) -> _Turn:
        return _Turn(self._free, deadline)


class _Turn:
    """One of `MOST` tasks at a time."""

    __slots__ = ("_deadline", "_free")

    def __init__(self, free: Any, deadline: float) -> None:
        self._free = free
        self._deadline = deadline

    async def __aenter__(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        import asyncio

        try:
            async with asyncio.timeout(self._deadline - monotonic()):
                await self._free.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("the store is busy: no connection came free in time") from error

    async def __aexit__(self, *_: object) -> None:
        self._free.release()


def _nest_of_loop(by_loop: dict[Any, _Nest]) -> _Nest:
    import asyncio

    loop = asyncio.get_running_loop()
    nest = by_loop.get(loop)
    if nest is None:
        # Loops come and go (`asyncio.run` in each request). What is dropped here the interpreter closes.
        for other in [other for other in by_loop if other.is_closed()]:
            by_loop.pop(other, None)
        nest = by_loop[loop] = _LoopNest()
    return nest


def _settings(address: Address) -> dict[str, Any]:
    # Who we are and which database is told by `checks`, within the deadline; nothing else is sent at opening.
    settings: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "protocol": 2,
        "driver_info": None,
        "socket_read_size": READ_AT_ONCE,
    }
    if address.tls:
        settings |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": address.ca,
            "ssl_certfile": address.cert,
            "ssl_keyfile": address.key,
        }
    return settings


class _BlockingLine:
    def __init__(self, address: Address) -> None:
        kind = SSLConnection if address.tls else Connection
        self._patience = PATIENCE
        # Any: what the driver's annotations say of it is half unknown.
        self._connection: Any = kind(
            **_settings(address),
            socket_timeout=self._patience,
            socket_connect_timeout=self._patience,
            retry=Retry(NoBackoff(), 0),
        )

    async def open(self, deadline: float) -> None:
        self._connection.socket_connect_timeout = left_until(deadline)
        self._connection.connect()

    async def ask(self, commands: bytes, *, deadline: float) -> Any:
        self._connection.send_packed_command([commands], check_health=False)
        left = deadline - monotonic()
        if left > self._patience - 0.1:  # nothing of it is used up: the timeout of the connection will do
            return self._connection.read_response()
        return self._connection.read_response(timeout=left_until(deadline))

    async def ask_all(self, commands: bytes, count: int, *, deadline: float) -> list[Any]:
        self._connection.send_packed_command([commands], check_health=False)
        answers: list[Any] = []
        for _ in range(count):
            try:
                answers.append(self._connection.read_response(timeout=left_until(deadline)))
            except exceptions.ResponseError as error:
                answers.append(error)
        return answers

    async def is_stale(self) -> bool:
        try:
            return bool(self._connection.can_read(0))
        except exceptions.ConnectionError:
            return True

    async def close(self, *, politely: bool) -> None:  # noqa: ARG002 - as that of the other colour
        self._connection.disconnect()


class _AsyncLine:
    def __init__(self, address: Address) -> None:
        from redis.asyncio.connection import Connection as AsyncConnection
        from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
        from redis.asyncio.retry import Retry as AsyncRetry

        kind = AsyncSSLConnection if address.tls else AsyncConnection
        self._connection: Any = kind(
            **_settings(address),
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=AsyncRetry(NoBackoff(), 0),
        )

    async def open(self, deadline: float) -> None:
        async with _timeout(deadline):
            await self._connection.connect()

    async def ask(self, commands: bytes, *, deadline: float) -> Any:
        async with _timeout(deadline):
            await self._connection.send_packed_command([commands], check_health=False)
            return await self._connection.read_response()

    async def ask_all(self, commands: bytes, count: int, *, deadline: float) -> list[Any]:
        answers: list[Any] = []
        async with _timeout(deadline):
            await self._connection.send_packed_command([commands], check_health=False)
            for _ in range(count):
                try:
                    answers.append(await self._connection.read_response())
                except exceptions.ResponseError as error:
                    answers.append(error)
        return answers

    async def is_stale(self) -> bool:
        import asyncio

        for _ in range(2):  # the loop hears of what has come in one turn, and tells in the next
            await asyncio.sleep(0)
        try:
            return bool(await self._connection.can_read())
        except exceptions.ConnectionError:
            return True

    async def close(self, *, politely: bool) -> None:
        await self._connection.disconnect(nowait=not politely)


class _timeout:  # noqa: N801 - reads as asyncio's own
    """`asyncio.timeout` that raises what the driver would."""

    __slots__ = ("_deadline", "_inner")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    async def __aenter__(self) -> None:
        import asyncio

        self._inner = asyncio.timeout(self._deadline - monotonic())
        await self._inner.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._inner.__aexit__(*error)
        except TimeoutError:
            raise exceptions.TimeoutError("no answer in time") from None


def pack(commands: Sequence[Command]) -> bytes:
    """Write commands as the server reads them."""
    return b"".join(map(pack_command, commands))
