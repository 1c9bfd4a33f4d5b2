"""ASGI's words and ours: a scope becomes a `Request`, a `Reply` becomes messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping, Sequence
from typing import Any, TypeVar

from coatcheck.errors import BadRequest
from coatcheck.http.headers import kept, length_in
from coatcheck.http.messages import ClientGone, Read, Reply, Request, target_as_seen
from coatcheck.web.passage import Passage

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

T = TypeVar("T")

BODY_SECONDS = 10.0
# Of a WebSocket's first message there is none at all.
_BODILESS = (None, 204, 304)

_running: set[asyncio.Task[Any]] = set()


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end even if whoever waits for it is cancelled: a visitor who hangs up leaves no half (ERR-07)."""
    task = asyncio.ensure_future(work)
    _running.add(task)  # the loop itself would forget it
    task.add_done_callback(_running.discard)
    return await asyncio.shield(task)


def request_of(scope: Scope, receive: Receive, *, body_seconds: float = BODY_SECONDS) -> Request:
    """Make our request of an HTTP scope. The body stays unread until somebody asks for it."""
    client = scope.get("client")
    headers = tuple(scope["headers"])
    authority, path = _target_of(scope)
    return Request(
        method=scope.get("method", "GET"),  # a WebSocket's handshake is a GET
        authority=authority,
        path=path,
        query=scope.get("query_string", b"").decode("latin-1"),
        scheme=scope.get("scheme", "http"),
        headers=headers,
        peer=client[0] if client else None,
        read=_reader(headers, receive, body_seconds),
    )


async def send_reply(reply: Reply, send: Send, *, with_body: bool = True, prefix: str = "http.response") -> None:
    """Send a reply; to HEAD without its body but with the length it would have."""
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in reply.headers]
    if reply.status not in (204, 304):
        headers.append((b"content-length", str(len(reply.body)).encode("ascii")))
    await send({"type": f"{prefix}.start", "status": reply.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": reply.body if with_body else b""})


def dressed(passage: Passage[Any], message: Message) -> Message:
    """Give the first message of an answer with what is to be said of the session."""
    given: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
    octets = list(given)  # it may be of a kind that is there to be read once
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in octets)
    told = passage.headers(headers, to_come=0 if message.get("status") in _BODILESS else length_in(headers))
    if told is headers and isinstance(given, Sequence):
        return message
    count = kept(headers, told)
    ours = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told[count:]]
    return {**message, "headers": [*octets, *ours] if count else ours}


def _target_of(scope: Scope) -> tuple[bytes | None, str]:
    raw: bytes = scope.get("raw_path") or b""
    seen: str = scope["path"]
    # Some take where an application is mounted off its path, others leave it there.
    return target_as_seen(
        raw.partition(b"?")[0].decode("latin-1"), seen, f"{scope.get('root_path', '')}{seen}", encoding="utf-8"
    )


def _reader(headers: tuple[tuple[bytes, bytes], ...], receive: Receive, seconds: float) -> Read:
    async def read(limit: int) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await read_whole(limit)
        except TimeoutError:
            # One deadline for the whole body: visitors who drip theirs would else hold all connections (ERR-06).
            raise BadRequest("body_timeout", status=408) from None

    async def read_whole(limit: int) -> bytes:
        announced = next((value for name, value in headers if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced[:20]) > limit:
            raise BadRequest("body_too_large", status=413)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise BadRequest("body_too_large", status=413)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    return read
