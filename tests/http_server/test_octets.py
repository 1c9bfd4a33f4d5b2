"""HTTP/1.1 as it comes over the wire: one way to read a request, and answers that end where they say."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from coatcheck.http_server import CoatcheckHandler, CoatcheckServer
from coatcheck.http_server.octets import MalformedHead, Wire
from coatcheck.server import tls
from coatcheck.testing.patience import PATIENCE
from tests.http_server.conftest import Line, Serve

Connect = Callable[..., Line]


class Echo(CoatcheckHandler):
    """Answers with the path, or with the body it was sent."""

    linger_seconds = 0.1

    def do_GET(self) -> None:
        self.answer(self.path, content_type="text/plain")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(), content_type="text/plain")

    def log_message(self, *_: object) -> None:
        """The tests' output is quiet."""


@pytest.fixture
def line(serve: Serve, connect: Connect) -> Line:
    return connect(serve(Echo))


def test_a_connection_serves_one_request_after_the_other(line: Line) -> None:
    for path in ("/one", "/two?x=1"):
        status, fields, body = line.ask(f"GET {path} HTTP/1.1")

        assert (status, body) == (200, path.encode())
        assert "connection" not in fields


def test_requests_sent_at_once_are_answered_in_their_order(line: Line) -> None:
    line.send("GET /one HTTP/1.1\r\nHost: localhost\r\n\r\nGET /two HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert [line.read()[2], line.read()[2]] == [b"/one", b"/two"]


def test_a_body_ends_where_its_length_says_and_the_next_request_begins(line: Line) -> None:
    post = "POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 5\r\n\r\nhello"
    line.send(post + "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert [line.read()[2], line.read()[2]] == [b"hello", b"/next"]


@pytest.mark.parametrize("option", ["Connection: close", "Connection: keep-alive, Close"])
def test_a_client_that_says_close_gets_it(line: Line, option: str) -> None:
    assert line.ask(f"GET / HTTP/1.1\n{option}")[1]["connection"] == "close"
    assert line.is_over


def test_http_1_0_gets_one_answer(line: Line) -> None:
    status, fields, body = line.ask("GET /old HTTP/1.0")

    assert (status, fields["connection"], body) == (200, "close", b"/old")
    assert line.is_over


def test_head_has_the_length_and_no_body(line: Line) -> None:
    status, fields, _ = line.ask("HEAD /path HTTP/1.1")

    assert (status, fields["content-length"]) == (200, "5")
    assert line.ask("GET /next HTTP/1.1")[2] == b"/next"


def test_csr_10_a_method_that_nobody_wrote_is_405_and_names_the_others(line: Line) -> None:
    for method in ("DELETE", "TRACE", "BREW", "get"):
        status, fields, _ = line.ask(f"{method} / HTTP/1.1\nSec-Fetch-Site: same-origin")

        assert (status, fields["allow"]) == (405, "GET, HEAD, POST")


MALFORMED = {
    "no version": "GET /\r\nHost: localhost\r\n\r\n",
    "two spaces": "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab": "GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no octets of ASCII": "GET /\xe9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a folded line": "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "a line without a colon": "GET / HTTP/1.1\r\nHost: localhost\r\nX\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    "a blank before the colon": "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\n",
    "a lone CR": "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rCookie: coatcheck-dev=planted\r\n\r\n",
    "a NUL": "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "two lengths": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5, 5\r\n\r\nhello",
    "a signed length": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello",
    "a negative length": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\nhello",
    "a length in other digits": "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: \xb2\r\n\r\nhello",
}


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED)
def test_a_head_that_two_readers_could_read_differently_is_refused(line: Line, octets: str) -> None:
    line.send(octets + "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")

    status, fields, body = line.read()

    assert (status, fields["connection"]) == (400, "close")
    assert b"smuggled" not in body
    assert line.is_over


@pytest.mark.parametrize("coding", ["chunked", "identity", "gzip, chunked", "xchunked"])
def test_a_transfer_coding_is_refused_and_what_follows_is_no_request(line: Line, coding: str) -> None:
    line.send(
        f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET "
    )

    assert line.read()[0] == 411
    assert line.is_over


def test_other_versions_are_505(line: Line) -> None:
    line.send("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n")

    assert line.read()[0] == 505


def test_cky_12_a_head_beyond_all_use_is_431(serve: Serve, connect: Connect) -> None:
    server = serve(Echo)
    for head in ("X: " + "a" * 70_000, "\r\n".join(f"X{number}: 1" for number in range(101)), "X: 1\r\n" * 9000):
        line = connect(server)
        line.send(f"GET / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n")

        assert line.read()[0] == 431


@pytest.mark.parametrize(("fields", "status"), [(99, 200), (100, 200), (101, 431)])
def test_cky_12_a_head_has_at_most_a_hundred_fields(line: Line, fields: int, status: int) -> None:
    assert line.ask("GET / HTTP/1.1\n" + "X: 1\n" * (fields - 1))[0] == status


def test_an_answer_reaches_a_client_that_goes_on_sending(serve: Serve, connect: Connect) -> None:
    """Octets that nobody reads would make the connection's end a reset, which overtakes the answer."""

    class Patient(Echo):
        linger_seconds = 30.0

    for head, status in (
        ("POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nCookie: coatcheck-dev=x", 403),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nX : y", 400),
    ):
        line = connect(serve(Patient))
        line.send(f"{head}\r\nContent-Length: 150000\r\n\r\n")
        assert line.answers.peek(1)

        for _ in range(15):
            line.send(b"x" * 10_000)

        assert line.read()[0] == status
        line.socket.shutdown(1)


def test_a_body_too_large_for_the_application_never_reaches_it(serve: Serve, connect: Connect) -> None:
    class Small(Echo):
        most_body = 10

    line = connect(serve(Small))

    status, fields, _ = line.ask("POST / HTTP/1.1\nSec-Fetch-Site: same-origin\nContent-Length: 11", body=b"x" * 11)

    assert (status, fields["connection"]) == (413, "close")


def test_csr_12_what_another_site_posts_is_refused_with_its_body_unread(line: Line) -> None:
    head = "POST / HTTP/1.1\nSec-Fetch-Site: cross-site\nCookie: coatcheck-dev=x\nContent-Length: 10000000"

    status, fields, _ = line.ask(head + "\nExpect: 100-continue")

    assert (status, fields["connection"]) == (403, "close"), "100 Continue would have asked for the body"
    assert line.is_over


def test_a_client_that_waits_is_told_to_go_on_when_the_body_is_wanted(line: Line) -> None:
    line.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 5\r\n"
        "Expect: 100-continue\r\n\r\n"
    )

    assert line.read()[0] == 100
    line.send("hello")
    assert line.read()[2] == b"hello"


def test_err_06_a_body_that_drips_is_408(serve: Serve, connect: Connect) -> None:
    class Impatient(Echo):
        body_seconds = 0.05

    line = connect(serve(Impatient))

    status, _, _ = line.ask("POST / HTTP/1.1\nSec-Fetch-Site: same-origin\nContent-Length: 5", body=b"he")

    assert status == 408
    assert line.is_over


@pytest.mark.parametrize("octets", ["", "GET / HT"])
def test_err_06_a_head_that_does_not_come_ends_the_connection(serve: Serve, connect: Connect, octets: str) -> None:
    class Impatient(Echo):
        idle_seconds = head_seconds = 0.05

    line = connect(serve(Impatient))
    line.send(octets)

    assert line.is_over


def test_err_07_a_body_that_breaks_off_is_nobody_to_answer(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    line = connect(serve(Echo))

    line.send("POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 5\r\n\r\nhe")
    line.socket.shutdown(1)

    assert line.is_over
    assert caplog.records == []


def test_what_the_application_leaves_of_a_body_is_never_the_next_request(serve: Serve, connect: Connect) -> None:
    class Careless(Echo):
        def do_POST(self) -> None:
            self.answer("not looked at")

    line = connect(serve(Careless))
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

    status, fields, _ = line.ask(
        f"POST / HTTP/1.1\nSec-Fetch-Site: same-origin\nContent-Length: {len(smuggled)}", body=smuggled
    )

    assert (status, fields["connection"]) == (200, "close")
    assert line.is_over


def test_an_application_reads_no_further_than_its_body(serve: Serve, connect: Connect) -> None:
    class Greedy(Echo):
        def do_POST(self) -> None:
            self.answer(self.rfile.read(1000) + self.rfile.readline())

    line = connect(serve(Greedy))
    line.send("POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 2\r\n\r\nhi")
    line.send("GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert [line.read()[2], line.read()[2]] == [b"hi", b"/next"]


def test_cky_15_red_04_no_header_and_no_status_can_be_split(serve: Serve, connect: Connect) -> None:
    class Naive(Echo):
        def do_GET(self) -> None:
            where = {
                "/name": lambda: self.send_header("X\r\nSet-Cookie: planted=1", "v"),
                "/value": lambda: self.send_header("X", "v\r\nSet-Cookie: planted=1"),
                "/ascii": lambda: self.send_header("X", "\u0100"),
                "/message": lambda: self.send_response(200, "OK\r\nSet-Cookie: planted=1"),
                "/error": lambda: self.send_error(400, "Bad\r\nSet-Cookie: planted=1"),
                "/redirect": lambda: self.redirect("/\r\nSet-Cookie: planted=1"),
            }
            self.send_response(200)
            where[self.path]()
            self.end_headers()

    line = connect(serve(Naive))
    for path in ("/name", "/value", "/ascii", "/message", "/error", "/redirect"):
        status, fields, _ = line.ask(f"GET {path} HTTP/1.1")

        assert status == 500
        assert "set-cookie" not in fields


def test_what_would_break_the_frame_of_an_answer_ends_the_connection(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Sloppy(Echo):
        def do_GET(self) -> None:
            if self.path != "/early":
                self.send_response(200)
                self.send_header("Content-Length", "x" if self.path == "/number" else "3")
                if self.path == "/coded":
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" if self.path in ("/early", "/long") else b"no")
            if self.path == "/late":
                self.send_header("X", "1")

    server = serve(Sloppy)
    for path in ("/long", "/short", "/late"):
        line = connect(server)
        line.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        octets = line.answers.read()
        assert octets.count(b"HTTP/1.1") == 1, path
        assert octets.endswith((b"\r\n\r\n", b"\r\n\r\nno")), path
    for path in ("/early", "/number", "/coded"):
        assert connect(server).ask(f"GET {path} HTTP/1.1")[0] == 500, path
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 6


def test_204_and_304_have_no_body_whatever_is_written(serve: Serve, connect: Connect) -> None:
    class Empty(Echo):
        def do_GET(self) -> None:
            self.answer("a body", status=int(self.path[1:]))

    line = connect(serve(Empty))
    for status in (204, 304):
        got, fields, _ = line.ask(f"GET /{status} HTTP/1.1")

        assert got == status
        assert "content-length" not in fields
    assert line.ask("GET /200 HTTP/1.1")[2] == b"a body"


def test_an_answer_of_unknown_length_ends_with_the_connection(serve: Serve, connect: Connect) -> None:
    class Streaming(Echo):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            for part in (b"one ", b"two"):
                self.wfile.write(part)

    line = connect(serve(Streaming))

    status, fields, body = line.ask("GET / HTTP/1.1")

    assert (status, fields["connection"], body) == (200, "close", b"one two")


def test_hdr_11_no_answer_tells_a_version_or_a_trace(serve: Serve, connect: Connect) -> None:
    class Broken(Echo):
        def do_GET(self) -> None:
            raise RuntimeError("a secret place")

    line = connect(serve(Broken))
    for head in ("GET / HTTP/1.1", "GET /auth/login HTTP/1.1", "BREW / HTTP/1.1"):
        _, fields, body = line.ask(head)

        assert fields["server"] == "http.server"
        assert b"secret place" not in body
        assert b"Traceback" not in body


def test_log_03_the_log_keeps_no_query(serve: Serve, connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    class Loud(CoatcheckHandler):
        def do_GET(self) -> None:
            self.answer("")

    line = connect(serve(Loud))
    line.ask("GET /path?token=canary HTTP/1.1")
    line.send("GET /path?token=canary\r\n\r\n")
    line.read()

    logged = capsys.readouterr().err
    assert '"GET /path" 200' in logged
    assert "canary" not in logged


def test_the_absolute_form_leads_to_the_same_path(line: Line) -> None:
    assert line.ask("GET http://localhost/path?x=1 HTTP/1.1")[2] == b"/path?x=1"
    assert line.ask("GET //path HTTP/1.1")[2] == b"/path"


def test_closing_ends_idle_connections_and_lets_the_answers_under_way_come(serve: Serve, connect: Connect) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Echo):
        def do_GET(self) -> None:
            begun.set()
            assert go_on.wait(PATIENCE)
            self.answer("done")

    server = serve(Slow)
    idle, busy = connect(server), connect(server)
    busy.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert begun.wait(PATIENCE)
    server.shutdown()
    closing = threading.Thread(target=server.server_close)
    closing.start()
    assert idle.is_over
    go_on.set()

    status, fields, body = busy.read()
    closing.join()

    assert (status, fields["connection"], body) == (200, "close", b"done")


def test_who_comes_when_all_places_are_taken_is_turned_away(serve: Serve, connect: Connect) -> None:
    server = serve(Echo)
    first = connect(server)
    first.ask("GET / HTTP/1.1")
    server.most_connections = 1

    assert connect(server).is_over
    assert first.ask("GET /still HTTP/1.1")[2] == b"/still"


def test_tls_by_the_servers_own_certificate(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    tls.self_signed(tmp_path / "tls.pem", now=int(time.time()))
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(tmp_path / "tls.pem")
    trust = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    server = serve(Echo, ssl_context=certificate)

    stranger = connect(server)
    stranger.send("GET / HTTP/1.1\r\n\r\n")
    line = connect(server, trust)

    assert line.ask("GET /one HTTP/1.1")[2] == b"/one"
    status, fields, _ = line.ask("GET /auth/login HTTP/1.1")
    assert status == 200
    assert fields["set-cookie"].startswith("__Host-coatcheck-pre=")
    assert "Secure" in fields["set-cookie"]
    with suppress(ConnectionResetError):
        assert not stranger.answers.read(4).startswith(b"HTTP")


def test_a_wire_has_one_deadline_for_all_that_is_read(connect: Connect, serve: Serve) -> None:
    line = connect(serve(Echo))
    wire = Wire(line.socket)

    with pytest.raises(TimeoutError):
        wire.read(1)


def test_the_server_listens_on_ipv6_too(desk: object, connect: Connect) -> None:
    with CoatcheckServer(("::1", 0), Echo, desk, development=True) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        assert connect(server).ask("GET /six HTTP/1.1", host="[::1]")[2] == b"/six"

        server.shutdown()
        thread.join()


def test_a_malformed_head_says_its_status() -> None:
    assert MalformedHead(431).status == 431
