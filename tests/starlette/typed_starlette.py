"""What a user's checker sees: read by mypy and pyright in `./dev check`, never run.

A line that must be refused says so with an ignore; where it is not refused, the ignore is unused, and that is refused.
"""

from __future__ import annotations

from typing import assert_type

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from coatcheck import Account, AsyncCoatcheck, Login
from coatcheck.starlette import (
    CoatcheckMiddleware,
    Exemption,
    Passage,
    flash,
    flashes,
    fresh_login_required,
    login_required,
    passage,
    same_account_required,
    template_context,
)

desk = AsyncCoatcheck("memory://")


@login_required
async def me(request: Request) -> PlainTextResponse:
    assert_type(passage(request), Passage)
    assert_type(await passage(request).account(), Account | None)
    assert_type(await passage(request).start_session("ada", methods=("oidc",)), Login)
    flash(request, "Saved.", "success")
    assert_type(flashes(request), list[tuple[str, str]])
    return PlainTextResponse("me")


@same_account_required("id")
@fresh_login_required
def edit(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.path_params["id"])


class Page(HTTPEndpoint):
    @login_required
    async def get(self, _request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")


async def kept(request: Request) -> None:
    assert_type(await me(request), PlainTextResponse)
    assert_type(edit(request), PlainTextResponse)
    edit("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


app = Starlette(
    routes=[Route("/me", me), Route("/users/{id}", edit), Route("/page", Page)],
    middleware=[
        Middleware(
            CoatcheckMiddleware,
            desk=desk,
            public_url="https://shop.example.org",
            csrf_exempt={"/hook": Exemption(reason="signed")},
        )
    ],
)
templates = Jinja2Templates("templates", context_processors=[template_context])
CoatcheckMiddleware(app, desk, colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
