"""Starlette with Coatcheck asked in the handler."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import COOKIE_NAME, url_of
from coatcheck import AsyncCoatcheck
from coatcheck.http import cookies


def make_app() -> Starlette:
    """Make the application of a worker."""
    desk = AsyncCoatcheck(url_of(file()))

    async def bare(_request: Request) -> Response:
        return Response(BODY, media_type=JSON)

    async def authenticated(request: Request) -> Response:
        fields = [value for name, value in request.scope["headers"] if name == b"cookie"]
        visit = await desk.authenticate(cookies.read(fields, COOKIE_NAME) or None)  # type: ignore[arg-type]  # ours comes once
        return Response(BODY, 200 if visit else 401, media_type=JSON)

    async def used(_request: Request) -> Response:
        return Response(cpu(), media_type=JSON)

    return Starlette(routes=[Route("/bare", bare), Route("/authenticated", authenticated), Route("/cpu", used)])
