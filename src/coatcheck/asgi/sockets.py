"""WebSockets: the session at the handshake, and the end of the socket when the session ends (REV-09).

A socket is no activity: while it is open its session idles on, as with a page that polls (TMO-09). Session data that
is changed before `accept` is saved with it; later changes when the socket is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from coatcheck.asgi.messages import App, Message, Receive, Scope, Send, dressed, send_reply, whole
from coatcheck.errors import Refused, StoreError
from coatcheck.http.messages import Reply
from coatcheck.web.passage import Passage

# Of the registry of RFC 6455 §11.7.
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
UNAUTHORIZED = 3000

_log = logging.getLogger("coatcheck")

PREFIX = "websocket.http.response"


class SocketCrossing:
    """One WebSocket, from its handshake to its end."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        seconds: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._sleep = sleep
        self._is_connecting = True  # the handshake's message has not been received
        self._is_open = False
        self._is_answered = False  # by the application itself, with an end or a refusal
        self._ended: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._incoming: asyncio.Task[Message] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def lead(self, app: App, passage: Passage[Any]) -> None:
        """Let the application have the socket, unless the handshake is refused before it."""
        self._passage = passage
        try:
            await passage.admit_socket()
            await passage.look()
            await app(self._scope, self._give, self._take)
        except (Refused, StoreError) as error:
            if self._is_answered:
                raise
            await self._refuse(error)
        finally:
            await self._leave()
        await whole(passage.save_late())

    async def _leave(self) -> None:
        if self._watch is not None:
            if not self._ended.done():
                self._watch.cancel()  # or it is about to close the socket, and does
            # Not `gather`, whose cancellation would be the watch's own, and not known to whoever cancels us.
            await asyncio.wait((self._watch,))
            if not self._watch.cancelled() and (error := self._watch.exception()) is not None:
                _log.info("a WebSocket whose session has ended could not be told: %s", error)
        if self._incoming is not None:
            self._incoming.cancel()

    async def deny(self, reply: Reply) -> None:
        """Answer a handshake with a reply where the server can send one; it says 403 itself where it cannot."""
        if self._is_connecting:
            self._is_connecting = False
            await self._receive()
        if PREFIX in (self._scope.get("extensions") or {}):
            await send_reply(reply, self._send, prefix=PREFIX)
        else:
            code = TRY_AGAIN_LATER if reply.status == 503 else POLICY_VIOLATION
            await self._send({"type": "websocket.close", "code": code, "reason": ""})

    async def _refuse(self, error: Refused | StoreError) -> None:
        if self._ended.done():
            return
        if self._is_open:
            code = TRY_AGAIN_LATER if isinstance(error, StoreError) else POLICY_VIOLATION
            await self._end(code, error.reason if isinstance(error, Refused) else "store_unavailable")
            return
        self._note_end(POLICY_VIOLATION, "")
        await self.deny(self._passage.door.refusal(self._passage, error, as_page=False))

    async def _give(self) -> Message:
        """Give the application the visitor's next message, or the end of the socket."""
        if self._ended.done():
            return self._ended.result()
        if self._incoming is None:
            # A task of its own, which stays if the application stops waiting: no message is lost.
            self._incoming = asyncio.ensure_future(self._receive())
        await asyncio.wait((self._incoming, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            return self._ended.result()
        incoming, self._incoming = self._incoming, None
        self._is_connecting = False
        return incoming.result()

    async def _take(self, message: Message) -> None:
        """Take a message of the application. Raises `OSError`, as servers do, when the socket has been ended."""
        if self._ended.done():
            raise OSError("the WebSocket was closed, for its session has ended or was refused")
        kind = message["type"]
        self._is_answered = self._is_answered or kind in ("websocket.close", f"{PREFIX}.start")
        if kind not in ("websocket.accept", f"{PREFIX}.start"):
            await self._send(message)
            return
        try:
            await whole(self._passage.save())
        except (Refused, StoreError) as error:
            await self._refuse(error)
            return
        await self._send(dressed(self._passage, message))
        if kind == "websocket.accept":
            self._is_open = True
            if await self._passage.look():
                self._watch = asyncio.ensure_future(self._end_with_session())
            await whole(self._passage.finish())

    async def _end_with_session(self) -> None:
        while True:
            await self._sleep(self._seconds)
            try:
                if await self._passage.has_ended():
                    return await self._end(UNAUTHORIZED, "session_ended")
            except StoreError:
                # Nobody can say whether the session lives: then it is not taken to (ERR-01).
                return await self._end(TRY_AGAIN_LATER, "store_unavailable")

    async def _end(self, code: int, reason: str) -> None:
        self._note_end(code, reason)
        if self._incoming is not None:
            # granian sends nothing while a message is waited for.
            self._incoming.cancel()
            await asyncio.wait((self._incoming,))
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _note_end(self, code: int, reason: str) -> None:
        self._ended.set_result({"type": "websocket.disconnect", "code": code, "reason": reason})
