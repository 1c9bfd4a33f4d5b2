"""The WSGI door: turns a WSGI environ into our request and our reply into a WSGI answer. It decides nothing.

`CoatcheckWSGI` stands around any WSGI application, under any WSGI server; what it puts into the environ is a
`BlockingPassage`. The Flask door is built from the same parts.

What WSGI hides, and what is made of it:

- The path: servers hand over the decoded one. Where they tell the raw one too (`RAW_URI`, `REQUEST_URI`) it is used,
  provided that it is the path the application sees; otherwise that one is encoded again.
- Header names: `X-Name` and `X_Name` arrive as one. No page can send the second, but a client can: gunicorn, waitress
  and Werkzeug's server drop it, others let it pass for the first. It matters where a proxy's word is believed, so that
  is mentioned in the log.
- Repeated headers: servers join them with a comma. A value that was joined is none we accept, so it speaks for nobody;
  two `Cookie` fields that a server joined so hold no session (CKY-11).
- The body's pace: nothing interrupts a read that waits, so the deadline is looked at between two of them. Servers and
  proxies that take in the whole body first have one of their own.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Unpack

from coatcheck.colour import run_blocking
from coatcheck.errors import BadRequest, ConfigurationError, Refused, StoreError
from coatcheck.facade import Coatcheck
from coatcheck.http.headers import length_in
from coatcheck.http.messages import ClientGone, Read, Reply, Request, target_as_seen
from coatcheck.web import evidence
from coatcheck.web.blocking import BlockingPassage
from coatcheck.web.door import STANDS_TWICE, Door, DoorSettings
from coatcheck.web.door import Exemption as Exemption
from coatcheck.web.passage import ReadFormToken

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
    Write = Callable[[bytes], object]

BODY_SECONDS = 10.0
KEY = "coatcheck.passage"
"""Where the passage stands in the environ. What is no text has a dot in its name, or `wsgiref.validate` objects."""

_PIECE = 16 * 1024
_DROP_UNDERSCORES = ("gunicorn", "waitress", "Werkzeug")


class CoatcheckWSGI:
    """Any WSGI application, with our pages and calls under a prefix and a passage in its environ everywhere else.

        application = CoatcheckWSGI(application, Coatcheck("sqlite:///app.db"), development=True)

    The passage, `environ["coatcheck.passage"]`, is a `BlockingPassage`. Session data is saved and the cookie sent when
    the answer begins. A refusal that leaves the application before that is answered in its place.

    Args:
        app: what answers all other paths.
        desk: the blocking desk.
        body_seconds: how long a body that we read ourselves may take to arrive.
        settings: those of `coatcheck.web.door.DoorSettings`; `prefix` is the path as visitors see it, what stands in
            `SCRIPT_NAME` included.

    Raises:
        ConfigurationError: with every mistake in the settings, or where the application is such a door already.
    """

    def __init__(
        self,
        app: WSGIApplication,
        desk: Coatcheck[Any],
        *,
        body_seconds: float = BODY_SECONDS,
        **settings: Unpack[DoorSettings],
    ) -> None:
        if isinstance(app, CoatcheckWSGI):
            raise ConfigurationError(STANDS_TWICE)
        self.app = app
        self.door = Door(desk, settings, wanted=Coatcheck)
        self._body_seconds = body_seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if has_come_through(self.door, environ):
            return self.app(environ, start_response)
        request = request_of(environ, body_seconds=self._body_seconds)
        if self.door.owns(request.path):
            return serve(self.door, request, start_response)
        look_at_server(self.door, environ)
        entered = self.door.enter(request)
        if isinstance(entered, Reply):
            return send_reply(entered, request, start_response)
        passage = environ[KEY] = BlockingPassage(entered)
        answer = _Answer(self.door, passage, start_response)
        try:
            passage.admit(form_token_reader(environ, request))
            return answer.of(self.app(environ, answer.start_response), environ)
        except ClientGone:  # amid the form that was to bear a token: nobody will read this
            return send_reply(Reply(status=400), request, start_response)
        except (Refused, StoreError) as error:
            if answer.has_begun:
                raise
            return answer.refused(error)


def request_of(environ: WSGIEnvironment, *, body_seconds: float = BODY_SECONDS) -> Request:
    """Make our request of an environ. The body stays unread until somebody asks for it."""
    authority, path = _target_of(environ)
    return Request(
        method=environ["REQUEST_METHOD"],
        authority=authority,
        path=path,
        query=environ.get("QUERY_STRING", ""),
        scheme=environ["wsgi.url_scheme"],
        headers=tuple(_headers_of(environ)),
        peer=environ.get("REMOTE_ADDR") or None,
        read=_reader(environ, body_seconds),
    )


def has_come_through(door: Door, environ: WSGIEnvironment) -> bool:
    """Say whether a request, which somebody sends on, has been through this door already.

    It may have been another one, of an application that only passes it on. Raises `ConfigurationError` where that one
    has looked at the session already: both would begin sessions, and one cookie would push the other out.
    """
    found: BlockingPassage[Any] | None = environ.get(KEY)
    if found is None or found.passage.door is door:
        return found is not None
    if found.passage.is_personal:
        raise ConfigurationError(STANDS_TWICE)
    return False


def serve(door: Door, request: Request, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request for a page or call of ours."""
    try:
        reply, exchange = run_blocking(door.web.answer(request))
    except ClientGone:
        reply, exchange = Reply(status=400), None
    return Blocks(send_reply(reply, request, start_response), lambda: run_blocking(door.web.finish(exchange)))


def send_reply(reply: Reply, request: Request, start_response: StartResponse) -> list[bytes]:
    """Send a reply; to HEAD without its body but with the length it would have."""
    headers = list(reply.headers)
    if reply.status not in (204, 304):
        headers.append(("content-length", str(len(reply.body))))
        if not any(name == "content-type" for name, _ in headers):
            headers.append(("content-type", "text/plain; charset=utf-8"))  # WSGI wants one, of an empty body too
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", headers)
    return [b"" if request.method == "HEAD" else reply.body]


def form_token_reader(environ: WSGIEnvironment, request: Request) -> ReadFormToken:
    """Make what reads the field `csrf_token` of a form of at most 64 KiB, and leaves the body for the application.

    The form is one that browsers post without files; where there are files, the token belongs into the header.
    """

    async def read() -> str | None:
        form = await evidence.read_form(request)
        if form is None:
            return None
        body, token = form
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return token

    return read


def look_at_server(door: Door, environ: WSGIEnvironment) -> None:
    """Mention a server under which a client may speak for the proxy whose word is believed; or no way to our pages."""
    if root := environ.get("SCRIPT_NAME"):
        door.stands_below(root)
    if door.mount.trusted_hops and not environ.get("SERVER_SOFTWARE", "").startswith(_DROP_UNDERSCORES):
        door.mention(
            "trusted_proxies",
            "this server takes X_Forwarded_For for X-Forwarded-For: have the proxy drop names with underscores, as "
            "nginx does unless told otherwise",
        )


def with_end(
    blocks: Iterable[bytes],
    environ: WSGIEnvironment,
    passage: BlockingPassage,
    *,
    rest: Iterator[bytes] | None = None,
) -> Iterable[bytes]:
    """Give the server an application's body, after which a request's passage is finished, sent or given up.

    `rest` is what goes out of a body that is made while it is sent, if somebody has looked into it already.
    """
    if type(blocks) in (list, tuple):
        return Blocks(blocks, passage.finish)
    if _is_whole(blocks, environ):
        passage.finish()
        return blocks
    return _Stream(iter(blocks) if rest is None else rest, blocks, passage)


def _is_whole(blocks: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    """Say whether a body is no code that runs later: a list, or a file in the server's own wrapper.

    A server sends a file by itself, but only if it gets that wrapper back.
    """
    wrapper = environ.get("wsgi.file_wrapper")
    return type(blocks) in (list, tuple) or (isinstance(wrapper, type) and isinstance(blocks, wrapper))


class Blocks(tuple[bytes, ...]):  # noqa: SLOT001 - a tuple's subclass can have none but empty ones
    """A body that is there as a whole, so that servers know its length, with something to do when it has been sent.

    Not a list: granian joins one and does not close it, against PEP 3333.
    """

    _when_sent: Callable[[], None]

    def __new__(cls, blocks: Iterable[bytes], when_sent: Callable[[], None]) -> Blocks:
        """Make one."""
        self = super().__new__(cls, blocks)
        self._when_sent = when_sent
        return self

    def close(self) -> None:
        """Do it. Servers call this at the end, whether they could send everything or not."""
        self._when_sent()


class _Answer:
    """The application's answer, held back until its first block: until then it may still become another one."""

    def __init__(self, door: Door, passage: BlockingPassage[Any], start_response: StartResponse) -> None:
        self._door = door
        self._passage = passage
        self._start_response = start_response
        self._status: str | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._write: Write | None = None  # granian gives none, against PEP 3333
        self.has_begun = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Take status and headers, as the server's own does."""
        if exc_info is not None:
            self._passage.passage.abandon()  # the application answers for an error of its own
        elif self._status is not None:
            raise AssertionError("start_response() was called again without exc_info")
        self._status, self._headers = status, tuple(headers)
        if self.has_begun:
            # The server knows whether its headers are out. Then it raises the error, as PEP 3333 wants.
            self._write = self._start_response(status, self._dressed(to_come=0), exc_info)
        return self.write

    def write(self, block: bytes) -> None:
        """Send a block the old way."""
        self._begin(block)
        if self._write is None:
            raise RuntimeError("this server gives no write(): give the blocks as an iterable")
        self._write(block)
        self._passage.passage.sent(len(block))

    def of(self, blocks: Iterable[bytes], environ: WSGIEnvironment) -> Iterable[bytes]:
        """Give the server what the application gave, with its beginning and its end noted."""
        first: bytes | None = None  # and stays so if there is no code that could look at anybody later
        source = iter(() if _is_whole(blocks, environ) else blocks)
        try:
            # The first block is made here: a generator calls start_response no earlier, and granian looks no later.
            first = next(source, None)
            self._begin(first)
        except BaseException:
            close(blocks)
            raise
        return with_end(blocks, environ, self._passage, rest=source if first is None else chain((first,), source))

    def refused(self, error: Refused | StoreError) -> Iterable[bytes]:
        """Answer in the application's place."""
        self.has_begun = True
        passage = self._passage.passage
        reply = self._door.refusal(passage, error)
        return Blocks(send_reply(reply, passage.exchange.request, self._start_response), self._passage.finish)

    def _begin(self, first: bytes | None) -> None:
        """Begin the answer; `first` is the first block of a body that is made while it is sent."""
        if self.has_begun:
            return
        if self._status is None:
            raise AssertionError("the application gave a block before it called start_response()")
        self._passage.save()
        headers = self._dressed(to_come=0 if first is None else length_in(self._headers))
        self.has_begun = True
        self._write = self._start_response(self._status, headers)

    def _dressed(self, *, to_come: int | None) -> list[tuple[str, str]]:
        return list(self._passage.passage.headers(self._headers, to_come=to_come))


class _Stream:
    """A body that is made while it is sent. Then the passage is finished, but not if making it has raised."""

    def __init__(self, blocks: Iterator[bytes], source: Iterable[bytes], passage: BlockingPassage) -> None:
        self._blocks = blocks
        self._source = source
        self._passage = passage
        self._has_raised = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._has_raised = True
        try:
            block = next(self._blocks)
        except StopIteration:
            self._has_raised = False
            raise
        self._has_raised = False
        self._passage.passage.sent(len(block))
        return block

    def close(self) -> None:
        """End the application's part, then ours."""
        self._passage.passage.unseal()
        try:
            close(self._source)
        finally:
            if not self._has_raised:
                self._passage.finish()


def close(blocks: Iterable[bytes]) -> None:
    """Close what an application gave, if it can be closed."""
    end: Callable[[], object] | None = getattr(blocks, "close", None)
    if end is not None:
        end()


def _target_of(environ: WSGIEnvironment) -> tuple[bytes | None, str]:
    """Give the authority, where the target has one, and the path as it was sent, `SCRIPT_NAME` included."""
    seen = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    return target_as_seen(raw.partition("?")[0], seen, encoding="latin-1")


def _headers_of(environ: WSGIEnvironment) -> Iterable[tuple[bytes, bytes]]:
    for key, value in environ.items():
        name = _header_name(key)
        if name is None or (not value and not key.startswith("HTTP_")):
            continue
        if key == "CONTENT_TYPE" and value == "text/plain" and environ.get("CONTENT_LENGTH", "") in ("", "0"):
            continue  # what the standard library's server makes of a request without body and type
        yield name, value.encode("latin-1", "replace")


@lru_cache(maxsize=512)
def _header_name(key: str) -> bytes | None:
    if key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        return None  # CGI has names of its own for these two
    if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return key.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1", "replace")
    return None


def _reader(environ: WSGIEnvironment, seconds: float) -> Read:
    # Not the environ itself, where the passage is going to stand: request and environ would keep each other alive.
    announced: str = environ.get("CONTENT_LENGTH") or ""
    has_end = environ.get("wsgi.input_terminated")
    stream = environ["wsgi.input"]

    async def read(limit: int) -> bytes:
        is_number = announced.isascii() and announced.isdigit()
        length = int(announced.lstrip("0")[:20] or "0") if is_number else None  # as much of it as says "too large"
        if length is None and not has_end:
            return b""  # PEP 3333 knows no end of a body but its length, unless the server says that there is one
        if length is not None and length > limit:
            raise BadRequest("body_too_large", status=413)
        some: Callable[[int], bytes] = getattr(stream, "read1", stream.read)  # what is there, rather than wait for all
        deadline = time.monotonic() + seconds
        blocks: list[bytes] = []
        size, most = 0, limit + 1 if length is None else length
        while size < most:
            try:
                block = some(min(_PIECE, most - size))
            except OSError:
                raise ClientGone from None
            if not block:
                if length is not None:
                    raise ClientGone
                break
            blocks.append(block)
            size += len(block)
            if size < most and time.monotonic() >= deadline:
                # One deadline for the whole body: visitors who drip theirs would else hold all workers (ERR-06).
                raise BadRequest("body_timeout", status=408)
        if size > limit:
            raise BadRequest("body_too_large", status=413)
        return b"".join(blocks)

    return read
