"""When something breaks: the store at each of its methods, a bug, a visitor who hangs up. Refused, never let in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from coatcheck.crypto.hashing import PasswordHasher

PASSWORD = "a long enough passphrase"
OTHER = "another long passphrase"

# What is asked of the store on the way of each call, beginning with who is there.
PATHS = {
    ("GET", "/api/me"): ("find",),
    ("GET", "/api/csrf"): ("find",),
    ("GET", "/api/sessions"): ("find", "sessions_of"),
    ("GET", "/api/events"): ("find", "events_of"),
    ("DELETE", "/api/sessions/nosuchsession"): ("find", "end_by_id"),
    ("DELETE", "/api/sessions"): ("find", "sessions_of", "raise_epoch"),
    ("POST", "/api/sessions/revoke-others"): ("find", "sessions_of", "raise_epoch"),
    ("POST", "/api/logout"): ("find", "end"),
    ("POST", "/api/login"): ("identify", "admit", "start"),
    ("POST", "/api/signup"): ("admit", "settle", "identify", "create_account"),
    ("POST", "/api/reauthenticate"): ("find", "account", "credential", "admit", "rotate"),
    ("POST", "/api/password/change"): ("find", "account", "credential", "admit", "change_password"),
}
FIELDS: dict[str, dict[str, str]] = {
    "/api/login": {"identifier": "ada", "password": PASSWORD},
    "/api/signup": {"username": "eve", "password": PASSWORD},
    "/api/reauthenticate": {"password": PASSWORD},
    "/api/password/change": {"current_password": PASSWORD, "new_password": OTHER},
}
CASES = [(method, path, step) for (method, path), steps in PATHS.items() for step in steps]


@pytest.mark.parametrize(("method", "path", "step"), CASES)
def test_err_01_a_broken_store_is_503_and_nobody_is_let_through(world: Any, method: str, path: str, step: str) -> None:
    world.account()
    browser = world.logged_in()
    before = world.records()
    world.fragile.broken = {step}

    answer = browser.call(method, path, FIELDS.get(path))

    assert (answer.status, answer.reason) == (503, "store_unavailable")
    assert (answer.one("retry-after"), answer.cookies) == ("1", {})
    world.fragile.broken = set()
    assert world.records() == before
    assert browser.me().status == 200


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_err_01_the_steps_that_are_broken_here_are_all_there_are(world: Any, method: str, path: str) -> None:
    world.account()
    browser = world.logged_in()
    world.steps.clear()

    assert browser.call(method, path, FIELDS.get(path)).status in (200, 201, 204, 404)

    assert set(world.steps) <= {*PATHS[method, path], "settle", "rehash"}


@pytest.mark.parametrize("path", ["/", "/login", "/signup", "/logout", "/account", "/reauthenticate"])
def test_err_01_pages_that_ask_who_is_there_answer_503_too(world: Any, path: str) -> None:
    world.account()
    browser = world.logged_in()
    world.fragile.broken = {"find"}

    answer = browser.get(path)

    assert answer.status == 503
    assert answer.one("content-type") == "text/html; charset=utf-8"
    assert "Back in a moment" in answer.text


def test_err_01_strangers_without_a_cookie_are_served_meanwhile(world: Any) -> None:
    world.fragile.broken = {"find"}

    assert world.browser().get("/login").status == 200


def test_err_01_with_the_store_back_the_same_cookie_works(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.fragile.broken = {"find"}
    browser.get("/account")
    world.fragile.broken = set()

    assert browser.get("/account").status == 200


def test_err_01_a_schema_that_does_not_fit_any_more_is_503_and_the_log_names_the_mend(
    build: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    world = build("async", "sqlite")
    world.account()
    browser = world.logged_in()
    world.do(world.inner.close())  # what is opened next is the file as it is then
    with contextlib.closing(sqlite3.connect(world.inner.location.removeprefix("sqlite "))) as connection:
        connection.execute("PRAGMA user_version = 1")

    answers = [browser.me(), browser.call("POST", "/api/login", FIELDS["/api/login"]), browser.get("/account")]

    assert [answer.status for answer in answers] == [503, 503, 503]
    assert answers[0].reason == "store_unavailable"
    assert caplog.text.count("run: coatcheck schema upgrade --store sqlite:///") == len(answers)


@pytest.mark.parametrize("step", sorted({step for _, _, step in CASES}))
def test_err_02_a_bug_at_any_step_never_lets_anybody_through(build: Callable[..., Any], step: str) -> None:
    world = build("blocking")
    world.account()
    browser = world.logged_in()
    before = world.records()
    world.fragile.bug_at = step

    answers = {
        (method, path): browser.call(method, path, FIELDS.get(path))
        for (method, path), steps in PATHS.items()
        if step in steps
    }

    assert {answer.status for answer in answers.values()} == {500}
    assert {answer.reason for answer in answers.values()} == {"internal_error"}
    assert not [answer.cookies for answer in answers.values() if answer.cookies]
    world.fragile.bug_at = None
    assert world.records() == before


class OutOfOrder:
    """A part of a check that fails in a way nobody thought of, whatever is asked of it."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug in a check")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a bug in a check")


Break = Callable[[Any], None]
PROOFS = {"log in", "log in by json", "re-authenticate"}
CHECKS: dict[str, tuple[Break, set[str]]] = {
    "the keys of forms": (
        lambda world: setattr(world.web.mount, "keys", OutOfOrder()),
        {"log in", "re-authenticate", "end the others"},
    ),
    "the clock of the web": (lambda world: setattr(world.web.mount, "now", OutOfOrder()), {"log in"}),
    "the clock of the flows": (
        lambda world: setattr(world.desk.flows.parts, "clock", OutOfOrder()),
        PROOFS,
    ),
    "the hasher": (lambda world: setattr(world.desk.flows.parts, "hasher", OutOfOrder()), PROOFS),
    "random bytes": (
        lambda world: setattr(world.desk.flows.parts, "entropy", OutOfOrder()),
        PROOFS | {"end the others"},
    ),
    "the limiter": (lambda world: setattr(world.fragile, "bug_at", "admit"), PROOFS),
    "the look-up of the session": (
        lambda world: setattr(world.fragile, "bug_at", "find"),
        {"re-authenticate", "end the others", "who am I"},
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_err_02_a_bug_in_any_check_lets_nobody_through(build: Callable[..., Any], check: str) -> None:
    """Whoever the check stands in the way of stays out; a forged form stays out whichever check is broken."""
    world = build("blocking")
    world.account()
    browser, stranger = world.logged_in(), world.browser()
    token, strangers = browser.token_on("/account"), stranger.token_on("/login")
    break_it, stopped = CHECKS[check]
    attempts: dict[str, Callable[[], Any]] = {
        "forged": lambda: browser.post("/account/sessions/revoke-others", {}, token="A" * 64),
        "who am I": browser.me,
        "log in": lambda: stranger.post("/login", {"identifier": "ada", "password": PASSWORD}, token=strangers),
        "log in by json": lambda: world.browser().call("POST", "/api/login", FIELDS["/api/login"]),
        "end the others": lambda: browser.post("/account/sessions/revoke-others", {}, token=token),
        "re-authenticate": lambda: browser.post("/reauthenticate", {"password": PASSWORD}, token=token),
    }

    break_it(world)
    answers = {what: attempt() for what, attempt in attempts.items()}

    assert answers["forged"].status in (403, 500)
    assert {what: answers[what].status for what in stopped} == dict.fromkeys(stopped, 500)
    assert not [what for what in stopped if world.cookie in answers[what].cookies]
    passed = answers.keys() - stopped - {"forged"}
    assert {what for what in passed if answers[what].status >= 400} == set(), "the check is in the way of more"


def test_rat_08_a_limiter_that_cannot_count_admits_nobody(world: Any) -> None:
    world.account()
    world.fragile.broken = {"admit"}

    assert world.browser().call("POST", "/api/login", FIELDS["/api/login"]).status == 503
    assert world.lane.hashed == 0


def test_err_07_a_password_change_that_fails_leaves_everything_as_it_was(world: Any) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    world.fragile.broken = {"change_password"}
    assert browser.call("POST", "/api/password/change", FIELDS["/api/password/change"]).status == 503
    world.fragile.broken = set()

    assert world.browser().call("POST", "/api/login", {"identifier": "ada", "password": OTHER}).status == 401
    assert world.browser().call("POST", "/api/login", FIELDS["/api/login"]).status == 200
    assert (browser.me().status, other.me().status) == (200, 200)


def test_pwd_11_a_rehash_that_fails_does_not_fail_the_log_in(build: Callable[..., Any]) -> None:
    world = build("blocking", argon2_time=3)
    world.account()
    world.desk.flows.parts.hasher = PasswordHasher(world.desk.policy)
    world.fragile.broken = {"rehash"}

    assert world.browser().call("POST", "/api/login", FIELDS["/api/login"]).status == 200


# A visitor who hangs up (ERR-07)


class HangingUp:
    """A store during whose steps the visitor is lost: cancels `visit` at one moment, before or after a step."""

    def __init__(self, inner: Any, moment: int) -> None:
        self._inner = inner
        self._moments = moment
        self.visit: asyncio.Task[Any] | None = None

    @property
    def has_passed(self) -> bool:
        """Whether the moment came."""
        return self._moments < 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name == "shelf_bits":
            return attribute

        async def step(*args: Any, **kwargs: Any) -> Any:
            await self._pass()
            answer = await attribute(*args, **kwargs)
            await self._pass()
            return answer

        return step

    async def _pass(self) -> None:
        self._moments -= 1
        if self.has_passed and self.visit is not None:
            self.visit.cancel()
        await asyncio.sleep(0)


async def lose_the_visitor(world: Any, store: HangingUp, method: str, path: str, headers: Any, body: bytes) -> None:
    """Send, be cancelled as a server cancels the task of a visitor who is gone, and let the rest come to its end."""
    store.visit = asyncio.ensure_future(world.visit(method, path, headers, [body], "192.0.2.7"))
    with contextlib.suppress(asyncio.CancelledError):
        await store.visit
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})  # what is shielded goes on


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(
    "path", ["/api/password/change", "/api/login", "/api/sessions/revoke-others", "/api/reauthenticate"]
)
def test_err_07_hanging_up_leaves_before_or_after_and_never_half(
    build: Callable[..., Any], path: str, kind: str
) -> None:
    """At every await around every step of the store, until a visitor is never lost."""
    outcomes = [hang_up(build("async", kind, production=False), path, moment) for moment in range(40)]

    lost = [was_lost for was_lost, _ in outcomes]
    assert lost == sorted(lost, reverse=True)
    assert (lost[0], lost[-1]) == (True, False)
    assert {changed for _, changed in outcomes} == {True}, "what has begun is done, whoever waits for it"


def hang_up(world: Any, path: str, moment: int) -> tuple[bool, bool]:
    """Lose the visitor at one moment; tell whether there was such a moment, and whether anything was changed."""
    world.account()
    here, there = world.logged_in(), world.logged_in()
    store = HangingUp(world.inner, moment)
    world.fragile._inner = store
    before = world.records()
    own = [("host", world.host), ("origin", world.origin), ("content-type", "application/json"), *here.own_headers()]
    headers = [(name.encode(), value.encode()) for name, value in own]

    body = json.dumps(FIELDS.get(path, {})).encode()
    world.runner.run(lose_the_visitor(world, store, "POST", path, headers, body))

    after = world.records()
    changed = after != before
    world.fragile._inner = world.inner
    if path == "/api/password/change":
        raised = [state.epoch for state in after["states"].values()] == [1]
        assert changed == (after["hashes"] != before["hashes"]) == raised
        assert there.me().status == (401 if changed else 200)
    elif path == "/api/sessions/revoke-others":
        assert (here.me().status, there.me().status) == (200, 401 if changed else 200)
    else:  # log-in replaces this session, re-authentication gives it another secret
        assert here.me().status == (401 if changed else 200)
        assert there.me().status == 200
    return store.has_passed, changed


def test_err_07_a_body_that_never_comes_changes_nothing(one: Any) -> None:
    one.account()
    before = one.records()

    async def visit() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [("host", one.host), ("origin", one.origin), ("content-type", "application/json")]
        scope = {
            "type": "http", "method": "POST", "scheme": "http", "path": "/api/login", "raw_path": b"/api/login",
            "query_string": b"", "client": None, "headers": [(a.encode(), b.encode()) for a, b in headers],
        }  # fmt: skip
        await one.door(scope, receive, send)
        return sent

    assert one.runner.run(visit()) == []
    assert one.records() == before


# The same twice at once


def at_once(world: Any, browsers: list[Any], method: str, path: str, fields: Any) -> list[int]:
    if world.runner is None:
        return [
            answer.status for answer in world.at_once(*[lambda b=b: b.call(method, path, fields) for b in browsers])
        ]

    async def both() -> list[Any]:
        requests = []
        for browser in browsers:
            headers = [*browser.own_headers(), *browser.evidence(), ("host", world.host)]
            body = b""
            if fields is not None:
                headers.append(("content-type", "application/json"))
                body = json.dumps(fields).encode()
            octets = [(name.encode(), value.encode()) for name, value in headers]
            requests.append(world.visit(method, path, octets, [body], browser.ip))
        return await asyncio.gather(*requests)

    return [answer.status for answer in world.runner.run(both())]


def test_the_same_sign_up_twice_at_once_opens_one_account(world: Any) -> None:
    browsers = [world.browser() for _ in range(4)]

    statuses = at_once(world, browsers, "POST", "/api/signup", FIELDS["/api/signup"])

    assert sorted(statuses) == [201, 409, 409, 409]
    assert len(world.records()["accounts"]) == 1


def test_the_same_password_change_twice_at_once_happens_once(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    twins = [browser.copy(), browser.copy()]

    statuses = at_once(world, twins, "POST", "/api/password/change", FIELDS["/api/password/change"])

    assert sorted(statuses) == [204, 401]
    assert [state.epoch for state in world.records()["states"].values()] == [1]
    assert world.browser().log_in(password=OTHER).status == 303


def test_the_same_revocation_twice_at_once_ends_it_once(world: Any) -> None:
    world.account()
    browser, other = world.logged_in(), world.logged_in()
    id_ = other.me().json["session"]["id"]

    statuses = at_once(world, [browser.copy(), browser.copy()], "DELETE", f"/api/sessions/{id_}", None)

    assert sorted(statuses) == [204, 404]
    assert len(world.events("session_revoked")) == 1


def test_the_same_log_out_twice_at_once_is_told_once(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    statuses = at_once(world, [browser.copy() for _ in range(3)], "POST", "/api/logout", None)

    assert statuses == [204] * 3
    assert len(world.events("logged_out")) == 1


def test_two_re_authentications_at_once_give_one_secret(world: Any) -> None:
    world.account()
    browser = world.logged_in()

    statuses = at_once(
        world, [browser.copy(), browser.copy()], "POST", "/api/reauthenticate", FIELDS["/api/reauthenticate"]
    )

    assert sorted(statuses) == [204, 401]


def test_guesses_at_once_are_counted_before_any_is_looked_at(build: Callable[..., Any]) -> None:
    """RAT-06: of twenty at once no more than the free ones are verified."""
    world = build("blocking")
    world.account()
    browsers = [world.browser(ip=f"198.51.100.{number}") for number in range(20)]

    statuses = at_once(world, browsers, "POST", "/api/login", {"identifier": "ada", "password": "wrong"})

    assert statuses.count(401) == world.lane.hashed == 5
    assert statuses.count(429) == 15
