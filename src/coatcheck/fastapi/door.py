"""Puts the door into a FastAPI application while it runs."""

# Without `from __future__ import annotations`: FastAPI reads the signatures of the dependencies below.

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, Unpack, cast

import fastapi
import starlette
from fastapi import APIRouter, FastAPI
from fastapi.requests import HTTPConnection
from starlette.routing import NoMatchFound

from coatcheck.asgi import CoatcheckASGI, Message, Passage, Receive, Scope, Send, SessionData
from coatcheck.asgi.messages import BODY_SECONDS
from coatcheck.asgi.middleware import ANOTHER_SESSION, SOCKET_SECONDS, Sleep
from coatcheck.core.views import A
from coatcheck.errors import ConfigurationError
from coatcheck.facade import AsyncCoatcheck
from coatcheck.fastapi.guards import AccountGuard, FreshGuard, OptionalGuard, SameAccountGuard, SubjectGuard
from coatcheck.fastapi.routes import Description, Exemptions, routes_of
from coatcheck.http.csrf import SAFE_METHODS
from coatcheck.http.messages import Request
from coatcheck.starlette import CoatcheckMiddleware, StarletteDoorway, answer_refusals, has_another_session
from coatcheck.web.door import DoorSettings

ROUTE = "coatcheck"


class FastAPIDoorway(StarletteDoorway):
    """The way to an API: who does not ask for a page by name gets JSON."""

    exemptions = Exemptions([])

    def wants_page(self, request: Request) -> bool:
        """Whether a refusal is told in a page, or by the way to the log-in page."""
        return request.is_navigation and any(b"html" in value for value in request.all(b"accept"))

    def note_handler(self, scope: Scope, passage: Passage[Any]) -> None:
        """Tell the passage whether the endpoint of this request is exempt from what it may be asked for."""
        if scope.get("method") not in SAFE_METHODS:  # a WebSocket has none
            passage.exemption = self.exemptions.of(scope) or passage.exemption


class CoatcheckFastAPI(Generic[A]):
    """A FastAPI application's door to a desk.

    `lifespan` puts the door before the application's routes, checks that all is in place, and closes the desk in the
    end. `router` holds our pages and calls. All requests that a cookie decides are asked for evidence that they come
    from a page of ours before any dependency runs, and by each dependency that looks at somebody again (CSR-02).

    Attributes:
        account: dependency, the `Account` of whoever is logged in; else 401.
        browser: the same, of a visitor with the cookie only: for pages and forms.
        optional: the `Account`, or None.
        subject: the subject, also where identity was proven in another way (`start_session`).
        fresh_account: the `Account` of whoever has proven identity recently.
        router: to be included under the door's prefix.

    Args:
        desk: the desk, an `AsyncCoatcheck`.
        body_seconds, socket_seconds, sleep: as for `coatcheck.asgi.CoatcheckMiddleware`.
        settings: those of every door, `coatcheck.web.door.DoorSettings`.

    Raises:
        ConfigurationError: lists every mistake in the settings, each with its mend.
    """

    def __init__(
        self,
        desk: AsyncCoatcheck[A],
        *,
        body_seconds: float = BODY_SECONDS,
        socket_seconds: float = SOCKET_SECONDS,
        sleep: Sleep = asyncio.sleep,
        **settings: Unpack[DoorSettings],
    ) -> None:
        self._desk = desk
        self._doorway = FastAPIDoorway(
            desk, settings, body_seconds=body_seconds, socket_seconds=socket_seconds, sleep=sleep
        )
        self.account = AccountGuard(self.passage, self.cookie_name)
        self.browser = AccountGuard(self.passage, self.cookie_name)
        self.optional = OptionalGuard(self.passage, self.cookie_name)
        self.subject = SubjectGuard(self.passage, self.cookie_name)
        self.fresh_account = FreshGuard(self.passage, self.cookie_name)
        self.router = _router(self._doorway.pages) if self._doorway.door.has_pages else APIRouter()

    @property
    def cookie_name(self) -> str:
        """The name of the session's cookie."""
        return self._doorway.door.mount.site.session_cookie.name

    def same_account(self, parameter: str) -> SameAccountGuard[A]:
        """Make a dependency: the `Account` whose subject the path's `parameter` is, and nobody else's; else 403."""
        return SameAccountGuard(self.passage, self.cookie_name, parameter)

    def passage(self, connection: HTTPConnection) -> Passage[A]:
        """Give the passage of a request or WebSocket, as a dependency too: log in and out, messages, CSRF tokens."""
        passage = connection.scope.get("coatcheck")
        if not isinstance(passage, Passage) or passage.door is not self._doorway.door:
            raise ConfigurationError(
                "lifespan: Coatcheck's door does not stand before this application; make it "
                "FastAPI(lifespan=auth.lifespan), and in tests enter the client: with TestClient(app) as client. "
                "An application inside another has the door of the outer one"
            )
        answer_refusals(connection.scope)
        return cast(Passage[A], passage)

    def session(self, connection: HTTPConnection) -> SessionData:
        """Give the session data, as a dependency: a mapping, like `request.session`."""
        self.passage(connection)
        return cast(SessionData, connection.scope["session"])

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        """Open the door while the application runs. Your own lifespan enters it: `async with auth.lifespan(app):`.

        Raises `ConfigurationError` where something is not in place, `StoreUnavailable` if the store is down.
        """
        self._check(app)
        await self._desk.ready()
        self._doorway.exemptions = Exemptions(app.routes)
        description = Description(app)
        try:
            async with self._before_routes(app):
                description.begin()
                yield
        finally:
            description.end()
            self._doorway.door.mount.release_host()
            await self._desk.close()

    @asynccontextmanager
    async def _before_routes(self, app: FastAPI) -> AsyncGenerator[None]:
        """Have all that comes to the application's routes led through the door.

        Nothing documented does that here: the application's middleware is complete when its lifespan begins
        (`add_middleware` refuses), and a router's own is an argument of its making. What such an argument ends in is
        this attribute, from Starlette 0.40 to 1.10; behind the application's middleware, and so behind CORS, which
        answers for itself. Whether a version still goes this way is tried with a message that goes no further.
        """
        router = app.router
        inner = router.middleware_stack
        attempt: Scope = {"type": "coatcheck.attempt"}
        arrived: list[Scope] = []

        async def through_the_door(scope: Scope, receive: Receive, send: Send) -> None:
            if scope is attempt:
                arrived.append(scope)
            else:
                await self._doorway.lead(inner, scope, receive, send)

        router.middleware_stack = through_the_door
        try:
            with suppress(Exception):
                await router(attempt, nothing_comes, nothing_goes)
            if not arrived:
                raise ConfigurationError(
                    f"fastapi: {fastapi.__version__} with Starlette {starlette.__version__} asks nobody before a "
                    "router's routes, and the door cannot stand there; take an older one, or a newer Coatcheck"
                )
            yield
        finally:
            router.middleware_stack = inner

    def _check(self, app: FastAPI) -> None:
        problems: list[str] = []
        door = self._doorway.door
        prefix = door.mount.prefix
        try:
            found = str(app.url_path_for(ROUTE, path="")).removesuffix("/")
        except NoMatchFound:
            if door.has_pages:
                problems.append(f'router: include it, app.include_router(auth.router, prefix="{prefix}")')
        else:
            if not (found and prefix.endswith(found)):  # before it the server's root path may stand
                problems.append(
                    f'prefix: the router is included under "{found}", and the door has "{prefix}"; make it '
                    f'app.include_router(auth.router, prefix="{prefix}"), or CoatcheckFastAPI(desk, prefix="{found}")'
                )
        places = [
            f'"{one.path.partition("/{")[0]}"' for one in routes_of(app.routes) if one.endpoint is self._doorway.pages
        ]
        if len(places) > 1:
            problems.append(f"router: it is included under {' and '.join(places)}; the door has one prefix, leave one")
        if has_another_session(app):
            problems.append(ANOTHER_SESSION)
        if any(isinstance(one.cls, type) and issubclass(one.cls, CoatcheckMiddleware) for one in app.user_middleware):
            problems.append("middleware: CoatcheckMiddleware is not needed, the lifespan puts the door in; remove it")
        if problems:
            raise ConfigurationError(*problems)


async def nothing_comes() -> Message:
    """Receive what ends a connection."""
    return {"type": "http.disconnect"}


async def nothing_goes(_message: Message) -> None:
    """Send nowhere."""


def _router(pages: CoatcheckASGI) -> APIRouter:
    router = APIRouter()
    # An ASGI application as an endpoint is called as one.
    router.add_route("/{path:path}", cast(Any, pages), name=ROUTE, include_in_schema=False)
    return router
