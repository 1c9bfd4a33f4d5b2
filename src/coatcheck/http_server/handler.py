"""The handler: `http.server`'s words for a `Passage`.

An application writes `do_GET` and `do_POST` as ever: `send_response`, `send_header`, `end_headers`, `wfile.write`. What
it changed in the session is saved by `end_headers`, which adds the headers that go with it.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from email.parser import Parser
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from coatcheck.colour import run_blocking
from coatcheck.core.views import A
from coatcheck.errors import BadRequest, ConfigurationError, Refused, StoreError
from coatcheck.http.bodies import form_fields
from coatcheck.http.headers import Headers
from coatcheck.http.messages import MAX_BODY, ClientGone, Reply, Request, split_target
from coatcheck.http_server.octets import Body, BodyOfAnswer, Head, MalformedHead, Wire, read_head
from coatcheck.web import evidence
from coatcheck.web.blocking import BlockingPassage
from coatcheck.web.door import Door
from coatcheck.web.session_data import SessionData

if TYPE_CHECKING:
    from coatcheck.http_server.server import CoatcheckServer

_log = logging.getLogger("coatcheck")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"[0-9]{1,18}")
_LINGER_BYTES = 256 * 1024

T = TypeVar("T", bound=Struct)


class CoatcheckHandler(BaseHTTPRequestHandler, Generic[A]):
    """Handles requests to a `CoatcheckServer`; subclass it and write `do_GET` and the others.

    Our pages and calls are answered before any of them is called, and so are refusals: of a host that is not ours, and
    of a request from another site's page (CSR-01). An exception that leaves a method is answered in its place: a
    `Refused` with its status (a stranger on a page is sent to log in), a store in trouble with 503, anything else
    with 500.

    `coatcheck` is who is there and what may be done about it, `session` their session data, `account` their account.
    HEAD is answered by `do_GET` where there is no `do_HEAD`; its body is swallowed. Where accounts have a type of
    the application's own it is a `CoatcheckHandler[User]`.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "http.server"  # without a number (HDR-11)
    timeout = None  # each part of a request has a deadline of its own instead

    idle_seconds = 10.0
    """How long a connection may wait for its next request."""
    head_seconds = 10.0
    body_seconds = 10.0
    linger_seconds = 1.0
    """How long what nobody reads may go on arriving after its answer, before the connection is cut."""
    most_body = 1024 * 1024
    """The longest body that reaches the application, in octets."""

    server: CoatcheckServer  # pyright: ignore[reportIncompatibleVariableOverride]  # of no other server
    _passage: BlockingPassage[A] | None
    _pending: list[tuple[str, str]]
    _headers_buffer: list[bytes]

    @property
    def coatcheck(self) -> BlockingPassage[A]:
        """This request at the desk. Only requests that reach the application have it, not those for our own pages."""
        if self._passage is None:
            raise RuntimeError("coatcheck: this request is not the application's; our own pages and refusals have none")
        return self._passage

    @property
    def session(self) -> SessionData:
        """The visitor's session data; a change of any depth is saved with the answer."""
        return self.coatcheck.session

    @property
    def account(self) -> A | None:
        """The account of whoever is logged in; None where `log_request` notes what never reaches the application."""
        return None if self._passage is None else self._passage.account

    def form(self, record: type[T]) -> T:
        """Read the posted form into a `msgspec.Struct`. Raises `BadRequest` with each field at fault."""
        content_type = self.headers.get("content-type")
        octets = self.rfile.read(MAX_BODY + 1)
        if len(octets) > MAX_BODY:
            raise BadRequest("body_too_large", status=413)
        return form_fields(octets, None if content_type is None else content_type.encode("latin-1"), record)

    def answer(
        self,
        body: str | bytes,
        *,
        status: int = 200,
        content_type: str = "text/html; charset=utf-8",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Send a whole answer."""
        octets = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(octets)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(octets)

    def redirect(self, target: str) -> None:
        """Send the visitor on with 303, so that nothing posted is sent again. `target` is yours to vouch for."""
        self.answer(b"", status=303, content_type="text/plain", headers=[("Location", target)])

    # What follows replaces methods of http.server.

    def setup(self) -> None:
        """Take the connection."""
        if not isinstance(getattr(self.server, "door", None), Door):  # another server asks nobody at its start
            raise ConfigurationError(
                f"server: {type(self.server).__name__} has no desk for {type(self).__name__}; say "
                f"CoatcheckServer(address, {type(self).__name__}, Coatcheck(...), ...)"
            )
        super().setup()
        self._wire = Wire(self.connection)
        self._source = self.rfile = io.BufferedReader(self._wire)
        self._outlet = self.wfile
        self._is_promised = False
        self._begin()

    def finish(self) -> None:
        """Leave the connection. What nobody wanted of a request is read for a moment, or its answer could be lost."""
        # Closing with unread octets makes TCP say "reset", which may overtake the answer (RFC 9112 §9.6).
        if self._body.left and not self._is_promised:
            left = min(self._body.left, _LINGER_BYTES)
            rest = Body(self._source, self._wire, left, seconds=self.linger_seconds, before=lambda: None)
            with suppress(BadRequest, ClientGone):
                rest.readall()
        self.wfile = self._outlet
        super().finish()

    def handle_one_request(self) -> None:
        """Read a request and answer it."""
        self._begin()
        self.close_connection = True
        try:
            if self._read():
                self._answer()
        except MalformedHead as error:
            self.send_error(error.status)
            self._body.left = _LINGER_BYTES  # what follows it is no request, however long it is
        except (ClientGone, OSError):
            self.close_connection = True

    def send_response_only(self, code: int, message: str | None = None) -> None:
        """Begin the head of an answer. `message` stands in its first line and cannot break out of it."""
        if self._has_begun:
            raise RuntimeError("the answer has begun already")
        if message is not None and not (message.isascii() and message.isprintable()):
            raise ValueError("the message of a status has a control or non-ASCII character")
        self._status = int(code)
        self._pending = []
        self._headers_buffer = []
        super().send_response_only(code, message)

    def send_header(self, keyword: str, value: str) -> None:
        """Add a header. Raises `ValueError` for what could split or confuse the answer (CKY-15)."""
        if self._has_begun:
            raise RuntimeError("the answer has begun already: headers come before end_headers")
        if not _TOKEN.fullmatch(keyword):
            raise ValueError("a header name must be an HTTP token")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the value of header {keyword} has a control or non-ASCII character")
        self._pending.append((keyword, value))

    def end_headers(self) -> None:
        """Save what was changed in the session, and send the head with what is to be said of it."""
        headers, length = tuple(self._pending), self._announced()
        if self._is_application:
            self.coatcheck.save()
            is_over = self._status in (204, 304) or (self.command == "HEAD" and length is not None)
            headers = self.coatcheck.passage.headers(headers, to_come=0 if is_over else length)
        for name, value in self._framed(headers, length):
            super().send_header(name, value)
        super().end_headers()

    def flush_headers(self) -> None:
        """Send the head."""
        self._has_begun = True
        octets, self._headers_buffer = b"".join(self._headers_buffer), []
        self._send(octets)

    def version_string(self) -> str:
        """Name the software, without its version (HDR-11)."""
        return self.server_version

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - nobody gives it
        """Note a request, without its query, which may bear what no log should keep (LOG-03)."""
        path = self.path.partition("?")[0]
        self.log_message('"%s %s" %s', self.command, path, str(int(code)) if isinstance(code, int) else code)

    # The way of a request

    def _begin(self) -> None:
        self.command, self.path, self.requestline, self.request_version = "", "", "", self.protocol_version
        # Whoever comes over a connection that a proxy keeps open is not who came before.
        self._passage = None
        self.headers = HTTPMessage()
        self._pending = []
        self._headers_buffer = []
        self._status = 0
        self._has_begun = False
        self._is_application = False
        self._is_promised = False
        self.rfile = self._source
        self.wfile = self._body_of_answer = BodyOfAnswer(self._send, when_whole=self._unseal)
        self._body = Body(self._source, self._wire, 0, seconds=0, before=self._promise)

    def _read(self) -> bool:
        """Read the head of the next request; false where there is none."""
        self._wire.allow(self.idle_seconds)
        if not self.server.begin_waiting(self.connection):
            return False
        try:
            if not self._source.peek(1):
                return False
        finally:
            self.server.end_waiting(self.connection)
        self._wire.allow(self.head_seconds)
        head, octets = read_head(self._source)
        # As `http.client.parse_headers` does it, but that one counts the empty line for a field and has a limit.
        self.headers = Parser(_class=HTTPMessage).parsestr(octets.decode("latin-1"))
        self.command, self.requestline = head.method, f"{head.method} {head.target} HTTP/1.{head.version[1]}"
        self.request_version = f"HTTP/1.{head.version[1]}"
        connection = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        self.close_connection = head.version < (1, 1) or "close" in connection
        self._is_promised = head.version >= (1, 1) and self.headers.get("expect", "").lower() == "100-continue"
        self._body = Body(self._source, self._wire, head.length, seconds=self.body_seconds, before=self._promise)
        self._request = self._request_of(head)
        self.path = "/" + self._request.path.lstrip("/") + (f"?{self._request.query}" if self._request.query else "")
        return True

    def _request_of(self, head: Head) -> Request:
        target, _, query = head.target.partition("?")
        authority, path = split_target(target)

        async def read(limit: int) -> bytes:
            return self._body.whole(limit)

        return Request(
            method=head.method,
            authority=authority,
            path=path,
            query=query,
            scheme="http" if self.server.is_plain else "https",
            headers=head.headers,
            peer=str(self.client_address[0]),
            read=read,
        )

    def _promise(self) -> None:
        """Tell a client that waits before it sends a body that it is wanted (RFC 9110 §10.1.1)."""
        if self._is_promised and not self._has_begun:
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._is_promised = False

    def _answer(self) -> None:
        door = self.server.door
        if door.owns(self._request.path):
            reply, exchange = run_blocking(door.web.answer(self._request))
            self._reply(reply)
            run_blocking(door.web.finish(exchange))
            return
        entered = door.enter(self._request)
        if isinstance(entered, Reply):
            self._reply(entered)
            return
        passage = self._passage = BlockingPassage(entered)
        try:
            passage.admit(self._form_token)
            self._call()
        except ClientGone:
            passage.finish()  # hanging up undoes nothing
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the visitor gets an answer and the next one too
            entered.abandon()
            self._fail(error)
        passage.finish()

    async def _form_token(self) -> str | None:
        """Read the token in a form, and keep the form for the application."""
        form = await evidence.read_form(self._request)
        if form is None:
            return None
        octets, token = form
        self.rfile = io.BufferedReader(io.BytesIO(octets))
        return token

    def _call(self) -> None:
        """Call the application's method."""
        if self._body.left > self.most_body:
            raise BadRequest("body_too_large", status=413)
        method = getattr(self, f"do_{self.command}", None)
        if method is None and self.command == "HEAD":
            method = getattr(self, "do_GET", None)
        self._is_application = True
        if method is None:
            self._refuse_method()
            return
        if self._body.left:
            self.rfile = io.BufferedReader(self._body)
        elif self.rfile is self._source:
            self.rfile = io.BufferedReader(io.BytesIO())
        method()
        if not self._has_begun:
            raise RuntimeError(f"do_{self.command} of {type(self).__name__} sent no answer")
        if self._body_of_answer.is_cut_short:
            raise RuntimeError(f"do_{self.command} of {type(self).__name__} sent less than its Content-Length says")

    def _refuse_method(self) -> None:
        methods = {name.removeprefix("do_") for name in dir(self) if name.startswith("do_")}
        allowed = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        self.answer("Method Not Allowed", status=405, content_type="text/plain", headers=[("Allow", allowed)])

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, Refused | StoreError):
            _log.exception("%s failed at a request", type(self).__name__)
        if self._has_begun:
            self.close_connection = True  # all that can still be said is that the answer is not whole
            return
        self._reply(self.server.door.refusal(self.coatcheck.passage, error))

    def _unseal(self) -> None:
        if self._passage is not None:
            self._passage.passage.unseal()

    def _reply(self, reply: Reply) -> None:
        """Send a reply of ours."""
        self._is_application = False
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self._body_of_answer.write(reply.body)

    def _announced(self) -> int | None:
        """How long the body is going to be, by the headers; None where they do not say."""
        if any(name.lower() == "transfer-encoding" for name, _ in self._pending):
            raise ValueError(
                "Transfer-Encoding: leave it out; without a Content-Length the body ends with the connection"
            )
        lengths = [value for name, value in self._pending if name.lower() == "content-length"]
        if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
            raise ValueError("Content-Length must be one number")
        return int(lengths[0]) if lengths else None

    def _framed(self, headers: Headers, length: int | None) -> Iterable[tuple[str, str]]:
        """Give the headers with what tells where the body ends and whether the connection goes on."""
        is_bodiless = self._status in (204, 304)
        is_silent = is_bodiless or self.command == "HEAD"
        # A body that nobody has read would be taken for the next request.
        ends = self.close_connection or bool(self._body.left) or self.server.is_closing
        ends = ends or (length is None and not is_silent)
        for name, value in headers:
            if name.lower() == "connection":
                ends = ends or value.lower() == "close"
            elif not (is_bodiless and name.lower() == "content-length"):
                yield name, value
        self.close_connection = ends
        if ends:
            yield "Connection", "close"
        self._body_of_answer.open(length, is_silent=is_silent)

    def _send(self, octets: bytes) -> None:
        try:
            self._outlet.write(octets)
        except OSError:
            raise ClientGone from None
