"""Every step of examples/flask_secure_cookies: over HTTPS, with the cookie as a real browser keeps it."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from http.client import RemoteDisconnected
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect, sync_playwright

from coatcheck import Coatcheck
from coatcheck.testing.patience import PATIENCE
from tests.e2e.serving import PASSWORD, Answer
from tests.examples.flask_apps import browser, photograph, running
from tests.serving import Client, Process

COOKIE = "__Host-coatcheck"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    with running("flask_secure_cookies", tmp_path, tls=True) as server:
        yield server


def fill_in(visitor: Client, path: str, to: str | None = None, **fields: str) -> Answer:
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(path).text)
    assert token, path
    return visitor.post(to or path, {**fields, "csrf_token": token[1]})


@pytest.fixture
def admin(server: Process) -> Client:
    """Somebody who has signed up and logged in."""
    visitor = Client(server)
    fill_in(visitor, "/auth/signup", username="admin", email="", password=PASSWORD)
    entered = fill_in(visitor, "/login", username="admin", password=PASSWORD)
    assert "Welcome to the Dashboard, admin!" in visitor.follow(entered).text
    return visitor


def test_a_stranger_is_led_to_log_in_and_wrong_credentials_are_401(server: Process) -> None:
    visitor = Client(server)

    assert visitor.get("/dashboard").headers["location"] == "/auth/login?next=%2Fdashboard"
    refused = fill_in(visitor, "/login", username="admin", password="a wrong passphrase")

    assert (refused.status, "Invalid credentials!" in refused.text) == (401, True)


def test_cky_02_the_cookie_has_every_protection(server: Process) -> None:
    visitor = Client(server)
    fill_in(visitor, "/auth/signup", username="admin", email="", password=PASSWORD)

    entered = fill_in(visitor, "/login", username="admin", password=PASSWORD)

    cookie = next(one for one in entered.cookies if one.startswith(f"{COOKIE}="))
    assert re.fullmatch(rf"{COOKIE}=[A-Za-z0-9_-]{{43}}; Path=/; Secure; HttpOnly; SameSite=Lax", cookie)


def test_tmo_01_the_session_ends_after_thirty_minutes_of_disuse(admin: Client) -> None:
    """The server's file, read by a desk whose clock goes ahead of time."""
    shown = re.search(r'id="ends">([0-9:]{8}) UTC', admin.get("/dashboard").text)
    assert shown
    store, settings = f"sqlite:///{admin.server.folder}/dashboard.db", {"idle_timeout": timedelta(minutes=30)}
    seen = []

    for minutes in (29, 32):
        later = int(time.time()) + 60 * minutes
        with Coatcheck(store, settings=settings, clock=lambda later=later: later) as desk:  # type: ignore[misc]
            seen.append(desk.authenticate(admin.jar[COOKIE], touch=False))

    assert bool(seen[0])
    assert seen[0].session.expires_at.strftime("%H:%M:%S") == shown[1]  # type: ignore[union-attr]
    assert seen[1].reason == "idle_timeout"  # type: ignore[union-attr]


def test_a_log_out_ends_it_and_a_copy_is_worth_nothing(admin: Client) -> None:
    copied = Client(admin.server)
    copied.jar = dict(admin.jar)

    assert fill_in(admin, "/dashboard", "/logout").status == 303

    assert COOKIE not in admin.jar
    assert copied.get("/dashboard").status == 303


def test_the_session_survives_a_restart_of_the_server(admin: Client) -> None:
    admin.server.restart()

    assert "Welcome to the Dashboard, admin!" in admin.get("/dashboard").text


def test_nothing_is_served_without_tls_and_the_certificate_is_signed_by_nobody(server: Process) -> None:
    with pytest.raises((RemoteDisconnected, ConnectionError)):
        urlopen(f"http://127.0.0.1:{server.port}/login", timeout=PATIENCE)
    with pytest.raises(URLError) as caught:
        urlopen(f"{server.url}/login", timeout=PATIENCE)
    assert isinstance(caught.value.reason, ssl.SSLCertVerificationError)


@pytest.mark.browser
def test_every_step_in_a_browser(server: Process, tmp_path: Path, chromium: str) -> None:
    with sync_playwright() as playwright, browser(playwright, chromium, tmp_path / "profile", server) as context:
        page = context.pages[0]
        page.goto("/login")
        photograph(context, "flask-secure-login")
        page.get_by_role("link", name="Sign up").click()
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        with page.expect_navigation():
            page.get_by_role("button", name="Sign up").click()
        page.goto("/login")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Login").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Welcome to the Dashboard, admin!")
        expect(page.locator("#readable")).to_have_text("nothing: they are HttpOnly")
        photograph(context, "flask-secure-dashboard")

        cookie = next(one for one in context.cookies() if one["name"] == COOKIE)
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["domain"], cookie["path"], cookie["expires"]) == ("127.0.0.1", "/", -1)

        # A page of nobody's posts in the visitor's name.
        stranger = context.new_page()
        stranger.set_content(f'<form method="post" action="{server.url}/logout"><button>Win a coat</button></form>')
        stranger.get_by_role("button").click()
        expect(stranger.get_by_role("heading", level=1)).to_be_visible()
        photograph(context, "flask-secure-cross-site")
        stranger.close()
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Welcome to the Dashboard, admin!")

        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(re.compile("/login$"))
        assert [one for one in context.cookies() if one["name"] == COOKIE] == []
