"""Attacks from other sites: posts without evidence, with forged evidence, with somebody else's token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from coatcheck.core.audit import CrossSiteRefused
from coatcheck.http import csrf
from coatcheck.web.routes import ROUTES, Call, Form, Page

PASSWORD = "a long enough passphrase"
FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = ("content-type", "application/json")
LOG_IN = b'{"identifier": "ada", "password": "a long enough passphrase"}'
TEN_MEGABYTES = [b"x" * 65_536] * 160


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


@pytest.mark.parametrize(
    "evidence",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("referer", "https://evil.example/page")],
    ],
)
@pytest.mark.parametrize("path", ["/login", "/signup", "/logout", "/api/login", "/api/signup", "/api/logout"])
def test_csr_01_a_cross_site_post_is_refused_even_without_a_cookie(
    one: Any, path: str, evidence: list[tuple[str, str]]
) -> None:
    one.account()
    before = one.records()
    kind, body = (JSON, LOG_IN) if path.startswith("/api") else (FORM, form(identifier="ada", password=PASSWORD))

    answer = one.send("POST", path, [*evidence, kind], body)

    assert answer.status == 403
    assert answer.cookies == {}
    assert (answer.reads, one.lane.hashed) == (0, 0)
    assert one.records() == before


def test_csr_01_a_cross_site_log_in_is_refused_everywhere(world: Any) -> None:
    world.account()
    browser = world.browser()
    token = browser.token_on("/login")
    fields = form(identifier="ada", password=PASSWORD, csrf_token=token)

    by_page = browser.send("POST", "/login", [FORM, ("origin", "https://evil.example")], fields)
    by_json = browser.send("POST", "/api/login", [JSON, ("sec-fetch-site", "cross-site")], LOG_IN)

    assert (by_page.status, by_json.status) == (403, 403)
    assert world.records()["sessions"] == ()


SITES = [None, "same-origin", "none", "same-site", "cross-site", "", "same-origin, none", "SAME-ORIGIN"]
ORIGINS = [None, "own", "null", "https://evil.example", "https://trusted.example", ""]
REFERERS = [None, "own", "https://evil.example/x"]


def expected(site: str | None, origin: str | None, referer: str | None, *, cookie: bool, body: bool) -> bool:
    """CSR-02 as written."""
    if site is not None:
        return site in ("same-origin", "none") or origin == "https://trusted.example"
    if origin is not None:
        return origin == "own"
    if referer is not None:
        return referer == "own"
    return not cookie and body


@pytest.mark.parametrize("cookie", [True, False])
@pytest.mark.parametrize("has_json", [True, False])
def test_csr_02_the_truth_table_holds_over_http(build: Callable[..., Any], cookie: bool, has_json: bool) -> None:
    world = build("blocking", site={"trusted_origins": ["https://trusted.example"]})
    told, wrong = {"own": world.origin}, []
    jar = [("cookie", f"{world.cookie}={'A' * 43}")] if cookie else []
    body = [JSON] if has_json else []
    for site in SITES:
        for origin in ORIGINS:
            for referer in REFERERS:
                headers = [
                    *([("sec-fetch-site", site)] if site is not None else []),
                    *([("origin", told.get(origin, origin))] if origin is not None else []),
                    *([("referer", f"{world.origin}/x" if referer == "own" else referer)] if referer else []),
                ]

                answer = world.send("POST", "/api/logout", [*headers, *jar, *body], b"{}" if has_json else b"")

                passes = expected(site, origin, referer, cookie=cookie, body=has_json)
                if answer.status != (204 if passes else 403):
                    wrong.append((site, origin, referer, answer.status))

    assert wrong == []


def test_csr_03_a_sibling_host_is_another_site(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    answer = browser.send(
        "DELETE", "/api/sessions", [("sec-fetch-site", "same-site"), ("origin", "https://blog.example.org")]
    )

    assert answer.status == 403
    assert browser.me().status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://login.example.org.evil.example",
        "https://login.example.org.",
        "http://login.example.org",
        "https://login.example.org:8443",
        "https://user@login.example.org",
        "https://login.example.org@evil.example",
        "https://login.example.org/",
        "https://xlogin.example.org",
        "https://login.example.org https://evil.example",
        "login.example.org",
    ],
)
def test_csr_04_origins_compare_as_whole_triples(one: Any, origin: str) -> None:
    one.account()
    browser = one.logged_in()

    assert browser.send("POST", "/api/logout", [("origin", origin)]).status == 403
    assert browser.me().status == 200


def test_csr_05_the_target_origin_is_not_learnt_from_the_request(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    forged = [
        ("origin", "https://evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-forwarded-proto", "https"),
    ]

    assert browser.send("POST", "/api/logout", forged).status == 403
    assert world.send("POST", "/api/logout", forged, host="evil.example").status == 421


FORMS = [
    ("/signup", {"username": "eve", "password": PASSWORD}),
    ("/login", {"identifier": "ada", "password": PASSWORD}),
    ("/logout", {}),
    ("/reauthenticate", {"password": PASSWORD}),
    ("/account/password", {"current_password": PASSWORD, "new_password": "another long passphrase"}),
    ("/account/sessions/revoke", {"session_id": "x"}),
    ("/account/sessions/revoke-others", {}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_csr_06_a_form_without_its_own_token_is_refused(one: Any, path: str, fields: dict[str, str]) -> None:
    one.account("ada")
    one.account("eve-the-other")
    browser = one.logged_in("ada")
    own, foreign = browser.token_on("/account"), one.logged_in("eve-the-other").token_on("/account")
    stranger = one.browser()
    before_log_in = stranger.token_on("/login")
    before = one.records()
    tokens: dict[str, str | None] = {
        "none": None,
        "another session's": foreign,
        "before log-in": before_log_in,
        "truncated": own[:-1],
        "empty": "",
        "not ASCII": "é" * 64,
        "lengthened": own + "A",
        "NUL": "\0" * 64,
        "huge": "A" * 20_000,
    }

    answers = {}
    for what, token in tokens.items():
        body = form(**fields, **({} if token is None else {"csrf_token": token}))
        answers[what] = browser.send("POST", path, [*browser.evidence(), FORM], body)

    assert {what: answer.status for what, answer in answers.items()} == dict.fromkeys(tokens, 403)
    assert one.lane.hashed == 0
    assert one.records() == before
    assert browser.me().status == 200


def test_csr_06_tokens_differ_in_every_response_and_all_work(one: Any) -> None:
    browser = one.browser()

    tokens = [browser.token_on("/login") for _ in range(5)]

    assert len(set(tokens)) == 5
    body = form(identifier="nobody", password="x", csrf_token=tokens[0])
    assert browser.send("POST", "/login", [*browser.evidence(), FORM], body).status == 401


def test_csr_07_a_token_counts_in_the_header_and_the_field_only(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    token = browser.token_on("/account")

    in_query = browser.send("POST", f"/logout?csrf_token={token}", [*browser.evidence(), FORM], b"")
    in_cookie = browser.send("POST", "/logout", [*browser.evidence(), FORM, ("cookie", f"csrf_token={token}")], b"")
    in_header = browser.send("POST", "/logout", [*browser.evidence(), FORM, ("x-csrf-token", token)], b"")

    assert (in_query.status, in_cookie.status, in_header.status) == (403, 403, 303)


def test_csr_08_a_pair_of_cookie_and_field_made_by_the_attacker_is_refused(world: Any) -> None:
    world.account()
    nonce = b"n" * 16
    field = csrf.issue_token(b"k" * 32, b"pre-session:" + nonce, b"m" * 16)
    for cookie in ("A" * 76, field, "same", field + "A" * 12):
        body = form(identifier="ada", password=PASSWORD, csrf_token=field)

        answer = world.send(
            "POST", "/login", [("origin", world.origin), FORM, ("cookie", f"{world.pre_cookie}={cookie}")], body
        )

        assert answer.status == 403


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/json, text/plain",
        "Text/Plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/jsonp",
        " application/json",
        None,
    ],
)
def test_csr_09_json_calls_take_json_only(one: Any, content_type: str | None) -> None:
    one.account()
    browser = one.browser()
    headers = [("content-type", content_type)] if content_type is not None else []

    answer = browser.send("POST", "/api/login", [*browser.evidence(), *headers], LOG_IN)

    assert answer.status == 415
    assert one.lane.hashed == 0


def test_csr_09_a_page_takes_forms_only(one: Any) -> None:
    browser = one.browser()
    token = browser.token_on("/login")

    answer = browser.send("POST", "/login", [*browser.evidence(), JSON, ("x-csrf-token", token)], LOG_IN)

    assert answer.status == 415


def test_csr_09_no_body_needs_no_type(world: Any) -> None:
    world.account()

    assert world.logged_in().send("POST", "/api/logout", [("origin", world.origin)]).status == 204


def test_csr_10_reading_methods_and_overrides_change_nothing(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    other = world.logged_in().me().json["session"]["id"]
    before = world.records()
    overrides = [("x-http-method-override", "DELETE"), ("x-method-override", "DELETE"), ("x-http-method", "DELETE")]
    world.steps.clear()

    for method in ("GET", "HEAD", "OPTIONS"):
        for path in ("/logout", "/api/logout", "/api/sessions", f"/api/sessions/{other}", "/account/sessions/revoke"):
            assert browser.send(method, f"{path}?_method=DELETE", overrides).status < 500
    for method in ("TRACE", "PUT", "PATCH", "get", "DELETE\0"):
        assert browser.send(method, "/api/sessions", overrides).status == 405
    posted = browser.send("POST", f"/api/sessions/{other}", [*browser.evidence(), *overrides, JSON], b'{"_method":1}')

    assert posted.status == 405
    assert world.steps.writes == []
    assert world.records() == before


UNSAFE = [
    (route.method if isinstance(route, Call) else "POST", route.path)
    for route in ROUTES
    if isinstance(route, Form) or (isinstance(route, Call) and route.method not in csrf.SAFE_METHODS)
]


def test_csr_14_nothing_in_the_table_of_routes_can_exempt_a_route() -> None:
    fields = {name for kind in (Page, Form, Call) for name in kind.__struct_fields__}

    assert not [name for name in fields if "csrf" in name or "exempt" in name]
    assert {path for _, path in UNSAFE} >= {"/login", "/logout", "/api/login", "/api/sessions", "/account/password"}


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize(
    "evidence",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site"), ("origin", "https://blog.example.org")],
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("referer", "https://evil.example/")],
        [],
    ],
    ids=["cross-site", "same-site", "origin", "null", "referer", "nothing"],
)
def test_csr_14_every_unsafe_route_refuses_another_site_though_the_cookie_comes_along(
    world: Any, method: str, path: str, evidence: list[tuple[str, str]]
) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    path = path.replace("{id}", other.me().json["session"]["id"])
    before = world.records()
    world.steps.clear()

    kind, body = (JSON, LOG_IN) if path.startswith("/api/") else (FORM, form(identifier="ada", password=PASSWORD))
    answers = [browser.send(method, path, [*evidence, kind], body), browser.send(method, path, evidence)]

    assert [(answer.status, answer.cookies) for answer in answers] == [(403, {})] * 2
    assert (world.steps, world.lane.hashed) == ([], 0)
    assert world.records() == before


def test_csr_11_there_is_no_cors(one: Any) -> None:
    one.account()
    browser = one.logged_in()
    for origin in ("https://evil.example", "null", one.origin, f"{one.origin}.evil.example"):
        preflight = browser.send("OPTIONS", "/api/me", [("origin", origin), ("access-control-request-method", "POST")])
        read = browser.send("GET", "/api/me", [("origin", origin)])

        assert not [name for name, _ in (*preflight.headers, *read.headers) if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/login", "/api/login", "/api/signup", "/account/password"])
def test_csr_12_a_header_refusal_reads_no_body_and_hashes_nothing(world: Any, path: str) -> None:
    world.account()
    browser = world.logged_in()
    heard: list[CrossSiteRefused] = []
    world.desk.on(CrossSiteRefused, heard.append)
    world.steps.clear()

    answer = browser.send("POST", path, [("origin", "https://evil.example"), JSON], TEN_MEGABYTES)

    assert answer.status == 403
    assert (answer.reads, world.lane.hashed, world.steps) == (0, 0, [])
    assert [(event.cause, event.path) for event in heard] == [("foreign_origin", path)]


def test_csr_12_a_token_refusal_reads_64_kib_at_most(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    answer = browser.send("POST", "/logout", [*browser.evidence(), FORM], TEN_MEGABYTES)

    assert answer.status == 413
    assert answer.reads <= 2
    assert browser.me().status == 200


def test_a_repeated_header_of_evidence_is_400(one: Any) -> None:
    one.account()
    browser = one.curl()
    browser.jar.update(one.logged_in().jar)
    token = ("x-csrf-token", browser.get("/api/csrf").json["csrf_token"])
    headers = {
        "origin": one.origin,
        "sec-fetch-site": "same-origin",
        "referer": f"{one.origin}/",
        "content-type": JSON[1],
    }
    repeated = [*[[(name, value), (name, value)] for name, value in headers.items()], [token, token]]

    answers = [browser.send("POST", "/api/logout", twice) for twice in repeated]

    assert [(answer.status, answer.reason) for answer in answers] == [(400, "repeated_header")] * 5
    assert browser.me().status == 200


def test_an_event_of_a_refusal_holds_no_text_that_could_forge_a_line(one: Any) -> None:
    heard: list[Any] = []
    one.desk.on(CrossSiteRefused, heard.append)
    headers = [("origin", "null"), ("user-agent", "x\x1b[2Jy\u2028z" * 200)]

    one.send("POST", "/login", [(name, value.encode()) for name, value in headers])

    assert len(heard[0].user_agent) <= 256
    assert heard[0].user_agent.isprintable()
