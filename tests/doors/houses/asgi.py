"""The house in bare ASGI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from coatcheck import AsyncCoatcheck
from coatcheck.asgi import CoatcheckMiddleware, Passage
from coatcheck.testing.visits.house import Send, Stage, odd_value
from coatcheck.testing.visits.ways import into_asgi

LONG = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
Answer = tuple[int, list[tuple[bytes, bytes]], AsyncIterator[bytes]]


def application(desk: AsyncCoatcheck, stage: Stage) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(desk, receive, send)
            return
        way: Passage = scope["coatcheck"]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method == "POST":
            body = await whole(receive)
            given = json.loads(body) if body.startswith(b"{") else {}
            status, headers, blocks = await posted(way, scope["session"], stage, scope["path"], given)
        elif method == "GET":
            status, headers, blocks = await looked_at(way, scope["session"], scope["path"])
        else:
            status, headers, blocks = text("no", status=405)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] != "HEAD":
            async for block in blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def live(desk: AsyncCoatcheck, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await desk.close()
    await send({"type": "lifespan.shutdown.complete"})


async def whole(receive: Any) -> bytes:
    body, is_over = b"", False
    while not is_over:
        message = await receive()
        body += message.get("body", b"")
        is_over = not message.get("more_body", False)
    return body


async def parts(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def late_look(session: Any) -> AsyncIterator[bytes]:
    yield b"one"
    yield b"yes" if "x" in session else b"no "


async def late_change(session: Any) -> AsyncIterator[bytes]:
    yield b"one"
    session["late"] = True
    yield b"two"


def text(words: str, *headers: tuple[bytes, bytes], status: int = 200) -> Answer:
    body = words.encode()
    length = [(b"content-length", str(len(body)).encode())]
    return status, [(b"content-type", b"text/plain; charset=utf-8"), *length, *headers], parts(body)


async def who(way: Passage) -> str:
    account, visit = await way.account(), await way.visit()
    way.is_personal = True
    return (account.username if account else None) or (visit.subject if visit else None) or "nobody"


async def looked_at(way: Passage, session: Any, path: str) -> Answer:
    match path:
        case "/plain":
            return text("plain")
        case "/who":
            return text(await who(way))
        case "/data":
            return text(json.dumps(dict(session)))
        case "/look":
            return text("yes" if "x" in session else "no")
        case "/public":
            return text(await who(way), (b"cache-control", b"public, max-age=60"))
        case "/csrf":
            return text(way.csrf_token())
        case "/mine":
            await way.require_session()
            return text("mine")
        case "/fresh":
            await way.require_fresh()
            return text("fresh")
        case "/flashes":
            return text(json.dumps([words for _, words in await way.flashes()]))
        case "/stream":
            session["streamed"] = True
            return 200, [(b"content-type", b"text/plain")], parts(b"one ", b"two ", b"three")
        case "/late-look":
            return 200, LONG, late_look(session)
        case "/late-change":
            return 200, LONG, late_change(session)
        case "/redirect":
            session["redirected"] = True
            return text("", (b"location", b"/plain"), status=303)
        case "/not-modified":
            session["seen"] = True
            return 304, [(b"etag", b'"1"')], parts()
        case _ if path.startswith("/users/"):
            await way.require_subject(path.removeprefix("/users/"))
            return text("yours")
        case _:
            return text("nothing here", status=404)


async def posted(way: Passage, session: Any, stage: Stage, path: str, given: dict[str, Any]) -> Answer:
    match path:
        case "/plain":
            return text("plain")
        case "/data":
            for key, value in given.items():
                if value is None:
                    session.pop(key, None)
                else:
                    session[key] = value
        case "/deep":
            session["deep"]["list"].append(1)
        case "/count":
            return text(str(await way.increment("count")))
        case "/flash":
            await way.flash(given["text"])
            return text("kept")
        case "/slow":
            session[given["key"]] = 1
            await asyncio.to_thread(stage.gate.wait)
        case "/odd":
            session["odd"] = odd_value(given["what"])
        case "/log-in":
            await way.log_in(given["identifier"], given["password"], remember=given["remember"])
            return text("in")
        case "/start":
            await way.start_session(given["subject"])
            return text("in")
        case "/log-out":
            return text("out" if await way.log_out() else "nobody")
        case "/swap":
            await way.log_out()
            await way.start_session(given["subject"])
            return text("in")
        case "/raise":
            session["lost"] = 1
            raise RuntimeError("raised on purpose")
        case "/log-in-and-raise":
            await way.start_session(given["subject"])
            session["lost"] = 1
            raise RuntimeError("raised on purpose")
        case _:
            return text("nothing here", status=404)
    return text("stored")


class AsgiHouse:
    desk_type = AsyncCoatcheck
    answers_errors = False

    def __init__(self, serve: Callable[[Any], AbstractContextManager[Send]] | None = None) -> None:
        self._serve = serve

    @contextmanager
    def open(self, desk: AsyncCoatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        with (self._serve or into_asgi)(CoatcheckMiddleware(application(desk, stage), desk, **settings)) as send:
            yield send
