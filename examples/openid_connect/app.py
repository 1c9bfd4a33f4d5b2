"""Log-in by an OpenID provider through Authlib; Coatcheck keeps the sessions, and no passwords at all."""

from __future__ import annotations

import html
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from coatcheck import AsyncCoatcheck, NotAuthenticated
from coatcheck.starlette import CoatcheckMiddleware, flash, flashes, login_required, passage

PROVIDER = os.environ.get("PROVIDER", "http://localhost:9000")

desk = AsyncCoatcheck("sqlite:///sessions.db")

oauth = OAuth()
oauth.register(
    "provider",
    server_metadata_url=f"{PROVIDER}/.well-known/openid-configuration",
    client_id="shop",
    client_secret="a secret of the shop",
    client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
)


async def home(request: Request) -> Response:
    told = "".join(f"<p role=status>{html.escape(text)}</p>" for _, text in flashes(request))
    if not request.user.is_authenticated:
        return page(f"{told}<h1>Welcome Stranger!</h1><p><a href=/login>Log in</a></p>")
    name = html.escape(str(request.session["name"]))
    return page(f"{told}<h1>Welcome {name}!</h1><p><a href=/devices>Your devices</a></p>{button(request, 'logout')}")


async def login(request: Request) -> Response:
    # Authlib keeps state, nonce and verifier in request.session: the answer is taken in this browser only.
    return await oauth.provider.authorize_redirect(request, str(request.url_for("callback")))


async def callback(request: Request) -> Response:
    try:
        token = await oauth.provider.authorize_access_token(request)
    except OAuthError as error:
        flash(request, f"The log-in did not work: {error.error}")
        return RedirectResponse("/", 303)
    claims = token["userinfo"]
    await passage(request).start_session(f"{claims['iss']}|{claims['sub']}", methods=("oidc",))
    request.session["name"] = claims["name"]
    return RedirectResponse("/", 303)


@login_required
async def devices(request: Request) -> Response:
    here = request.user.session
    rows = "".join(
        f"<li>{html.escape(session.user_agent or 'unknown')}{' (this one)' if session.id == here.id else ''}</li>"
        for session in await desk.sessions(of=request.user.identity)
    )
    return page(f"<h1>Your devices</h1><ul>{rows}</ul>{button(request, 'logout-everywhere')}<p><a href=/>Back</a></p>")


async def log_out(request: Request) -> Response:
    await passage(request).log_out()
    return RedirectResponse("/", 303)


@login_required
async def log_out_everywhere(request: Request) -> Response:
    await desk.revoke_all(of=request.user.identity)
    return RedirectResponse("/", 303)


async def to_login(_request: Request, _error: Exception) -> Response:
    return RedirectResponse("/login", 303)


def button(request: Request, action: str) -> str:
    token = passage(request).csrf_token()
    words = action.replace("-", " ").replace("logout", "Log out")
    return (
        f"<form method=post action=/{action}><input type=hidden name=csrf_token value={token}>"
        f"<button>{words}</button></form>"
    )


PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>Shop</title>
<style>
  :root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif }
  main { max-width: 34rem; margin: 3rem auto; padding: 0 1rem; overflow-wrap: anywhere }
  button { font: inherit; padding: .4rem .8rem }
</style>
<main>"""


def page(body: str) -> HTMLResponse:
    return HTMLResponse(PAGE + body)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with desk:
        yield


app = Starlette(
    routes=[
        Route("/", home),
        Route("/login", login),
        Route("/callback", callback),
        Route("/devices", devices),
        Route("/logout", log_out, methods=["POST"]),
        Route("/logout-everywhere", log_out_everywhere, methods=["POST"]),
    ],
    # No pages: nobody signs up here with a password.
    middleware=[Middleware(CoatcheckMiddleware, desk=desk, development=True, pages=False)],
    exception_handlers={NotAuthenticated: to_login},
    lifespan=lifespan,
)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    uvicorn.run(app, host="localhost", port=port)
