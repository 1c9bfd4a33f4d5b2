"""Whole requests to the whole web, behind the ASGI door's record: whatever is sent, the answer is ours (ERR-04)."""

from __future__ import annotations

import json
from functools import cache

from coatcheck.http.messages import MAX_BODY
from tests.fuzz.conftest import CHEAP
from tests.fuzz.targets.target import Target
from tests.web.conftest import Answer, World, make_world


@cache
def _world() -> World:
    world = make_world("blocking", "memory://", production=False)
    world.desk.flows.parts.hasher = CHEAP
    return world


def _answer(octets: bytes) -> Answer:
    """The first line is method and target, the next are headers, and after an empty one comes the body."""
    head, _, body = octets.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.decode("latin-1").partition(" ")
    headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    return _world().send(method, target, headers, body, host="localhost" if b"host: " not in head else None)


def _judge(octets: bytes, answer: Answer) -> None:
    """Never 5xx, never a session for nothing, a problem in the one shape, and all headers fit to be sent."""
    assert answer.status < 500, answer.text
    assert answer.one("x-content-type-options") == "nosniff"
    assert all(cookie.endswith("-pre") or value == "" for cookie, value in answer.cookies.items())
    kind = answer.one("content-type") or ""
    if kind == "application/problem+json":
        assert answer.status >= 400
        if answer.body:
            assert set(json.loads(answer.body)) == {"type", "title", "status", "reason", "errors"}
    elif kind == "application/json":
        assert answer.status in (200, 201)
    elif answer.status in (204, 303, 304):
        assert answer.body == b""
        assert answer.location is None or answer.location.startswith("/")
    elif not octets.partition(b" ")[2].startswith(b"/assets/"):
        assert kind == "text/html; charset=utf-8"
    assert answer.one("cache-control") == "no-store" or octets.partition(b" ")[2].startswith(b"/assets/")


PATHS = (
    b"/", b"/signup", b"/login", b"/logout", b"/account", b"/reauthenticate", b"/account/password", b"/assets/",
    b"/api/signup", b"/api/login", b"/api/logout", b"/api/me", b"/api/csrf", b"/api/sessions", b"/api/sessions/x",
    b"/api/sessions/revoke-others", b"/api/events", b"/api/password/change", b"/api/reauthenticate",
    b"/account/sessions/revoke",
)  # fmt: skip
JSON_TYPE, FORM_TYPE = b"\ncontent-type: application/json", b"\ncontent-type: application/x-www-form-urlencoded"
PAGES = b"\nsec-fetch-site: same-origin\norigin: http://localhost"
WHOLES = (
    b"GET /login?next=/a" + PAGES,
    b"GET /api/me\ncookie: coatcheck-dev=" + b"k" * 43,
    b"POST /api/login" + PAGES + JSON_TYPE + b'\n\n{"identifier":"ada","password":"x"}',
    b"POST /api/signup" + PAGES + JSON_TYPE + b'\n\n{"username":"ada","password":"a long enough passphrase"}',
    b"POST /login" + PAGES + FORM_TYPE + b"\n\nidentifier=ada&password=x&csrf_token=" + b"k" * 64,
    b"DELETE /api/sessions/x" + PAGES,
)

TARGETS = (
    Target(
        "request",
        _answer,
        _judge,
        (
            *(b"GET " + path for path in PATHS), *(b"POST " + path for path in PATHS), b"DELETE /api/sessions/",
            b"PUT ",
            b"HEAD /login", b"OPTIONS /login", b"TRACE ", *PATHS, JSON_TYPE, FORM_TYPE,
            b"\nsec-fetch-site: same-origin",
            b"\norigin: http://localhost", b"\norigin: null", b"\norigin: ", b"\nreferer: http://localhost/x",
            b"\ncookie: coatcheck-dev=" + b"k" * 43, b"\ncookie: coatcheck-dev-pre=", b"\ncookie: ", b"\nuser-agent: ",
            b"\nuser-agent: \x1b\xff", b"\nhost: localhost:8000", b"\nhost: ", b"\nx-csrf-token: ",
            b"\ncontent-length: 99999",
            b"\ncontent-type: text/plain", b"\naccept: text/html", b"\nx-forwarded-for: 6.6.6.6", b"\nif-none-match: *",
            b"\nsec-fetch-dest: image", b"?next=/a", b"?next=//e", b"?next=", b"?notice=signed_up", b"?ended=",
            b"?limit=",
            b"?cursor=", b"&", b"=", b"%", b"%00", b"%ff", b"\xff", b"\n\n",
            b"\n\n" + b'{"identifier":"ada","password":"x"}',
            b"\n\n{}", b"\n\n[]", b"\n\n{", b"\n\nidentifier=ada&password=x&csrf_token=", b'{"password":"\\ud800"}',
            b"k" * 64,
            b'{"current_password":"x","new_password":"y"}', b'{"username":"\\u0000","password":"x"}', b'"next":["a"]',
        ),
        MAX_BODY,
        WHOLES,
    ),
)  # fmt: skip
