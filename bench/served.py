"""The application under load: one fixed JSON answer, bare and behind a session. Run by `bench.http_share` in granian.

Both handlers look at the same request and give the same bytes; they differ only in asking who is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bench.stock import COOKIE_NAME, RAW_SELECT, connect
from coatcheck import AsyncCoatcheck
from coatcheck.core.tokens import session_digest
from coatcheck.http import cookies

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STORE = "COATCHECK_BENCH_STORE"
BODY = b'{"greeting":"welcome back","items":[1,2,3,4,5,6,7,8],"more":false}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

App = Callable[[MutableMapping[str, Any], object, Send], Awaitable[None]]


def make_app() -> App:
    url = os.environ[STORE]
    desk, cursor = AsyncCoatcheck(url), connect(url.removeprefix("sqlite:///")).cursor()

    async def app(scope: MutableMapping[str, Any], _receive: object, send: Send) -> None:
        path = scope["path"]
        if path == "/bare":
            await _send(send, 200, BODY)
        elif path == "/authenticated":
            fields = [value for name, value in scope["headers"] if name == b"cookie"]
            visit = await desk.authenticate(cookies.read(fields, COOKIE_NAME) or None)
            await _send(send, 200 if visit else 401, BODY)
        elif path == "/raw":
            fields = [value for name, value in scope["headers"] if name == b"cookie"]
            row = cursor.execute(RAW_SELECT, (session_digest(cookies.read(fields, COOKIE_NAME) or ""),)).fetchone()
            await _send(send, 200 if row else 401, BODY)
        elif path == "/cpu":  # what this process has used so far
            await _send(send, 200, f"{time.process_time():{len(BODY)}.6f}".encode())
        else:
            await _send(send, 404, BODY)

    return app


async def _send(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})
