"""Requests as doors get them: the head as octets, the target in it, environ and scope, and the form with a token."""

from __future__ import annotations

import asyncio
import io
import re
from email.parser import Parser
from http.client import HTTPMessage
from urllib.parse import parse_qsl, unquote_to_bytes

import h11

from coatcheck import wsgi
from coatcheck.asgi import messages as asgi
from coatcheck.colour import run_blocking
from coatcheck.errors import BadRequest
from coatcheck.http.bodies import MAX_FIELDS, is_form
from coatcheck.http.messages import MAX_BODY, ClientGone, Request, body_reader, split_target, target_as_seen
from coatcheck.http_server.octets import MOST_FIELDS, MOST_HEAD, Head, MalformedHead, read_head
from coatcheck.web import evidence
from tests.fuzz.targets.target import Target

# The head

ReadHead = tuple[Head, bytes, int]


def _head(octets: bytes) -> ReadHead | MalformedHead | ClientGone:
    """The head, its fields as octets, and how much of what arrived it was."""
    source = io.BufferedReader(io.BytesIO(octets))  # type: ignore[arg-type]  # as good as a connection
    try:
        head, fields = read_head(source)  # type: ignore[arg-type]
    except (MalformedHead, ClientGone) as refused:
        return refused
    return head, fields, source.tell()


def _judge_head(octets: bytes, answer: ReadHead | MalformedHead | ClientGone) -> None:
    """No two readers see two requests: what is accepted reads the same to h11, and to the parser that follows ours."""
    if isinstance(answer, MalformedHead):
        assert answer.status in (400, 411, 431, 505)
    if not isinstance(answer, tuple):
        return
    head, fields, size = answer
    consumed = octets[:size]
    assert size <= MOST_HEAD + MOST_FIELDS * 2 + 8
    assert len(head.headers) <= MOST_FIELDS
    assert re.search(rb"\r?\n\r?\n\Z", consumed)
    assert b"transfer-encoding" not in dict(head.headers)
    assert [int(value) for name, value in head.headers if name == b"content-length"] in ([], [head.length])
    seen = Parser(_class=HTTPMessage).parsestr(fields.decode("latin-1"))
    assert [(name.lower().encode(), value.strip(" \t").encode("latin-1")) for name, value in seen.items()] == [
        *head.headers
    ]
    assert not seen.defects
    assert seen.get_payload() == ""
    _judge_by_h11(head, consumed)


def _judge_by_h11(head: Head, consumed: bytes) -> None:
    other = h11.Connection(h11.SERVER, max_incomplete_event_size=4 * MOST_HEAD)
    other.receive_data(consumed.removeprefix(b"\r\n").removeprefix(b"\n"))  # it does not forgive an empty line
    hosts = [name for name, _ in head.headers].count(b"host")
    if hosts > 1 or (hosts == 0 and head.version > (1, 0)):
        return  # which it refuses, and we do where we ask whose request it is (HST-01)
    event = other.next_event()
    assert isinstance(event, h11.Request), event
    assert (event.method, event.target) == (head.method.encode(), head.target.encode())
    assert event.http_version == b"%d.%d" % head.version
    assert [*event.headers] == [*head.headers]


# The target

Targets = list[tuple[str, str, bytes | None, str]]


def _targets(octets: bytes) -> Targets:
    """A line with the target as it was sent; with a second one, another path than it says, that somebody has made.

    Each answer is the encoding, the path that the application sees, and what is made of it.
    """
    first, newline, second = octets.partition(b"\n")
    raw, answers = first.decode("latin-1"), []
    for encoding in ("utf-8", "latin-1"):
        sent = split_target(raw)[1].encode("latin-1")
        seen = (second if newline else unquote_to_bytes(sent)).decode(encoding, "replace")
        answers.append((encoding, seen, *target_as_seen(raw, seen, encoding=encoding)))
    return answers


def _judge_targets(octets: bytes, answer: Targets) -> None:
    """A request is judged by the path it is answered by; only an absolute form has an authority before it."""
    is_absolute = re.match(rb"https?://", octets, re.IGNORECASE) is not None
    for encoding, seen, authority, path in answer:
        acted_on = unquote_to_bytes(path.encode("latin-1")).decode(encoding, "replace")
        # Decoded, a "?" is part of a name; what stands before the path must be our host, which has none.
        plain = re.sub(r"\Ahttps?://[^/]*", "", seen, flags=re.IGNORECASE)
        assert acted_on in (seen, plain or "/")
        assert path
        assert not {"?", "#"} & set(path) or path in octets.partition(b"\n")[0].decode("latin-1")
        if authority is not None and not is_absolute:
            assert re.match(r"https?://", seen, re.IGNORECASE)


# The environ

SERVERS_OWN = ("wsgi.", "SERVER_", "REMOTE_")


def _environ(octets: bytes) -> tuple[Request, bytes | BadRequest | ClientGone]:
    """Lines are `NAME=value` of the environ, and after an empty one comes what stands in `wsgi.input`."""
    head, _, body = octets.partition(b"\n\n")
    environ: dict[str, object] = {"REQUEST_METHOD": "POST", "wsgi.url_scheme": "http", "REMOTE_ADDR": "192.0.2.7"}
    for line in head.split(b"\n"):
        name, _, value = line.decode("latin-1").partition("=")
        if not name.startswith(SERVERS_OWN):
            environ[name] = value
    environ["wsgi.input"] = io.BytesIO(body)
    request = wsgi.request_of(environ)
    try:
        return request, run_blocking(request.read(MAX_BODY))
    except (BadRequest, ClientGone) as refused:
        return request, refused


def _judge_environ(octets: bytes, answer: tuple[Request, bytes | BadRequest | ClientGone]) -> None:
    """What a client can make of names and lengths stays data; no body is longer than it was announced."""
    request, body = answer
    arrived = octets.partition(b"\n\n")[2]
    assert request.path
    for name, _ in request.headers:
        assert name == name.lower()
        assert b"_" not in name
    announced = next(iter(request.all(b"content-length")), b"0")
    length = _number(announced)
    if isinstance(body, bytes):
        assert arrived.startswith(body)
        assert len(body) == length
    else:
        assert length > (MAX_BODY if isinstance(body, BadRequest) else len(arrived))


def _number(digits: bytes) -> int:
    return int(digits.lstrip(b"0")[:99] or b"0") if digits.isdigit() else 0  # Python reads 4300 digits at most


# The scope

BETWEEN = b"\x1e"
GONE = b"gone"


def _scope(octets: bytes) -> tuple[Request, bytes | BadRequest | ClientGone]:
    """The first line is the target as it was sent, the next are headers; after an empty one come parts of a body."""
    head, _, body = octets.partition(b"\n\n")
    raw, *lines = head.split(b"\n")
    path, _, query = raw.partition(b"?")
    scope = {
        "type": "http",
        "raw_path": path,
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "query_string": query,
        "headers": [(name.lower(), value) for name, _, value in (line.partition(b":") for line in lines)],
    }
    chunks = body.split(BETWEEN)

    async def receive() -> dict[str, object]:
        chunk = chunks.pop(0)
        if chunk == GONE:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    request = asgi.request_of(scope, receive)
    try:
        return request, asyncio.run(_read(request))
    except (BadRequest, ClientGone) as refused:
        return request, refused


async def _read(request: Request) -> bytes:
    return await request.read(MAX_BODY)


def _judge_scope(octets: bytes, answer: tuple[Request, bytes | BadRequest | ClientGone]) -> None:
    """The body is all that came or none of it; a length only says that it is too long."""
    request, body = answer
    chunks = octets.partition(b"\n\n")[2].split(BETWEEN)
    announced = next(iter(request.all(b"content-length")), b"0")
    assert request.path
    if isinstance(body, bytes):
        assert body == b"".join(chunks)
        assert len(body) <= MAX_BODY
    elif isinstance(body, BadRequest):
        assert max(_number(announced), len(b"".join(chunks))) > MAX_BODY
    else:
        assert GONE in chunks


# The form

Form = tuple[bytes, str | None] | None


def _form(octets: bytes) -> Form:
    """The first line is the Content-Type, the rest the body."""
    content_type, _, body = octets.partition(b"\n")
    headers = ((b"content-type", content_type),)
    return run_blocking(
        evidence.read_form(
            Request(
                method="POST", path="/", query="", scheme="http", headers=headers, peer=None, read=body_reader(body)
            )
        )
    )


def _judge_form(octets: bytes, answer: Form) -> None:
    """CSR-07: the token is the one that stands there once, for the standard library's reader too; the body is whole."""
    content_type, _, body = octets.partition(b"\n")
    assert (answer is None) == (not is_form(content_type) or len(body) > MAX_BODY)
    if answer is None:
        return
    kept, token = answer
    assert kept == body
    is_sound = body.count(b"&") < MAX_FIELDS and not re.search(rb"%(?![0-9A-Fa-f]{2})", body) and _is_utf8(body)
    escaped = re.sub(rb"[\x80-\xff]", lambda one: b"%%%02x" % ord(one[0]), body).decode("ascii")
    tokens = [value for name, value in parse_qsl(escaped, keep_blank_values=True) if name == "csrf_token"]
    assert token == (tokens[0] if is_sound and len(tokens) == 1 and tokens[0] else None)


def _is_utf8(body: bytes) -> bool:
    try:
        unquote_to_bytes(body).decode()
    except UnicodeDecodeError:
        return False
    return True


WORDS = b"k" * 64
FORM = b"application/x-www-form-urlencoded"
PATHS = (
    b"/", b"//", b"/auth/login", b"/a%2fb", b"/%3f", b"/%25", b"/a;b", b"%", b"%zz", b"%ff", b"%c3%a9", b"\xc3\xa9",
    b"\xff", b"*", b"http://", b"HTTPS://", b"http:/", b"example.org", b":80", b"user@", b"?a=b", b"#", b"\\", b" ",
    b"..", b".", b"\x00", b"%00", b"+", b"'", b"\n/", b"\nhttp://e/", b"\n", b"[::1]",
)  # fmt: skip
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"

TARGETS = (
    Target(
        "request head",
        _head,
        _judge_head,
        (
            HEAD, b"GET ", b"POST ", b"/", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b" HTTP/1.9", b"\r\n", b"\n",
            b"\r", b"\r\n\r\n", b"\n\n", b"Host: ", b"host:localhost\r\n", b"Content-Length: 5\r\n",
            b"Content-Length: ", b"content-length:+5", b"Content-Length : 5\r\n", b"Transfer-Encoding: chunked\r\n",
            b"Transfer_Encoding: chunked\r\n", b"Connection: close\r\n", b"X: \xff\xe9\r\n", b"X:\r\n", b": x\r\n",
            b" folded\r\n", b"\tfolded\r\n", b":", b" ", b"\t", b"\x0b", b"\x0c", b"\x00", b"\x1c", b"\x85", b"\xa0",
            b"\x7f", b"0", b"9" * 19, b"\xd9\xa3", b",", b'"', b"x" * 100, b"From me\r\n", b"a:b\r\n" * 99, b"%20",
            b"http://localhost/", b"?a=b", b"5\r\n", b"5, 5\r\n",
        ),
        MOST_HEAD,
        (
            HEAD + b"\r\n", HEAD + b"Content-Length: 5\r\nX-Y: z \t\r\n\r\nhello", b"\r\n" + HEAD + b"A:\r\n\r\n",
            b"POST http://localhost/a?b HTTP/1.0\nX:y\n\n",
        ),
    ),
    Target(
        "request target",
        _targets,
        _judge_targets,
        PATHS,
        8192,
        (b"/auth/login", b"/a%20b/%C3%A9", b"http://localhost/a%2Fb", b"/a\n/b", b"/x%3Fy\n/x?y"),
    ),
    Target(
        "WSGI environ",
        _environ,
        _judge_environ,
        (
            b"PATH_INFO=/auth/login\n", b"PATH_INFO=", b"SCRIPT_NAME=/app\n", b"RAW_URI=/a%20b?c\n", b"REQUEST_URI=",
            b"QUERY_STRING=a=b\n", b"HTTP_COOKIE=", b"HTTP_X_FORWARDED_FOR=6.6.6.6\n", b"HTTP_", b"HTTP_CONTENT_TYPE=x",
            b"HTTP_CONTENT_LENGTH=9\n", b"CONTENT_TYPE=", FORM, b"\nCONTENT_LENGTH=5", b"\nCONTENT_LENGTH=",
            b"CONTENT_LENGTH=-1", b"CONTENT_LENGTH=65537\n", b"CONTENT_LENGTH=" + b"9" * 40, b"CONTENT_LENGTH=+5",
            b"CONTENT_LENGTH=\xb2", b"CONTENT_LENGTH=1_0", b"CONTENT_LENGTH=05",
            b"0" * 30, b"\n\nhello", b"\n\n", b"\n", b"=",
            b"x" * 5, b"\xff", b"\x00", b" ", b"_", b"/", b"%", *PATHS[:12],
        ),
        MAX_BODY,
        (
            b"PATH_INFO=/a\nCONTENT_LENGTH=5\nHTTP_COOKIE=a=b\n\nhello",
            b"SCRIPT_NAME=/app\nPATH_INFO=/\xc3\xa9\nRAW_URI=/app/%C3%A9?x\nCONTENT_TYPE=text/plain",
        ),
    ),
    Target(
        "ASGI scope",
        _scope,
        _judge_scope,
        (
            b"/auth/login", b"\ncontent-length:5", b"\ncontent-length:65537", b"\nContent-Length:", b"0", b"9" * 40,
            b"0" * 30, b"\xb2", b"-1", b"+5", b"1_0", b"\ncookie:a=b", b"\n:", b"\n", b":", b"\n\n", b"hello", BETWEEN,
            BETWEEN + GONE, GONE, BETWEEN * 9, b"x" * 5000, b"?a=b", *PATHS[:22],
        ),
        MAX_BODY,
        (b"/a%20b?c\ncontent-length:10\n\nhello" + BETWEEN + b"hello", b"/\n\n" + b"hello" + BETWEEN + GONE),
    ),
    Target(
        "form with a token",
        _form,
        _judge_form,
        (
            FORM, FORM + b"\n", b"; charset=utf-8", b"multipart/form-data; boundary=x", b"\n", b"csrf_token=", WORDS,
            b"&csrf_token=" + WORDS, b"&csrf%5Ftoken=", b"&csrf_token", b"&", b"=", b"&a=b", b"%", b"%6b", b"%zz",
            b"+", b"%ff", b"%c3%a9", b"\xc3\xa9", b"\xff", b"%00", b"&" * 99, b"&a=" * 50, b";", b" ", b"[]", b"\x00",
        ),
        MAX_BODY,
        (FORM + b"\ncsrf_token=" + WORDS + b"&a=b", FORM + b"; charset=utf-8\nname=ada&csrf_token=" + WORDS),
    ),
)  # fmt: skip
