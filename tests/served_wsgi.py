"""A WSGI application behind `CoatcheckWSGI`, for servers to run: `tests.served_wsgi:application`.

It is small and old-fashioned on purpose: what it does by hand, every WSGI framework does somehow.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coatcheck import Coatcheck
from coatcheck.web.blocking import BlockingPassage
from coatcheck.wsgi import CoatcheckWSGI

TEXT = ("Content-Type", "text/plain; charset=utf-8")
Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]


def answer(start: Start, text: str, status: str = "200 OK") -> list[bytes]:
    body = text.encode()
    start(status, [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def count(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    seen = passage.session.get("count", 0)
    assert isinstance(seen, int)
    passage.session["count"] = seen + 1
    return answer(start, str(seen + 1))


def peek(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    return answer(start, str(passage.session.get("count", "none")))


def public(environ: Environ, _passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    return answer(start, environ["REQUEST_METHOD"])


def log_in(environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    passage.log_in("ada", environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
    return answer(start, "welcome")


def me(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    return answer(start, str(passage.require_session().subject))


def echo(environ: Environ, _passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    return answer(start, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())


def stream(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterator[bytes]:
    """A generator: nothing of it runs before the server asks for the first block."""
    passage.session["streamed"] = 1
    start("200 OK", [TEXT])
    yield b"one "
    passage.session["late"] = 2
    yield b"two"


def written(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    passage.session["written"] = 1
    write = start("200 OK", [TEXT])
    write(b"by ")
    write(b"hand")
    return []


def file(environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    passage.session["file"] = 1
    start("200 OK", [TEXT, ("Content-Length", "9")])
    wrapper = environ.get("wsgi.file_wrapper", lambda opened: iter([opened.read()]))
    blocks: Iterable[bytes] = wrapper(io.BytesIO(b"some file"))
    return blocks


def boom(_environ: Environ, passage: BlockingPassage, _start: Start) -> Iterable[bytes]:
    passage.session["count"] = 1000
    raise RuntimeError("a bug")


def form(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    return answer(start, passage.csrf_token())


def data(_environ: Environ, passage: BlockingPassage, start: Start) -> Iterable[bytes]:
    return answer(start, ",".join(f"{key}={value}" for key, value in sorted(passage.session.items())))


ROUTES = {
    "/count": count, "/peek": peek, "/": public, "/in": log_in, "/me": me, "/echo": echo, "/stream": stream,
    "/written": written, "/file": file, "/boom": boom, "/form": form, "/data": data,
}  # fmt: skip


def routes(environ: Environ, start: Start) -> Iterable[bytes]:
    handler = ROUTES.get(environ["PATH_INFO"])
    if handler is None:
        return answer(start, "not here", "404 Not Found")
    return handler(environ, environ["coatcheck.passage"], start)


if "COATCHECK_TEST_STORE" in os.environ:
    application = CoatcheckWSGI(routes, Coatcheck(os.environ["COATCHECK_TEST_STORE"]), development=True)
