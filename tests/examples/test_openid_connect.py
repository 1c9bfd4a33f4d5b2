"""The steps of examples/openid_connect, over real sockets: an application and a provider, and Chromium between."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from playwright.sync_api import expect

from coatcheck import Coatcheck
from coatcheck.testing.patience import PATIENCE
from tests.browsers import browser_at, context_in
from tests.examples.running import Example
from tests.ports import free_port


class Provider(Example):
    """The second command of the README."""

    @property
    def command(self) -> list[str]:
        return [super().command[0], "provider.py", str(self.port)]


class Town:
    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.provider = Provider("openid_connect", folder / "provider", env={"APP": f"http://localhost:{port}"})
        self.app = Example("openid_connect", folder / "app", env={"PROVIDER": self.provider.url})
        self.app.port, self.app.url = port, f"http://localhost:{port}"

    def browser(self, name: str = "walker/1.0") -> httpx.Client:
        return httpx.Client(
            headers={"user-agent": name, "accept": "text/html"}, follow_redirects=True, timeout=PATIENCE
        )

    def log_in(self, client: httpx.Client, person: str) -> httpx.Response:
        """Walk from the application to the provider and back."""
        asked = client.get(f"{self.app.url}/login")
        assert str(asked.url).startswith(f"{self.provider.url}/authorize?")
        return client.post(asked.url, data={"person": person})

    def sessions(self) -> list[tuple[str | None, str]]:
        with Coatcheck(f"sqlite:///{self.app.folder}/sessions.db") as desk:
            return [(one.subject, " ".join(one.methods)) for one, ended in desk.all_sessions()[0] if ended is None]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    for name in ("provider", "app"):
        (tmp_path / name).mkdir()
    town = Town(tmp_path)
    town.app.start()
    town.provider.start()
    yield town
    town.app.end()
    town.provider.end()


def press(client: httpx.Client, page: httpx.Response, action: str) -> httpx.Response:
    """Press the button of a form as a browser does."""
    token = re.search(rf"action=/{action}>.*?name=csrf_token value=([\w-]+)", page.text)
    assert token
    url = page.url.join(f"/{action}")
    return client.post(url, data={"csrf_token": token[1]}, headers={"origin": f"{url.scheme}://{url.netloc.decode()}"})


def test_the_walk_from_stranger_to_member_and_back(town: Town) -> None:
    with town.browser("first/1.0") as first, town.browser("second/1.0") as second:
        assert "Welcome Stranger!" in first.get(town.app.url).text
        assert first.cookies.get("coatcheck-dev") is None
        for client in (first, second):
            assert "Welcome Ada Lovelace!" in town.log_in(client, "ada").text
        assert town.sessions() == [(f"{town.provider.url}|ada", "oidc")] * 2

        town.app.restart()
        devices = first.get(f"{town.app.url}/devices")
        assert re.findall(r"<li>(.*?)</li>", devices.text).count("first/1.0 (this one)") == 1
        assert "second/1.0" in devices.text

        assert "Welcome Stranger!" in press(first, devices, "logout-everywhere").text
        assert "Welcome Stranger!" in second.get(town.app.url).text
        asked = second.get(f"{town.app.url}/devices")
        assert str(asked.url).startswith(f"{town.provider.url}/authorize?")


def test_log_out_ends_this_session_alone(town: Town) -> None:
    with town.browser() as first, town.browser() as second:
        page = town.log_in(first, "ada")
        town.log_in(second, "grace")

        assert "Welcome Stranger!" in press(first, page, "logout").text
        assert "Welcome Grace Hopper!" in second.get(town.app.url).text
        assert [subject for subject, _ in town.sessions()] == [f"{town.provider.url}|grace"]


def test_ses_11_the_answer_is_taken_only_in_the_browser_that_asked(town: Town) -> None:
    with town.browser() as mine, town.browser() as attacker:
        asked = attacker.get(f"{town.app.url}/login")
        sent = attacker.post(asked.url, data={"person": "grace"}, follow_redirects=False)
        link = sent.headers["location"]
        assert parse_qs(urlsplit(link).query).keys() == {"code", "state"}

        planted = mine.get(link)

        assert "The log-in did not work: mismatching_state" in planted.text
        assert "Welcome Stranger!" in planted.text
        assert town.sessions() == [] or all(subject is None for subject, _ in town.sessions())


def test_a_code_is_taken_once_and_a_refusal_at_the_provider_is_told(town: Town) -> None:
    with town.browser() as client:
        denied = town.log_in(client, "")
        assert "The log-in did not work: access_denied" in denied.text
        assert "The log-in did not work" not in client.get(town.app.url).text

        asked = client.get(f"{town.app.url}/login")
        link = client.post(asked.url, data={"person": "ada"}, follow_redirects=False).headers["location"]
        assert "Welcome Ada Lovelace!" in client.get(link).text
        assert "mismatching_state" in client.get(link).text


def test_what_authlib_keeps_is_on_the_server_and_goes_when_it_has_served(town: Town) -> None:
    with town.browser() as client:
        client.get(f"{town.app.url}/login")
        cookies = dict(client.cookies.items())
        assert [len(value) for value in cookies.values()] == [43]
        assert "_state_provider_" in data_of(town)
        town.log_in(client, "ada")
        assert "_state_provider_" not in data_of(town)
        assert "Ada Lovelace" in data_of(town)


def data_of(town: Town) -> str:
    with closing(sqlite3.connect(town.app.folder / "sessions.db")) as connection:
        return str(connection.execute("SELECT data FROM sessions WHERE ended_at IS NULL").fetchall())


def test_nobody_signs_up_here_with_a_password(town: Town) -> None:
    with town.browser() as client:
        for path in ("/auth/signup", "/auth/login", "/auth/api/login"):
            assert client.get(f"{town.app.url}{path}").status_code == 404


@pytest.mark.browser
def test_chromium_walks_it(town: Town, chromium: str) -> None:
    with browser_at(chromium) as browser:
        page = context_in(browser).new_page()
        page.goto(town.app.url)
        page.get_by_role("link", name="Log in").click()
        page.get_by_role("button", name="Grace Hopper").click()
        expect(page.get_by_role("heading")).to_have_text("Welcome Grace Hopper!")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading")).to_have_text("Welcome Stranger!")
