"""The clients that load servers, against a small server that answers as it is told."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load import Flood, post, storm

COOKIE = b"session=one"


class Answers(BaseHTTPRequestHandler):
    """200 to a known cookie, 401 to others; a log-in is refused where the path says so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200 if self.headers["Cookie"] == COOKIE.decode() else 401)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(429 if self.path == "/full" else 200)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size  # nobody reads it


class Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address  # visitors hang up when they have seen enough


@pytest.fixture
def port() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=socketserver.BaseServer.serve_forever, args=(server,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def log_in(_number: int) -> bytes:
    return post("/login", "127.0.0.1", "application/json", b"{}", "192.0.2.1")


def log_in_in_vain(_number: int) -> bytes:
    return post("/full", "127.0.0.1", "application/json", b"{}", "192.0.2.1")


def test_a_flood_counts_answers(port: int) -> None:
    flood = Flood(port, [COOKIE] * 3)

    waits: list[float] = []

    rate = flood.rate("/", seconds=0.2, waits=waits)

    flood.close()
    assert 0 < rate * 0.2 <= len(waits), "it lasts as long as it was told, and the last answer may take longer"
    assert min(waits) > 0


def test_a_flood_raises_when_it_is_refused(port: int) -> None:
    flood = Flood(port, [b"session=other"])

    with pytest.raises(RuntimeError, match="something else than 200"):
        flood.rate("/", seconds=0.2)

    flood.close()


def test_a_storm_sends_requests_at_its_rate_and_counts_log_ins(port: int) -> None:
    seen = storm(
        port, host="127.0.0.1", path="/", cookie_fields=[COOKIE] * 4, log_in=log_in, clients=2,
        rate=20, seconds=1.0,
    )  # fmt: skip

    assert len(seen.waits) == 20
    assert seen.log_ins >= 2
    assert seen.failures == []
    assert seen.p99 >= sorted(seen.waits)[0]


def test_a_refused_log_in_is_none(port: int) -> None:
    seen = storm(
        port, host="127.0.0.1", path="/", cookie_fields=[COOKIE], log_in=log_in_in_vain, clients=1,
        rate=2, seconds=1.0,
    )  # fmt: skip

    assert seen.log_ins == 0
    assert set(seen.failures) == {"a log-in got 429"}


def test_a_refused_request_is_told(port: int) -> None:
    seen = storm(
        port, host="127.0.0.1", path="/", cookie_fields=[b"session=other"], log_in=log_in, clients=0,
        rate=10, seconds=0.2,
    )  # fmt: skip

    assert seen.failures == ["a request got 401"] * 2


def test_a_server_that_is_gone_is_told_and_not_waited_for() -> None:
    seen = storm(1, host="127.0.0.1", path="/", cookie_fields=[COOKIE], log_in=log_in, clients=0, rate=10, seconds=0.1)

    assert [failure.startswith("a request got ConnectionRefusedError") for failure in seen.failures] == [True]
