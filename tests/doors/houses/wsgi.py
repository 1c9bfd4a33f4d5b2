"""The house in bare WSGI."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from coatcheck import Coatcheck
from coatcheck.testing.visits.house import Send, Stage, odd_value
from coatcheck.testing.visits.ways import into_wsgi
from coatcheck.web.blocking import BlockingPassage
from coatcheck.wsgi import KEY, CoatcheckWSGI

LONG = [("Content-Type", "text/plain"), ("Content-Length", "6")]
Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]


def application(stage: Stage) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """The application itself: it knows no more of the door than what stands in the environ."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        way: BlockingPassage = environ[KEY]
        method = "GET" if environ["REQUEST_METHOD"] == "HEAD" else environ["REQUEST_METHOD"]
        status, headers, blocks = answer(way, stage, method, environ["PATH_INFO"], environ)
        start_response(status, headers)
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else blocks

    return app


def text(words: str, *headers: tuple[str, str], status: str = "200 OK") -> Answer:
    body = words.encode()
    return status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers], [body]


def late_look(session: Any) -> Iterator[bytes]:
    yield b"one"
    yield b"yes" if "x" in session else b"no "


def late_change(session: Any) -> Iterator[bytes]:
    yield b"one"
    session["late"] = True
    yield b"two"


def who(way: BlockingPassage) -> str:
    account = way.account
    return (account.username if account else None) or (way.visit.subject if way.visit else None) or "nobody"


def answer(way: BlockingPassage, stage: Stage, method: str, path: str, environ: dict[str, Any]) -> Answer:
    if method == "POST":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        given = json.loads(body) if body.startswith(b"{") else {}
        return posted(way, stage, path, given)
    session = way.session
    match method, path:
        case "GET", "/plain":
            return text("plain")
        case "GET", "/who":
            return text(who(way))
        case "GET", "/data":
            return text(json.dumps(dict(session)))
        case "GET", "/look":
            return text("yes" if "x" in session else "no")
        case "GET", "/public":
            return text(who(way), ("Cache-Control", "public, max-age=60"))
        case "GET", "/csrf":
            return text(way.csrf_token())
        case "GET", "/mine":
            way.require_session()
            return text("mine")
        case "GET", "/fresh":
            way.require_fresh()
            return text("fresh")
        case "GET", "/flashes":
            return text(json.dumps([words for _, words in way.flashes()]))
        case "GET", "/stream":
            session["streamed"] = True
            return "200 OK", [("Content-Type", "text/plain")], (part for part in (b"one ", b"two ", b"three"))
        case "GET", "/late-look":
            return "200 OK", LONG, late_look(session)
        case "GET", "/late-change":
            return "200 OK", LONG, late_change(session)
        case "GET", "/redirect":
            session["redirected"] = True
            return text("", ("Location", "/plain"), status="303 See Other")
        case "GET", "/not-modified":
            session["seen"] = True
            return "304 Not Modified", [("ETag", '"1"')], []
        case "GET", _ if path.startswith("/users/"):
            way.require_subject(path.removeprefix("/users/"))
            return text("yours")
        case _:
            return text("nothing here", status="404 Not Found" if method == "GET" else "405 Method Not Allowed")


def posted(way: BlockingPassage, stage: Stage, path: str, given: dict[str, Any]) -> Answer:
    session = way.session
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
            session["deep"]["list"].append(1)  # type: ignore[index]
        case "/count":
            return text(str(way.increment("count")))
        case "/flash":
            way.flash(given["text"])
            return text("kept")
        case "/slow":
            session[given["key"]] = 1
            stage.gate.wait()
        case "/odd":
            session["odd"] = odd_value(given["what"])
        case "/log-in":
            way.log_in(given["identifier"], given["password"], remember=given["remember"])
            return text("in")
        case "/start":
            way.start_session(given["subject"])
            return text("in")
        case "/log-out":
            return text("out" if way.log_out() else "nobody")
        case "/swap":
            way.log_out()
            way.start_session(given["subject"])
            return text("in")
        case "/raise":
            session["lost"] = 1
            raise RuntimeError("raised on purpose")
        case "/log-in-and-raise":
            way.start_session(given["subject"])
            session["lost"] = 1
            raise RuntimeError("raised on purpose")
        case _:
            return text("nothing here", status="404 Not Found")
    return text("stored")


class WsgiHouse:
    desk_type = Coatcheck
    answers_errors = False

    def __init__(self, serve: Callable[[Any], AbstractContextManager[Send]] | None = None) -> None:
        self._serve = serve

    def application(self, desk: Coatcheck, stage: Stage, **settings: Any) -> Any:
        return CoatcheckWSGI(application(stage), desk, **settings)

    @contextmanager
    def open(self, desk: Coatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        application = self.application(desk, stage, **settings)
        if self._serve is None:
            yield into_wsgi(application)
        else:
            with self._serve(application) as send:
                yield send
