"""The main job, by JSON and by page: sign up, log in twice, see both devices, throw one out."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import ALL_KINDS

PASSWORD = "a long enough passphrase"
OTHER = "another long passphrase"


@pytest.fixture(params=ALL_KINDS.values(), ids=ALL_KINDS)
def world(request: pytest.FixtureRequest, build: Callable[..., Any]) -> Any:
    """Over every store."""
    colour, store, production = request.param
    return build(colour, store, production=production)


def alert(answer: Any) -> str:
    found = re.search(r'role="alert".*?</div>', answer.text, re.DOTALL)
    assert found, "no error summary on the page"
    return html.unescape(found[0])


def value_of(answer: Any, field: str) -> str | None:
    found = re.search(rf'<input id="{field}"[^>]*? value="([^"]*)"', answer.text)
    return html.unescape(found[1]) if found else None


def test_the_story_by_page(world: Any) -> None:
    """Sign up, log in from two browsers, see both, revoke one: it is out on its next click."""
    home, phone = world.browser(ip="192.0.2.1"), world.browser(ip="192.0.2.2")

    signed_up = home.post("/signup", {"username": "ada", "email": "ada@example.org", "password": PASSWORD})
    assert (signed_up.status, signed_up.location) == (303, "/login?notice=signed_up")
    assert "Your account is open" in home.get(signed_up.location).text
    assert world.cookie not in home.jar

    for browser in (home, phone):
        logged_in = browser.log_in()
        assert (logged_in.status, logged_in.location) == (303, "/account")
    page = home.get("/account")
    assert page.status == 200
    assert "192.0.2.1" in page.text
    assert "192.0.2.2" in page.text
    listed = home.get("/api/sessions").json["sessions"]
    other = next(session for session in listed if not session["current"])

    revoked = home.post("/account/sessions/revoke", {"session_id": other["id"]}, page="/account")
    assert (revoked.status, revoked.location) == (303, "/account?notice=session_revoked")

    click = phone.get("/account")
    assert (click.status, click.location) == (303, "/login?next=%2Faccount&ended=revoked")
    assert world.cookie not in phone.jar
    assert "This device was logged out from elsewhere" in phone.get(click.location).text
    assert home.get("/account").status == 200


def test_the_story_by_json_with_a_browsers_headers(world: Any) -> None:
    tell_by_json(world.browser(ip="192.0.2.1"), world.browser(ip="192.0.2.2"))


def test_the_story_by_json_from_curl(world: Any) -> None:
    """No header that browsers send: strict JSON where no cookie of ours goes along, else a token from /api/csrf."""
    tell_by_json(world.curl(ip="192.0.2.1"), world.curl(ip="192.0.2.2"))


def tell_by_json(home: Any, phone: Any) -> None:
    signed_up = home.call("POST", "/api/signup", {"username": "ada", "password": PASSWORD})
    assert signed_up.status == 201
    subject = signed_up.json["account"]["subject"]

    for browser in (home, phone):
        logged_in = browser.call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})
        assert logged_in.status == 200
        assert logged_in.json["account"]["subject"] == subject
        assert logged_in.json["session"]["current"]
    listed = home.get("/api/sessions").json
    assert [session["ip"] for session in listed["sessions"]] in (
        ["192.0.2.2", "192.0.2.1"],
        ["192.0.2.1", "192.0.2.2"],  # both began within the same second
    )
    other = next(session for session in listed["sessions"] if not session["current"])

    revoked = home.call("DELETE", f"/api/sessions/{other['id']}")
    assert (revoked.status, revoked.body) == (204, b"")

    click = phone.me()
    assert (click.status, click.reason) == (401, "not_authenticated")
    assert home.me().json["account"]["username"] == "ada"


def test_logging_in_by_address_is_logging_in_by_name(world: Any) -> None:
    world.account("ada")
    browser = world.browser()

    answer = browser.log_in("ADA@Example.org")

    assert answer.status == 303
    assert browser.me().json["account"]["username"] == "ada"


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
def test_ses_02_a_copied_cookie_is_dead_after_log_out(world: Any, by_page: bool) -> None:
    world.account()
    browser = world.logged_in()
    thief = browser.copy()

    answer = browser.post("/logout", {}) if by_page else browser.call("POST", "/api/logout")

    assert answer.status == (303 if by_page else 204)
    assert thief.me().status == 401
    assert world.cookie not in browser.jar


def test_revoke_others_ends_all_but_this_one(world: Any) -> None:
    world.account()
    here, one, two = world.logged_in(), world.logged_in(), world.logged_in()

    answer = here.call("POST", "/api/sessions/revoke-others")

    assert answer.json == {"revoked": 2}
    assert [browser.me().status for browser in (here, one, two)] == [200, 401, 401]


def test_the_button_on_the_page_revokes_the_others_too(world: Any) -> None:
    world.account()
    here, other = world.logged_in(), world.logged_in()

    answer = here.post("/account/sessions/revoke-others", {}, page="/account")

    assert answer.location == "/account?notice=others_revoked"
    assert [browser.me().status for browser in (here, other)] == [200, 401]


def test_revoking_all_ends_this_one_too_and_clears_the_cookie(world: Any) -> None:
    world.account()
    here, other = world.logged_in(), world.logged_in()
    thief = here.copy()

    answer = here.call("DELETE", "/api/sessions")

    assert (answer.status, answer.cookies) == (204, {world.cookie: ""})
    assert [browser.me().status for browser in (thief, other)] == [401, 401]


def test_revoking_ones_own_session_by_its_id_is_logging_out(world: Any) -> None:
    world.account()
    here = world.logged_in()
    thief = here.copy()

    answer = here.call("DELETE", f"/api/sessions/{here.me().json['session']['id']}")

    assert (answer.status, answer.cookies) == (204, {world.cookie: ""})
    assert thief.me().status == 401
    assert [event.name for event in world.events()][-1] == "logged_out"


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
def test_rev_05_changing_the_password_ends_the_others_and_rotates_this_one(world: Any, by_page: bool) -> None:
    world.account()
    here, other = world.logged_in(), world.logged_in()
    old = here.copy()
    fields = {"current_password": PASSWORD, "new_password": OTHER}

    if by_page:
        answer = here.post("/account/password", fields, page="/account")
        assert answer.location == "/account?notice=password_changed"
    else:
        answer = here.call("POST", "/api/password/change", fields)
        assert answer.status == 204

    assert [browser.me().status for browser in (here, other, old)] == [200, 401, 401]
    assert world.browser().log_in(password=PASSWORD).status == 401
    assert world.browser().log_in(password=OTHER).status == 303


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
def test_re_authentication_makes_an_old_session_fresh(world: Any, by_page: bool) -> None:
    world.account()
    here, other = world.logged_in(), world.logged_in()
    id_ = other.me().json["session"]["id"]
    world.clock.move(301)
    assert here.call("DELETE", f"/api/sessions/{id_}").status == 401

    if by_page:
        assert here.post("/reauthenticate", {"password": PASSWORD}).status == 303
    else:
        assert here.call("POST", "/api/reauthenticate", {"password": PASSWORD}).status == 204

    assert here.call("DELETE", f"/api/sessions/{id_}").status == 204


def test_re_authentication_says_thank_you_on_the_account_page(one: Any) -> None:
    one.account()
    here = one.logged_in()

    answer = here.post("/reauthenticate", {"password": PASSWORD})

    assert "Thank you" in here.get(answer.location).text


def test_log_08_an_account_sees_its_own_events_only(world: Any) -> None:
    world.account("ada")
    world.account("bob")
    ada, _ = world.logged_in("ada"), world.logged_in("bob")
    session = ada.me().json["session"]

    answer = ada.get(f"/api/events?of={'subject-of-bob'}&subject=subject-of-bob")

    assert [event["name"] for event in answer.json["events"]] == ["logged_in"]
    assert answer.json["events"][0]["session_id"] == session["id"]


def test_events_come_newest_first_and_page_by_page(world: Any) -> None:
    world.account()
    browsers = [world.logged_in() for _ in range(3)]
    ids = [browser.me().json["session"]["id"] for browser in browsers]
    seen: list[str] = []
    cursor = ""

    for _ in range(3):
        page = browsers[0].get(f"/api/events?limit=1{cursor}").json
        seen.extend(event["session_id"] for event in page["events"])
        cursor = f"&cursor={page['next']}"

    assert seen == ids[::-1]
    assert page["next"] is None


def test_sessions_come_page_by_page(world: Any) -> None:
    world.account()
    browsers = [world.logged_in() for _ in range(3)]
    whole = [session["id"] for session in browsers[0].get("/api/sessions").json["sessions"]]
    first = browsers[0].get("/api/sessions?limit=2").json

    second = browsers[0].get(f"/api/sessions?limit=2&cursor={first['next']}").json

    assert [session["id"] for session in (*first["sessions"], *second["sessions"])] == whole
    assert second["next"] is None


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
def test_cky_05_a_remembered_log_in_keeps_its_cookie_for_its_absolute_life(world: Any, by_page: bool) -> None:
    world.account()
    browser = world.browser()

    if by_page:
        answer = browser.log_in(remember="on")
    else:
        answer = browser.call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD, "remember": True})

    cookie = next(cookie for cookie in answer.all("set-cookie") if cookie.startswith(f"{world.cookie}="))
    assert "; Max-Age=2592000" in cookie
    assert browser.get("/api/sessions").json["sessions"][0]["remembered"]


def test_cky_05_max_age_is_what_is_left_of_the_absolute_life(one: Any) -> None:
    """After 1 day of 30 a new secret by re-authentication starts 30 days anew; never more than the record says."""
    one.account()
    browser = one.logged_in(remember=True)
    one.clock.move(86_400)

    answer = browser.call("POST", "/api/reauthenticate", {"password": PASSWORD})

    cookie = next(cookie for cookie in answer.all("set-cookie") if cookie.startswith(f"{one.cookie}="))
    record = one.records()["sessions"][0].session
    assert f"; Max-Age={record.expires_at - one.clock()}" in cookie


def test_cky_05_a_log_in_that_is_not_remembered_ends_with_the_browser(world: Any) -> None:
    world.account()

    answer = world.browser().log_in()

    assert not [
        cookie for cookie in answer.all("set-cookie") if cookie.startswith(f"{world.cookie}=") and "ax-" in cookie
    ]


# What surrounds a log-in


def test_whoever_is_logged_in_is_sent_home_from_log_in_and_sign_up(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    answers = [browser.get(path) for path in ("/login", "/signup", "/")]

    assert [(answer.status, answer.location) for answer in answers] == [(303, "/account")] * 3


def test_a_stranger_is_sent_to_log_in_from_home(world: Any) -> None:
    answer = world.browser().get("/")

    assert (answer.status, answer.location) == (303, "/login")


def test_log_in_leads_back_to_where_it_was_asked(world: Any) -> None:
    world.account()
    browser = world.browser()
    asked = browser.get("/reauthenticate")
    page = browser.get(asked.location)
    next_ = re.search(r'name="next" value="([^"]*)"', page.text)

    answer = browser.log_in(next=next_[1])

    assert asked.location == "/login?next=%2Freauthenticate"
    assert answer.location == "/reauthenticate"


def test_next_travels_from_log_in_to_sign_up_and_back(one: Any) -> None:
    browser = one.browser()
    log_in = browser.get("/login?next=/reauthenticate")
    to_sign_up = html.unescape(re.search(r'href="(/signup\?next[^"]*)"', log_in.text)[1])
    sign_up = browser.get(to_sign_up)
    next_ = re.search(r'name="next" value="([^"]*)"', sign_up.text)[1]

    answer = browser.post("/signup", {"username": "ada", "password": PASSWORD, "next": next_})

    assert "next=%2Freauthenticate" in answer.location
    assert "notice=signed_up" in answer.location
    assert 'name="next" value="/reauthenticate"' in browser.get(answer.location).text


@pytest.mark.parametrize("page", ["/account", "/", "/login", "/signup"])
def test_a_stale_cookie_leads_to_log_in_with_the_reason_and_in_no_circle(world: Any, page: str) -> None:
    world.account()
    browser = world.logged_in()
    world.clock.move(3 * 3600)

    answer, hops = browser.get(page), 0
    while answer.status == 303:
        answer, hops = browser.get(answer.location), hops + 1

    assert hops <= 1
    assert answer.status == 200
    assert world.cookie not in browser.jar
    assert "You were away for a while" in answer.text or page == "/signup"
    assert browser.log_in().status == 303


def test_a_stale_cookie_that_the_browser_keeps_makes_no_circle(one: Any) -> None:
    one.account()
    browser = one.logged_in()
    one.clock.move(3 * 3600)
    stale = dict(browser.jar)

    answers = []
    for path in ("/account", "/login", "/login"):
        browser.jar = dict(stale)
        answers.append(browser.get(path).status)

    assert answers == [303, 200, 200]


def test_a_refused_log_in_keeps_what_was_typed_but_never_the_password(world: Any) -> None:
    world.account()

    answer = world.browser().log_in("ada", "a wrong enough canary", remember="on", next="/reauthenticate")

    assert answer.status == 401
    assert "No account goes with this name and this password" in alert(answer)
    assert value_of(answer, "identifier") == "ada"
    assert " checked" in answer.text
    assert 'name="next" value="/reauthenticate"' in answer.text
    assert "canary" not in answer.text


def test_a_refused_sign_up_tells_every_fault_and_keeps_the_names(world: Any) -> None:
    browser = world.browser()

    answer = browser.post("/signup", {"username": "a b", "email": "nobody", "password": "short canary"})

    assert answer.status == 422
    assert alert(answer).count("<li>") == 3
    assert (value_of(answer, "username"), value_of(answer, "email")) == ("a b", "nobody")
    assert "canary" not in answer.text


def test_a_refused_log_in_says_so_to_whoever_is_logged_in_already(one: Any) -> None:
    """A redirect home would look like success while it is still the other account."""
    one.account("ada")
    one.account("bob")
    browser = one.logged_in("ada")
    token = browser.token_on("/account")

    answer = browser.post("/login", {"identifier": "bob", "password": "a wrong enough passphrase"}, token=token)

    assert answer.status == 401
    assert "No account goes with" in alert(answer)


def test_a_refused_sign_up_says_so_to_whoever_is_logged_in_already(one: Any) -> None:
    one.account("ada")
    browser = one.logged_in("ada")
    token = browser.token_on("/account")

    answer = browser.post("/signup", {"username": "x", "password": "short"}, token=token)

    assert answer.status == 422


def test_a_subject_without_an_account_of_ours_sees_its_devices_and_is_asked_for_no_password(world: Any) -> None:
    """Identity was proven in another way: there is no profile, and no password that could be changed or confirmed."""
    browser, elsewhere = world.logged_in("nobody-here"), world.logged_in("nobody-here")
    assert browser.get("/").location == "/account"

    page = browser.get("/account")
    assert page.status == 200
    assert page.text.count('class="ticket') == 2
    assert 'action="/logout"' in page.text
    assert 'type="password"' not in page.text
    assert "/signup" not in page.text
    confirming = browser.get("/reauthenticate")
    assert 'type="password"' not in confirming.text
    assert confirming.text.count('action="/logout"') == 1
    assert "log in again as you did" in confirming.text
    assert browser.post("/account/sessions/revoke-others", {}, page="/account").status == 303
    assert elsewhere.get("/account").location.endswith("ended=revoked")
    assert browser.post("/logout", {}, page="/reauthenticate").status == 303
    assert browser.get("/").location.startswith("/login")


def test_a_refused_password_change_shows_the_account_page_with_the_field_at_fault(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    answer = browser.post(
        "/account/password", {"current_password": "a wrong enough canary", "new_password": OTHER}, page="/account"
    )

    assert answer.status == 401
    assert "That is not your current password" in alert(answer)
    assert "canary" not in answer.text
    assert OTHER not in answer.text


def test_a_form_of_somebody_who_is_no_longer_logged_in_leads_to_log_in_and_back_to_a_page(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    token = browser.token_on("/account")
    world.clock.move(3 * 3600)

    answer = browser.post("/account/sessions/revoke-others", {}, token=token)

    assert (answer.status, answer.location) == (303, "/login?next=%2Faccount&ended=idle_timeout")


def test_notices_are_ours_and_nobody_elses(one: Any) -> None:
    """The address chooses a sentence by name; it cannot bring its own."""
    page = one.browser().get("/login?notice=Call+1-900-EVIL&ended=Call+1-900-EVIL")

    assert page.status == 200
    assert "1-900" not in page.text


def test_mounted_under_a_prefix_every_path_and_redirect_stays_below_it(build: Any) -> None:
    world = build("blocking", prefix="/auth")
    world.account()
    browser = world.browser()

    answer = browser.post("/auth/login", {"identifier": "ada", "password": PASSWORD})

    assert answer.location == "/auth/account"
    page = browser.get("/auth/account").text
    assert set(re.findall(r'(?:href|action|src)="(/[^"]*)"', page)) == {
        path for path in re.findall(r'(?:href|action|src)="(/[^"]*)"', page) if path.startswith("/auth/")
    }
    assert browser.get("/auth/api/me").status == 200
    assert browser.get("/api/me").status == 404
    assert browser.get("/authapi/me").status == 404
    assert world.browser().get("/auth/account").location == "/auth/login?next=%2Fauth%2Faccount"


@pytest.mark.parametrize("change", ["reauthenticate", "log_in"])
def test_a_late_answer_to_the_token_before_does_not_take_the_new_cookie_away(world: Any, change: str) -> None:
    world.account()
    browser = world.logged_in()
    before = dict(browser.jar)
    if change == "log_in":
        browser.call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})
    else:
        browser.call("POST", "/api/reauthenticate", {"password": PASSWORD})
    after = dict(browser.jar)

    for path in ("/api/me", "/account", "/login"):
        browser.jar = dict(before)
        late = browser.get(path)
        assert world.cookie not in late.cookies

    browser.jar = after
    assert browser.me().status == 200
