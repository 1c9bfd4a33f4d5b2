"""Our pages and calls as an ASGI application of their own. It decides nothing.

Changes are shielded: a visitor who hangs up gets no half-done work (ERR-07).
"""

from __future__ import annotations

from coatcheck.asgi.messages import BODY_SECONDS, Receive, Scope, Send, request_of, send_reply, whole
from coatcheck.http.csrf import SAFE_METHODS
from coatcheck.http.messages import ClientGone
from coatcheck.web.app import Web


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
        await whole(self._serve(scope, receive, send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply, exchange = await self.web.answer(request_of(scope, receive, body_seconds=self._body_seconds))
        except ClientGone:
            return
        await send_reply(reply, send, with_body=scope["method"] != "HEAD")
        await self.web.finish(exchange)
