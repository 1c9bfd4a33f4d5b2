"""How often the store is asked: each step is a round trip or a transaction, and they are counted over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import ALL_KINDS

PASSWORD = "a long enough passphrase"


@pytest.fixture(params=ALL_KINDS.values(), ids=ALL_KINDS)
def world(request: pytest.FixtureRequest, build: Callable[..., Any]) -> Any:
    """Over every store: the steps are the flows', and no store may make them take another way."""
    colour, store, production = request.param
    return build(colour, store, production=production)


@pytest.mark.parametrize(
    "path", ["/", "/login", "/signup", "/logout", "/account", "/api/me", "/api/csrf", "/api/sessions"]
)
def test_a_stranger_costs_no_step(world: Any, path: str) -> None:
    world.steps.clear()

    world.browser().get(path)

    assert world.steps == []


def a_visit(world: Any) -> list[str]:
    """The steps of finding out who is there; its account is asked for where it lives apart."""
    return ["find"] if world.inner.holds_accounts else ["find", "account"]


def test_a_live_session_costs_one_step(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.steps.clear()

    assert browser.me().status == 200

    assert world.steps == a_visit(world)


def test_a_due_touch_comes_extra(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.clock.move(60)
    world.steps.clear()

    browser.me()
    browser.me()

    find, *account = a_visit(world)
    assert world.steps == [find, *account, "touch", find, *account]


def test_a_due_touch_comes_after_the_answer(one: Any) -> None:
    """`answer` alone writes nothing: the touch belongs to `finish`."""
    one.account()
    browser = one.logged_in()
    one.clock.move(60)
    one.steps.clear()
    order: list[str] = []

    async def visit() -> None:
        scope = {
            "type": "http", "method": "GET", "scheme": "http", "path": "/api/me", "raw_path": b"/api/me",
            "query_string": b"", "client": ("192.0.2.7", 1),
            "headers": [(b"host", one.host.encode()), (b"cookie", f"{one.cookie}={browser.token}".encode())],
        }  # fmt: skip

        async def send(message: Any) -> None:
            order.append(f"{message['type']} after {list(one.steps)}")

        await one.door(scope, None, send)

    one.runner.run(visit())

    assert order == ["http.response.start after ['find']", "http.response.body after ['find']"]
    assert one.steps == ["find", "touch"]


def test_a_failing_touch_does_not_spoil_the_answer(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.clock.move(60)
    world.fragile.broken = {"touch"}

    assert browser.me().status == 200


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
@pytest.mark.parametrize("state", ["no cookie", "live", "revoked", "expired"])
def test_log_in_costs_three_steps_whatever_cookie_comes_along_and_apart_four(
    world: Any, by_page: bool, state: str
) -> None:
    world.account()
    browser = world.browser() if state == "no cookie" else world.logged_in()
    token = browser.get("/api/csrf").json["csrf_token"]
    if state == "revoked":
        world.do(world.desk.revoke_all(of="subject-of-ada"))
    if state == "expired":
        world.clock.move(3 * 3600)
    fields = {"identifier": "ada", "password": PASSWORD}
    world.steps.clear()
    world.trips.clear()

    answer = browser.post("/login", fields, token=token) if by_page else browser.call("POST", "/api/login", fields)

    assert answer.status == (303 if by_page else 200)
    assert world.steps == ["identify", "admit", "start"]
    assert len(world.trips) == (0 if world.inner.holds_accounts else 4)
    assert browser.me().status == 200


def test_sign_up_costs_four_steps(world: Any) -> None:
    browser = world.browser()
    world.steps.clear()

    browser.call("POST", "/api/signup", {"username": "ada", "password": PASSWORD})

    assert world.steps == ["admit", "settle", "identify", "create_account"]


def test_log_out_costs_at_most_two_steps(world: Any) -> None:
    world.account()
    browser = world.logged_in()
    world.steps.clear()

    browser.call("POST", "/api/logout")

    assert world.steps == ["find", "end"]


def test_what_is_no_log_in_of_ours_costs_no_step_at_all(world: Any) -> None:
    world.account()
    world.steps.clear()
    browser = world.browser()

    browser.call("POST", "/api/login", {"identifier": "ada"})
    browser.call("POST", "/api/login", {"identifier": "ada", "password": "x" * 2000})
    browser.send("POST", "/api/login", [("origin", "https://evil.example")])
    browser.send("PUT", "/api/login")

    assert world.steps == []
