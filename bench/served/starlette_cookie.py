"""Starlette, bare and behind its `SessionMiddleware`."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bench.people import SECRET
from bench.served import BODY, JSON, cpu


async def _bare(_request: Request) -> Response:
    return Response(BODY, media_type=JSON)


async def _authenticated(request: Request) -> Response:
    return Response(BODY, 200 if "user" in request.session else 401, media_type=JSON)


async def _used(_request: Request) -> Response:
    return Response(cpu(), media_type=JSON)


_plain = Starlette(routes=[Route("/bare", _bare), Route("/cpu", _used)])
_behind = Starlette(
    routes=[Route("/authenticated", _authenticated)], middleware=[Middleware(SessionMiddleware, secret_key=SECRET)]
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Two applications: a middleware would burden the bare handler too."""
    chosen = _behind if scope.get("path") == "/authenticated" else _plain
    await chosen(scope, receive, send)
