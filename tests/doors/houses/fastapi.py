"""The house in FastAPI."""

# Without `from __future__ import annotations`: FastAPI reads the signatures below.

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse

from coatcheck import Account, AsyncCoatcheck
from coatcheck.fastapi import CoatcheckFastAPI, Passage, SessionData
from coatcheck.testing.visits.house import Stage, odd_value
from tests.doors.houses.starlette import StarletteHouse

Given = Annotated[dict[str, Any], Body()]


def application(desk: AsyncCoatcheck, stage: Stage, **settings: Any) -> FastAPI:
    auth = CoatcheckFastAPI(desk, **settings)
    app = FastAPI(lifespan=auth.lifespan, default_response_class=PlainTextResponse, openapi_url=None)
    app.include_router(auth.router, prefix=settings.get("prefix", "/auth"))
    Way = Annotated[Passage, Depends(auth.passage)]  # noqa: N806 - types
    Session = Annotated[SessionData, Depends(auth.session)]  # noqa: N806
    Visitor = Annotated[Account | None, Depends(auth.optional)]  # noqa: N806

    def looked_at(path: str) -> Any:
        return app.api_route(path, methods=["GET", "HEAD"])

    @app.api_route("/plain", methods=["GET", "HEAD", "POST"])
    async def plain() -> str:
        return "plain"

    async def name_of(way: Way, account: Visitor) -> str:
        visit = await way.visit()
        return (account.username if account else None) or (visit.subject if visit else None) or "nobody"

    @looked_at("/who")
    async def who(name: Annotated[str, Depends(name_of)]) -> str:
        return name

    @looked_at("/public")
    async def public(name: Annotated[str, Depends(name_of)], response: Response) -> str:
        response.headers["Cache-Control"] = "public, max-age=60"
        return name

    @app.api_route("/data", methods=["GET", "HEAD"], response_class=Response)
    async def data(session: Session) -> Response:
        return JSONResponse(dict(session))

    @looked_at("/look")
    def look(session: Session) -> str:
        return "yes" if "x" in session else "no"

    @looked_at("/csrf")
    async def csrf(way: Way) -> str:
        return way.csrf_token()

    @looked_at("/mine")
    async def mine(_subject: Annotated[str, Depends(auth.subject)]) -> str:
        return "mine"

    @looked_at("/fresh")
    async def fresh(_account: Annotated[Account, Depends(auth.fresh_account)]) -> str:
        return "fresh"

    @looked_at("/users/{subject}")
    async def user(_account: Annotated[Account, Depends(auth.same_account("subject"))]) -> str:
        return "yours"

    @app.api_route("/flashes", methods=["GET", "HEAD"], response_class=Response)
    async def shown(way: Way) -> Response:
        return JSONResponse([text for _, text in await way.flashes()])

    @looked_at("/stream")
    async def stream(session: Session) -> Response:
        session["streamed"] = True

        async def blocks() -> AsyncIterator[str]:
            for block in ("one ", "two ", "three"):
                yield block

        return StreamingResponse(blocks(), media_type="text/plain")

    @looked_at("/late-look")
    async def late_look(session: Session) -> Response:
        async def blocks() -> AsyncIterator[str]:
            yield "one"
            yield "yes" if "x" in session else "no "

        return StreamingResponse(blocks(), media_type="text/plain", headers={"Content-Length": "6"})

    @looked_at("/late-change")
    async def late_change(session: Session) -> Response:
        async def blocks() -> AsyncIterator[str]:
            yield "one"
            session["late"] = True
            yield "two"

        return StreamingResponse(blocks(), media_type="text/plain", headers={"Content-Length": "6"})

    @looked_at("/redirect")
    async def redirected(session: Session) -> Response:
        session["redirected"] = True
        return RedirectResponse("/plain", 303)

    @looked_at("/not-modified")
    async def not_modified(session: Session) -> Response:
        session["seen"] = True
        return Response(status_code=304, headers={"ETag": '"1"'})

    @app.post("/flash")
    async def flashed(way: Way, given: Given) -> str:
        await way.flash(given["text"])
        return "kept"

    @app.post("/data")
    async def store(session: Session, given: Given) -> str:
        for key, value in given.items():
            if value is None:
                session.pop(key, None)
            else:
                session[key] = value
        return "stored"

    @app.post("/deep")
    async def deep(session: Session) -> str:
        session["deep"]["list"].append(1)  # type: ignore[index]
        return "stored"

    @app.post("/count")
    async def count(way: Way) -> str:
        return str(await way.increment("count"))

    @app.post("/slow")
    async def slow(session: Session, given: Given) -> str:
        session[given["key"]] = 1
        await asyncio.to_thread(stage.gate.wait)
        return "stored"

    @app.post("/odd")
    async def odd(session: Session, given: Given) -> str:
        session["odd"] = odd_value(given["what"])
        return "stored"

    @app.post("/log-in")
    async def enter(way: Way, given: Given) -> str:
        await way.log_in(given["identifier"], given["password"], remember=given["remember"])
        return "in"

    @app.post("/start")
    async def start(way: Way, given: Given) -> str:
        await way.start_session(given["subject"])
        return "in"

    @app.post("/log-out")
    async def leave(way: Way) -> str:
        return "out" if await way.log_out() else "nobody"

    @app.post("/swap")
    async def swap(way: Way, given: Given) -> str:
        await way.log_out()
        await way.start_session(given["subject"])
        return "in"

    @app.post("/raise")
    async def fail(session: Session) -> str:
        session["lost"] = 1
        raise RuntimeError("raised on purpose")

    @app.post("/log-in-and-raise")
    async def enter_and_fail(way: Way, session: Session, given: Given) -> str:
        await way.start_session(given["subject"])
        session["lost"] = 1
        raise RuntimeError("raised on purpose")

    return app


class FastApiHouse(StarletteHouse):
    """The way in is Starlette's test client, which is FastAPI's too."""

    def application(self, desk: AsyncCoatcheck, stage: Stage, **settings: Any) -> Any:
        return application(desk, stage, **settings)
