"""What every reply carries, and which hosts are answered at all. The routes are walked from the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from coatcheck.web.routes import ROUTES, Call, Form

PASSWORD = "a long enough passphrase"
FORM = ("content-type", "application/x-www-form-urlencoded")
CSP = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
COMMON = {
    "cache-control": "no-store",
    "vary": "Cookie",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "strict-origin-when-cross-origin",
}


def every_reply(world: Any) -> Iterator[tuple[str, Any]]:
    """Each route as a stranger, logged in, with a dead cookie, a broken store, cross-site; and what is no route."""
    world.account()
    for route in ROUTES:
        method = route.method if isinstance(route, Call) else "POST" if isinstance(route, Form) else "GET"
        path = route.path.replace("{id}", "nosuchsession")
        kind = [("content-type", "application/json")] if isinstance(route, Call) else [FORM]
        body = b"" if method == "GET" else b"{}" if isinstance(route, Call) else b""
        dead = world.browser()
        dead.jar[world.cookie] = "A" * 43
        for who, browser in (("stranger", world.browser()), ("member", world.logged_in()), ("dead", dead)):
            own = [*browser.evidence(), *(kind if body or isinstance(route, Form) else [])]
            yield f"{who}: {method} {path}", browser.send(method, path, own, body)
        if isinstance(route, Form):
            browser = world.logged_in()
            yield f"member with token: {path}", browser.post(path, {}, page="/account")
        yield f"head: {path}", world.logged_in().send("HEAD", path)
        yield f"options: {path}", world.logged_in().send("OPTIONS", path)
        yield f"not allowed: {path}", world.logged_in().send("PATCH", path)
        yield f"cross-site: {path}", world.logged_in().send("POST", path, [("origin", "https://evil.example")])
        world.fragile.broken, dead.jar[world.cookie] = {"find"}, "A" * 43
        yield f"broken store: {path}", dead.send(method, path, dead.evidence())
        world.fragile.broken = set()
    yield "no such page", world.browser().get("/nowhere")
    yield "no such call", world.browser().get("/api/nowhere")
    yield "no such asset", world.browser().get("/assets/nothing.css")
    yield "log in", world.browser().log_in()
    yield "unknown host", world.send("GET", "/login", host="evil.example")
    yield "no host", world.send("GET", "/login", host=None)


def test_hdr_01_to_07_every_reply_of_every_route_has_its_headers(world: Any) -> None:
    wrong, seen = [], set()
    for what, answer in every_reply(world):
        seen.add(answer.status)
        missing = {name: answer.one(name) for name, value in COMMON.items() if answer.one(name) != value}
        kind = answer.one("content-type")
        if answer.body and kind not in ("text/html; charset=utf-8", "application/json", "application/problem+json"):
            missing["content-type"] = kind
        is_page = kind == "text/html; charset=utf-8" or answer.location is not None
        policy = CSP if is_page else "default-src 'none'; frame-ancestors 'none'"
        if answer.one("content-security-policy") != policy:
            missing["content-security-policy"] = answer.one("content-security-policy")
        if is_page and answer.one("x-frame-options") != "DENY":
            missing["x-frame-options"] = answer.one("x-frame-options")
        if missing:
            wrong.append((what, answer.status, missing))

    assert wrong == []
    assert {200, 204, 303, 400, 401, 403, 404, 405, 421, 503} <= seen


def test_hdr_04_strict_transport_security_over_https_only(build: Callable[..., Any]) -> None:
    safe, plain = build(production=True), build(production=False)

    in_production = {what: answer.one("strict-transport-security") for what, answer in every_reply(safe)}
    in_development = {answer.one("strict-transport-security") for _, answer in every_reply(plain)}

    assert set(in_production.values()) == {"max-age=31536000"}
    assert in_development == {None}


def test_hdr_02_whatever_sets_a_cookie_is_never_cacheable(world: Any) -> None:
    replies = [(what, answer) for what, answer in every_reply(world) if answer.cookies]
    browser = world.browser()
    replies += [("log in by page", browser.log_in()), ("log out", browser.post("/logout", {}))]
    replies.append(("log in", world.browser().call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})))
    over = world.logged_in()
    world.clock.move(2 * 86_400)
    replies.append(("a session that is over", over.get("/logout")))
    stale = world.browser()
    stale.get("/login")
    replies.append(("a form left open", stale.post("/login", {"identifier": "ada", "password": "x"}, token="A" * 64)))
    replies.append(("a wrong password", world.browser().log_in(password="not the right passphrase")))

    assert {what for what, answer in replies if answer.one("cache-control") != "no-store"} == set()
    assert {200, 303, 401, 403} <= {answer.status for _, answer in replies}
    assert [name for _, answer in replies for name, _ in answer.headers if name in ("etag", "last-modified")] == []


def test_hdr_09_a_credential_post_answers_303(world: Any) -> None:
    world.account()
    browser = world.browser()

    logged_in = browser.log_in()
    again = browser.post("/reauthenticate", {"password": PASSWORD})
    changed = browser.post(
        "/account/password", {"current_password": PASSWORD, "new_password": "another long passphrase"}, page="/account"
    )
    logged_out = browser.post("/logout", {})

    assert [answer.status for answer in (logged_in, again, changed, logged_out)] == [303] * 4


@pytest.mark.parametrize("path", ["/account", "/reauthenticate"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("accept", "text/html,application/xhtml+xml")], 303),
        ([], 303),
        ([("accept", "*/*")], 303),
        ([("accept", "text/html"), ("sec-fetch-dest", "document")], 303),
        ([("accept", "application/json")], 401),
        ([("accept", "image/*"), ("sec-fetch-dest", "image")], 401),
        ([("accept", "text/html"), ("sec-fetch-dest", "iframe")], 401),
        ([("accept", "*/*"), ("sec-fetch-dest", "script")], 401),
    ],
)
def test_hdr_10_browsers_are_sent_to_log_in_and_programs_told_401(
    one: Any, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    answer = one.send("GET", path, headers)

    assert answer.status == status
    assert (answer.one("www-authenticate") is not None) == (status == 401)


def test_hdr_10_every_401_carries_a_challenge(one: Any) -> None:
    for what, answer in every_reply(one):
        assert answer.status != 401 or answer.one("www-authenticate"), what


def test_hdr_11_no_reply_tells_versions_paths_or_traces(build: Callable[..., Any]) -> None:
    """A forced bug too: a store that answers what no store may."""
    world = build("blocking")
    root = str(Path(coatcheck.__file__).parent)
    replies = dict(every_reply(world))
    browser = world.logged_in()
    world.fragile.bug_at = "everywhere"
    replies["bug on a page"], replies["bug in a call"] = browser.get("/account"), browser.me()

    assert (replies["bug on a page"].status, replies["bug in a call"].status) == (500, 500)
    assert replies["bug in a call"].reason == "internal_error"
    for what, answer in replies.items():
        told = str(answer.headers) + answer.body.decode("utf-8", "replace")
        assert not re.search(r"Traceback|secret\.py|line \d|\.py\b|granian|msgspec|jinja|sqlite", told, re.I), what
        assert root not in told, what
        assert not {"server", "x-powered-by"} & {name for name, _ in answer.headers}, what


# Hosts


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ([], 400),
        (["login.example.org", "login.example.org"], 400),
        (["login.example.org", "evil.example"], 400),
        (["evil.example"], 421),
        (["login.example.org.evil.example"], 421),
        (["login.example.org."], 400),
        (["login.example.org:99999"], 400),
        (["login.example.org:8443"], 421),
        (["login.example.org/"], 400),
        (["user@login.example.org"], 400),
        (["login.example.org, evil.example"], 400),
        ([""], 400),
        (["lo\u212ain.example.org"], 400),
    ],
)
def test_hst_01_only_our_own_host_is_answered_and_nothing_is_asked(one: Any, hosts: list[str], status: int) -> None:
    one.account()
    token = one.logged_in().token
    one.steps.clear()
    headers = [
        *[("host", host.encode()) for host in hosts],
        ("cookie", f"{one.cookie}={token}"),
        ("origin", one.origin),
    ]

    answers = [one.send(method, path, headers, host=None) for method, path in (("GET", "/api/me"), ("POST", "/login"))]

    assert [answer.status for answer in answers] == [status, status]
    assert one.steps == []
    assert [answer.reads for answer in answers] == [0, 0]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("{origin}/api/me", 200),
        ("http://{host}/api/me", 200),
        ("https://{HOST}/api/me", 200),
        ("https://evil.example/api/me", 400),
        ("https://evil.example:443/api/me", 400),
        ("https://{host}.evil.example/api/me", 400),
        ("https://{host}./api/me", 400),
        ("https://{host}@evil.example/api/me", 400),
        ("https://user@{host}/api/me", 400),
        ("https:///api/me", 400),
        ("//evil.example/api/me", 404),
        ("ftp://{host}/api/me", 404),
        ("*", 404),
    ],
)
def test_hst_01_a_target_in_absolute_form_must_name_the_host_of_the_header(
    world: Any, target: str, status: int
) -> None:
    world.account()
    browser = world.logged_in()
    world.steps.clear()

    answer = browser.send("GET", target.format(origin=world.origin, host=world.host, HOST=world.host.upper()))

    assert answer.status == status
    assert world.steps == (["find"] if status == 200 else [])


@pytest.mark.parametrize(
    ("host", "status"),
    [("login.example.org:443", 200), ("LOGIN.example.org", 200), ("evil.example", 400), (None, 400), (" ", 400)],
)
def test_hst_01_an_allowed_target_does_not_excuse_another_host(one: Any, host: str | None, status: int) -> None:
    assert one.send("GET", "https://login.example.org/login", host=host).status == status


def test_hst_01_a_target_without_a_path_is_the_start_page(one: Any) -> None:
    assert one.send("GET", "https://login.example.org").location == "/login"


def test_hst_01_letter_case_and_the_default_port_make_no_difference(one: Any) -> None:
    for host in ("LOGIN.example.org", "login.example.org:443"):
        assert one.send("GET", "/login", host=host).status == 200


def test_hst_02_nothing_is_learnt_from_forwarding_headers(world: Any) -> None:
    world.account()
    forged = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-script-name", "/evil"),
        ("forwarded", "host=evil.example;proto=http;for=203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9"),
    ]

    plain, spoofed = world.send("GET", "/account"), world.send("GET", "/account", forged)
    page = world.send("GET", "/login", forged)
    logged_in = world.send(
        "POST",
        "/api/login",
        [*forged, ("origin", world.origin), ("content-type", "application/json")],
        b'{"identifier": "ada", "password": "a long enough passphrase"}',
    )

    assert plain.comparable == spoofed.comparable
    assert "evil" not in page.text
    assert list(logged_in.cookies) == [world.cookie, world.device_cookie]
    assert logged_in.json["session"]["ip"] == "192.0.2.9"
