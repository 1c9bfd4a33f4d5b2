"""The house in Starlette."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import AsyncCoatcheck
from coatcheck.starlette import (
    CoatcheckMiddleware,
    flash,
    flashes,
    fresh_login_required,
    login_required,
    passage,
    same_account_required,
)
from coatcheck.testing.visits.house import Fields, Raw, Send, Stage, odd_value


def application(desk: AsyncCoatcheck, stage: Stage, **settings: Any) -> Starlette:
    async def plain(_request: Request) -> Response:
        return PlainTextResponse("plain")

    async def who(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name or "nobody")

    async def data(request: Request) -> Response:
        return JSONResponse(dict(request.session))

    def look(request: Request) -> Response:  # in a thread, as Starlette does with functions that are none for a loop
        return PlainTextResponse("yes" if "x" in request.session else "no")

    async def public(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name or "nobody", headers={"Cache-Control": "public, max-age=60"})

    async def csrf(request: Request) -> Response:
        return PlainTextResponse(passage(request).csrf_token())

    @login_required
    async def mine(request: Request) -> Response:  # noqa: ARG001 - the guard looks at it
        return PlainTextResponse("mine")

    @fresh_login_required
    async def fresh(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("fresh")

    @same_account_required("subject")
    async def user(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("yours")

    async def shown(request: Request) -> Response:
        return JSONResponse([text for _, text in flashes(request)])

    async def stream(request: Request) -> Response:
        request.session["streamed"] = True

        async def blocks() -> AsyncIterator[str]:
            for block in ("one ", "two ", "three"):
                yield block

        return StreamingResponse(blocks(), media_type="text/plain")

    async def late_look(request: Request) -> Response:
        async def blocks() -> AsyncIterator[str]:
            yield "one"
            yield "yes" if "x" in request.session else "no "

        return StreamingResponse(blocks(), media_type="text/plain", headers={"Content-Length": "6"})

    async def late_change(request: Request) -> Response:
        async def blocks() -> AsyncIterator[str]:
            yield "one"
            request.session["late"] = True
            yield "two"

        return StreamingResponse(blocks(), media_type="text/plain", headers={"Content-Length": "6"})

    async def redirected(request: Request) -> Response:
        request.session["redirected"] = True
        return RedirectResponse("/plain", 303)

    async def not_modified(request: Request) -> Response:
        request.session["seen"] = True
        return Response(status_code=304, headers={"ETag": '"1"'})

    async def flashed(request: Request) -> Response:
        flash(request, (await request.json())["text"])
        return PlainTextResponse("kept")

    async def store(request: Request) -> Response:
        for key, value in (await request.json()).items():
            if value is None:
                request.session.pop(key, None)
            else:
                request.session[key] = value
        return PlainTextResponse("stored")

    async def deep(request: Request) -> Response:
        request.session["deep"]["list"].append(1)
        return PlainTextResponse("stored")

    async def count(request: Request) -> Response:
        return PlainTextResponse(str(await passage(request).increment("count")))

    async def slow(request: Request) -> Response:
        request.session[(await request.json())["key"]] = 1
        await asyncio.to_thread(stage.gate.wait)
        return PlainTextResponse("stored")

    async def odd(request: Request) -> Response:
        request.session["odd"] = odd_value((await request.json())["what"])
        return PlainTextResponse("stored")

    async def enter(request: Request) -> Response:
        given = await request.json()
        await passage(request).log_in(given["identifier"], given["password"], remember=given["remember"])
        return PlainTextResponse("in")

    async def start(request: Request) -> Response:
        await passage(request).start_session((await request.json())["subject"])
        return PlainTextResponse("in")

    async def leave(request: Request) -> Response:
        return PlainTextResponse("out" if await passage(request).log_out() else "nobody")

    async def swap(request: Request) -> Response:
        await passage(request).log_out()
        return await start(request)

    async def fail(request: Request) -> Response:
        request.session["lost"] = 1
        raise RuntimeError("raised on purpose")

    async def enter_and_fail(request: Request) -> Response:
        await start(request)
        return await fail(request)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with desk:
            yield

    looked_at = {
        "/who": who,
        "/data": data,
        "/look": look,
        "/public": public,
        "/csrf": csrf,
        "/mine": mine,
        "/fresh": fresh,
        "/users/{subject}": user,
        "/flashes": shown,
        "/stream": stream,
        "/late-look": late_look,
        "/late-change": late_change,
        "/redirect": redirected,
        "/not-modified": not_modified,
    }
    posted = {
        "/flash": flashed,
        "/data": store,
        "/deep": deep,
        "/count": count,
        "/slow": slow,
        "/odd": odd,
        "/log-in": enter,
        "/start": start,
        "/log-out": leave,
        "/swap": swap,
        "/raise": fail,
        "/log-in-and-raise": enter_and_fail,
    }
    return Starlette(
        routes=[
            Route("/plain", plain, methods=["GET", "POST"]),
            *(Route(path, endpoint) for path, endpoint in looked_at.items()),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in posted.items()),
        ],
        middleware=[Middleware(CoatcheckMiddleware, desk=desk, **settings)],
        lifespan=lifespan,
    )


class StarletteHouse:
    desk_type = AsyncCoatcheck
    answers_errors = False  # Starlette's outermost layer does, before any middleware

    def __init__(self, serve: Callable[[Any], AbstractContextManager[Send]] | None = None) -> None:
        self._serve = serve

    def application(self, desk: AsyncCoatcheck, stage: Stage, **settings: Any) -> Any:
        return application(desk, stage, **settings)

    @contextmanager
    def open(self, desk: AsyncCoatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        app = self.application(desk, stage, **settings)
        if self._serve is not None and app.middleware_stack is None:
            app.middleware_stack = app.build_middleware_stack()  # mistakes are told here, and not in the server's log
        with (self._serve or through_test_client)(app) as send:
            yield send


@contextmanager
def through_test_client(app: Any) -> Generator[Send]:
    """Starlette's own test client. Cookies are the stories' affair, so its jar is emptied each time."""
    with TestClient(app, client=("127.0.0.1", 50_000), raise_server_exceptions=False, follow_redirects=False) as client:
        for name in ("accept", "accept-encoding", "connection", "user-agent"):
            del client.headers[name]

        def send(method: str, target: str, headers: Fields, body: bytes) -> Raw:
            octets = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            response = client.request(method, target, headers=octets, content=body)
            client.cookies.clear()
            fields = [(name.lower(), value) for name, value in response.headers.multi_items()]
            return Raw(response.status_code, fields, response.content)

        yield send
