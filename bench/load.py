"""Load over loopback: as many requests as a server can take, or a storm of log-ins beside a steady trickle of requests.

The clients speak just enough HTTP/1.1 for the servers that are measured.
"""

from __future__ import annotations

import asyncio
import re
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from time import perf_counter

from bench.people import USER_AGENT

CONNECTIONS = 32


def p99(waits: Sequence[float]) -> float:
    """How long 99 of 100 waited at most."""
    return quantiles(waits, n=100, method="inclusive")[98] if len(waits) > 1 else waits[0]


class Flood:
    """As many connections as cookie fields, each with one request under way all the time, in one thread.

    It does not parse, so that it costs less than the server it drives: the same request again and again, an answer of
    known length each time.
    """

    def __init__(self, port: int, cookie_fields: Sequence[bytes]) -> None:
        self._selector = selectors.DefaultSelector()
        self._connections = [_Connection(socket.create_connection(("127.0.0.1", port)), f) for f in cookie_fields]
        for connection in self._connections:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def rate(self, path: str, *, seconds: float, waits: list[float] | None = None) -> float:
        """Requests answered with 200 per second. Raises RuntimeError if any answer was something else.

        Into `waits` goes how long each answer took.
        """
        length = len(self._connections[0].ask(path))  # all answers are alike, the date too is of fixed length
        for connection in self._connections:
            connection.send(path)
        select, count, began = self._selector.select, 0, perf_counter()
        until = began + seconds
        while perf_counter() < until:
            for key, _ in select():
                if key.data.has_answer(length):
                    count += 1
                    if waits is not None:
                        waits.append(perf_counter() - key.data.sent_at)
                    key.data.send_again()
        spent = perf_counter() - began
        for connection in self._connections:
            while not connection.has_answer(length):
                pass
        return count / spent

    def ask(self, path: str) -> bytes:
        """One request by itself; gives the answer's body."""
        return self._connections[0].ask(path).partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        """Hang up."""
        self._selector.close()
        for connection in self._connections:
            connection.socket.close()


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    cookie_field: bytes
    request: bytes = b""
    received: int = 0
    sent_at: float = 0.0

    def send(self, path: str) -> None:
        self.request = _get(path, "127.0.0.1", self.cookie_field)
        self.send_again()

    def send_again(self) -> None:
        self.sent_at = perf_counter()
        self.socket.send(self.request)

    def has_answer(self, length: int) -> bool:
        """Read what is there; true when the answer is complete."""
        chunk = self.socket.recv(65536)
        if self.received == 0 and not chunk.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered something else than 200: {chunk[:60]!r}")
        self.received += len(chunk)
        if self.received < length:
            return False
        self.received = 0
        return True

    def ask(self, path: str) -> bytes:
        self.send(path)
        answer = self.socket.recv(65536)
        while not (head := answer.partition(b"\r\n\r\n"))[1] or len(head[2]) < _announced(head[0]):
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError("the server hung up")
            answer += more
        return answer


@dataclass
class Storm:
    """What a storm showed: how long authenticated requests took, how many log-ins there were."""

    waits: list[float] = field(default_factory=list[float])
    log_ins: int = 0
    failures: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def p99(self) -> float:
        return p99(self.waits)

    @property
    def log_ins_per_second(self) -> float:
        return self.log_ins / self.seconds


def storm(
    port: int,
    *,
    host: str,
    path: str,
    cookie_fields: Sequence[bytes],
    log_in: Callable[[int], bytes],
    clients: int,
    rate: int,
    seconds: float,
) -> Storm:
    """Let clients log in, each again as soon as it is in, while requests come at a steady rate.

    A request's time counts from the moment at which it was due, whether a connection was free then or not. Each log-in
    comes on a new connection: other people's do.

    Args:
        log_in: makes the whole HTTP request of a log-in, given its number.
        clients: how many log in at the same time; none for an idle server.
        rate: authenticated requests per second.
    """
    return asyncio.run(
        _storm(port, [_get(path, host, f) for f in cookie_fields], log_in, clients=clients, rate=rate, seconds=seconds)
    )


async def _storm(
    port: int, requests: Sequence[bytes], log_in: Callable[[int], bytes], *, clients: int, rate: int, seconds: float
) -> Storm:
    seen = Storm()
    idle: asyncio.LifoQueue[_Visitor] = asyncio.LifoQueue()
    for request in requests:
        idle.put_nowait(_Visitor(port, request))
    until = time.monotonic() + seconds
    logging_in = [
        asyncio.ensure_future(_keep_logging_in(port, log_in, n, clients, seen, until)) for n in range(clients)
    ]
    asked: list[asyncio.Task[None]] = []
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        asked.append(asyncio.ensure_future(_ask(idle, seen, due)))
    await asyncio.gather(*asked, *logging_in)
    while not idle.empty():
        idle.get_nowait().leave()
    return seen


async def _ask(idle: asyncio.LifoQueue[_Visitor], seen: Storm, due: float) -> None:
    visitor = await idle.get()
    try:
        status = await visitor.ask()
    except (OSError, EOFError) as error:
        status = repr(error)
    finally:
        idle.put_nowait(visitor)
    seen.waits.append(time.monotonic() - due)
    if status != "200":
        seen.failures.append(f"a request got {status}")


async def _keep_logging_in(
    port: int, log_in: Callable[[int], bytes], first: int, step: int, seen: Storm, until: float
) -> None:
    number, began = first, time.monotonic()
    while time.monotonic() < until:
        visitor = _Visitor(port, log_in(number))
        try:
            status = await visitor.ask()
        except (OSError, EOFError) as error:
            status = repr(error)
        visitor.leave()
        number += step
        if status in ("200", "204"):
            seen.log_ins += 1
        else:
            seen.failures.append(f"a log-in got {status}")
    seen.seconds = max(seen.seconds, time.monotonic() - began)


class _Visitor:
    """A connection, opened when needed, and the one request that is sent over it."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> str:
        """Send the request and read the whole answer; give its status."""
        try:
            return await self._exchange()
        except (ConnectionError, asyncio.IncompleteReadError):
            if self._streams is None:
                raise
            self.leave()  # the server closed an idle connection
            return await self._exchange()

    async def _exchange(self) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_announced(head))
        return head[9:12].decode()

    def leave(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def post(path: str, host: str, content_type: str, body: bytes, forwarded_for: str) -> bytes:
    """A whole POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nContent-Type: {content_type}\r\n"
        f"X-Forwarded-For: {forwarded_for}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _get(path: str, host: str, cookie_field: bytes) -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nCookie: ".encode()
    return head + cookie_field + b"\r\n\r\n"


def _announced(head: bytes) -> int:
    found = re.search(rb"(?im)^content-length: *(\d+)", head)
    return int(found[1]) if found else 0
