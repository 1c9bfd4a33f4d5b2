"""The application of `coatcheck serve`: its life, its health, its documentation, and the web behind them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from coatcheck import Coatcheck, ConfigurationError
from coatcheck.server.app import ServerApp, create_app
from coatcheck.server.config import Config, load

SECRET = bytes(range(7, 39))
Visit = Callable[..., httpx.Response]


def production(**settings: Any) -> Config:
    return Config(**{"store": "memory://", "secret": SECRET, "public_url": "https://login.example.org"} | settings)


def development(**settings: Any) -> Config:
    return Config(**{"store": "memory://", "secret": SECRET, "development": True} | settings)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def visit(runner: asyncio.Runner) -> Visit:
    """Send one request to an application."""

    def send(app: ServerApp, method: str, path: str, **more: Any) -> httpx.Response:
        secure = app.mount.site.place is not None
        base = "https://login.example.org" if secure else "http://localhost:8000"

        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base) as client:
                return await client.request(method, path, **more)

        return runner.run(once())

    return send


def live(runner: asyncio.Runner, app: ServerApp, *kinds: str) -> list[dict[str, Any]]:
    """Send lifespan messages; give what came back."""
    waiting, sent = [{"type": f"lifespan.{kind}"} for kind in kinds], list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    runner.run(app({"type": "lifespan"}, receive, send))
    return sent


def test_it_starts_and_stops_by_the_lifespan_protocol(runner: asyncio.Runner) -> None:
    sent = live(runner, create_app(production()), "startup", "shutdown")

    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_nothing_is_opened_before_start_up(tmp_path: Path, runner: asyncio.Runner) -> None:
    app = create_app(production(store=f"sqlite:///{tmp_path}/coatcheck.db"))
    assert list(tmp_path.iterdir()) == []

    live(runner, app, "startup", "shutdown")

    assert (tmp_path / "coatcheck.db").exists()


def test_a_store_that_cannot_be_used_fails_the_start_up_in_words(tmp_path: Path, runner: asyncio.Runner) -> None:
    (tmp_path / "coatcheck.db").write_bytes(b"this is no database, and it is longer than a header" * 99)
    app = create_app(production(store=f"sqlite:///{tmp_path}/coatcheck.db"))

    (sent,) = live(runner, app, "startup")

    assert sent["type"] == "lifespan.startup.failed"
    assert "no SQLite database" in sent["message"]


def test_err_01_a_process_that_starts_amid_an_outage_answers_503_until_it_is_over(
    tmp_path: Path, runner: asyncio.Runner, visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    store = f"sqlite:///{tmp_path}/coatcheck.db"
    app = create_app(production(store=f"{store}?mode=rw"))

    sent, _ = live(runner, app, "startup", "shutdown")
    meanwhile = visit(app, "GET", "/readyz").status_code
    with Coatcheck(store) as desk:
        desk.ready()
    afterwards = visit(app, "GET", "/readyz").status_code

    assert sent["type"] == "lifespan.startup.complete"
    assert (meanwhile, afterwards) == (503, 200)
    assert "the store's file is not there" in caplog.text


def test_err_03_a_site_that_cannot_be_is_refused_when_the_application_is_made() -> None:
    with pytest.raises(ConfigurationError):
        create_app(production(public_url="http://login.example.org"))


@pytest.mark.parametrize("reads", ["x-forwarded-for", "forwarded"])
def test_rat_04_a_client_behind_a_proxy_cannot_erase_its_address(
    runner: asyncio.Runner, visit: Visit, reads: str
) -> None:
    told = {"x-forwarded-for": "198.51.100.4", "forwarded": "for=198.51.100.4"}
    forged = {"x-forwarded-for": "x", "forwarded": "for=x"}
    proxy = (ip_network("127.0.0.1"),)
    app = create_app(development(trusted_proxies=proxy, trusted_hops=1, forwarded_header=reads))

    headers = forged | {reads: told[reads], "origin": "http://localhost:8000"}
    visit(app, "POST", "/api/login", json={"identifier": "nobody", "password": "wrong"}, headers=headers)

    events, _ = runner.run(app.desk.all_events())
    assert [event.ip for event in events] == ["198.51.100.4"]


def test_rat_04_a_forwarding_header_we_do_not_know_is_refused_when_the_application_is_made() -> None:
    with pytest.raises(ConfigurationError, match="forwarded_header"):
        create_app(production(forwarded_header="x-real-ip"))


@pytest.mark.parametrize(("path", "state"), [("/healthz", "alive"), ("/readyz", "ready")])
@pytest.mark.parametrize("host", ["login.example.org", "10.0.0.7:8000", "pod-42", ""])
def test_health_is_told_under_any_host(visit: Visit, path: str, state: str, host: str) -> None:
    answer = visit(create_app(production()), "GET", path, headers={"host": host})

    assert (answer.status_code, answer.json()) == (200, {"status": state})
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


def test_without_its_store_it_is_alive_and_not_ready(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    app = create_app(production(store=f"sqlite:///{tmp_path}/a-file/coatcheck.db"))

    alive, ready, page = (visit(app, "GET", path) for path in ("/healthz", "/readyz", "/login"))

    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["reason"]) == (503, "store_unavailable")
    assert page.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_head_is_get_without_the_body(visit: Visit, path: str) -> None:
    app = create_app(production())

    get, head = visit(app, "GET", path), visit(app, "HEAD", path)

    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_only_reading_is_answered_there(visit: Visit, path: str) -> None:
    app = create_app(production())

    statuses = [visit(app, method, path).status_code for method in ("POST", "PUT", "DELETE", "OPTIONS")]

    assert set(statuses) <= {404, 405}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/login", "/api/me"])
def test_hst_01_documents_and_pages_answer_to_our_own_host_only(visit: Visit, path: str) -> None:
    answer = visit(create_app(production()), "GET", path, headers={"host": "evil.example"})

    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["", "evil.example"], ids=["our host", "another host"])
@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/login", "/api/me", "/nowhere", "/healthz", "/readyz"])
def test_hdr_04_strict_transport_security_over_https_only(visit: Visit, path: str, host: str) -> None:
    headers = {"host": host} if host else {}
    safe = visit(create_app(production()), "GET", path, headers=headers)
    plain = visit(create_app(development()), "GET", path, headers=headers)

    assert safe.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in plain.headers


def test_hdr_03_the_documentation_loads_nothing_from_elsewhere_and_runs_nothing(visit: Visit) -> None:
    app = create_app(production())

    answer = visit(app, "GET", "/docs")

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; object-src 'none'")
    loads = re.findall(r'(?:src|href|action|srcset)="([^"]*)"', answer.text)
    assert not [link for link in loads if "//" in link]
    assert "<script" not in answer.text
    assert not re.search(r"\son[a-z]+=|\sstyle=", answer.text)
    for link in loads:
        if link.startswith("/assets/"):
            assert visit(app, "GET", link).status_code == 200


def test_the_documentation_shows_every_call(visit: Visit) -> None:
    app = create_app(production())
    described = visit(app, "GET", "/openapi.json").json()

    page = visit(app, "GET", "/docs").text

    for path in described["paths"]:
        assert path in page


def test_the_example_of_logging_in_keeps_the_cookie(visit: Visit) -> None:
    """Whoever runs the examples one after the other must get through."""
    page = visit(create_app(production()), "GET", "/docs").text
    examples = re.findall(r"<code>(curl [^<]*)</code>", page)

    for end in ("/api/login", "/api/logout", "/api/csrf"):
        (example,) = [text for text in examples if f"{end}&#34;" in text or f'{end}"' in text]
        assert "-c cookies.txt" in example, example


def test_hdr_11_no_answer_tells_a_version(visit: Visit) -> None:
    from importlib.metadata import PackageNotFoundError, version

    app = create_app(production())
    try:
        own = version("coatcheck")
    except PackageNotFoundError:
        own = "0.1.0"

    for path in ("/docs", "/openapi.json", "/healthz", "/readyz", "/login", "/nowhere"):
        answer = visit(app, "GET", path)
        assert own not in answer.text, path
        assert "server" not in answer.headers


def test_everything_else_is_the_webs(visit: Visit) -> None:
    app = create_app(production())

    assert visit(app, "GET", "/login").status_code == 200
    assert visit(app, "GET", "/api/me").status_code == 401
    assert visit(app, "GET", "/healthz/").status_code == 404


def test_a_websocket_is_refused(runner: asyncio.Runner) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    runner.run(create_app(production())({"type": "websocket", "path": "/docs", "headers": []}, receive, send))

    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_settings_reach_what_they_speak_of(visit: Visit) -> None:
    app = create_app(
        production(profile="strict", redirect_hosts=("app.example.org",), trusted_origins=("https://app.example.org",))
    )

    page = visit(app, "GET", "/login")
    post = visit(
        app, "POST", "/api/logout", headers={"sec-fetch-site": "cross-site", "origin": "https://app.example.org"}
    )

    assert "SameSite=Strict" in page.headers["set-cookie"]
    assert page.headers["content-security-policy"].endswith("form-action 'self' https://app.example.org")
    assert 'name="remember"' not in page.text
    assert post.status_code == 204
    assert post.headers["clear-site-data"] == '"cache", "storage"'


def test_hst_07_tmo_09_the_cookies_name_and_passive_paths_are_settings() -> None:
    app = ServerApp(development(cookie_name="tickets", passive_paths=("/api/me",)))

    assert app.mount.site.session_cookie.name == "tickets-dev"
    assert app.mount.passive_paths == {"/api/me"}


def test_err_03_mistakes_in_them_are_told_together() -> None:
    with pytest.raises(ConfigurationError) as told:
        load({"cookie_name": "no spaces", "passive_paths": ["api/me"]}, {}, None, serving=True)

    assert sorted(re.split("[ :]", problem)[0] for problem in told.value.problems) == ["cookie_name", "passive_paths"]
