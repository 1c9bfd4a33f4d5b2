"""The JSON table: each call, its statuses and bodies, and the one shape of all refusals."""

from __future__ import annotations

from typing import Any

import pytest

PASSWORD = "a long enough passphrase"
OTHER = "another long passphrase"
ACCOUNT = {"subject", "username", "email", "created_at"}
SESSION = {
    "id", "current", "created_at", "last_seen_at", "expires_at", "ip", "device", "user_agent", "methods", "remembered"
}  # fmt: skip
PROBLEM = {"type", "title", "status", "reason", "errors"}


def test_sign_up_answers_201_with_the_account(world: Any) -> None:
    browser = world.browser()

    answer = browser.call("POST", "/api/signup", {"username": "Ada", "email": "ada@example.org", "password": PASSWORD})

    assert answer.status == 201
    assert answer.one("content-type") == "application/json"
    assert set(answer.json) == {"account"}
    assert set(answer.json["account"]) == ACCOUNT
    assert answer.json["account"]["username"] == "Ada"
    assert answer.json["account"]["created_at"] == "2027-01-15T08:00:00Z"
    assert answer.cookies == {}


@pytest.mark.parametrize("names", [{"username": "ada"}, {"email": "ada@example.org"}])
def test_a_name_or_an_address_is_enough(one: Any, names: dict[str, str]) -> None:
    answer = one.browser().call("POST", "/api/signup", {**names, "password": PASSWORD})

    assert answer.status == 201


@pytest.mark.parametrize(
    ("fields", "reason", "pointer"),
    [
        ({"username": "ADA"}, "username_taken", "/username"),
        ({"email": "ADA@Example.ORG"}, "email_taken", "/email"),
    ],
)
def test_a_taken_name_answers_409(world: Any, fields: dict[str, str], reason: str, pointer: str) -> None:
    world.account("ada")

    answer = world.browser().call("POST", "/api/signup", {**fields, "password": PASSWORD})

    assert (answer.status, answer.reason) == (409, reason)
    assert answer.json["errors"] == [{"pointer": pointer, "reason": reason}]


def test_sign_up_against_the_rules_answers_422_with_every_fault(world: Any) -> None:
    answer = world.browser().call("POST", "/api/signup", {"username": "a b", "email": "x", "password": "short"})

    assert (answer.status, answer.reason) == (422, "invalid_input")
    assert answer.json["errors"] == [
        {"pointer": "/username", "reason": "username_invalid"},
        {"pointer": "/email", "reason": "email_invalid"},
        {"pointer": "/password", "reason": "password_too_short"},
    ]
    assert world.lane.hashed == 0


def test_log_in_answers_account_and_session_and_sets_the_cookie(world: Any) -> None:
    world.account("ada")

    answer = world.browser().call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})

    assert answer.status == 200
    assert set(answer.json) == {"account", "session"}
    assert set(answer.json["account"]) == ACCOUNT
    assert set(answer.json["session"]) == SESSION
    assert answer.json["session"]["methods"] == ["pwd"]
    assert answer.json["session"]["device"].startswith("Firefox")
    assert list(answer.cookies) == [world.cookie, world.device_cookie]
    assert answer.one("cache-control") == "no-store"


def test_log_in_with_a_wrong_password_answers_401_with_a_challenge(world: Any) -> None:
    world.account("ada")

    answer = world.browser().call("POST", "/api/login", {"identifier": "ada", "password": "wrong"})

    assert (answer.status, answer.reason) == (401, "invalid_credentials")
    assert answer.one("www-authenticate") == 'Cookie realm="coatcheck"'
    assert answer.json["errors"] == []
    assert answer.cookies == {}


def test_the_transport_that_is_not_there_yet_is_refused_by_name(one: Any) -> None:
    """A client that asked for a bearer token must not be handed a cookie in silence."""
    answer = one.browser().call(
        "POST", "/api/login", {"identifier": "ada", "password": PASSWORD, "transport": "bearer"}
    )

    assert (answer.status, answer.reason) == (400, "invalid_fields")
    assert answer.json["errors"] == [{"pointer": "/transport", "reason": "invalid"}]


def test_too_many_tries_answer_429_with_retry_after(world: Any) -> None:
    world.account("ada")
    for _ in range(5):
        world.browser().call("POST", "/api/login", {"identifier": "ada", "password": "wrong"})
    hashed = world.lane.hashed

    answer = world.browser().call("POST", "/api/login", {"identifier": "ada", "password": PASSWORD})

    assert (answer.status, answer.reason) == (429, "too_many_attempts")
    assert answer.one("retry-after") == "30"
    assert world.lane.hashed == hashed


def test_log_out_answers_204_and_clears_the_cookie(world: Any) -> None:
    world.account()

    answer = world.logged_in().call("POST", "/api/logout")

    assert (answer.status, answer.body, answer.cookies) == (204, b"", {world.cookie: ""})


def test_hdr_08_the_servers_log_out_asks_the_browser_to_forget_pages_and_storage(world: Any) -> None:
    world.account()

    answers = [world.logged_in().call("POST", "/api/logout"), world.logged_in().post("/logout", {})]

    assert [answer.one("clear-site-data") for answer in answers] == ['"cache", "storage"'] * 2


def test_me_answers_account_and_session(world: Any) -> None:
    world.account()

    answer = world.logged_in().me()

    assert answer.status == 200
    assert set(answer.json) == {"account", "session"}
    assert answer.json["session"]["current"] is True


def test_me_of_a_subject_without_an_account_of_ours_has_no_account(world: Any) -> None:
    answer = world.logged_in("somebody").me()

    assert answer.status == 200
    assert answer.json["account"] is None


PROTECTED = [
    ("GET", "/api/me", None),
    ("GET", "/api/sessions", None),
    ("DELETE", "/api/sessions/abc", None),
    ("DELETE", "/api/sessions", None),
    ("POST", "/api/sessions/revoke-others", None),
    ("GET", "/api/events", None),
    ("POST", "/api/reauthenticate", {"password": PASSWORD}),
    ("POST", "/api/password/change", {"current_password": PASSWORD, "new_password": OTHER}),
]


@pytest.mark.parametrize(("method", "path", "document"), PROTECTED)
def test_a_stranger_is_answered_401_with_a_challenge(one: Any, method: str, path: str, document: Any) -> None:
    answer = one.browser().call(method, path, document)

    assert (answer.status, answer.reason) == (401, "not_authenticated")
    assert answer.one("www-authenticate") == 'Cookie realm="coatcheck"'
    assert one.lane.hashed == 0


def test_ses_13_an_anonymous_session_is_no_log_in_anywhere(world: Any) -> None:
    browser = world.browser()
    login = world.do(world.desk.start_session(None))
    browser.jar[world.cookie] = login.token.reveal()

    answers = [browser.call(method, path, document) for method, path, document in PROTECTED]

    assert [answer.status for answer in answers] == [401] * len(PROTECTED)
    assert browser.get("/account").status == 303
    assert browser.get("/login").status == 200


@pytest.mark.parametrize(
    "state", ["pre-session", "expired", "epoch raised", "disabled", "logged out", "password changed"]
)
def test_ses_13_no_state_beside_a_live_session_is_a_log_in_anywhere(world: Any, state: str) -> None:
    subject = world.account()
    browser = world.browser() if state == "pre-session" else world.logged_in()
    match state:
        case "pre-session":
            browser.get("/login")
            assert world.pre_cookie in browser.jar
        case "expired":
            world.clock.move(3660)
        case "epoch raised":
            world.do(world.desk.revoke_all(of=subject))
        case "disabled":
            world.do(world.desk.disable(subject))
        case "logged out":
            browser.copy().call("POST", "/api/logout")
        case _:
            document = {"current_password": PASSWORD, "new_password": OTHER}
            assert browser.copy().call("POST", "/api/password/change", document).status == 204

    answers = [browser.copy().call(method, path, document) for method, path, document in PROTECTED]

    assert [answer.status for answer in answers] == [401] * len(PROTECTED)
    assert browser.copy().get("/account").status == 303
    assert browser.copy().get("/login").status == 200


def test_the_answer_to_csrf_is_a_token_that_works_once_sent_back(world: Any) -> None:
    world.account()
    client = world.curl()
    client.jar.update(world.logged_in().jar)

    token = client.get("/api/csrf").json

    assert set(token) == {"csrf_token"}
    assert client.send("POST", "/api/logout", [("x-csrf-token", token["csrf_token"])]).status == 204


def test_sessions_answer_has_its_shape(world: Any) -> None:
    world.account()

    answer = world.logged_in().get("/api/sessions")

    assert set(answer.json) == {"sessions", "next"}
    assert set(answer.json["sessions"][0]) == SESSION


def test_ending_an_unknown_session_answers_404(world: Any) -> None:
    world.account()

    answer = world.logged_in().call("DELETE", "/api/sessions/nosuchsession")

    assert (answer.status, answer.reason) == (404, "session_not_found")


def test_events_answer_has_its_shape(world: Any) -> None:
    world.account()

    answer = world.logged_in().get("/api/events")

    assert set(answer.json) == {"events", "next"}
    assert set(answer.json["events"][0]) == {"name", "at", "session_id", "ip", "device"}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1"])
def test_a_limit_out_of_bounds_answers_400(one: Any, query: str) -> None:
    one.account()
    browser = one.logged_in()

    answers = [browser.get(f"/api/{path}?{query}") for path in ("sessions", "events")]

    assert [answer.status for answer in answers] == [400, 400]
    assert answers[0].json["errors"] == [{"pointer": "/limit", "reason": "out_of_bounds"}]


def test_a_wrong_current_password_answers_401_and_names_the_field(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    answer = browser.call("POST", "/api/password/change", {"current_password": "wrong", "new_password": OTHER})

    assert (answer.status, answer.reason) == (401, "invalid_credentials")
    assert answer.json["errors"] == [{"pointer": "/current_password", "reason": "invalid_password"}]
    assert browser.me().status == 200


def test_a_new_password_against_the_rules_answers_422_before_anything_is_hashed(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    answer = browser.call("POST", "/api/password/change", {"current_password": PASSWORD, "new_password": "short"})

    assert (answer.status, answer.reason) == (422, "invalid_input")
    assert answer.json["errors"] == [{"pointer": "/new_password", "reason": "password_too_short"}]
    assert world.lane.hashed == 0


@pytest.mark.parametrize("call", ["/api/reauthenticate", "/api/password/change"])
def test_pwd_15_guesses_inside_a_session_are_slowed_like_log_ins(one: Any, call: str) -> None:
    one.account()
    browser = one.logged_in()
    fields = {"password": "wrong", "current_password": "wrong", "new_password": OTHER}
    for _ in range(5):
        assert browser.call("POST", call, fields).status == 401
    right = {"password": PASSWORD, "current_password": PASSWORD, "new_password": OTHER}

    answer = browser.call("POST", call, right)

    assert (answer.status, answer.one("retry-after")) == (429, "30")


def test_every_problem_has_the_one_shape(one: Any) -> None:
    browser = one.browser()
    answers = [
        browser.me(),
        browser.get("/api/nowhere"),
        browser.call("PUT", "/api/me"),
        browser.call("POST", "/api/login", {"identifier": 1}),
        browser.send("POST", "/api/login", browser.evidence(), b"{}"),
        browser.send("POST", "/api/login", [("origin", "https://evil.example")]),
        browser.call("POST", "/api/signup", {"password": "x"}),
    ]

    for answer, status in zip(answers, (401, 404, 405, 400, 415, 403, 422), strict=True):
        assert answer.status == status
        assert answer.one("content-type") == "application/problem+json"
        assert set(answer.json) == PROBLEM
        assert answer.json["status"] == status
        assert answer.json["type"] == f"urn:coatcheck:problem:{answer.reason}"
        assert all(set(error) == {"pointer", "reason"} for error in answer.json["errors"])


def test_405_names_the_methods_that_there_are(one: Any) -> None:
    answers = [one.send(method, "/api/sessions") for method in ("PATCH", "PROPFIND", "TRACE", "CONNECT")]

    assert [answer.status for answer in answers] == [405] * 4
    assert {answer.one("allow") for answer in answers} == {"DELETE, GET, HEAD, OPTIONS"}


def test_a_missing_field_is_named(one: Any) -> None:
    answer = one.browser().call("POST", "/api/login", {})

    assert answer.json["errors"] == [
        {"pointer": "/identifier", "reason": "missing"},
        {"pointer": "/password", "reason": "missing"},
    ]


def test_members_that_are_not_known_are_ignored(one: Any) -> None:
    """Within 1.x only additions: an older server must bear a newer client."""
    answer = one.browser().call("POST", "/api/signup", {"username": "ada", "password": PASSWORD, "colour": "blue"})

    assert answer.status == 201
