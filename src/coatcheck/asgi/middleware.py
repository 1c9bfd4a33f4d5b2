"""The door before an ASGI application: who is there, session data, and our pages under their prefix.

What an application may rely on stands in `coatcheck.web.passage`. What is ASGI's own:

- A request's body is read only where a form's token is asked for, and given to the application all the same.
- The answer's first message waits until session data is saved; all other messages pass as they are, extensions too.
- An answer without `Content-Length` may be one that streams, and look at the session after its headers: it is the
  visitor's own where a cookie of ours came along, whether it has looked or not. One with it that has not looked by
  then must not until its end: it raises.
- Our own refusals replace an answer that has not begun. So does that of the store, if it cannot save.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Unpack

from coatcheck.asgi.messages import (
    BODY_SECONDS,
    App,
    Message,
    Receive,
    Scope,
    Send,
    dressed,
    request_of,
    send_reply,
    whole,
)
from coatcheck.asgi.pages import CoatcheckASGI
from coatcheck.asgi.sockets import SocketCrossing
from coatcheck.colour import run_blocking
from coatcheck.errors import ConfigurationError, Refused, StoreError
from coatcheck.facade import AsyncCoatcheck
from coatcheck.http.messages import ClientGone, Reply, Request
from coatcheck.web import evidence
from coatcheck.web.door import STANDS_TWICE, Door, DoorSettings
from coatcheck.web.passage import Passage
from coatcheck.web.session_data import SessionData

SOCKET_SECONDS = 30.0
SOCKET_SECONDS_MOST = 60.0

ANOTHER_SESSION = (
    "middleware: another session middleware stands before this application, and both would own the session data; "
    "remove it, the session data is Coatcheck's now"
)

Sleep = Callable[[float], Awaitable[None]]


class Doorway:
    """The way from a server to an application and back, through one door. Applications may come and go."""

    knows_accounts: ClassVar[bool] = False
    """Whether code that cannot wait looks at the account."""

    def __init__(
        self,
        desk: AsyncCoatcheck[Any],
        settings: DoorSettings,
        *,
        body_seconds: float = BODY_SECONDS,
        socket_seconds: float = SOCKET_SECONDS,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        problems: list[str] = []
        if not 0 < socket_seconds <= SOCKET_SECONDS_MOST:
            problems.append(
                f"socket_seconds: {socket_seconds} is outside what is allowed, more than 0 and at most 60: "
                "so long may a WebSocket outlive its session"
            )
        try:
            self.door = Door(desk, settings, wanted=AsyncCoatcheck, knows_accounts=self.knows_accounts)
        except ConfigurationError as error:
            problems = [*error.problems, *problems]
        if problems:
            raise ConfigurationError(*problems)
        self.pages = CoatcheckASGI(self.door.web, body_seconds=body_seconds)
        self.body_seconds = body_seconds
        self.socket_seconds = socket_seconds
        self.sleep = sleep

    async def lead(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead one connection, or the server's lifespan, to the application."""
        if scope.get("coatcheck_doorway") is self:
            await app(scope, receive, send)  # an application inside one that has been through the same door
        elif (trouble := self.trouble(scope)) is not None:
            if scope["type"] == "lifespan":
                # Said in the protocol too: a server may take a mere exception for an application without lifespan.
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(trouble)})
            raise trouble
        elif scope["type"] == "http":
            await self._lead_request(app, scope, receive, send)
        elif scope["type"] == "websocket":
            await self._lead_socket(app, scope, receive, send)
        else:
            await app({**scope, "coatcheck_doorway": self}, receive, send)

    async def _lead_request(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope, receive, body_seconds=self.body_seconds)
        if self.door.owns(request.path):
            await self.pages(scope, receive, send)
            return
        if root := scope.get("root_path"):
            self.door.stands_below(root)
        entered = self.door.enter(request)
        if isinstance(entered, Reply):
            await send_reply(entered, send, with_body=request.method != "HEAD")
        else:
            self.note_handler(scope, entered)
            await Crossing(self, entered, receive, send).lead(app, scope)

    async def _lead_socket(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope, receive)
        if self.door.owns(request.path):
            await self.pages(scope, receive, send)
            return
        entered = self.door.enter(request)
        crossing = SocketCrossing(scope, receive, send, seconds=self.socket_seconds, sleep=self.sleep)
        if isinstance(entered, Reply):
            await crossing.deny(entered)
            return
        self.note_handler(scope, entered)
        self.show(scope, entered)
        await crossing.lead(app, entered)

    def note_handler(self, scope: Scope, passage: Passage[Any]) -> None:
        """Tell the passage what is known of the handler of this request, before it is admitted."""

    def show(self, scope: Scope, passage: Passage[Any]) -> None:
        """Put what an application finds into its scope."""
        scope["coatcheck_doorway"] = self
        scope["coatcheck"] = passage
        # Who is there is known by then: nothing in it waits any more.
        scope["session"] = SessionData(passage, lambda: run_blocking(passage.load()))

    def trouble(self, scope: Scope) -> ConfigurationError | None:
        """Say what is wrong with the place where this door stands, as far as the scope tells."""
        if "coatcheck_doorway" in scope:
            return ConfigurationError(STANDS_TWICE)
        if "session" in scope:
            return ConfigurationError(ANOTHER_SESSION)
        return None

    def refusal(self, passage: Passage[Any], error: Refused | StoreError) -> Reply:
        """Give the answer to a request that was refused."""
        return self.door.refusal(passage, error, as_page=self.wants_page(passage.exchange.request))

    def wants_page(self, request: Request) -> bool:
        """Whether a refusal is told in a page."""
        return request.is_navigation


class CoatcheckMiddleware:
    """Put a desk before an ASGI application.

    The application finds `scope["coatcheck"]`, a `Passage`, and `scope["session"]`, the session data as a mapping.
    Our pages and calls are answered under `prefix`. The server's lifespan passes through: whoever made the desk closes
    it, best in the application's own lifespan.

    Args:
        app: the application.
        desk: the desk, an `AsyncCoatcheck`.
        body_seconds: how long a body that we read ourselves may take to arrive.
        socket_seconds: how often an open WebSocket's session is looked at, at most 60 (REV-09).
        sleep: what waits between two looks; for tests.
        settings: those of every door, `coatcheck.web.door.DoorSettings`.

    Raises:
        ConfigurationError: lists every mistake in the settings, each with its mend.
    """

    doorway: ClassVar[type[Doorway]] = Doorway

    def __init__(
        self,
        app: App,
        desk: AsyncCoatcheck[Any],
        *,
        body_seconds: float = BODY_SECONDS,
        socket_seconds: float = SOCKET_SECONDS,
        sleep: Sleep = asyncio.sleep,
        **settings: Unpack[DoorSettings],
    ) -> None:
        self.app = app
        self._doorway = self.doorway(
            desk, settings, body_seconds=body_seconds, socket_seconds=socket_seconds, sleep=sleep
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the lifespan."""
        await self._doorway.lead(self.app, scope, receive, send)


class Crossing:
    """One request on its way to the application, and the answer on its way back."""

    def __init__(self, doorway: Doorway, passage: Passage[Any], receive: Receive, send: Send) -> None:
        self._doorway = doorway
        self._passage = passage
        self._receive = receive
        self._send = send
        self._form: bytes | None = None
        self._has_begun = False
        self._is_refused = False

    async def lead(self, app: App, scope: Scope) -> None:
        """Let the application answer, unless the request is refused before it."""
        passage = self._passage
        try:
            await passage.admit(self._read_form_token)
            await passage.look()
        except ClientGone:
            return
        except (Refused, StoreError) as error:
            await self._refuse(error)
            return
        self._doorway.show(scope, passage)
        try:
            await app(scope, self._give, self._take)
        except (Refused, StoreError) as error:
            if self._has_begun:
                raise
            await self._refuse(error)
        except asyncio.CancelledError:
            if self._has_begun:
                await self._finish()
            raise
        await self._finish()

    async def _read_form_token(self) -> str | None:
        read = await evidence.read_form(self._passage.exchange.request)
        if read is None:
            return None
        self._form, token = read
        return token

    async def _give(self) -> Message:
        """Give the application its next message: first the body that was read before it."""
        if self._form is None:
            return await self._receive()
        body, self._form = self._form, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _take(self, message: Message) -> None:
        """Take a message of the application's answer."""
        if self._is_refused:
            return  # ours has taken its place
        if message["type"] == "http.response.start":
            try:
                if self._passage.is_changed:
                    await whole(self._passage.save())
            except (Refused, StoreError) as error:
                await self._refuse(error)
                return
            self._has_begun = True
            message = dressed(self._passage, message)
        elif self._passage.is_sealed:
            self._passage.sent(len(message.get("body", b"")))
            if not message.get("more_body", False):  # or a message of a kind that is the whole body
                self._passage.unseal()
        await self._send(message)

    async def _refuse(self, error: Refused | StoreError) -> None:
        self._is_refused = True
        reply = self._doorway.refusal(self._passage, error)
        await send_reply(reply, self._send, with_body=self._passage.exchange.request.method != "HEAD")

    async def _finish(self) -> None:
        if self._passage.has_work_left:
            await whole(self._passage.finish())
