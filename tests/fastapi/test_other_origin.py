"""A single-page application on another origin: what its pages may do, in Chromium, and what other pages may not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Page

from coatcheck.testing.patience import PATIENCE
from tests.browsers import browser_at, context_in
from tests.serving import asgi_server

PASSWORD = "a long enough passphrase"
ASK = """async ([url, method, body]) => {
  try {
    const told = await fetch(url, {
      method, credentials: "include", body: body && JSON.stringify(body),
      headers: body ? {"content-type": "application/json"} : {},
    });
    return [told.status, await told.text()];
  } catch (error) { return error.name; }
}"""

BLINDLY = """url => fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body: "{}"})
  .then(() => "told", error => error.name)"""


class Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, *_args: Any) -> None:
        return


@pytest.fixture
def pages() -> Iterator[list[str]]:
    """Two origins with an empty page each: the application that is trusted, and another."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Empty) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"http://localhost:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(pages: list[str], tmp_path: Path) -> Iterator[str]:
    with asgi_server("uvicorn", "tests.fastapi.served:app", tmp_path, SPA=pages[0]) as server:
        yield f"http://localhost:{server.port}"


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    with browser_at(chromium) as browser:
        yield context_in(browser).new_page()


@pytest.mark.browser
def test_csr_11_a_trusted_page_may_act_and_no_other(site: str, pages: list[str], page: Page) -> None:
    trusted, other = pages
    httpx.post(f"{site}/auth/api/signup", json={"username": "ada", "password": PASSWORD}, timeout=PATIENCE)
    page.goto(f"{site}/auth/login")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{site}/*")

    def ask(path: str, method: str = "GET", body: Any = None) -> Any:
        return page.evaluate(ASK, [f"{site}{path}", method, body])

    page.goto(trusted)
    assert ask("/api/me") == [200, '{"name":"ada"}']
    assert ask("/api/notes", "POST", {"text": "hello"}) == [200, '{"notes":["ada: hello"]}']
    assert ask("/auth/login") == "TypeError"
    assert ask("/auth/api/me") == "TypeError"

    page.goto(other)
    assert ask("/api/me") == "TypeError"
    assert ask("/api/notes", "POST", {"text": "stolen"}) == "TypeError"
    assert page.evaluate(BLINDLY, f"{site}/api/notes") == "TypeError"  # sent, refused, and not even its status told

    page.goto(trusted)
    assert ask("/api/notes", "POST", {"text": "again"}) == [200, '{"notes":["ada: hello","ada: again"]}']


def test_csr_11_only_the_very_origin_is_allowed(site: str, pages: list[str]) -> None:
    trusted, other = pages
    with httpx.Client(base_url=site, timeout=PATIENCE) as client:
        for origin in (other, "null", f"{trusted}.evil.example", f"{trusted}/", "*"):
            told = client.get("/api/me", headers={"origin": origin})
            assert "access-control-allow-origin" not in told.headers, origin
        told = client.get("/api/me", headers={"origin": trusted})
        assert told.headers["access-control-allow-origin"] == trusted
        assert "Origin" in told.headers["vary"]
        for path in ("/auth/login", "/auth/api/me", "/auth/assets/coatcheck.css"):
            preflight = {"origin": trusted, "access-control-request-method": "POST"}
            for told in (client.get(path, headers={"origin": trusted}), client.options(path, headers=preflight)):
                assert "access-control-allow-origin" not in told.headers
