"""Every step of examples/flask_sessions, by a plain client and in a browser that is quit and started again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from coatcheck import Coatcheck
from tests.e2e.serving import PASSWORD, Answer
from tests.examples.flask_apps import browser, photograph, running
from tests.serving import Client, Process

COOKIE = "coatcheck-dev"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    with running("flask_sessions", tmp_path) as server:
        yield server


def says(answer: Answer) -> str:
    found = re.search(r'<p class="says">(.*)</p>', answer.text)
    assert found, answer.text
    return found[1]


def messages(answer: Answer) -> list[str]:
    shown = re.search(r'(?s)<ul class="flash" role="status">(.*?)</ul>', answer.text)
    return re.findall("<li>(.*?)</li>", shown[1]) if shown else []


def fill_in(visitor: Client, path: str, **fields: str) -> Answer:
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(path).text)
    assert token, path
    return visitor.post(path, {**fields, "csrf_token": token[1]})


def sign_up_and_log_in(visitor: Client, name: str) -> Answer:
    visitor.follow(fill_in(visitor, "/signup", username=name, password=PASSWORD))
    return visitor.follow(fill_in(visitor, "/login", username=name, password=PASSWORD))


def test_the_counter_survives_a_restart_of_the_server(server: Process) -> None:
    visitor = Client(server)

    assert says(visitor.get("/count")) == "No counter set!"
    assert visitor.jar == {}
    assert says(visitor.get("/start_counter")) == "New counter started!"
    assert [says(visitor.get("/count")) for _ in range(3)] == ["1", "2", "3"]
    server.restart()
    assert says(visitor.get("/get_count")) == "3"
    assert says(visitor.get("/clear_count")) == "Counter cleared!"
    assert says(visitor.get("/get_count")) == "No counter set!"


def test_the_cookie_says_nothing_and_a_tampered_one_is_nobodys(server: Process) -> None:
    visitor = Client(server)
    set_cookie = visitor.get("/start_counter").cookies
    visitor.get("/count")
    token = visitor.jar[COOKIE]

    assert re.fullmatch(rf"{COOKIE}=[A-Za-z0-9_-]{{43}}; Path=/; HttpOnly; SameSite=Lax", set_cookie[0])
    visitor.jar[COOKIE] = ("B" if token[0] == "A" else "A") + token[1:]
    assert says(visitor.get("/get_count")) == "No counter set!"
    visitor.jar[COOKIE] = token
    assert says(visitor.get("/get_count")) == "1"


def test_names_are_unique_and_no_address_is_asked_for(server: Process) -> None:
    visitor = Client(server)

    assert messages(visitor.follow(fill_in(visitor, "/signup", username="ada", password=PASSWORD))) == [
        "Your account is open. Log in with it."
    ]
    assert messages(fill_in(visitor, "/signup", username="ADA", password=PASSWORD)) == [
        "This user name is taken. Please choose another one."
    ]
    assert len(messages(fill_in(visitor, "/signup", username="x", password="short"))) == 2
    assert "email" not in visitor.get("/signup").text


def test_log_in_shows_the_account_and_each_message_once(server: Process) -> None:
    visitor = Client(server)
    fill_in(visitor, "/signup", username="ada", password=PASSWORD)
    visitor.get("/login")

    refused = fill_in(visitor, "/login", username="ada", password="a wrong passphrase")
    welcome = visitor.follow(fill_in(visitor, "/login", username="ada", password=PASSWORD))

    assert messages(refused) == ["Invalid credentials. Please try again."]
    assert messages(welcome) == ["You&#39;ve successfully logged in!"]
    assert "<h1>Welcome, ada!</h1>" in welcome.text
    assert messages(visitor.get("/welcome")) == []


def test_the_counter_goes_with_the_visitor_who_logs_in_and_not_to_the_next(server: Process) -> None:
    visitor = Client(server)
    visitor.get("/start_counter")
    visitor.get("/count")
    planted = dict(visitor.jar)

    sign_up_and_log_in(visitor, "ada")
    assert says(visitor.get("/get_count")) == "1"
    assert visitor.jar[COOKIE] != planted[COOKIE]
    sign_up_and_log_in(visitor, "bob")
    assert says(visitor.get("/get_count")) == "No counter set!"


def test_a_page_for_members_sends_strangers_to_log_in(server: Process) -> None:
    visitor = Client(server)

    answer = visitor.get("/welcome")

    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert messages(visitor.follow(answer)) == ["Please log in first"]
    assert messages(visitor.get("/login")) == []


def test_a_log_out_is_a_click_and_a_copy_of_the_cookie_is_worth_nothing(server: Process) -> None:
    visitor = Client(server)
    sign_up_and_log_in(visitor, "ada")
    copied = Client(server)
    copied.jar = dict(visitor.jar)

    assert "<h1>Log out?</h1>" in visitor.get("/logout").text
    assert visitor.get("/welcome").status == 200
    out = visitor.follow(fill_in(visitor, "/logout"))

    assert messages(out) == ["You have been signed out."]
    assert messages(visitor.get("/login")) == []
    assert visitor.get("/welcome").status == 303
    stale = copied.get("/welcome")
    assert stale.status == 303
    assert "<h1>Log in</h1>" in copied.follow(stale).text  # and no loop


def test_another_users_page_is_refused(server: Process) -> None:
    ada, bob = Client(server), Client(server)
    sign_up_and_log_in(ada, "ada")
    sign_up_and_log_in(bob, "bob")
    with Coatcheck(f"sqlite:///{server.folder}/sessions.db") as desk:
        subject = desk.find_account("ada").subject  # type: ignore[union-attr]

    assert ada.get(f"/users/{subject}/edit").status == 200
    assert messages(bob.follow(bob.get(f"/users/{subject}/edit"))) == ["Not Authorized"]
    assert messages(bob.follow(bob.post(f"/users/{subject}/edit", {"greeting": "Ha"}))) == ["Not Authorized"]
    assert bob.follow(fill_in(bob, f"/users/{subject_of(server, 'bob')}/edit", greeting="Good day")).text.count(
        "<h1>Good day, bob!</h1>"
    )
    assert "<h1>Welcome, ada!</h1>" in ada.get("/welcome").text


def subject_of(server: Process, name: str) -> str:
    with Coatcheck(f"sqlite:///{server.folder}/sessions.db") as desk:
        account = desk.find_account(name)
    assert account is not None
    return account.subject


def test_a_plain_cookie_goes_on_working(server: Process) -> None:
    visitor = Client(server)

    assert says(visitor.get("/plain_cookie")) == "no cookie yet"
    assert says(visitor.get("/plain_cookie")) == "eschoppik"
    assert list(visitor.jar) == ["username"]


def test_another_site_cannot_post(server: Process) -> None:
    visitor = Client(server)
    sign_up_and_log_in(visitor, "ada")
    visitor.fetch_site = "cross-site"

    assert visitor.post("/logout").status == 403

    visitor.fetch_site = "same-origin"
    assert visitor.get("/welcome").status == 200


@pytest.mark.browser
def test_every_step_in_a_browser(server: Process, tmp_path: Path, chromium: str) -> None:
    profile = tmp_path / "profile"
    with sync_playwright() as playwright:
        with browser(playwright, chromium, profile, server) as context:
            page = context.pages[0]
            page.goto("/")
            photograph(context, "flask-sessions-index")
            page.get_by_role("link", name="Start a counter").click()
            for count in ("1", "2", "3"):
                page.get_by_role("link", name="Count", exact=True).last.click()
                expect(page.locator(".says")).to_have_text(count)
            photograph(context, "flask-sessions-counter")
            server.restart()
            page.goto("/get_count")
            expect(page.locator(".says")).to_have_text("3")
            enter(page, context)
        with browser(playwright, chromium, profile, server) as context:
            page = context.pages[0]
            page.goto("/get_count")
            expect(page.locator(".says")).to_have_text("No counter set!")
            page.goto("/welcome")
            expect(page.get_by_role("status")).to_have_text("Please log in first")


def enter(page: Page, context: BrowserContext) -> None:
    page.goto("/signup")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("status")).to_contain_text("at least 15 characters")
    photograph(context, "flask-sessions-signup")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("status")).to_have_text("Your account is open. Log in with it.")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, ada!")
    expect(page.get_by_role("status")).to_have_text("You've successfully logged in!")
    photograph(context, "flask-sessions-welcome")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)
    page.get_by_role("link", name="Change your greeting").click()
    page.get_by_label("How shall we greet you?").fill("Good day")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Good day, ada!")
    page.goto("/users/somebody-else/edit")
    expect(page.get_by_role("status")).to_have_text("Not Authorized")
    page.get_by_role("link", name="Log out").click()
    photograph(context, "flask-sessions-logout")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_have_text("You have been signed out.")
    page.goto("/start_counter")
