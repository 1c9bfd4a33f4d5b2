"""Who has an account here? No answer tells; and what no account can be made of or changed by."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from coatcheck.core.records import AccountRecord
from coatcheck.core.throttle import Settlement, lock_of

PASSWORD = "a long enough passphrase"
WRONG = "a wrong enough passphrase"
CLASSES = {
    "unknown": ("nobody", PASSWORD),
    "no name at all": ("?!?", PASSWORD),
    "wrong password": ("ada", WRONG),
    "empty password": ("ada", ""),
    "disabled, right password": ("dora", PASSWORD),
    "disabled, wrong password": ("dora", WRONG),
    "unknown address": ("nobody@example.org", PASSWORD),
    "deleted": ("gone", PASSWORD),
    "locked, right password": ("lola", PASSWORD),
    "locked, wrong password": ("lola", WRONG),
}


@pytest.fixture
def peopled(world: Any) -> Any:
    world.account("ada")
    world.do(world.desk.disable(world.account("dora")))
    world.do(world.desk.delete_account(world.account("gone")))
    lock = lock_of(world.account("lola"), world.desk.policy)
    for _ in range(world.desk.policy.password_lock_failures):
        world.flow(world.inner.settle([Settlement(lock, "failure", world.clock())], account=None, events=()))
    return world


def refused_by_json(world: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Try every class once, each from a network of its own; give the answers and what each cost."""
    answers, costs = {}, {}
    for number, (what, (identifier, password)) in enumerate(CLASSES.items()):
        world.steps.clear()
        world.lane.hashed = 0
        browser = world.browser(ip=f"192.0.2.{100 + number}")

        answers[what] = browser.call("POST", "/api/login", {"identifier": identifier, "password": password})

        costs[what] = (list(world.steps), world.lane.hashed)
    return answers, costs


def test_enu_01_and_08_every_refusal_by_json_is_the_same_byte_for_byte(peopled: Any) -> None:
    answers, costs = refused_by_json(peopled)

    first = answers["unknown"]
    assert first.status == 401
    assert {what: answer.comparable for what, answer in answers.items()} == dict.fromkeys(CLASSES, first.comparable)
    costs.pop("locked, right password")  # see the next test
    assert costs == dict.fromkeys(costs, costs["unknown"])
    assert costs["unknown"][1] == 1


def test_enu_08_a_locked_password_costs_the_same_right_or_wrong(peopled: Any) -> None:
    _, costs = refused_by_json(peopled)

    assert costs["locked, right password"] == costs["locked, wrong password"]


def test_enu_01_and_08_every_refusal_by_page_is_the_same_but_for_what_was_typed(peopled: Any) -> None:
    answers = {}
    for number, (what, (identifier, password)) in enumerate(CLASSES.items()):
        answer = peopled.browser(ip=f"192.0.2.{100 + number}").log_in(identifier, password)

        text = re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", answer.text)
        text = re.sub(r'(name="identifier"[^>]* value=)"[^"]*"', r"\1", text)
        headers = [(name, re.sub("=[^;]*;", "=;", value, count=1)) for name, value in answer.headers]
        answers[what] = (answer.status, headers, text)
    assert answers["unknown"][0] == 401
    assert answers == dict.fromkeys(CLASSES, answers["unknown"])


def test_enu_06_waiting_does_not_depend_on_the_accounts_existence(world: Any) -> None:
    world.account("ada")
    seen: dict[str, list[tuple[int, str | None]]] = {"ada": [], "nobody": []}

    for number in range(20):
        for identifier, told in seen.items():
            browser = world.browser(ip=f"198.51.{100 + number}.7")
            answer = browser.call("POST", "/api/login", {"identifier": identifier, "password": WRONG})
            told.append((answer.status, answer.one("retry-after")))
        world.clock.move(20)

    assert seen["ada"] == seen["nobody"]
    assert (429, "30") in seen["ada"] or (429, "10") in seen["ada"]


def test_rat_05_letter_case_and_spaces_are_one_name(one: Any) -> None:
    one.account("ada")
    for spelling in ("ada@example.org", "ADA@example.org", "ada@EXAMPLE.org ", " Ada@Example.Org", "aDa@example.org"):
        assert one.browser().call("POST", "/api/login", {"identifier": spelling, "password": WRONG}).status == 401

    answer = one.browser().call("POST", "/api/login", {"identifier": "ada@example.org", "password": PASSWORD})

    assert answer.status == 429


def test_rat_04_a_spoofed_forwarding_header_changes_nobodys_address(one: Any) -> None:
    for number in range(10):
        spoofed = [("x-forwarded-for", f"203.0.113.{number}"), ("forwarded", f"for=203.0.113.{number}")]
        one.browser().call("POST", "/api/login", {"identifier": f"nobody{number}", "password": WRONG}, spoofed)

    answer = one.browser().call("POST", "/api/login", {"identifier": "somebody", "password": WRONG})

    assert (answer.status, answer.one("retry-after")) == (429, "600")


# Passwords


class Inputs(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str | None]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("autocomplete") != "off"
        if tag == "input" and attributes.get("name"):
            self.found[str(attributes["name"])] = attributes


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("/login", {"password": "current-password", "identifier": "username"}),
        ("/signup", {"password": "new-password", "username": "username", "email": "email"}),
        ("/reauthenticate", {"password": "current-password"}),
        ("/account", {"current_password": "current-password", "new_password": "new-password"}),
    ],
)
def test_pwd_17_forms_work_with_password_managers_and_paste(one: Any, page: str, fields: dict[str, str]) -> None:
    one.account()
    browser = one.browser() if page in ("/login", "/signup") else one.logged_in()

    inputs = Inputs(browser.get(page).text).found

    for name, autocomplete in fields.items():
        assert inputs[name]["autocomplete"] == autocomplete
        assert (inputs[name]["type"] == "password") == ("password" in name)
        assert "maxlength" not in inputs[name] or "password" not in name


CALLS = {
    "/api/login": {"identifier": "ada", "password": "?"},
    "/api/signup": {"username": "eve", "password": "?"},
    "/api/reauthenticate": {"password": "?"},
    "/api/password/change": {"current_password": "?", "new_password": "another long passphrase"},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("size", "status"), [(1025, 422), (60_000, 422), (1_048_576, 413)])
def test_pwd_03_a_huge_password_is_refused_unhashed(world: Any, call: str, size: int, status: int) -> None:
    world.account("ada")
    browser = world.logged_in()
    fields = {name: "x" * size if value == "?" else value for name, value in CALLS[call].items()}
    world.lane.hashed = 0

    answer = browser.call("POST", call, fields)

    assert (answer.status, world.lane.hashed) == (status, 0)
    assert b"xxxx" not in answer.body


def test_pwd_03_a_huge_new_password_is_refused_unhashed(one: Any) -> None:
    one.account("ada")

    answer = one.logged_in().call(
        "POST", "/api/password/change", {"current_password": PASSWORD, "new_password": "x" * 1025}
    )

    assert (answer.status, one.lane.hashed) == (422, 0)


@pytest.mark.parametrize("call", CALLS)
def test_pwd_05_lone_surrogates_are_400(one: Any, call: str) -> None:
    one.account("ada")
    fields = ", ".join(f'"{name}": "{"a" * 20 + chr(92) + "ud800"}"' for name in CALLS[call])
    browser = one.logged_in()

    answer = browser.send(
        "POST", call, [*browser.evidence(), ("content-type", "application/json")], b"{%b}" % fields.encode()
    )

    assert (answer.status, one.lane.hashed) == (400, 0)


def test_pwd_05_nul_and_controls_are_part_of_a_password(world: Any) -> None:
    password = "a passphrase with \0 and \x1b in it"
    browser = world.browser()
    assert browser.call("POST", "/api/signup", {"username": "ada", "password": password}).status == 201

    wrong = browser.call("POST", "/api/login", {"identifier": "ada", "password": password.replace("\0 and", "\0 AND")})
    right = browser.call("POST", "/api/login", {"identifier": "ada", "password": password})

    assert (wrong.status, right.status) == (401, 200)


def test_pwd_04_composed_and_decomposed_letters_are_one_password(one: Any) -> None:
    one.account("ada", password="a caf\u00e9 passphrase")

    answer = one.browser().call("POST", "/api/login", {"identifier": "ada", "password": "a cafe\u0301 passphrase"})

    assert answer.status == 200


# Only what is listed can be written


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
def test_acc_09_fields_that_are_not_listed_change_nothing(world: Any, by_page: bool) -> None:
    browser = world.browser()
    fields = {
        "username": "eve", "email": "eve@example.org", "password": PASSWORD, "is_admin": "true", "roles": "admin",
        "email_verified": "true", "id": "1", "subject": "subject-of-ada", "tenant": "x", "epoch": "99",
        "username_key": "ada", "email_key": "ada@example.org", "created_at": "0", "version": "99", "disabled_at": "1",
    }  # fmt: skip

    if by_page:
        assert browser.post("/signup", fields).status == 303
    else:
        assert browser.call("POST", "/api/signup", fields).status == 201

    (account,) = world.records()["accounts"]
    assert account == AccountRecord(account.subject, "eve", "eve", "eve@example.org", "eve@example.org", world.clock())
    assert account.subject != "subject-of-ada"
    assert world.records()["states"] == {}


def test_acc_10_a_fresh_store_has_nobody_in_it(world: Any) -> None:
    world.send("GET", "/login")

    assert world.records()["accounts"] == ()
    for name in ("admin", "root", "coatcheck"):
        assert world.browser(ip=f"192.0.2.{len(name)}").log_in(name, name).status == 401
