"""Forms as people meet them: left open, sent too often, reloaded, come to from the page before."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from coatcheck.http import presession
from coatcheck.web.pages import messages
from coatcheck.web.routes import ROUTES, Form, Page

PASSWORD = "a long enough passphrase"
OTHER = "another long passphrase"
FORM = ("content-type", "application/x-www-form-urlencoded")
STALE = messages.text("reason.csrf_token_invalid")


def summary_of(answer: Any) -> str:
    """What the page says first, in the box that has the focus."""
    found = re.search(r'<div class="problem-summary".*?</div>', answer.text, re.DOTALL)
    return "" if found is None else " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


def value_of(answer: Any, field: str) -> str:
    (value,) = re.findall(rf'<input id="{field}"[^>]*? value="([^"]*)"', answer.text)
    return str(html.unescape(value))


def token_in(answer: Any) -> str:
    return str(re.findall(r'name="csrf_token" value="([^"]+)"', answer.text)[-1])


# A form without a token


def test_csr_06_a_form_of_the_application_s_without_a_token_is_refused_in_words_that_help(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world.account()
    browser = world.browser()
    browser.log_in("ada")

    for accept in ("text/html", "application/json", "application/json, text/plain, */*"):
        refused = browser.send("POST", "/logout", [*browser.evidence(), FORM, ("accept", accept)], b"a=1")

        assert refused.status == 403
        if accept == "text/html":
            assert "csrf_token" in summary_of(refused)
        else:
            assert (refused.one("content-type"), refused.reason) == ("application/problem+json", "csrf_token_required")
    assert browser.get("/account").status == 200
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert said[0].startswith("csrf_token_required: /logout: a form was posted without its field csrf_token")


def test_a_form_that_is_posted_by_a_program_is_refused_as_json(world: Any) -> None:
    browser = world.browser()
    fields = {"identifier": "nobody", "password": PASSWORD, "csrf_token": browser.token_on("/login")}
    asked = [*browser.evidence(), FORM, ("accept", "application/json")]

    refused = browser.send("POST", "/login", asked, urlencode(fields).encode())

    assert (refused.status, refused.reason) == (401, "invalid_credentials")


# A form that was left open


def test_csr_06_a_form_left_open_is_refused_and_shown_again_with_what_was_typed(world: Any) -> None:
    world.account()
    browser, before = world.browser(), world.records()
    old = browser.token_on("/login")
    del browser.jar[world.pre_cookie]
    browser.get("/login")
    typed = {"identifier": "ada", "password": PASSWORD, "remember": "on", "next": "/reauthenticate"}

    refused = browser.post("/login", typed, token=old)

    assert (refused.status, world.lane.hashed, world.records()) == (403, 0, before)
    assert world.cookie not in refused.cookies
    assert [event.details["cause"] for event in world.events("cross_site_refused")] in ([], ["csrf_token_invalid"])
    assert STALE in summary_of(refused)
    assert value_of(refused, "identifier") == "ada"
    assert "checked" in refused.text
    assert PASSWORD not in refused.text
    again = browser.post("/login", typed, token=token_in(refused))
    assert (again.status, again.location) == (303, "/reauthenticate")


def test_fix_04_a_form_from_before_a_rotation_is_refused_shown_again_and_good_the_second_time(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    old = browser.token_on("/account")
    browser.post("/reauthenticate", {"password": PASSWORD})
    fields = {"current_password": PASSWORD, "new_password": OTHER}

    refused = browser.post("/account/password", fields, token=old)

    assert refused.status == 403
    assert STALE in summary_of(refused)
    assert browser.me().status == 200
    assert not re.search(f"{PASSWORD}|{OTHER}", refused.text)
    again = browser.post("/account/password", fields, token=token_in(refused))
    assert (again.status, again.location) == (303, "/account?notice=password_changed")


@pytest.mark.parametrize("path", [route.path for route in ROUTES if isinstance(route, Form)])
def test_fix_04_every_form_with_another_sessions_token_does_nothing_and_says_why(world: Any, path: str) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    fields = {
        "username": "eve", "identifier": "ada", "password": PASSWORD, "session_id": other.me().json["session"]["id"],
        "current_password": PASSWORD, "new_password": OTHER,
    }  # fmt: skip
    before = world.records()

    answer = browser.post(path, fields, token=other.token_on("/account"))

    assert (answer.status, answer.cookies, world.lane.hashed) == (403, {}, 0)
    assert world.records() == before
    assert STALE in summary_of(answer)


@pytest.mark.parametrize("path", ["/account/password", "/account/sessions/revoke", "/reauthenticate"])
def test_csr_06_a_form_of_a_session_that_is_gone_is_403_with_a_way_on(world: Any, path: str) -> None:
    browser = world.browser()
    browser.get("/login")

    answer = browser.post(path, {"password": PASSWORD}, token="A" * 64)

    assert answer.status == 403
    assert summary_of(answer) == ""
    assert f'href="{"/account" if path.startswith("/account") else path}"' in answer.text


def test_csr_02_another_site_fills_in_no_form_of_ours(world: Any) -> None:
    """Where the headers do not say that a post is ours, nothing of it is shown: no prepared log-in form."""
    browser = world.browser()
    browser.get("/login")
    body = urlencode({"identifier": "eve-was-here", "password": PASSWORD}).encode()

    for evidence in ([], [("origin", "https://evil.example")], [("sec-fetch-site", "cross-site")]):
        answer = browser.send("POST", "/login", [*evidence, FORM], body)

        assert answer.status == 403
        assert "eve-was-here" not in answer.text
        assert 'name="identifier"' not in answer.text


# How long to wait


def test_a_throttled_log_in_says_in_words_how_long_to_wait(world: Any) -> None:
    world.account()
    for _ in range(5):
        world.browser().call("POST", "/api/login", {"identifier": "ada", "password": "wrong"})

    answer = world.browser().log_in()

    assert (answer.status, answer.one("retry-after")) == (429, "30")
    assert "Please wait 30 seconds, then try again." in summary_of(answer)


def test_the_wait_of_a_password_change_is_told_on_its_page(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    fields = {"current_password": "wrong", "new_password": OTHER}
    for _ in range(5):
        browser.post("/account/password", fields, page="/account")

    answer = browser.post("/account/password", fields, page="/account")

    assert answer.status == 429
    assert "Please wait 30 seconds, then try again." in summary_of(answer)


# From signing up to logging in


@pytest.mark.parametrize(
    ("names", "carried"),
    [
        ({"username": "Ada", "email": ""}, "Ada"),
        ({"username": "", "email": "ada@example.org"}, "ada@example.org"),
        ({"username": "ada", "email": "ada@example.org"}, "ada"),
    ],
)
def test_the_name_somebody_signed_up_under_stands_in_the_log_in_form(
    world: Any, names: dict[str, str], carried: str
) -> None:
    browser = world.browser()

    signed_up = browser.post("/signup", {**names, "password": PASSWORD})
    page = browser.get(signed_up.location)

    assert signed_up.location == "/login?notice=signed_up"
    assert value_of(page, "identifier") == carried
    assert re.search(r'<input id="password"[^>]* autofocus>', page.text)
    assert value_of(browser.get("/login"), "identifier") == "", "it goes one page and no further"


def test_no_address_fills_in_the_log_in_form(world: Any) -> None:
    browser = world.browser()

    for name in ("identifier", "username", "email", "carried", "word", "values"):
        page = browser.get(f"/login?notice=signed_up&{name}=mallory")

        assert "mallory" not in page.text
        assert value_of(page, "identifier") == ""


def test_csr_08_a_name_that_we_did_not_sign_is_not_shown(world: Any) -> None:
    """A planted cookie prepares no log-in: neither one of another key, nor of another time."""
    browser, now = world.browser(), world.clock()
    key = world.web.mount.keys.presession
    for forged in (
        presession.issue(bytes(32), nonce=bytes(16), now=now, word="eve"),
        presession.issue(key, nonce=bytes(16), now=now - presession.LIFE, word="eve"),
        presession.issue(key, nonce=bytes(16), now=now + 1, word="eve"),
    ):
        browser.jar[world.pre_cookie] = forged

        assert value_of(browser.get("/login"), "identifier") == ""


def test_ses_01_signing_up_by_the_api_leaves_no_cookie_and_no_name(world: Any) -> None:
    browser = world.browser()

    answer = browser.call("POST", "/api/signup", {"username": "ada", "password": PASSWORD})

    assert (answer.status, answer.cookies) == (201, {})
    assert value_of(browser.get("/login"), "identifier") == ""


def test_fix_02_a_name_is_not_carried_into_a_session(world: Any) -> None:
    browser = world.browser()
    browser.post("/signup", {"username": "ada", "password": PASSWORD})

    logged_in = browser.log_in()

    assert logged_in.cookies[world.pre_cookie] == ""
    assert world.pre_cookie not in browser.jar


# The address of a form


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [route.path for route in ROUTES if isinstance(route, Form)])
def test_csr_10_the_address_of_a_form_leads_to_the_page_that_shows_it_and_does_nothing(
    world: Any, path: str, method: str
) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    before = world.records()

    answer = browser.send(method, f"{path}?session_id={other.me().json['session']['id']}&csrf_token=x")

    assert answer.status in (200, 303)
    assert answer.location in (None, "/account")
    assert world.records() == before


def test_every_form_has_a_page_at_its_address() -> None:
    pages = {route.path for route in ROUTES if isinstance(route, Page)}

    assert {route.path for route in ROUTES if isinstance(route, Form)} <= pages


# A way on


def test_every_problem_page_leads_home_and_to_another_try_where_that_can_help(one: Any) -> None:
    one.account()
    browser, pages = one.logged_in(), {}
    browser.get("/account")
    pages[404] = browser.get("/nowhere"), None
    pages[405] = browser.send("POST", "/account"), None
    pages[403] = browser.send("POST", "/account/password", [("origin", "https://evil.example"), FORM]), None
    pages[413] = browser.send("POST", "/reauthenticate", [*browser.evidence(), FORM], b"x" * 70_000), None
    one.fragile.broken = {"find"}
    pages[503] = browser.get("/account"), "/account"

    for status, (answer, again) in pages.items():
        assert answer.status == status
        main = re.search(r"<main.*</main>", answer.text, re.DOTALL)[0]  # type: ignore[index]
        assert re.findall(r'href="([^"]+)"', main) == [*([again] if again else []), "/"], status


def test_under_a_prefix_the_way_on_stays_there(build: Any) -> None:
    world = build(prefix="/auth")
    browser = world.browser()

    refused = browser.send("POST", "/auth/account/password", [("origin", "https://evil.example"), FORM])

    assert 'href="/auth/account"' in refused.text
    assert 'href="/auth/"' in refused.text


# Recent events


def test_the_event_of_a_revocation_names_the_device_that_was_revoked(world: Any) -> None:
    world.account()
    owner, phone = world.logged_in(), world.browser(user_agent="curl/8.14.1")
    phone.log_in()

    owner.post("/account/sessions/revoke", {"session_id": phone.me().json["session"]["id"]}, page="/account")
    told = re.findall(r'<p class="what">(.*?)</p>\s*<p class="where">(.*?)</p>', owner.get("/account").text, re.DOTALL)

    what, where = told[0]
    assert what == "A device was logged out: curl"
    assert "Firefox" in where


def test_an_event_of_a_session_that_is_purged_names_no_device(world: Any) -> None:
    world.account()
    owner, phone = world.logged_in(), world.logged_in()
    owner.post("/account/sessions/revoke", {"session_id": phone.me().json["session"]["id"]}, page="/account")
    world.clock.move(86_400 + 3600)
    world.do(world.desk.purge())

    page = world.logged_in().get("/account")

    assert '<p class="what">A device was logged out</p>' in page.text
