"""What comes over one connection: a head that leaves nothing to interpretation, and a body no longer than announced.

`http.server` reads heads with a parser made for mail, which folds lines, splits them at a lone CR and takes whatever
follows a line without a colon for the body. Where two readers of one request may disagree, an attacker chooses what
each of them sees (request smuggling), so such a head is refused here before that parser sees it.
"""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from coatcheck.errors import BadRequest
from coatcheck.http.messages import ClientGone

MOST_HEAD = 64 * 1024
MOST_FIELDS = 100
WRITE_SECONDS = 30.0

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])")
_NAME = re.compile(_TOKEN)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class MalformedHead(Exception):
    """The head cannot be read in one way only; `status` is what to say."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Head(NamedTuple):
    """The request line and the header fields, names in lower case, values as they arrived."""

    method: str
    target: str
    version: tuple[int, int]
    headers: tuple[tuple[bytes, bytes], ...]
    length: int
    """Of the body, as announced."""


class Wire(io.RawIOBase):
    """The reading half of a connection, with one deadline for all that is read until the next is set."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Let what is read from now on take this long together: dripping does not buy time."""
        self._deadline = monotonic() + seconds

    def readable(self) -> bool:
        """It is what it is for."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there. Raises `TimeoutError`."""
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(WRITE_SECONDS)


class Body(io.RawIOBase):
    """The body of one request. Reading ends where it ends, whatever follows on the connection.

    Raises `BadRequest` 408 where it takes longer than `seconds`, and `ClientGone` where it breaks off. `before` is
    called before the first octet is asked for.
    """

    def __init__(
        self, source: io.BufferedReader[Wire], wire: Wire, length: int, *, seconds: float, before: Callable[[], None]
    ) -> None:
        self.left = length
        """How many octets have not been read."""
        self._source = source
        self._wire = wire
        self._seconds = seconds
        self._before: Callable[[], None] | None = before

    def readable(self) -> bool:
        """It is what it is for."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, up to the end of the body."""
        room = memoryview(buffer)
        if not self.left or not room:
            return 0
        if self._before is not None:
            self._before()
            self._before = None
            self._wire.allow(self._seconds)
        try:
            octets = self._source.read1(min(len(room), self.left))
        except TimeoutError:
            raise BadRequest("body_timeout", status=408) from None
        except OSError:
            raise ClientGone from None
        if not octets:
            raise ClientGone
        self.left -= len(octets)
        room[: len(octets)] = octets
        return len(octets)

    def whole(self, limit: int) -> bytes:
        """Read all of it. Raises `BadRequest` 413 where it is longer than `limit`, without reading it."""
        if self.left > limit:
            raise BadRequest("body_too_large", status=413)
        return self.readall() or b""


class BodyOfAnswer(io.BufferedIOBase):
    """Where an application writes the body of its answer. Nothing passes that would break the next answer's frame.

    `when_whole` is called when as much has been sent as was announced.
    """

    def __init__(self, send: Callable[[bytes], object], *, when_whole: Callable[[], object]) -> None:
        self._send = send
        self._when_whole = when_whole
        self._is_open = False
        self._is_silent = False
        self.left: int | None = None
        """How many octets are still to come; None where the end of the connection tells."""

    def open(self, length: int | None, *, is_silent: bool) -> None:
        """Let a body begin. A silent one (of HEAD, 204, 304) is swallowed."""
        self._is_open, self._is_silent, self.left = True, is_silent, length

    @property
    def is_cut_short(self) -> bool:
        """Whether less came than was announced."""
        return bool(self.left) and not self._is_silent

    def writable(self) -> bool:
        """It is what it is for."""
        return True

    def write(self, octets: Any) -> int:
        """Send octets at once."""
        text = bytes(octets)
        if not self._is_open:
            raise RuntimeError("send_response, the headers and end_headers come before the body")
        if self._is_silent:
            return len(text)
        if self.left is not None:
            if len(text) > self.left:
                raise RuntimeError("the body is longer than its Content-Length says")
            self.left -= len(text)
        self._send(text)
        if self.left == 0:
            self._when_whole()
        return len(text)


def read_head(source: io.BufferedReader[Wire]) -> tuple[Head, bytes]:
    """Read a head from its first line to the empty one; give it taken apart, and its fields as octets.

    Raises `MalformedHead`, `ClientGone`, `TimeoutError`.
    """
    first = _line(source, MOST_HEAD)
    if not first:
        first = _line(source, MOST_HEAD)  # RFC 9112 §2.2: an empty line before the request line is ignored
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise MalformedHead(400)
    version = int(match[3]), int(match[4])
    if version[0] != 1:
        raise MalformedHead(505)
    left, fields, octets = MOST_HEAD - len(first), list[tuple[bytes, bytes]](), list[bytes]()
    while line := _line(source, left):
        left -= len(line)
        if len(fields) >= MOST_FIELDS:
            raise MalformedHead(431)
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise MalformedHead(400)
        fields.append((name.lower(), value))
        octets.append(line)
    headers = tuple(fields)
    head = Head(match[1].decode(), match[2].decode(), version, headers, _length(headers))
    return head, b"".join(line + b"\r\n" for line in (*octets, b""))


def _line(source: io.BufferedReader[Wire], left: int) -> bytes:
    line = source.readline(left + 1)
    if not line:
        raise ClientGone
    if not line.endswith(b"\n"):
        raise MalformedHead(431) if len(line) > left else ClientGone()
    return line[:-1].removesuffix(b"\r")


def _length(headers: tuple[tuple[bytes, bytes], ...]) -> int:
    if any(name == b"transfer-encoding" for name, _ in headers):
        # RFC 9112 §6.3: "a server MAY reject a request that contains a message body but not a Content-Length".
        raise MalformedHead(411)
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise MalformedHead(400)
    return int(lengths[0])
