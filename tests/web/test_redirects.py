"""Open redirects: `next` in every form that could lead elsewhere, through the log-in itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest

PASSWORD = "a long enough passphrase"
FORM = ("content-type", "application/x-www-form-urlencoded")
HOSTILE = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "/%09/evil.example", "/%5cevil.example",
    "https:evil.example",
    "https:/evil.example", "///evil.example", "javascript:alert(1)", " //evil.example", "/\t/evil.example",
    "@evil.example", "/.//evil.example", "https://evil.example", "//login.example.org@evil.example",
    "/..//evil.example",
    "data:text/html,x", "/%0d%0aSet-Cookie:x=1", "/\r\nSet-Cookie: x=1", "/%2509/evil.example/%", "/a\u2028b",
    "/" + "a" * 2048, "http://login.example.org/account", "/\u200b/evil.example", "account", "?next=//evil", "#x",
]  # fmt: skip


def log_in_with(browser: Any, *pairs: tuple[str, str]) -> Any:
    token = browser.token_on("/login")
    fields = [("identifier", "ada"), ("password", PASSWORD), ("csrf_token", token), *pairs]
    return browser.send("POST", "/login", [*browser.evidence(), FORM], urlencode(fields).encode())


@pytest.mark.parametrize("target", HOSTILE)
def test_red_01_a_visitor_who_is_logged_in_goes_to_the_default_page(one: Any, target: str) -> None:
    one.account()

    answer = one.logged_in().get(f"/login?next={quote(target, safe='')}")

    assert (answer.status, answer.location) == (303, "/account")


@pytest.mark.parametrize("target", HOSTILE[::4])
def test_red_01_a_log_in_goes_to_the_default_page(one: Any, target: str) -> None:
    one.account()

    answer = log_in_with(one.browser(), ("next", target))

    assert (answer.status, answer.location) == (303, "/account")


@pytest.mark.parametrize("target", HOSTILE)
def test_red_03_a_sign_up_hands_no_hostile_target_on(one: Any, target: str) -> None:
    browser = one.browser()
    token = browser.token_on("/signup")
    fields = {"username": "ada", "password": PASSWORD, "csrf_token": token, "next": target}

    answer = browser.send("POST", "/signup", [*browser.evidence(), FORM], urlencode(fields).encode())

    assert (answer.status, answer.location) == (303, "/login?notice=signed_up&next=%2Faccount")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/reauthenticate", "/reauthenticate"),
        ("/a/b?c=d&e=f#g", "/a/b?c=d&e=f#g"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/a%20b", "/account"),
        ("/", "/"),
    ],
)
def test_red_01_a_plain_local_path_is_followed(one: Any, target: str, location: str) -> None:
    one.account()

    assert one.logged_in().get(f"/login?next={quote(target, safe='')}").location == location


@pytest.mark.parametrize(
    "target",
    [
        "https://ok.example@evil.example", "https://ok.example.evil.example", "https://ok\u3002example/",
        "https://ok.example:8443/", "https://ok.example./", "http://ok.example/", "https://OK.example/",
    ],
)  # fmt: skip
def test_red_02_other_hosts_are_never_followed(build: Callable[..., Any], target: str) -> None:
    world = build("blocking", site={"redirect_hosts": ["ok.example"]})
    world.account()

    assert world.logged_in().get(f"/login?next={quote(target, safe='')}").location == "/account"


def test_red_02_a_configured_host_is_followed_and_allowed_by_the_page(build: Callable[..., Any]) -> None:
    world = build("blocking", site={"redirect_hosts": ["ok.example"]})
    world.account()

    answer = world.logged_in().get("/login?next=https://ok.example/x")

    assert answer.location == "https://ok.example/x"
    assert (
        world.browser().get("/login").one("content-security-policy").endswith("form-action 'self' https://ok.example")
    )


def test_red_04_a_split_header_cannot_be_made(one: Any) -> None:
    one.account()
    for target in ("/%0d%0aSet-Cookie:x=1", "/\r\nx: y", "/%0aLocation:%20//evil"):
        answer = one.logged_in().get(f"/login?next={quote(target, safe='')}")

        assert answer.location == "/account"
        assert "x" not in answer.cookies


@pytest.mark.parametrize("target", ["/logout", "/logout/", "/%6cogout", "/logout?a=b", "/logout#x"])
def test_red_05_next_never_leads_to_log_out(world: Any, target: str) -> None:
    world.account()
    browser = world.logged_in()

    answer = browser.get(f"/login?next={quote(target, safe='')}")

    assert answer.location == "/account"
    assert browser.me().status == 200


@pytest.mark.parametrize(
    "query",
    ["next=/a&next=//evil.example", "next=/a&next=/b", "next=&next=/a", "next[]=/a", "NEXT=/a", "next", "next="],
)
def test_red_06_a_repeated_or_array_next_is_the_default(one: Any, query: str) -> None:
    one.account()

    assert one.logged_in().get(f"/login?{query}").location == "/account"


def test_red_06_a_repeated_next_in_the_form_is_the_default(world: Any) -> None:
    world.account()

    answer = log_in_with(world.browser(), ("next", "/a"), ("next", "//evil.example"))

    assert (answer.status, answer.location) == (303, "/account")


def test_red_06_a_list_in_json_does_no_harm(one: Any) -> None:
    one.account()

    answer = one.browser().call(
        "POST", "/api/login", {"identifier": "ada", "password": PASSWORD, "next": ["/a", "//e"]}
    )

    assert answer.status == 200
    assert answer.location is None


def test_red_03_after_re_authentication_the_target_is_judged_again(world: Any) -> None:
    world.account()

    answer = world.logged_in().post("/reauthenticate", {"password": PASSWORD, "next": "//evil.example"})

    assert answer.location == "/account?notice=reauthenticated"
