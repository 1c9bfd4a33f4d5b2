"""Each field of each JSON call that is routed, also of those yet to come, bears thirty nasty values (ERR-04)."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from msgspec import structs

from coatcheck.web.routes import ROUTES, Call
from tests.web.conftest import Browser, World, make_world

NASTY_JSON = (
    "null", "true", "false", "0", "-1", "1.5", "1e400", "-0", "9" * 400, "9223372036854775808", "[]", "{}", '["x"]',
    '[["x"]]',
    '{"$ne": ""}', '""', '" "', '"\\u0000"', '"\\ud800"', '"\\u202e\\u2066"', '"\\ufeff"', '"\\u212a\\u0130"',
    '"%00%0d%0a"',
    '"\\r\\nSet-Cookie: x=1"', '"x\' OR 1=1 --"', '"{{7*7}}${7*7}"', '"../../etc/passwd"',
    '"<script>alert(1)</script>"',
    '"' + "x" * 60_000 + '"', '"' + "e\\u0301" * 8000 + '"', "[" * 12 + "]" * 12, "NaN", '"unclosed',
)  # fmt: skip
NASTY_TEXTS = (
    b"", b" ", b"0", b"-1", b"1e400", b"1.5", b"9" * 400, b"9223372036854775808", b"\x00", b"a\x00b", b"\xff\xfe",
    b"\xc3", b"\xed\xa0\x80",
    "\u202e".encode(), "\u212a".encode(), "\u0663".encode(), "\ufeff".encode(), b"\r\nSet-Cookie: x=1", b"%", b"%zz",
    b"%2500", b"..", b"../..",
    b"//", b"\\", b"' OR 1=1 --", b"{{7*7}}", b"<script>", b"x" * 8000, "\U0001f600".encode() * 400, b"null", b"[]",
    b"true",
)  # fmt: skip
CALLS = [route for route in ROUTES if isinstance(route, Call)]
every_call = pytest.mark.parametrize("call", CALLS, ids=[f"{call.method} {call.path}" for call in CALLS])


@pytest.fixture(scope="module")
def world() -> World:
    free = {"account_free_failures": 100, "network_free_failures": 1000, "network_free_sign_ups": 1000}
    world = make_world("blocking", "memory://", production=False, **free)
    world.account()
    return world


def faults(world: World, call: Call, target: str, body: str | None) -> list[str]:
    """Send one call, as a stranger and as a member; tell what is amiss with the answers."""
    found: list[str] = []
    content = [] if body is None else [("content-type", "application/json")]
    browsers: list[Browser] = [world.browser(), world.logged_in()]
    for browser in browsers:
        answer = browser.send(call.method, target, [*browser.evidence(), *content], (body or "").encode())
        shown = f"{call.method} {target[:60]} {(body or '')[:120]}: {answer.status}"
        if answer.status < 400:
            if answer.status != call.status:
                found.append(shown)
        elif (
            answer.status >= 500
            or answer.one("content-type") != "application/problem+json"
            or set(answer.json) != {"type", "title", "status", "reason", "errors"}
            or answer.json["status"] != answer.status
            or not re.fullmatch("[a-z_]+", answer.json["reason"])
            or any(set(fault) != {"pointer", "reason"} for fault in answer.json["errors"])
        ):
            found.append(f"{shown} {answer.text[:200]}")
    return found


@every_call
def test_err_04_each_field_bears_every_nasty_value(world: World, call: Call) -> None:
    wrong: list[str] = []
    fields = [field.encode_name for field in structs.fields(call.fields)]
    path = re.sub(r"\{\w+\}", "nosuchsession", call.path)
    for name in (*fields, "not_a_field"):
        if call.method == "GET":
            for text in NASTY_TEXTS:
                wrong += faults(world, call, f"{path}?{name}={quote(text, safe='')}", None)
                wrong += faults(world, call, f"{path}?{name}={text.decode('latin-1')}", None)
            wrong += faults(world, call, f"{path}?{name}=1&{name}=1", None)
        else:
            for value in NASTY_JSON:
                # Long enough to be looked at, and nobody's: no call succeeds by what stands beside the nasty value.
                members = {other: '"someone else entirely"' for other in fields if other in REQUIRED} | {name: value}
                body = ", ".join(f'"{key}": {text}' for key, text in members.items())
                wrong += faults(world, call, path, f"{{{body}}}")

    assert wrong == []


@pytest.mark.parametrize("call", [call for call in CALLS if "{" in call.path], ids=lambda call: call.path)
def test_err_04_each_part_of_a_path_bears_every_nasty_value(world: World, call: Call) -> None:
    wrong: list[str] = []
    for text in NASTY_TEXTS:
        for spelled in (quote(text, safe=""), text.decode("latin-1")):
            before, _, after = re.split(r"(\{\w+\})", call.path)
            wrong += faults(world, call, f"{before}{spelled}{after}", None)

    assert wrong == []


REQUIRED = {"identifier", "password", "current_password", "new_password", "username"}
