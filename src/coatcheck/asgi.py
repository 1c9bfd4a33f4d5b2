"""The ASGI door: turns an ASGI request into ours and our reply into ASGI messages. It decides nothing.

Works under any ASGI server. Changes are shielded: a visitor who hangs up gets no half-done work (ERR-07).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from coatcheck.errors import BadRequest
from coatcheck.http.csrf import SAFE_METHODS
from coatcheck.http.messages import ClientGone, Read, Reply, Request, split_target
from coatcheck.web.app import Web

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_SECONDS = 10.0

_log = logging.getLogger("coatcheck")


class CoatcheckASGI:
    """An ASGI application that serves the pages and the API of `coatcheck.web`.

    Mount it where `web`'s prefix says; it answers 404 to what it does not know. A body has `body_seconds` to arrive in.
    It takes no part in the lifespan protocol: whoever made the desk closes it.

    Raises `ConfigurationError` where another store of this process has the same cookie on the same host.
    """

    def __init__(self, web: Web, *, body_seconds: float = BODY_SECONDS) -> None:
        web.mount.claim_host()
        self.web = web
        self._body_seconds = body_seconds
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; a WebSocket is refused, for there is none of ours."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the ASGI server sent a scope that CoatcheckASGI does not serve: {scope['type']}")
        if scope["method"] in SAFE_METHODS:
            await self._serve(scope, receive, send)
            return
        task = asyncio.ensure_future(self._serve(scope, receive, send))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply, exchange = await self.web.answer(request_of(scope, receive, body_seconds=self._body_seconds))
        except ClientGone:
            return
        await send_reply(reply, send, with_body=scope["method"] != "HEAD")
        await self.web.finish(exchange)


def request_of(scope: Scope, receive: Receive, *, body_seconds: float = BODY_SECONDS) -> Request:
    """Make our request of an HTTP scope. The body stays unread until somebody asks for it."""
    client = scope.get("client")
    headers = tuple(scope["headers"])
    authority, path = split_target(_target_of(scope))
    return Request(
        method=scope["method"],
        authority=authority,
        path=path,
        query=scope.get("query_string", b"").decode("latin-1"),
        scheme=scope.get("scheme", "http"),
        headers=headers,
        peer=client[0] if client else None,
        read=_reader(headers, receive, body_seconds),
    )


async def send_reply(reply: Reply, send: Send, *, with_body: bool = True) -> None:
    """Send a reply; to HEAD without its body but with the length it would have."""
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in reply.headers]
    if reply.status not in (204, 304):
        headers.append((b"content-length", str(len(reply.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body if with_body else b""})


def _target_of(scope: Scope) -> str:
    raw_path: bytes | None = scope.get("raw_path")
    if raw_path:
        return raw_path.partition(b"?")[0].decode("latin-1")
    # The server gives the decoded path only: encode it again, so that a decoded "?" or octet stays part of a name.
    return quote(scope["path"], safe="/:@!$&'()*+,;=~", errors="surrogatepass")


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
