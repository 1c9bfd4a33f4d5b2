"""Raw ASGI: the hardest bare handler there is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import COOKIE_NAME, RAW_SELECT, connect, url_of
from coatcheck import AsyncCoatcheck
from coatcheck.core.tokens import session_digest
from coatcheck.http import cookies

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HEADERS = [(b"content-type", JSON.encode()), (b"content-length", str(len(BODY)).encode())]

App = Callable[[MutableMapping[str, Any], object, Send], Awaitable[None]]


def make_app() -> App:
    """Make the application of a worker."""
    desk, cursor = AsyncCoatcheck(url_of(file())), connect(file()).cursor()

    async def app(scope: MutableMapping[str, Any], _receive: object, send: Send) -> None:
        path = scope["path"]
        if path == "/bare":
            await _send(send, 200, BODY)
        elif path == "/authenticated":
            fields = [value for name, value in scope["headers"] if name == b"cookie"]
            visit = await desk.authenticate(cookies.read(fields, COOKIE_NAME) or None)  # type: ignore[arg-type]  # ours comes once
            await _send(send, 200 if visit else 401, BODY)
        elif path == "/raw":
            fields = [value for name, value in scope["headers"] if name == b"cookie"]
            digest = session_digest(str(cookies.read(fields, COOKIE_NAME)))
            row = cursor.execute(RAW_SELECT, (digest,)).fetchone()
            await _send(send, 200 if row else 401, BODY)
        elif path == "/cpu":
            await _send(send, 200, cpu())
        else:
            await _send(send, 404, BODY)

    return app


async def _send(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})
