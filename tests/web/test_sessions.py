"""The life of a session as a visitor meets it: nothing is written for strangers, log-out is by post, secrets rotate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from coatcheck import Coatcheck, ConfigurationError
from coatcheck.asgi import CoatcheckASGI
from coatcheck.core.tokens import session_digest
from coatcheck.http.hosts import Origin, Site
from coatcheck.web.app import Web
from coatcheck.web.mount import Mount
from coatcheck.web.routes import ROUTES, Call, Page

PASSWORD = "a long enough passphrase"
OTHER = "another long passphrase"
SESSION_KEYS = {
    "id", "current", "created_at", "last_seen_at", "expires_at", "ip", "device", "user_agent", "methods", "remembered"
}  # fmt: skip
GETS = [r.path for r in ROUTES if isinstance(r, Page) or (isinstance(r, Call) and r.method == "GET")]


def test_ses_01_a_thousand_anonymous_gets_write_nothing(world: Any) -> None:
    before = world.records()
    paths = ("/", "/login", "/signup", "/logout", "/account", "/api/me", "/api/csrf", "/nowhere", "/api/sessions", "/x")
    world.steps.clear()

    for _ in range(100):
        for path in paths:
            world.send("GET", path)

    assert world.steps == []
    assert world.records() == before
    assert world.events() == []


def test_ses_01_only_forms_bring_a_cookie_and_it_lives_an_hour(world: Any) -> None:
    assert world.send("GET", "/api/me").cookies == {}
    assert world.send("GET", "/account").cookies == {}
    browser = world.browser()
    token = browser.token_on("/login")
    assert list(browser.jar) == [world.pre_cookie]

    world.clock.move(3600)

    assert browser.post("/login", {"identifier": "x", "password": "y"}, token=token).status == 403


def test_ses_03_log_out_happens_by_post_only(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    image = [("sec-fetch-dest", "image"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "cross-site")]

    answers = [browser.send(method, "/logout", image) for method in ("GET", "HEAD", "OPTIONS")]

    assert [answer.status for answer in answers] == [200, 200, 204]
    assert browser.me().status == 200


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("purpose", "prefetch")],
        [("sec-purpose", "prefetch;prerender"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "none")],
        [("x-moz", "prefetch"), ("sec-fetch-site", "cross-site")],
    ],
    ids=["plain", "prefetch", "prerender", "firefox"],
)
def test_ses_11_no_get_logs_anybody_in(world: Any, path: str, headers: list[tuple[str, str]]) -> None:
    """Whatever the address claims: a link that is followed, or fetched ahead, starts no session and ends none."""
    world.account()
    query = urlencode({"identifier": "ada", "username": "ada", "password": PASSWORD, "token": "A" * 43, "next": "/"})
    member, before = world.logged_in(), world.records()

    for visitor in (world.browser(), member):
        for method in ("GET", "HEAD"):
            answer = visitor.send(method, f"{path}?{query}", headers)

            assert world.cookie not in answer.cookies
            assert answer.status in (200, 303, 400, 401)
    assert world.records() == before
    assert member.me().status == 200


def test_ses_04_log_out_twice_or_without_a_session_answers_the_same(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    dead = browser.copy()
    token = browser.token_on("/account")
    nobody = world.browser()

    first = browser.post("/logout", {}, token=token)
    again = dead.post("/logout", {}, token=token)
    stranger = nobody.send(
        "POST", "/logout", [*nobody.evidence(), ("content-type", "application/x-www-form-urlencoded")]
    )

    assert first.comparable == again.comparable == stranger.comparable
    assert first.cookies == {world.cookie: ""}


def test_ses_04_the_same_by_json(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    dead = browser.copy()
    malformed = world.browser()
    malformed.jar[world.cookie] = "nonsense"

    answers = [who.call("POST", "/api/logout") for who in (browser, dead, world.browser(), malformed)]

    assert [answer.status for answer in answers] == [204] * 4
    assert all(answer.comparable == answers[0].comparable for answer in answers)


def test_ses_07_disabling_an_account_puts_its_browsers_out(world: Any) -> None:
    subject = world.account()
    browser = world.logged_in()

    world.do(world.desk.disable(subject))

    assert browser.me().status == 401
    assert world.browser().log_in().status == 401


def test_ses_10_logging_in_as_another_ends_the_first_and_carries_nothing(world: Any) -> None:
    world.account("ada")
    world.account("bob")
    browser = world.logged_in("ada")
    ada = browser.copy()
    session = world.flow(world.inner.find(session_digest(browser.token))).session
    world.flow(world.inner.patch(session.digest, namespace="app", puts={"basket": b'"coat"'}, removes=(), limit=1000))

    answer = browser.call("POST", "/api/login", {"identifier": "bob", "password": PASSWORD})

    assert answer.json["account"]["username"] == "bob"
    assert ada.me().status == 401
    assert world.flow(world.inner.find(session_digest(browser.token))).session.data == b"{}"


def test_fix_02_data_of_an_anonymous_session_survives_and_grants_nothing(world: Any) -> None:
    world.account("ada")
    browser = world.browser()
    anonymous = world.do(world.desk.start_session(None)).token.reveal()
    browser.jar[world.cookie] = anonymous
    keys = {"basket": b'"coat"', "user_id": b'"subject-of-bob"', "_auth_user_id": b"1", "is_admin": b"true"}
    world.flow(world.inner.patch(session_digest(anonymous), namespace="app", puts=keys, removes=(), limit=1000))

    browser.log_in()

    assert browser.me().json["account"]["username"] == "ada"
    assert b"coat" in world.flow(world.inner.find(session_digest(browser.token))).session.data
    assert world.send("GET", "/api/me", [("cookie", f"{world.cookie}={anonymous}")]).status == 401


def test_fix_01_log_in_gives_a_new_token_and_the_planted_one_dies(world: Any) -> None:
    """Fixation: the attacker plants his own live anonymous session, and gets nothing by it."""
    world.account()
    planted = world.do(world.desk.start_session(None)).token.reveal()
    victim = world.browser()
    victim.jar[world.cookie] = planted

    victim.log_in()

    assert victim.token != planted
    assert world.send("GET", "/api/me", [("cookie", f"{world.cookie}={planted}")]).status == 401
    assert victim.me().status == 200


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("/api/reauthenticate", {"password": PASSWORD}),
        ("/api/password/change", {"current_password": PASSWORD, "new_password": OTHER}),
        ("/api/login", {"identifier": "ada", "password": PASSWORD}),
    ],
)
def test_fix_01_every_proof_of_identity_gives_a_new_token(world: Any, call: str, fields: dict[str, str]) -> None:
    world.account()
    browser = world.logged_in()
    before = browser.copy()

    browser.call("POST", call, fields)

    assert browser.token != before.token
    assert (browser.me().status, before.me().status) == (200, 401)


def test_fix_04_a_form_token_from_before_the_log_in_is_dead_after_it(world: Any) -> None:
    world.account()
    browser = world.browser()
    pre_session = None
    token = browser.token_on("/login")
    pre_session = browser.jar[world.pre_cookie]
    browser.log_in()
    browser.jar[world.pre_cookie] = pre_session

    answer = browser.post("/logout", {}, token=token)

    assert answer.status == 403
    assert browser.me().status == 200


def test_fix_04_a_form_token_from_before_a_rotation_is_dead_after_it(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    token = browser.token_on("/account")
    browser.call("POST", "/api/reauthenticate", {"password": PASSWORD})

    assert browser.post("/logout", {}, token=token).status == 403


def test_fix_07_a_store_that_fails_at_start_sets_no_cookie(world: Any) -> None:
    world.account()
    browser = world.browser()
    token = browser.token_on("/login")
    world.fragile.broken = {"start"}

    by_page = browser.post("/login", {"identifier": "ada", "password": PASSWORD}, token=token)
    by_json = browser.call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})

    for answer in (by_page, by_json):
        assert (answer.status, answer.cookies) == (503, {})
        assert answer.one("cache-control") == "no-store"
        assert answer.one("retry-after") == "1"


def test_fix_07_what_sets_a_token_is_never_stored(world: Any) -> None:
    world.account()

    answers = [
        world.browser().log_in(),
        world.browser().call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD}),
    ]

    assert [answer.one("cache-control") for answer in answers] == ["no-store"] * 2


# The device list


def test_rev_01_the_list_has_these_keys_and_no_secret(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.logged_in()

    answer = browser.get("/api/sessions")

    for session in answer.json["sessions"]:
        assert set(session) == SESSION_KEYS
    assert not re.search(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", answer.text)
    assert not re.search(r"[0-9a-f]{64}", answer.text)
    assert browser.token not in answer.text


def test_rev_02_ending_another_session_needs_a_fresh_proof_and_ones_own_does_not(world: Any) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    id_ = other.me().json["session"]["id"]
    world.clock.move(300)

    answer = browser.call("DELETE", f"/api/sessions/{id_}")

    assert (answer.status, answer.reason) == (401, "insufficient_user_authentication")
    assert other.me().status == 200
    assert browser.call("DELETE", f"/api/sessions/{browser.me().json['session']['id']}").status == 204


def test_rev_02_a_second_before_the_proof_is_still_fresh(world: Any) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    id_ = other.me().json["session"]["id"]
    world.clock.move(299)

    assert browser.call("DELETE", f"/api/sessions/{id_}").status == 204


def test_rev_03_somebody_elses_session_is_as_unknown_as_none(world: Any) -> None:
    world.account("ada")
    world.account("eve")
    victim, attacker = world.logged_in("ada"), world.logged_in("eve")
    id_ = victim.me().json["session"]["id"]

    theirs = attacker.call("DELETE", f"/api/sessions/{id_}")
    unknown = attacker.call("DELETE", "/api/sessions/nosuchsession")
    page = attacker.post("/account/sessions/revoke", {"session_id": id_}, page="/account")

    assert theirs.comparable == unknown.comparable
    assert (theirs.status, page.status) == (404, 404)
    assert victim.me().status == 200


def test_rev_04_a_revoked_session_is_out_on_its_next_click(world: Any) -> None:
    world.account()
    here, there = world.logged_in(), world.logged_in()
    id_ = there.me().json["session"]["id"]

    here.call("DELETE", f"/api/sessions/{id_}")

    assert there.get("/account").status == 303


def test_rev_07_a_wrong_password_evicts_nobody(build: Callable[..., Any]) -> None:
    world = build("blocking", sessions_per_subject=2)
    world.account()
    one, two = world.logged_in(), world.logged_in()

    world.browser().log_in(password="a wrong enough passphrase")

    assert [one.me().status, two.me().status] == [200, 200]
    world.browser().log_in()
    assert sorted([one.me().status, two.me().status]) == [200, 401]


@pytest.mark.parametrize(
    "agent",
    [
        "<img src=x onerror=alert(1)>", "\x1b[2J\x1b]0;pwned\x07", "x\u202eevil\u2066", "a\u2028b", "A" * 10_000,
        '"><script>alert(1)</script>', "{{ 7*7 }}", "%s{0.__class__}", "\xed\xb3\xbf",
    ],
)  # fmt: skip
def test_rev_08_a_hostile_user_agent_is_inert_in_list_and_page(one: Any, agent: str) -> None:
    one.account()
    browser = one.browser(user_agent="x")
    answer = one.send(
        "POST",
        "/api/login",
        [("user-agent", agent.encode()), ("origin", one.origin), ("content-type", "application/json")],
        b'{"identifier": "ada", "password": "a long enough passphrase"}',
    )
    browser.keep(answer)

    listed = browser.get("/api/sessions").json["sessions"][0]
    page = browser.get("/account").text

    assert len(listed["user_agent"] or "") <= 256
    assert (listed["user_agent"] or "").isprintable()
    assert len(listed["device"]) <= 60
    assert "<img src=x" not in page
    assert "<script" not in page
    assert ("{{ 7*7 }}" in page) == ("{{" in agent)


# Step-up


def test_stp_01_a_proof_counts_in_its_own_session_only(world: Any) -> None:
    world.account()
    old, other = world.logged_in(), world.logged_in()
    id_ = other.me().json["session"]["id"]
    world.clock.move(400)
    fresh = world.logged_in()

    assert old.call("DELETE", f"/api/sessions/{id_}").status == 401
    assert fresh.call("DELETE", f"/api/sessions/{id_}").status == 204


GUARDED = [
    ("DELETE", "/api/sessions/nosuchsession"),
    ("DELETE", "/api/sessions"),
    ("POST", "/api/sessions/revoke-others"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_stp_02_these_calls_need_a_fresh_proof(world: Any, method: str, path: str) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    world.clock.move(301)

    answer = browser.call(method, path)

    assert (answer.status, answer.reason) == (401, "insufficient_user_authentication")
    challenge = answer.one("www-authenticate")
    assert challenge == 'Cookie realm="coatcheck", error="insufficient_user_authentication", max_age="300"'
    assert (browser.me().status, other.me().status) == (200, 200)


@pytest.mark.parametrize("path", ["/account/sessions/revoke", "/account/sessions/revoke-others"])
def test_stp_02_these_forms_lead_to_the_proof_first(world: Any, path: str) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    id_ = other.me().json["session"]["id"]
    world.clock.move(301)

    answer = browser.post(path, {"session_id": id_}, page="/account")

    assert (answer.status, answer.location) == (303, "/reauthenticate?next=%2Faccount")
    assert other.me().status == 200


def test_stp_02_a_password_change_carries_its_own_proof(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.clock.move(301)

    answer = browser.call("POST", "/api/password/change", {"current_password": PASSWORD, "new_password": OTHER})

    assert answer.status == 204


def test_stp_04_a_remembered_session_is_not_fresh_for_that(world: Any) -> None:
    world.account()
    browser = world.logged_in(remember=True)
    world.clock.move(10 * 86_400)

    assert browser.me().status == 200
    assert browser.call("DELETE", "/api/sessions").status == 401


def test_stp_05_another_accounts_password_proves_nothing_and_counts(world: Any) -> None:
    world.account("ada")
    world.account("bob", password="the password of bob himself")
    browser = world.logged_in("ada")

    answer = browser.call("POST", "/api/reauthenticate", {"password": "the password of bob himself"})

    assert answer.status == 401
    assert "reauthentication_failed" in [event.name for event in world.events()]


def test_stp_06_a_proof_rotates_the_token(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    before = browser.copy()

    browser.post("/reauthenticate", {"password": PASSWORD})

    assert (browser.me().status, before.me().status) == (200, 401)


def test_stp_08_what_was_about_to_be_done_is_not_done_by_the_proof(world: Any) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    world.clock.move(301)
    refused = browser.post("/account/sessions/revoke-others", {}, page="/account")

    answer = browser.post("/reauthenticate", {"password": PASSWORD, "next": "/account/sessions/revoke-others"})

    assert refused.location.startswith("/reauthenticate")
    assert answer.status == 303
    assert browser.get(answer.location).location == "/account"
    assert other.me().status == 200


def test_tmo_01_a_session_ends_at_its_idle_deadline_and_not_a_second_before(world: Any) -> None:
    world.account()
    early, late = world.logged_in(), world.logged_in()
    world.clock.move(3600 + 60 - 1)
    assert early.me().status == 200

    world.clock.move(1)

    assert late.me().status == 401


def test_tmo_02_activity_never_extends_the_absolute_life(one: Any) -> None:
    one.account()
    browser = one.logged_in()
    for _ in range(47):
        one.clock.move(1800)
        assert browser.me().status == 200

    one.clock.move(1800)

    assert browser.me().status == 401


def test_tmo_09_a_passive_path_keeps_no_session_alive(world: Any) -> None:
    world.web.mount.passive_paths = frozenset({"/api/me"})
    world.account()
    active, passive = world.logged_in(), world.logged_in()
    alive = 0
    for _ in range(120):
        world.clock.move(60)
        assert active.get("/api/sessions").status == 200
        alive += passive.me().status == 200

    assert alive == 60, "the idle timeout of an hour, and the touch step of a minute at whose end it is over"
    assert active.me().status == 200


def test_tmo_09_a_passive_path_is_named_from_the_root() -> None:
    with pytest.raises(ConfigurationError, match="passive_paths: 'api/me' must begin with /"):
        Mount(Coatcheck("memory://"), Site(development=True), passive_paths=["api/me"])


def test_hst_07_two_stores_on_one_host_need_cookies_of_their_own() -> None:
    def door(store: str, **site: Any) -> CoatcheckASGI:
        site.setdefault("public_origin", Origin.parse("https://two.example.org"))
        return CoatcheckASGI(Web(Mount(Coatcheck(store), Site(**site))))

    first = door("memory://")
    with pytest.raises(ConfigurationError, match="cookie_name: another Coatcheck of this process uses __Host-coat"):
        door("memory://")
    with pytest.raises(ConfigurationError, match="give one of the two a cookie_name"):
        door("memory://", public_origin=Origin.parse("https://two.example.org:8443"))
    others = [
        door("memory://", cookie_name="other"),
        door("memory://", public_origin=Origin.parse("https://elsewhere.example.org")),
        door("sqlite:///one.db", cookie_name="shared"),
        door("sqlite:///one.db", cookie_name="shared"),
    ]
    assert len(others) == 4

    del first
    assert door("memory://"), "what nobody refers to any more claims nothing"
