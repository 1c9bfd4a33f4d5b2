"""Starlette twice in one process: Coatcheck, SQLite or nobody asked in the handler, and with Coatcheck's door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import COOKIE_NAME, DOOR, SECRET, RawSelect, url_of
from coatcheck import AsyncCoatcheck
from coatcheck.http import cookies
from coatcheck.starlette import CoatcheckMiddleware, login_required

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


def make_app() -> App:
    """Make the application of a worker."""
    desk, select = AsyncCoatcheck(url_of(file())), RawSelect(file())

    async def bare(_request: Request) -> Response:
        return Response(BODY, media_type=JSON)

    async def authenticated(request: Request) -> Response:
        fields = [value for name, value in request.scope["headers"] if name == b"cookie"]
        visit = await desk.authenticate(cookies.read(fields, COOKIE_NAME) or None)  # type: ignore[arg-type]  # ours comes once
        return Response(BODY, 200 if visit else 401, media_type=JSON)

    async def raw(request: Request) -> Response:
        fields = [value for name, value in request.scope["headers"] if name == b"cookie"]
        return Response(BODY, 200 if select.knows(fields) else 401, media_type=JSON)

    async def used(_request: Request) -> Response:
        return Response(cpu(), media_type=JSON)

    @login_required
    async def door(request: Request) -> Response:
        return Response(BODY, 200 if request.user.account else 500, media_type=JSON)

    handlers = {"/bare": bare, "/authenticated": authenticated, "/raw": raw, "/cpu": used}
    plain = Starlette(routes=[Route(path, handler) for path, handler in handlers.items()])
    desk_of_door = AsyncCoatcheck(url_of(file()), secret=SECRET)
    ours = Starlette(
        routes=[Route("/door", door)], middleware=[Middleware(CoatcheckMiddleware, desk=desk_of_door, **DOOR)]
    )

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Applications of their own: a door would burden the bare handler too."""
        await (ours if scope["path"] == "/door" else plain)(scope, receive, send)

    return app
