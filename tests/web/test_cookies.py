"""Attacks on the session cookie: planted, doubled, misspelt, stolen from a list, presented elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from coatcheck import ConfigurationError
from coatcheck.core.audit import DuplicateCookie
from coatcheck.http.cookies import CookieStyle
from coatcheck.http.hosts import Site

PASSWORD = "a long enough passphrase"


def attributes(set_cookie: str) -> list[str]:
    return sorted(part.strip() for part in set_cookie.split(";")[1:])


def expected(world: Any) -> list[str]:
    return sorted(["HttpOnly", "Path=/", "SameSite=Lax", *(["Secure"] if world.production else [])])


def all_set_cookies(world: Any) -> list[str]:
    """Every Set-Cookie of a whole visit, pages and JSON."""
    world.account("ada")
    browser, seen = world.browser(), list[str]()
    keep = browser.keep
    browser.keep = lambda answer: (seen.extend(answer.all("set-cookie")), keep(answer))[1]
    browser.get("/signup")
    browser.get("/api/csrf")
    browser.log_in(remember="on")
    browser.call("POST", "/api/reauthenticate", {"password": PASSWORD})
    browser.post("/logout", {})
    browser.call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})
    browser.call("POST", "/api/logout")
    browser.jar[world.cookie] = "A" * 43
    browser.me()
    assert len(seen) > 8
    return seen


def test_cky_01_in_production_the_name_bears_the_host_prefix(build: Callable[..., Any]) -> None:
    world = build(production=True)

    names = {cookie.partition("=")[0] for cookie in all_set_cookies(world)}

    assert names == {"__Host-coatcheck", "__Host-coatcheck-pre", "__Host-coatcheck-device"}


def test_cky_01_in_development_the_name_bears_none(build: Callable[..., Any]) -> None:
    world = build(production=False)

    names = {cookie.partition("=")[0] for cookie in all_set_cookies(world)}

    assert names == {"coatcheck-dev", "coatcheck-dev-pre", "coatcheck-dev-device"}


def test_cky_01_development_behind_tls_uses_the_real_name(build: Callable[..., Any]) -> None:
    world = build(production=False, site={"tls": True})
    world.account()
    browser = world.logged_in()

    assert world.cookie == "__Host-coatcheck"
    assert "; Secure" in browser.call("POST", "/api/logout").one("set-cookie")


def test_cky_02_every_cookie_of_every_endpoint_has_exactly_these_attributes(world: Any) -> None:
    for cookie in all_set_cookies(world):
        rest = [part for part in attributes(cookie) if not part.startswith(("Max-Age=", "Expires="))]

        assert rest == expected(world)


def test_cky_03_same_site_none_needs_to_be_asked_for() -> None:
    for spelling in ("None", "none", "lax ", "LAX"):
        with pytest.raises(ConfigurationError):
            CookieStyle(name="c", same_site=spelling)


def test_cky_03_the_strict_profile_is_strict(build: Callable[..., Any]) -> None:
    world = build(site={"strict": True})

    (cookie,) = world.browser().get("/login").all("set-cookie")

    assert "; SameSite=Strict" in cookie


def test_cky_04_the_development_cookie_opens_nothing_in_production(build: Callable[..., Any]) -> None:
    world = build(production=True)
    world.account()
    token = world.logged_in().token

    for name in ("coatcheck-dev", "coatcheck", "__Secure-coatcheck"):
        assert world.send("GET", "/api/me", [("cookie", f"{name}={token}")]).status == 401


def test_cky_04_development_holds_for_loopback_hosts_only(build: Callable[..., Any]) -> None:
    world = build(production=False)
    world.account()
    token = world.logged_in().token
    cookie = [("cookie", f"{world.cookie}={token}")]
    world.steps.clear()

    refused = [
        world.send("GET", "/api/me", cookie, host=host) for host in ("example.org", "10.0.0.1", "localhost.evil")
    ]

    assert [answer.status for answer in refused] == [421] * 3
    assert world.steps == []
    for host in ("localhost", "127.0.0.1:9", "[::1]:9", "testserver"):
        assert world.send("GET", "/api/me", cookie, host=host).status == 200


def test_cky_04_development_beside_a_public_url_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Site.configure(public_url="https://login.example.org", development=True)


def test_cky_06_the_value_is_43_base64url_characters_and_cookies_stay_small(world: Any) -> None:
    for cookie in all_set_cookies(world):
        name, _, value = cookie.partition(";")[0].partition("=")

        assert len(name) + len(value) <= 4096
        if name == world.cookie and value:
            assert re.fullmatch(r"[A-Za-z0-9_-]{43}", value)


def test_cky_06_a_huge_next_makes_no_huge_cookie(one: Any) -> None:
    answer = one.browser().get("/login?next=/" + "a" * 10_000)

    assert sum(map(len, answer.all("set-cookie"))) < 300


def test_cky_07_clearing_uses_the_same_name_and_attributes_and_a_past_date(world: Any) -> None:
    world.account()

    cookie = world.logged_in().call("POST", "/api/logout").one("set-cookie")

    assert cookie.startswith(f"{world.cookie}=;")
    assert attributes(cookie) == sorted([*expected(world), "Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"])


def test_cky_07_logging_in_over_a_stale_cookie_sets_each_name_once(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.clock.move(3 * 3600)
    token = browser.token_on("/login")
    browser.jar[world.cookie] = "A" * 42

    answer = browser.post("/login", {"identifier": "ada", "password": PASSWORD}, token=token)

    assert answer.status == 303
    assert len(answer.all("set-cookie")) == len(answer.cookies) == 3
    assert answer.cookies[world.cookie]
    assert answer.cookies[world.pre_cookie] == ""


def test_cky_08_to_11_planted_spellings_are_anonymous(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    token, name = browser.token, world.cookie
    spellings: dict[str, bytes] = {
        "unicode space, utf-8": f"\u2000{name}={token}".encode(),
        "no-break space, latin-1": f"\xa0{name}={token}".encode("latin-1"),
        "upper case": f"{name.upper()}={token}".encode(),
        "quoted name": f'"{name}"={token}'.encode(),
        "quoted value": f'{name}="{token}"'.encode(),
        "percent-encoded name": f"{name.replace('o', '%6f')}={token}".encode(),
        "percent-encoded prefix": f"%5f%5fHost-coatcheck={token}".encode(),
        "nameless": f"={name}={token}".encode(),
        "no equals": name.encode(),
        "space before equals": f"{name} ={token}".encode(),
        "value with a space": f"{name}={token[:20]} {token[20:]}".encode(),
        "comma-joined": f"a=b, {name}={token}".encode(),
        "vertical tab": f"\x0b{name}={token}".encode(),
        "version": f'$Version=1; ${name}="{token}"'.encode(),
        "another name's end": f"x{name}={token}".encode(),
    }
    world.steps.clear()

    answers = {what: world.send("GET", "/api/me", [("cookie", value)]) for what, value in spellings.items()}

    assert {what: answer.status for what, answer in answers.items()} == dict.fromkeys(spellings, 401)
    assert world.steps == []
    assert browser.me().status == 200


@pytest.mark.parametrize("as_two_headers", [False, True])
@pytest.mark.parametrize("order", ["victim first", "attacker first", "equal"])
def test_cky_10_the_session_cookie_twice_is_anonymous(world: Any, as_two_headers: bool, order: str) -> None:
    world.account("ada")
    world.account("eve")
    victim, attacker = world.logged_in("ada").token, world.logged_in("eve").token
    pair = {"victim first": (victim, attacker), "attacker first": (attacker, victim), "equal": (victim, victim)}[order]
    cookies = [f"{world.cookie}={token}" for token in pair]
    heard: list[DuplicateCookie] = []
    world.desk.on(DuplicateCookie, heard.append)
    headers = [("cookie", cookie) for cookie in cookies] if as_two_headers else [("cookie", "; ".join(cookies))]

    answer = world.send("GET", "/api/me", headers)

    assert answer.status == 401
    assert len(heard) == 1


def test_cky_11_a_token_in_the_second_of_two_cookie_fields_counts(world: Any) -> None:
    world.account()
    token = world.logged_in().token

    answer = world.send("GET", "/api/me", [("cookie", "a=b"), ("cookie", f"{world.cookie}={token}")])

    assert answer.status == 200


def test_cky_12_an_overlong_cookie_header_is_anonymous(one: Any) -> None:
    one.account()
    token = one.logged_in().token

    answers = [
        one.send("GET", "/api/me", [("cookie", f"{one.cookie}={token}; {filler}")])
        for filler in ("a=" + "b" * 17_000, "; ".join("a=b" for _ in range(300)))
    ]

    assert [answer.status for answer in answers] == [401, 401]


def test_cky_13_a_token_is_read_from_its_cookie_only(world: Any) -> None:
    world.account()
    token = world.logged_in().token
    world.steps.clear()

    answers = [
        world.send("GET", f"/api/me?session={token}&{world.cookie}={token}"),
        world.send("GET", "/api/me", [("x-session-token", token)]),
        world.send("GET", "/api/me", [("authorization", f"Bearer {token}")]),
        world.send("GET", "/api/me", [("cookie2", f"{world.cookie}={token}")]),
        world.send("GET", f"/api/me;{world.cookie}={token}"),
        world.send(
            "POST",
            "/account/sessions/revoke-others",
            [("origin", world.origin), ("content-type", "application/x-www-form-urlencoded"), ("x-csrf-token", token)],
            f"{world.cookie}={token}&session={token}&csrf_token={token}".encode(),
        ),
        world.send(
            "POST",
            "/api/sessions/revoke-others",
            [("origin", world.origin), ("content-type", "application/json")],
            f'{{"{world.cookie}": "{token}", "session": "{token}"}}'.encode(),
        ),
    ]

    assert [answer.status for answer in answers] == [401, 401, 401, 401, 404, 403, 401]
    assert world.steps == []


def test_cky_14_the_pre_session_cookie_obeys_the_same_rules(world: Any) -> None:
    (cookie,) = world.browser().get("/login").all("set-cookie")

    assert cookie.startswith(f"{world.pre_cookie}=")
    assert attributes(cookie) == expected(world)


def test_cky_14_a_pre_session_is_no_session(world: Any) -> None:
    browser = world.browser()
    browser.get("/login")

    answer = world.send("GET", "/api/me", [("cookie", f"{world.cookie}={browser.jar[world.pre_cookie]}")])

    assert answer.status == 401


@pytest.mark.parametrize(
    "value",
    ["", "a", "A" * 42, "A" * 44, "A" * 10_000, "A" * 42 + "'", "A" * 42 + "*", "A" * 42 + "é", "A" * 42 + "\0"],
)
def test_tok_05_a_value_that_is_no_token_costs_no_query(world: Any, value: str) -> None:
    world.steps.clear()

    answer = world.send("GET", "/api/me", [("cookie", f"{world.cookie}={value}".encode())])

    assert answer.status == 401
    assert world.steps == []


def test_tok_08_a_token_we_did_not_issue_is_never_adopted(world: Any) -> None:
    world.account()
    planted = "P" * 43
    browser = world.browser()
    browser.jar[world.cookie] = planted

    answer = browser.call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})

    assert answer.cookies[world.cookie] not in ("", planted)
    assert world.send("GET", "/api/me", [("cookie", f"{world.cookie}={planted}")]).status == 401


def test_tok_09_the_public_id_opens_nothing_and_says_nothing_of_the_token(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    handle = browser.me().json["session"]["id"]

    for value in (handle, handle.ljust(43, "A"), handle * 4):
        assert world.send("GET", "/api/me", [("cookie", f"{world.cookie}={value}")]).status == 401
    assert handle not in browser.token
    assert browser.token[: len(handle)] != handle
    assert len(handle) * 6 >= 64


def test_dua_01_another_authorization_scheme_changes_nothing(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    assert browser.get("/api/me", [("authorization", "Basic eDp5")]).status == 200


def test_rat_13_a_browser_that_logged_in_before_gets_in_while_strangers_wait(world: Any) -> None:
    world.account()
    browser = world.browser()
    right = {"identifier": "ada", "password": PASSWORD}
    first = browser.call("POST", "/api/login", right)
    browser.call("POST", "/api/logout")
    for _ in range(5):
        world.browser().call("POST", "/api/login", {"identifier": "ada", "password": "not the passphrase"})

    stranger = world.browser().call("POST", "/api/login", right)
    known = browser.call("POST", "/api/login", right)

    assert first.cookies[world.device_cookie]
    assert stranger.status == 429
    assert known.status == 200
    assert world.device_cookie not in known.cookies, "it keeps the one it has"


def test_cky_14_the_cookie_of_a_known_device_outlives_the_session_and_opens_nothing(world: Any) -> None:
    world.account()
    answer = world.browser().call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})
    cookie = next(one for one in answer.all("set-cookie") if one.startswith(world.device_cookie))

    assert attributes(cookie) == sorted([*expected(world), f"Max-Age={90 * 86_400}"])
    thief = world.browser()
    thief.jar[world.device_cookie] = answer.cookies[world.device_cookie]
    assert thief.me().status == 401
    thief.jar = {world.cookie: answer.cookies[world.device_cookie]}
    assert thief.me().status == 401


def test_con_15_a_device_cookie_alone_asks_for_no_form_token(world: Any) -> None:
    world.account()
    curl = world.curl()
    right = {"identifier": "ada", "password": PASSWORD}
    curl.call("POST", "/api/login", right)
    del curl.jar[world.cookie]

    assert list(curl.jar) == [world.device_cookie]
    assert curl.call("POST", "/api/login", right).status == 200
