"""The steps of examples/http_server_sessions, each walked by a plain HTTP client and in Chromium."""

from __future__ import annotations

import http.client
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from coatcheck.testing.patience import PATIENCE
from tests.browsers import browser_at, context_in
from tests.e2e.serving import PASSWORD
from tests.examples.running import Example

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    example = Example("http_server_sessions", tmp_path)
    example.start()
    yield example
    example.end()


class Client:
    """`http.client`, a cookie jar and nothing else: it fills in the forms that it is shown."""

    def __init__(self, example: Example, jar: dict[str, str] | None = None) -> None:
        self.example = example
        self.jar = {} if jar is None else jar
        self.title = ""

    def send(self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
        given = {"User-Agent": "walker/1.0", **headers, **({} if fields is None else FORM)}
        if self.jar:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        connection = http.client.HTTPConnection("localhost", self.example.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if fields is None else urlencode(fields), given)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        self.cookies = response.headers.get_all("set-cookie", [])
        for cookie in self.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar[name] = value
            if not value:
                del self.jar[name]
        title = re.search("<h1>(.*)</h1>", text)
        self.title = unescape(title[1]) if title else ""
        return response.status, text

    def get(self, path: str) -> tuple[int, str]:
        return self.send("GET", path)

    def fill_in(self, path: str, **fields: str) -> tuple[int, str]:
        """Open a page, fill in its form and press the button."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path)[1])
        assert token, f"{path} has no form"
        return self.send("POST", path, {**fields, "csrf_token": token[1]})


def test_every_step_of_the_text_by_a_plain_client(example: Example) -> None:
    visitor = Client(example)

    assert visitor.get("/")[0] == 200
    assert (visitor.title, visitor.cookies) == ("Welcome Stranger!", [])

    assert visitor.fill_in("/auth/signup", username="ada", email="", password=PASSWORD)[0] == 303
    assert visitor.fill_in("/login", username="ada", password="a wrong passphrase")[0] == 401
    assert visitor.fill_in("/login", username="ada", password=PASSWORD)[0] == 200
    assert visitor.title == "Logged In"
    cookie = next(cookie for cookie in visitor.cookies if cookie.startswith("coatcheck-dev="))
    assert re.fullmatch(r"coatcheck-dev=[A-Za-z0-9_-]{43}; Path=/; HttpOnly; SameSite=Lax", cookie)

    _, text = visitor.get("/")
    assert visitor.title == "Welcome User!"
    assert all(kept in text for kept in (">ada<", ">walker/1.0<", ">127.0.0.1<", "UTC, if you do nothing"))

    example.restart()
    visitor.get("/")
    assert visitor.title == "Welcome User!", "a restart logs nobody out"

    thief = Client(example, dict(visitor.jar))
    visitor.get("/logout")
    assert visitor.title == "Log out?", "a link alone changes nothing"
    visitor.fill_in("/logout")
    assert visitor.title == "Logged Out"
    assert "coatcheck-dev" not in visitor.jar

    visitor.get("/")
    assert visitor.title == "Welcome Stranger!"
    thief.get("/")
    assert thief.title == "Welcome Stranger!", "a copy of the cookie opens nothing"
    visitor.get("/logout")
    assert visitor.title == "Can't Log Out: No User Logged In"


@pytest.mark.parametrize("path", ["/nowhere", "/login/", "/LOGIN", "/index.html"])
def test_other_paths_are_not_found(example: Example, path: str) -> None:
    visitor = Client(example)

    assert visitor.get(path)[0] == 404
    assert visitor.title == "Not Found"
    assert visitor.send("POST", path, {}, **{"Sec-Fetch-Site": "same-origin"})[0] == 404


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    example = Example("http_server_sessions", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [*example.command[:-1], port],
            cwd=example.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"Cannot listen on localhost:{port}: Address already in use. Name another: ")
    assert len(ran.stderr.splitlines()) == 1


def test_ses_01_bots_leave_no_row(example: Example) -> None:
    Client(example).fill_in("/auth/signup", username="ada", email="", password=PASSWORD)

    for path in ("/", "/login", "/logout", "/nowhere"):
        Client(example).get(path)

    assert rows(example, "SELECT count(*) FROM sessions") == [(0,)]


def test_ses_03_another_site_logs_nobody_out(example: Example) -> None:
    visitor = Client(example)
    visitor.fill_in("/auth/signup", username="ada", email="", password=PASSWORD)
    visitor.fill_in("/login", username="ada", password=PASSWORD)

    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
        assert visitor.send("POST", "/logout", {}, **headers)[0] == 403

    visitor.get("/")
    assert visitor.title == "Welcome User!"


def test_tok_03_the_database_does_not_hold_the_cookie(example: Example) -> None:
    visitor = Client(example)
    visitor.fill_in("/auth/signup", username="ada", email="", password=PASSWORD)
    visitor.fill_in("/login", username="ada", password=PASSWORD)

    kept = b"".join(path.read_bytes() for path in example.folder.glob("sessions.db*"))
    assert b"walker/1.0" in kept
    assert visitor.jar["coatcheck-dev"].encode() not in kept


def rows(example: Example, query: str) -> list[Any]:
    connection = sqlite3.connect(example.folder / "sessions.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    with browser_at(chromium) as browser:
        yield context_in(browser, viewport={"width": 900, "height": 700}).new_page()


@pytest.mark.browser
def test_every_step_of_the_text_in_a_browser(example: Example, page: Page, tmp_path: Path) -> None:
    heading = page.get_by_role("heading", level=1)

    page.goto(f"{example.url}/")
    expect(heading).to_have_text("Welcome Stranger!")
    assert page.context.cookies() == []

    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign up").click()
    page.goto(f"{example.url}/login")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.screenshot(path=tmp_path / "1-login.png")
    page.get_by_role("button", name="Log in").click()
    expect(heading).to_have_text("Logged In")
    cookie = next(cookie for cookie in page.context.cookies() if cookie["name"] == "coatcheck-dev")
    assert (len(cookie["value"]), cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (43, True, "Lax", -1)
    assert page.evaluate("document.cookie") == ""

    page.get_by_role("link", name="Home").click()
    expect(heading).to_have_text("Welcome User!")
    expect(page.get_by_role("definition")).to_contain_text(["ada", "Chrome", "127.0.0.1", "UTC"])
    page.screenshot(path=tmp_path / "2-home.png")

    example.restart()
    page.reload()
    expect(heading).to_have_text("Welcome User!")

    page.get_by_role("link", name="Log out").click()
    page.screenshot(path=tmp_path / "3-logout.png")
    page.get_by_role("button", name="Log out").click()
    expect(heading).to_have_text("Logged Out")
    assert "coatcheck-dev" not in {cookie["name"] for cookie in page.context.cookies()}
    page.get_by_role("link", name="Home").click()
    expect(heading).to_have_text("Welcome Stranger!")
    page.get_by_role("link", name="Log out").click()
    expect(heading).to_have_text("Can't Log Out: No User Logged In")
    page.goto(f"{example.url}/nowhere")
    expect(heading).to_have_text("Not Found")
