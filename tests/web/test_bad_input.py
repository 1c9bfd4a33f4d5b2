"""Bad input: a clear 4xx, never a 500, never a changed record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest

PASSWORD = "a long enough passphrase"
OTHER = "another long passphrase"
FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = ("content-type", "application/json")

BAD_VALUES = [
    "null", "true", "0", "-1", "1.5", "1e400", "1" * 400, "[]", "{}", '["x"]', '{"a": "b"}', "[[[]]]",
    '{"$ne": 1}', '""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\u202e"', '"\\ufeff"',
    '"\\u212a"', '"' + "x" * 5000 + '"', '"' + "\\u00e9" * 2000 + '"', "NaN", "Infinity", "'x'", '"unclosed',
    "undefined",
    '"\x01"', '"*\\r\\nFLUSHALL"', "\"' OR 1=1--\"", '"%s{0}"', '"../etc/passwd"', '"<script>"', "[" * 5000,
]  # fmt: skip
BAD_FORM_VALUES = [
    b"", b"+", b"%00", b"a%00b", b"%", b"%zz", b"%ff%fe", b"\xff\xfe", b"%ed%a0%80", b"%e2%80%ae", b"x" * 5000,
    b"%0d%0a",
    b"%c3", b"\xc3\xa9" * 3000, b"[]", b"{}", b"null", b"%27%20OR%201=1--", b"%2500", b"%u0041", b"<script>", b"\x00",
    b"%F0%9F%98%80" * 400, b"on", b"-1", b"1e400", b"=", b";", b"%ef%bb%bf", b"a\r\nb",
]  # fmt: skip

CALLS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/signup"): {"username": "eve", "email": "eve@example.org", "password": PASSWORD},
    ("POST", "/api/login"): {"identifier": "ada", "password": PASSWORD, "remember": False, "transport": "cookie"},
    ("POST", "/api/reauthenticate"): {"password": PASSWORD},
    ("POST", "/api/password/change"): {"current_password": PASSWORD, "new_password": OTHER},
}
FORMS: dict[str, dict[str, str]] = {
    "/signup": {"username": "eve", "email": "eve@example.org", "password": PASSWORD, "next": "/"},
    "/login": {"identifier": "ada", "password": PASSWORD, "remember": "on", "next": "/"},
    "/reauthenticate": {"password": PASSWORD, "next": "/"},
    "/account/password": {"current_password": PASSWORD, "new_password": OTHER},
    "/account/sessions/revoke": {"session_id": "nosuchsession"},
}
NAMES = sorted({(call, name) for call, fields in CALLS.items() for name in fields})
FORM_NAMES = sorted({(path, name) for path, fields in FORMS.items() for name in fields})


@pytest.fixture
def member(build: Callable[..., Any]) -> Iterator[Any]:
    """Somebody logged in, on SQLite, whose limits do not stand in the way of four hundred tries."""
    world = build("blocking", "sqlite", account_free_failures=100, network_free_failures=1000)
    world.account()
    return world.logged_in()


@pytest.mark.parametrize(("call", "name"), NAMES)
def test_err_04_every_json_field_bears_every_bad_value(member: Any, call: tuple[str, str], name: str) -> None:
    world, (method, path), wrong = member.world, call, []
    before = world.records()

    for value in BAD_VALUES:
        fields = {key: json.dumps(text) for key, text in CALLS[call].items()} | {name: value}
        # One field is bad already; the others must not let the call succeed where a bad value happens to be fine.
        fields["password" if "password" in fields and name != "password" else "new_password"] = '"wrong"'
        body = "{" + ", ".join(f'"{key}": {text}' for key, text in fields.items()) + "}"
        answer = member.send(method, path, [*member.evidence(), JSON], body.encode())
        if not 400 <= answer.status < 500 or set(answer.json) != {"type", "title", "status", "reason", "errors"}:
            wrong.append((value[:20], answer.status))

    assert wrong == []
    assert world.records() == before
    assert member.me().status == 200


@pytest.mark.parametrize(("path", "name"), FORM_NAMES)
def test_err_04_every_form_field_bears_every_bad_value(member: Any, path: str, name: str) -> None:
    world, wrong = member.world, []
    token = member.token_on("/account")
    before = world.records()

    for value in BAD_FORM_VALUES:
        fields = {key: quote_from_bytes(text.encode()).encode() for key, text in FORMS[path].items()}
        fields["password" if "password" in fields else "new_password"] = b"wrong"
        fields |= {name: value, "csrf_token": token.encode()}
        body = b"&".join(key.encode() + b"=" + text for key, text in fields.items())
        answer = member.send("POST", path, [*member.evidence(), FORM], body)
        if not 400 <= answer.status < 500 or not answer.text.startswith("<!doctype html>"):
            wrong.append((value[:20], answer.status))

    assert wrong == []
    assert world.records() == before
    assert member.me().status == 200


BODIES: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "text": b'"x"',
    "number": b"1",
    "broken": b'{"identifier": "ada"',
    "trailing": b'{"identifier": "ada", "password": "x"} x',
    "two documents": b"{}{}",
    "byte order mark": b'\xef\xbb\xbf{"identifier": "ada", "password": "x"}',
    "utf-16": '{"identifier": "ada", "password": "x"}'.encode("utf-16"),
    "latin-1": '{"identifier": "ad\xe9", "password": "x"}'.encode("latin-1"),
    "broken utf-8": b'{"identifier": "\xff\xfe", "password": "x"}',
    "surrogates in utf-8": b'{"identifier": "\xed\xa0\x80", "password": "x"}',
    "NUL": b"\0" * 100,
    "deep array": b"[" * 30_000,
    "deep object": b'{"a":' * 10_000,
    "deep inside": b'{"identifier": "ada", "password": "x", "z": ' + b"[" * 40 + b"]" * 40 + b"}",
    "repeated": b'{"identifier": "ada", "identifier": "eve", "password": "x"}',
    "repeated by escape": b'{"identifier": "ada", "\\u0069dentifier": "eve", "password": "x"}',
    "repeated unknown": b'{"identifier": "ada", "password": "wrong", "z": 1, "z": 2}',
    "comments": b'{"identifier": "ada", /* x */ "password": "x"}',
    "a form": b"identifier=ada&password=x",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="identifier"\r\n\r\nada\r\n--x--',
    "xml": b"<?xml version='1.0'?><identifier>ada</identifier>",
    "huge integer": b'{"identifier": "ada", "password": "x", "remember": ' + b"9" * 5000 + b"}",
    "many members": b"{" + b",".join(b'"k%d": 1' % n for n in range(5000)) + b"}",
}


@pytest.mark.parametrize("what", BODIES)
def test_err_04_every_bad_body_is_a_4xx_on_every_call(member: Any, what: str) -> None:
    world = member.world
    before = world.records()

    answers = {
        path: member.send(method, path, [*member.evidence(), JSON], BODIES[what])
        for method, path in (*CALLS, ("POST", "/api/sessions/revoke-others"), ("DELETE", "/api/sessions"))
        if what not in ("empty", "many members", "repeated", "huge integer", "repeated unknown")
        or (method, path) in CALLS
    }

    assert {path: answer.status for path, answer in answers.items() if not 400 <= answer.status < 500} == {}
    assert world.records() == before


@pytest.mark.parametrize(
    "what", ["repeated", "repeated by escape", "repeated unknown"]
)  # fmt: skip
def test_err_04_a_repeated_member_is_refused_before_it_is_looked_at(one: Any, what: str) -> None:
    browser = one.browser()
    one.steps.clear()

    answer = browser.send("POST", "/api/login", [*browser.evidence(), JSON], BODIES[what])

    assert answer.status == 400
    assert one.steps == []


@pytest.mark.parametrize("chunked", [True, False])
def test_err_04_ten_megabytes_are_413_and_not_kept(world: Any, chunked: bool) -> None:
    browser = world.browser()
    token = browser.token_on("/login")
    chunks = [b'{"identifier": "' + b"x" * 65_000] + [b"x" * 65_536] * 160
    length = [] if chunked else [("content-length", str(sum(map(len, chunks))))]

    by_json = browser.send("POST", "/api/login", [*browser.evidence(), *length, JSON], chunks)
    by_page = browser.send("POST", "/login", [*browser.evidence(), *length, FORM, ("x-csrf-token", token)], chunks)

    for answer in (by_json, by_page):
        assert answer.status == 413
        assert answer.reads <= 2
    assert world.lane.hashed == 0


def test_err_04_64_kib_is_the_longest_body_that_is_read(one: Any) -> None:
    browser = one.browser()
    start = b'{"identifier": "ada", "password": "x", "z": "'
    for size, status in ((65_536, 401), (65_537, 413)):
        body = start + b"z" * (size - len(start) - 2) + b'"}'

        assert browser.send("POST", "/api/login", [*browser.evidence(), JSON], body).status == status


def test_err_04_missing_fields_are_4xx_on_every_form(member: Any) -> None:
    before = member.world.records()

    answers = {path: member.post(path, {}, page="/account") for path in FORMS}

    assert {path: answer.status for path, answer in answers.items()} == {
        "/signup": 400, "/login": 400, "/reauthenticate": 400, "/account/password": 400, "/account/sessions/revoke": 400
    }  # fmt: skip
    assert member.world.records() == before


@pytest.mark.parametrize("path", FORMS)
def test_err_04_a_repeated_field_is_4xx_on_every_form(member: Any, path: str) -> None:
    token = member.token_on("/account")
    before = member.world.records()
    for name in (*FORMS[path], "csrf_token"):
        if name == "next":
            continue
        pairs = [*FORMS[path].items(), ("csrf_token", token), (name, token if name == "csrf_token" else "x")]

        answer = member.send("POST", path, [*member.evidence(), FORM], urlencode(pairs).encode())

        assert answer.status == 400, name
    assert member.world.records() == before


def test_err_04_a_form_with_a_thousand_fields_is_4xx(member: Any) -> None:
    body = "&".join(f"f{number}=x" for number in range(1000)).encode()

    assert member.send("POST", "/login", [*member.evidence(), FORM], body).status == 400


def test_a_stale_form_is_refused_in_words_and_works_once_it_is_loaded_again(world: Any) -> None:
    world.account()
    browser = world.browser()
    token = browser.token_on("/login")
    world.clock.move(3600)

    stale = browser.post("/login", {"identifier": "ada", "password": PASSWORD}, token=token)

    assert stale.status == 403
    assert "form" in stale.text
    assert browser.log_in().status == 303


def test_the_same_form_sent_twice_does_no_harm(world: Any) -> None:
    browser = world.browser()
    token = browser.token_on("/signup")
    fields = {"username": "ada", "password": PASSWORD}

    first, second = (browser.post("/signup", fields, token=token) for _ in range(2))

    assert (first.status, second.status) == (303, 409)
    assert len(world.records()["accounts"]) == 1


def test_the_log_in_form_sent_twice_logs_in_once_and_refuses_once(world: Any) -> None:
    """The second carries a token from before the log-in (FIX-04); the first one's session lives on."""
    world.account()
    browser = world.browser()
    token = browser.token_on("/login")
    fields = {"identifier": "ada", "password": PASSWORD}

    first, second = (browser.post("/login", fields, token=token) for _ in range(2))

    assert (first.status, second.status) == (303, 403)
    assert browser.me().status == 200
    assert len(world.records()["sessions"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=1&limit=2",
        "limit=",
        "limit=1.5",
        "limit=%00",
        "limit=99999999999999999999999",
        "limit=%ff",
        "%zz=1",
    ],
)
def test_err_04_a_bad_query_is_400(member: Any, query: str) -> None:
    answers = [member.get(f"/api/{path}?{query}") for path in ("sessions", "events")]

    assert [answer.status for answer in answers] == [400, 400]


@pytest.mark.parametrize(
    "cursor",
    ["x", "-1", "9" * 30, "%00", "1%0a2", "'", "\u0663".encode().hex(), "%D9%A3", "9223372036854775808", "1e3"],
)
def test_err_04_a_bad_cursor_is_no_500(member: Any, cursor: str) -> None:
    assert member.get(f"/api/events?cursor={cursor}").status in (200, 400)
    assert member.get(f"/api/sessions?cursor={cursor}").json["sessions"] == []


def test_err_04_what_was_sent_is_not_repeated_in_a_problem(member: Any) -> None:
    for method, path in CALLS:
        for document in (
            {"password": ["canary"], "identifier": {"canary": 1}, "username": "canary !", "email": "canary@"},
            {"current_password": 7, "new_password": "canary", "transport": "canary", "remember": "canary"},
        ):
            answer = member.call(method, path, document)

            assert 400 <= answer.status < 500
            assert "canary" not in answer.text
