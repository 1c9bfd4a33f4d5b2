"""What comes in and what goes out, as two small records.

A front door translates its framework's request into a `Request` and a `Reply` back into the framework's response;
everything between (`web`, and the other modules of this folder) sees only these two.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from coatcheck.errors import BadRequest

MAX_BODY = 64 * 1024
"""The longest body an authentication endpoint reads, in bytes."""

Read = Callable[[int], Awaitable[bytes]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ABSOLUTE_FORM = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<path>.*)", re.IGNORECASE | re.DOTALL)


class ClientGone(Exception):
    """The visitor hung up before the body was complete; there is nobody to answer."""


class Request(Struct, frozen=True, eq=False, kw_only=True):
    """One request as it arrived, nothing decoded.

    `path` keeps its percent-encoding and has no query; header names are lower-case octets, in the order received;
    `peer` is the address of the socket's other end, or None where there is none (a Unix socket). `scheme` says how
    the connection reached us, which is not how the visitor reached the site: ask `hosts.locate` for that. `authority`
    is what stands before the path of an absolute-form target, where the server lets us see it (`split_target`).

    `read(limit)` gives the whole body. It raises `BadRequest` 413 `body_too_large` for a body longer than `limit`
    bytes, without having kept more than that, and `ClientGone` where the visitor hangs up. It is called at most once.
    """

    method: str
    path: str
    query: str
    scheme: str
    headers: tuple[tuple[bytes, bytes], ...]
    peer: str | None
    read: Read
    authority: bytes | None = None

    def header(self, name: bytes) -> bytes | None:
        """Give the value of a header that may stand once; None where it is absent.

        Raises `BadRequest` 400 where it is repeated: with two values each reader could choose another one, and an
        attacker would choose for us (ERR-04).
        """
        values = self.all(name)
        if not values:
            return None
        if len(values) > 1:
            raise BadRequest("repeated_header")
        return values[0]

    def all(self, name: bytes) -> list[bytes]:
        """Give every value of a header, in the order received."""
        return [value for header, value in self.headers if header == name]

    def has(self, name: bytes) -> bool:
        """Say whether a header is there, whatever its value."""
        return any(header == name for header, _ in self.headers)

    @property
    def is_navigation(self) -> bool:
        """Whether a page, or a redirect to one, would reach a person; an image or script gets its status (HDR-10)."""
        destination = self.all(b"sec-fetch-dest")
        accept = b",".join(self.all(b"accept"))
        return destination in ([], [b"document"]) and (not accept or b"html" in accept or b"*/*" in accept)

    @property
    def asks_for_json(self) -> bool:
        """Whether it names JSON, and pages not, as what it wants to be answered with."""
        accept = b",".join(self.all(b"accept"))
        return b"json" in accept and b"html" not in accept

    @property
    def is_part_of_page(self) -> bool:
        """Whether a browser says that a script or an element of a page asks, and no person's navigation."""
        return self.all(b"sec-fetch-dest") not in ([], [b"document"])

    def __repr__(self) -> str:
        # Query and headers stay out: they may bear tokens (TOK-10, LOG-03).
        return f"<Request {self.method} {self.path}>"


class Reply(Struct, frozen=True, kw_only=True):
    """One answer, ready to be sent.

    A reply that could split or confuse the response cannot be made: construction raises `ValueError` for a header
    name or value with CR, LF, NUL, any other control or a non-ASCII character (CKY-15, RED-04), and for two
    `Set-Cookie` of one name (CKY-07). The message never repeats the value.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __post_init__(self) -> None:
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name):
                raise ValueError("a header name must be an HTTP token")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of header {name} has a control or non-ASCII character")
        names = [_cookie_name(cookie) for cookie in self.cookies]
        if len(names) != len(set(names)):
            raise ValueError("two Set-Cookie headers of one name: use Reply.with_cookies")

    @property
    def cookies(self) -> list[str]:
        """The values of all `Set-Cookie` headers."""
        return [value for name, value in self.headers if name.lower() == "set-cookie"]

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """Give the same reply with these headers added."""
        return Reply(status=self.status, headers=(*self.headers, *headers), body=self.body)

    def with_cookies(self, *cookies: str) -> Reply:
        """Give the same reply with these `Set-Cookie` values; for each name the last word stands (CKY-07)."""
        latest = {_cookie_name(cookie): cookie for cookie in (*self.cookies, *cookies)}
        others = tuple(header for header in self.headers if header[0].lower() != "set-cookie")
        return Reply(
            status=self.status,
            headers=(*others, *(("set-cookie", cookie) for cookie in latest.values())),
            body=self.body,
        )

    def __repr__(self) -> str:
        # Headers may set the session token, the body may hold one (TOK-10).
        return f"<Reply {self.status}>"


def split_target(target: str) -> tuple[bytes | None, str]:
    """Take the authority off a request target without its query: `http://host/path` gives `(b"host", "/path")`.

    A server must accept the absolute form (RFC 9112 §3.2.2), though only proxies are sent it. A target of any other
    form is the path itself and gives None for the authority.
    """
    match = _ABSOLUTE_FORM.fullmatch(target)
    return (None, target) if match is None else (match["authority"].encode("latin-1"), match["path"] or "/")


def target_as_seen(raw: str, *seen: str, encoding: str) -> tuple[bytes | None, str]:
    """Give authority and path of a request, for the path that the application acts on.

    `raw` is the target as it was sent, as far as the server tells, without its query; `seen` is the path as the
    application has it, decoded with `encoding`, and perhaps another way to say the same. What a server or a middleware
    has made of the path counts, or a request would be judged by one path and answered by another: a raw one that is not
    it is no use. Encoded again, a decoded "?" or octet stays part of a name.
    """
    if raw in seen and raw.startswith("/") and "%" not in raw and raw.isascii():
        return None, raw
    authority, path = split_target(raw)
    if raw and unquote_to_bytes(path.encode("latin-1", "replace")).decode(encoding, "replace") in seen:
        return authority, path
    again, path = split_target(quote(seen[0], safe="/:@!$&'()*+,;=~", encoding=encoding, errors="replace") or "/")
    return authority or again, path


def body_reader(body: bytes) -> Read:
    """Make a request's `read` over a body that is at hand already."""

    async def read(limit: int) -> bytes:
        if len(body) > limit:
            raise BadRequest("body_too_large", status=413)
        return body

    return read


def _cookie_name(set_cookie: str) -> str:
    return set_cookie.partition("=")[0]
