"""A small application behind the door, for real servers: `uvicorn tests.asgi.served:app` and its like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from coatcheck import AsyncCoatcheck
from coatcheck.starlette import CoatcheckMiddleware, login_required, passage

desk = AsyncCoatcheck("memory://")
begun, ended = asyncio.Event(), asyncio.Event()


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"user": request.user.identity, "data": dict(request.session)})


async def count(request: Request) -> JSONResponse:
    request.session["n"] = request.session.get("n", 0) + 1
    return JSONResponse(request.session["n"])


async def form(request: Request) -> JSONResponse:
    if request.method == "GET":
        return JSONResponse(passage(request).csrf_token())
    return JSONResponse(dict(parse_qsl((await request.body()).decode())))


async def stream(request: Request) -> StreamingResponse:
    async def parts() -> Any:
        for n in range(3):
            request.session["sent"] = n
            yield f"{n}"

    return StreamingResponse(parts())


async def endless(request: Request) -> StreamingResponse:
    """Stream until the visitor hangs up."""

    async def parts() -> Any:
        try:
            while True:
                request.session["endless"] = True
                begun.set()
                yield "x" * 4096
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    return StreamingResponse(parts())


async def hung_up(_request: Request) -> PlainTextResponse:
    await ended.wait()
    return PlainTextResponse("hung up")


@login_required
async def members(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


async def revoke(request: Request) -> PlainTextResponse:
    await desk.revoke_all(of=request.user.identity)
    return PlainTextResponse("revoked")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{websocket.user.identity}: {text}")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with desk:
        yield


methods = ["GET", "POST"]
app = Starlette(
    routes=[
        *(
            Route(f"/{endpoint.__name__}", endpoint, methods=methods)
            for endpoint in (who, count, form, stream, endless, hung_up, members, revoke)
        ),
        WebSocketRoute("/talk", talk),
    ],
    middleware=[Middleware(CoatcheckMiddleware, desk=desk, development=True, socket_seconds=0.05)],
    lifespan=lifespan,
)
