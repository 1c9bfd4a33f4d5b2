"""Header values that bear something of the visitor's: a reply that could be split cannot be made."""

from __future__ import annotations

import io
from http.client import parse_headers

from coatcheck.http.messages import Reply
from tests.fuzz.targets.target import Target


def _reply(octets: bytes) -> Reply | ValueError:
    """Each line that is `name=value` is a header; a value may hold line ends as `\\x1e`."""
    lines = [line.replace(b"\x1e", b"\r\n").decode("latin-1") for line in octets.split(b"\n")]
    try:
        return Reply(
            status=200, headers=tuple((name, value) for name, _, value in (one.partition(":") for one in lines))
        )
    except ValueError as refused:
        return refused


def _judge(octets: bytes, reply: Reply | ValueError) -> None:
    """CKY-07, CKY-15, RED-04: written out, a client reads exactly the headers that were given."""
    if isinstance(reply, ValueError):
        assert all(
            line not in str(reply).encode("latin-1", "replace") for line in octets.split(b"\n") if len(line) > 20
        )
        return
    written = b"".join(f"{name}: {value}\r\n".encode("ascii") for name, value in reply.headers)
    read = parse_headers(io.BytesIO(written + b"\r\n"))
    assert [(name, value.strip(" ")) for name, value in reply.headers] == [(n, v.strip(" ")) for n, v in read.items()]
    names = [cookie.partition("=")[0] for cookie in reply.cookies]
    assert len(names) == len(set(names))


TARGETS = (
    Target(
        "reply header",
        _reply,
        _judge,
        (
            b"location:/a", b"x:", b"set-cookie:a=b", b"Set-Cookie:", b"a=", b"\n", b"\x1e", b"\r", b"\x00", b"\t",
            b" ", b":",
            b"\x0b", b"\x0c", b"\x1c", b"\x7f", b"\x85", b"\xa0", b"\xad", b"\xff", b"\\", b'"',
            b"e\x1eSet-Cookie: x=1", b"%0d%0a",
            b"(", b"/", b"@", b"x-y", b"location", b";", b"=",
        ),
        8192,
        (b"location:/a\nset-cookie:a=b; Path=/\nset-cookie:c=d\nx-y:z",),
    ),
)  # fmt: skip
