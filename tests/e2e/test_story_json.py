"""The whole story against real processes, by JSON: nothing between us and the server but sockets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coatcheck.testing.patience import PATIENCE, eventually
from tests.conftest import missing
from tests.e2e.conftest import Serve
from tests.e2e.serving import FOR_CROWDS, PASSWORD, Answer, Server, Visitor

SECRET = "k7Xo-9vTqWmZ3rYb5nPdLs8JfHcGaUeViRtKxNyQ2wE"


def test_the_story(server: Server) -> None:
    """Sign up, log in from two jars, see both, end one: it is out on its next call."""
    home, phone = Visitor(server, headers={"User-Agent": "Home/1"}), Visitor(server, headers={"User-Agent": "Phone/1"})

    assert home.sign_up("ada").status == 201
    for visitor in (home, phone):
        assert visitor.log_in("ada").status == 200
    assert sorted(one["user_agent"] for one in home.sessions()) == ["Home/1", "Phone/1"]
    other = next(one for one in home.sessions() if not one["current"])

    assert home.call("DELETE", f"/api/sessions/{other['id']}").status == 204

    click = phone.me()
    assert (click.status, click.reason) == (401, "not_authenticated")
    assert home.me().json["account"]["username"] == "ada"


def test_the_story_by_curl(server: Server, tmp_path: Path) -> None:
    """The same from a shell, with no header but those that curl sends of itself."""
    home, phone = Curl(server, tmp_path / "home"), Curl(server, tmp_path / "phone")
    log_in = {"identifier": "ada", "password": PASSWORD}

    assert home.post("/api/signup", {"username": "ada", "password": PASSWORD})[0] == 201
    assert home.post("/api/login", log_in)[0] == 200
    assert phone.post("/api/login", log_in)[0] == 200
    listed = home.get("/api/sessions")[1]["sessions"]
    assert [one["device"] for one in listed] == ["curl", "curl"]
    other = next(one for one in listed if not one["current"])
    token = home.get("/api/csrf")[1]["csrf_token"]
    assert home("-X", "DELETE", "-H", f"X-CSRF-Token: {token}", f"/api/sessions/{other['id']}")[0] == 204

    assert phone.get("/api/me")[0] == 401
    assert home.get("/api/me")[0] == 200


def test_ses_02_a_copied_cookie_is_dead_after_log_out_and_after_a_restart(server: Server) -> None:
    visitor = logged_in(server)
    thief = visitor.copy()

    assert visitor.call("POST", "/api/logout").status == 204

    assert thief.copy().me().status == 401
    server.restart()
    assert thief.copy().me().status == 401


def test_a_restart_logs_nobody_out(server: Server) -> None:
    visitor = logged_in(server)
    form_token = visitor.get("/api/csrf").json["csrf_token"]

    server.restart()

    assert visitor.me().json["account"]["username"] == "ada"
    assert visitor.send("POST", "/api/logout", headers={"X-CSRF-Token": form_token}).status == 204


CROSS_SITE = {
    "a browser says so": {"Sec-Fetch-Site": "cross-site", "Content-Type": "application/json"},
    "a sibling host": {"Sec-Fetch-Site": "same-site", "Content-Type": "application/json"},
    "a foreign origin": {"Origin": "https://evil.example", "Content-Type": "application/json"},
    "an opaque origin": {"Origin": "null", "Content-Type": "application/json"},
    "what a form can post without asking": {"Content-Type": "text/plain"},
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
}


@pytest.mark.parametrize("headers", CROSS_SITE.values(), ids=CROSS_SITE.keys())
@pytest.mark.parametrize("path", ["/api/login", "/login"])
def test_csr_01_a_cross_site_log_in_is_refused(shared: Server, path: str, headers: dict[str, str]) -> None:
    fields = json.dumps({"identifier": "ada", "password": PASSWORD}).encode()

    answer = Visitor(shared).send("POST", path, fields, headers)

    assert answer.status == 403
    assert not any(cookie.startswith("coatcheck-dev=") for cookie in answer.cookies)


def test_tok_03_neither_token_nor_password_is_in_any_file_of_the_server(serve: Serve) -> None:
    """Read as bytes while it runs (journal and shared memory too) and after it has stopped, log included."""
    server = serve(env={"COATCHECK_LOG_LEVEL": "debug"})
    here, gone = logged_in(server), Visitor(server)
    gone.log_in("ada", remember=True)
    tokens = [here.token, gone.token]
    here.call("POST", "/api/reauthenticate", {"password": PASSWORD})
    gone.call("POST", "/api/logout")
    Visitor(server).log_in("ada", "not the right passphrase")
    tokens.append(here.token)
    secrets = [form for token in tokens for form in (token.encode(), urlsafe_b64decode(token + "="))]
    secrets += [PASSWORD.encode(), b"not the right passphrase"]

    running = files_of(server)
    server.stop()
    stopped = files_of(server)

    assert {"coatcheck.db", "coatcheck.db-wal", "coatcheck.db-shm", "output"} <= running.keys()
    for name, content in [*running.items(), *stopped.items()]:
        assert not any(secret in content for secret in secrets), f"a secret stands in {name}"


def test_dat_05_what_belongs_to_the_store_is_readable_by_its_owner_only(serve: Serve) -> None:
    server = serve("--tls-self-signed")
    logged_in(server)

    modes = {path.name: path.stat().st_mode & 0o777 for path in server.store.parent.iterdir()}

    assert set(modes.values()) == {0o600}, modes
    assert {"coatcheck.db", "coatcheck.db-wal", "coatcheck.db.secret", "coatcheck.db.tls.pem"} <= modes.keys()


def test_rev_01_every_worker_refuses_from_the_next_request_on(serve: Serve) -> None:
    """Two processes answer; each request opens a connection of its own, so both are asked."""
    server = serve("--workers", "2", env=FOR_CROWDS)
    home = logged_in(server)
    for _ in range(10):
        phone = Visitor(server)
        phone.log_in("ada")
        assert {phone.me().status for _ in range(4)} == {200}
        id_ = phone.me().json["session"]["id"]

        assert home.call("DELETE", f"/api/sessions/{id_}").status == 204

        assert [phone.copy().me().status for _ in range(50)] == [401] * 50


def test_acc_05_of_sign_ups_with_one_name_at_once_one_wins(serve: Serve) -> None:
    server = serve("--workers", "2", env=FOR_CROWDS)

    answers = at_once(20, lambda number: Visitor(server).sign_up(("ada", "Ada", "ADA")[number % 3]))

    assert Counter(answer.status for answer in answers) == {201: 1, 409: 19}
    assert {answer.reason for answer in answers if answer.status == 409} == {"username_taken"}
    winner = next(answer for answer in answers if answer.status == 201)
    assert Visitor(server).log_in("ada").json["account"] == winner.json["account"]


def test_sigterm_lets_a_log_in_under_way_finish(server: Server) -> None:
    """The server has the head when it is told to stop, and gets the password afterwards."""
    Visitor(server).sign_up("ada")
    body = json.dumps({"identifier": "ada", "password": PASSWORD}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(head("POST", "/api/login", server, len(body), "Expect: 100-continue"))
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")  # now somebody waits for the body
        server.ask_to_stop()
        eventually(lambda: not server.is_listening(), "it listens on")

        connection.sendall(body)
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert server.wait() == 0
    server.start()
    visitor = Visitor(server)
    visitor.jar["coatcheck-dev"] = answer.partition(b"coatcheck-dev=")[2].partition(b";")[0].decode()
    assert visitor.me().status == 200


def test_workers_end_when_their_parent_is_killed(server: Server) -> None:
    visitor = logged_in(server)

    kill_parent_only(server)

    eventually(lambda: not server.is_listening(), "it listens on")
    server.start()
    assert visitor.me().status == 200


def test_cky_01_with_tls_the_cookie_has_its_prefix_and_attributes(serve: Serve) -> None:
    server = serve("--tls-self-signed")
    visitor = Visitor(server)
    visitor.sign_up("ada")

    answer = visitor.log_in("ada", remember=False)

    cookie, device = answer.cookies
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-coatcheck=")
    assert device.startswith("__Host-coatcheck-device=")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]
    # Not in development mode: it would hold for every other server on this machine's loopback names.
    assert answer.headers["strict-transport-security"] is None
    assert visitor.me().status == 200


@pytest.mark.parametrize("path", ["/login", "/", "/no-such-page", "/api/me", "/assets/none.css"])
def test_hdr_04_every_answer_of_production_says_hsts(production: Server, path: str) -> None:
    answer = Visitor(production, host="login.example.org").get(path)

    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_hdr_04_over_plain_http_there_is_no_hsts(shared: Server) -> None:
    assert Visitor(shared).get("/login").headers["strict-transport-security"] is None


def test_behind_a_proxy_public_url_alone_says_who_we_are(production: Server) -> None:
    """Plain http arrives from the proxy, and still cookies are `__Host-` ones and pages speak of https."""
    visitor = Visitor(production, host="login.example.org", headers={"Origin": "https://login.example.org"})
    visitor.sign_up("ada")

    answer = visitor.log_in("ada")

    assert answer.status == 200
    assert answer.cookies[0].startswith("__Host-coatcheck=")
    assert "; Secure" in answer.cookies[0]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert visitor.me().status == 200
    assert not Path(f"{production.store}.secret").exists()
    assert SECRET not in production.said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example", "login.example.org.evil.example"])
def test_hst_01_in_production_other_hosts_are_refused(production: Server, host: str) -> None:
    assert Visitor(production, host=host).get("/login").status == 421


def test_csr_05_in_production_the_origin_is_configuration_and_not_the_host(production: Server) -> None:
    visitor = Visitor(production, host="login.example.org", headers={"Origin": "http://login.example.org"})

    assert visitor.sign_up("ada").reason == "foreign_origin"


def test_healthz_answers_under_any_host(production: Server) -> None:
    assert Visitor(production, host="10.0.0.7:8000").get("/healthz").json == {"status": "alive"}


def test_cky_04_in_development_other_hosts_are_refused(shared: Server) -> None:
    assert Visitor(shared, host="evil.example").get("/login").status == 421


@pytest.mark.parametrize("size", [65 * 1024, 10 * 1024 * 1024])
def test_too_large_a_body_is_refused(shared: Server, size: int) -> None:
    body = json.dumps({"identifier": "ada", "password": "x" * size}).encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=PATIENCE) as connection:
        connection.sendall(head("POST", "/api/login", shared, len(body)) + body[:1024])

        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")

    assert Visitor(shared).get("/healthz").status == 200


def test_too_large_a_body_without_a_length_is_refused(shared: Server) -> None:
    lines = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), timeout=PATIENCE) as connection:
        connection.sendall(f"POST /api/login HTTP/1.1\r\nHost: {shared.authority}\r\n{lines}".encode())
        for _ in range(5):
            connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_cky_12_a_head_beyond_all_use_is_431(shared: Server) -> None:
    answer = Visitor(shared).get("/api/me", {"Cookie": "x=" + "y" * 200_000})

    assert answer.status == 431
    assert Visitor(shared).get("/healthz").status == 200


def test_cky_12_a_cookie_header_beyond_its_bound_is_anonymous(shared: Server) -> None:
    answer = Visitor(shared).get("/api/me", {"Cookie": "x=" + "y" * 20_000})

    assert answer.status in (401, 431)


def test_visitors_who_stop_in_mid_request_hold_up_nobody(server: Server) -> None:
    whole = head("POST", "/api/login", server, 100)
    starts = [b"G", b"GET /login HTTP/1.1\r\nHo", whole[:-2], whole, whole + b'{"identifier": ', b"\x16\x03\x01\x02"]
    waiting = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(120)]
    try:
        for number, connection in enumerate(waiting):
            connection.sendall(starts[number % len(starts)])

        visitor = logged_in(server)

        assert visitor.me().status == 200
    finally:
        for connection in waiting:
            connection.close()


def test_err_07_visitors_who_hang_up_while_they_log_in_leave_no_trouble(server: Server) -> None:
    visitor = logged_in(server)
    body = json.dumps({"identifier": "ada", "password": PASSWORD}).encode()
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(head("POST", "/api/login", server, len(body)) + body)

    server.restart()

    assert visitor.me().status == 200
    assert all_whole(server)


def test_health_is_answered_while_thirty_log_in(serve: Serve) -> None:
    server = serve(env=FOR_CROWDS)
    Visitor(server).sign_up("ada")
    with ThreadPoolExecutor(30) as crowd:

        def answered_meanwhile() -> bool:
            """Whether health was answered twice before all thirty were in: at times we are the ones who are late."""
            log_ins = [crowd.submit(lambda: Visitor(server).log_in("ada")) for _ in range(30)]
            answered = 0
            while not all(log_in.done() for log_in in log_ins):
                assert Visitor(server).get("/healthz").status == 200
                answered += not all(log_in.done() for log_in in log_ins)
            assert [log_in.result().status for log_in in log_ins] == [200] * 30
            return answered >= 2

        eventually(answered_meanwhile, "health is answered when all have logged in, and not before")


def test_readyz_reads_the_store(shared: Server) -> None:
    assert Visitor(shared).get("/readyz").json == {"status": "ready"}


def test_a_second_server_on_the_same_port_is_refused_in_words(server: Server, tmp_path: Path) -> None:
    second = Server(tmp_path / "second")
    second.port = server.port
    try:
        with pytest.raises(AssertionError, match="is taken by another program"):
            second.start()
        assert second.wait() == 2
    finally:
        second.end()


# What the tests above are made of


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that leave nothing behind; it has an account."""
    server = Server(tmp_path_factory.mktemp("shared"), env=FOR_CROWDS)
    server.start()
    Visitor(server).sign_up("ada")
    yield server
    server.end()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as it stands behind a proxy that speaks TLS."""
    folder = tmp_path_factory.mktemp("production")
    server = Server(folder, "--public-url", "https://login.example.org", env={"COATCHECK_SECRET": SECRET})
    server.start()
    yield server
    server.end()


def logged_in(server: Server) -> Visitor:
    visitor = Visitor(server)
    assert visitor.sign_up("ada").status == 201
    assert visitor.log_in("ada").status == 200
    return visitor


class Curl:
    """curl with a cookie jar."""

    def __init__(self, server: Server, jar: Path) -> None:
        if shutil.which("curl") is None:
            missing("curl is not installed: apt install curl")
        self.server, self.jar = server, str(jar)

    def __call__(self, *arguments: str) -> tuple[int, Any]:
        *options, path = arguments
        command = ["curl", "-sS", "--disable", "-b", self.jar, "-c", self.jar, "-w", "\n%{http_code}", *options]
        told = subprocess.run([*command, self.server.url + path], capture_output=True, check=True, text=True)
        body, _, status = told.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None

    def get(self, path: str) -> tuple[int, Any]:
        return self(path)

    def post(self, path: str, fields: Mapping[str, object]) -> tuple[int, Any]:
        return self("-H", "Content-Type: application/json", "-d", json.dumps(fields), path)


def head(method: str, path: str, server: Server, length: int, *more: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {server.authority}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


def at_once(many: int, work: Callable[[int], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(many) as crowd:
        return list(crowd.map(work, range(many)))


def files_of(server: Server) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in server.folder.rglob("*") if path.is_file()}


def kill_parent_only(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL


def all_whole(server: Server) -> bool:
    with closing(sqlite3.connect(server.store)) as connection, connection:
        checked: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return checked == "ok"
