"""Starlette's `SessionMiddleware`: the whole session in a signed cookie.

No account is read, and nothing can be revoked.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware

from bench.people import SECRET, among_others

SETTINGS_NOTE = "Starlette: `SessionMiddleware` with its defaults; the cookie is valid for 14 days, whatever happens."
COOKIE_NAME = "session"


class StarletteCookie:
    """The middleware around an application that looks who is there and answers nothing."""

    def __init__(self, *, count: int) -> None:
        signer = TimestampSigner(SECRET)
        self.cookie_fields: Sequence[bytes] = tuple(
            among_others(COOKIE_NAME, signer.sign(b64encode(json.dumps({"user": n}).encode())).decode())
            for n in range(count)
        )
        self.middleware = SessionMiddleware(_look, secret_key=SECRET)
        self.loop = asyncio.new_event_loop()

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        return self.loop.run_until_complete(self._authenticate_all(fields))

    async def _authenticate_all(self, fields: Sequence[bytes]) -> int:
        middleware = self.middleware
        for field in fields:
            scope = {"type": "http", "headers": [(b"host", b"127.0.0.1"), (b"cookie", field)]}
            await middleware(scope, _never, _never)
        return len(fields)


async def _look(scope: Any, _receive: Any, _send: Any) -> None:
    if "user" not in scope["session"]:
        raise RuntimeError("Starlette did not know its own cookie")


async def _never(*_: Any) -> Any:
    raise RuntimeError("nothing is received and nothing is sent")
