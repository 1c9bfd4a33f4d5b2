"""Raw ASGI, the hardest bare handler there is: with Coatcheck asked or not at all, and with Coatcheck's door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import COOKIE_NAME, DOOR, SECRET, RawSelect, url_of
from coatcheck import AsyncCoatcheck
from coatcheck.asgi import CoatcheckMiddleware, Passage
from coatcheck.http import cookies

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HEADERS = [(b"content-type", JSON.encode()), (b"content-length", str(len(BODY)).encode())]

App = Callable[[MutableMapping[str, Any], Any, Send], Awaitable[None]]


def make_app() -> App:
    """Make the application of a worker."""
    desk, select = AsyncCoatcheck(url_of(file())), RawSelect(file())

    async def plain(scope: MutableMapping[str, Any], _receive: object, send: Send) -> None:
        path = scope["path"]
        if path == "/bare":
            await _send(send, 200, BODY)
        elif path == "/authenticated":
            visit = await desk.authenticate(cookies.read(_fields(scope), COOKIE_NAME) or None)  # type: ignore[arg-type]  # ours comes once
            await _send(send, 200 if visit else 401, BODY)
        elif path == "/raw":
            await _send(send, 200 if select.knows(_fields(scope)) else 401, BODY)
        elif path == "/cpu":
            await _send(send, 200, cpu())
        else:
            await _send(send, 404, BODY)

    async def behind(scope: MutableMapping[str, Any], _receive: object, send: Send) -> None:
        passage: Passage[Any] = scope["coatcheck"]
        account = await passage.require_account()
        await _send(send, 200 if account.subject else 500, BODY)

    ours = CoatcheckMiddleware(behind, AsyncCoatcheck(url_of(file()), secret=SECRET), **DOOR)

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        """Applications of their own: a door would burden the bare handler too."""
        await (ours if scope["path"] == "/door" else plain)(scope, receive, send)

    return app


def _fields(scope: MutableMapping[str, Any]) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"cookie"]


async def _send(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})
