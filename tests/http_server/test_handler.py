"""The handler's words: guards, forms, and what becomes of a session when a method raises."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from msgspec import Struct

from coatcheck import AsyncCoatcheck, Coatcheck
from coatcheck.errors import ConfigurationError
from coatcheck.http_server import (
    CoatcheckHandler,
    CoatcheckServer,
    fresh_login_required,
    login_required,
    same_account_required,
)
from coatcheck.testing.clock import MovableClock
from tests.http_server.conftest import PASSWORD, Line, Serve

Connect = Callable[..., Line]


class Names(Struct):
    username: str
    password: str


class App(CoatcheckHandler):
    def do_GET(self) -> None:
        path, _, rest = self.path[1:].partition("/")
        {"": self.home, "mine": self.mine, "fresh": self.fresh, "users": self.user, "raise": self.broken}[path](rest)

    def home(self, _rest: str) -> None:
        self.answer(f"Welcome {self.account.username if self.account else 'Stranger'}!")

    @login_required
    def mine(self, _rest: str) -> None:
        self.answer("yours")

    @fresh_login_required
    def fresh(self, _rest: str) -> None:
        self.answer("fresh")

    @same_account_required("subject")
    def user(self, subject: str) -> None:
        self.answer(f"this is {subject}")

    def broken(self, _rest: str) -> None:
        self.session["kept"] = "no"
        raise RuntimeError("a bug")

    def do_POST(self) -> None:
        if self.path == "/login":
            names = self.form(Names)
            self.coatcheck.log_in(names.username, names.password)
            self.redirect("/")
        elif self.path == "/login-and-fail":
            names = self.form(Names)
            self.coatcheck.log_in(names.username, names.password)
            raise RuntimeError("a bug after the log-in")
        elif self.path == "/count":
            self.answer(str(self.coatcheck.increment("visits")))

    def log_message(self, *_: object) -> None:
        """The tests' output is quiet."""


FORM = "Sec-Fetch-Site: same-origin\nContent-Type: application/x-www-form-urlencoded"
HTML = "Accept: text/html"


def posted(line: Line, path: str, text: str, cookie: str = "") -> tuple[int, dict[str, str], bytes]:
    cookies = f"\nCookie: {cookie}" if cookie else ""
    return line.ask(f"POST {path} HTTP/1.1\n{FORM}{cookies}\nContent-Length: {len(text)}", body=text.encode())


def cookie_of(fields: dict[str, str]) -> str:
    return next(one.partition(";")[0] for one in fields["set-cookie"].splitlines() if one.startswith("coatcheck-dev="))


@pytest.fixture
def line(serve: Serve, connect: Connect, desk: Coatcheck) -> Line:
    desk.sign_up(username="ada", password=PASSWORD)
    return connect(serve(App))


@pytest.fixture
def ada(line: Line) -> str:
    """Ada's cookie."""
    status, fields, _ = posted(line, "/login", f"username=ada&password={PASSWORD.replace(' ', '+')}")
    assert (status, fields["location"]) == (303, "/")
    return cookie_of(fields)


def test_whoever_is_logged_in_is_known(line: Line, ada: str) -> None:
    assert line.ask("GET / HTTP/1.1")[2] == b"Welcome Stranger!"
    assert line.ask(f"GET / HTTP/1.1\nCookie: {ada}")[2] == b"Welcome ada!"


def test_hdr_10_a_guard_sends_a_page_to_log_in_and_answers_401_to_anything_else(line: Line) -> None:
    status, fields, _ = line.ask(f"GET /mine HTTP/1.1\n{HTML}")
    assert (status, fields["location"]) == (303, "/auth/login?next=%2Fmine")

    status, fields, _ = line.ask("GET /mine HTTP/1.1\nAccept: application/json")
    assert (status, "www-authenticate" in fields) == (401, True)


def test_guards_let_in_whom_they_should(line: Line, ada: str, desk: Coatcheck, clock: MovableClock) -> None:
    account = desk.find_account("ada")
    assert account is not None
    for path in ("/mine", "/fresh", f"/users/{account.subject}"):
        assert line.ask(f"GET {path} HTTP/1.1\nCookie: {ada}")[0] == 200, path

    clock.move(301)

    status, fields, _ = line.ask(f"GET /fresh HTTP/1.1\nCookie: {ada}\n{HTML}")
    assert (status, fields["location"]) == (303, "/auth/reauthenticate?next=%2Ffresh")
    assert line.ask(f"GET /users/somebody-else HTTP/1.1\nCookie: {ada}")[0] == 403


def test_a_request_knows_nothing_of_the_one_before_it_on_its_connection(
    serve: Serve, connect: Connect, desk: Coatcheck
) -> None:
    """A proxy sends different visitors over one connection."""
    noted: list[tuple[str, int, str | None, str | None, bool]] = []

    class Noting(App):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
            try:
                has_passage = bool(self.coatcheck)
            except RuntimeError:
                has_passage = False
            name = self.account.username if self.account else None
            noted.append((self.path, int(code), name, self.headers.get("cookie"), has_passage))

    desk.sign_up(username="ada", password=PASSWORD)
    line = connect(serve(Noting))
    cookie = cookie_of(posted(line, "/login", f"username=ada&password={PASSWORD.replace(' ', '+')}")[1])
    line.ask(f"GET / HTTP/1.1\nCookie: {cookie}")
    line.ask("GET /auth/login HTTP/1.1")
    line.ask("GET / HTTP/1.1", host="elsewhere.example")
    line.ask("no request")

    assert noted[1:] == [
        ("/", 200, "ada", cookie, True),
        ("/auth/login", 200, None, None, False),
        ("/", 421, None, None, False),
        ("", 400, None, None, False),
    ]


def test_hdr_01_an_answer_that_may_look_while_it_streams_is_the_visitors_own(
    serve: Serve, connect: Connect, desk: Coatcheck
) -> None:
    class Stream(App):
        def home(self, _rest: str) -> None:
            self.send_response(200)
            self.send_header("Cache-Control", "public, max-age=60")
            self.end_headers()
            self.wfile.write(f"hello {self.account.username if self.account else 'Stranger'}".encode())

    desk.sign_up(username="ada", password=PASSWORD)
    server = serve(Stream)
    cookie = cookie_of(posted(connect(server), "/login", f"username=ada&password={PASSWORD.replace(' ', '+')}")[1])

    _, fields, body = connect(server).ask(f"GET / HTTP/1.1\nCookie: {cookie}")

    assert (fields["cache-control"], fields["vary"], body) == ("private, max-age=60", "Cookie", b"hello ada")
    assert connect(server).ask("GET / HTTP/1.1")[1]["cache-control"] == "public, max-age=60", "nobody's"


def test_err_07_who_hangs_up_amid_an_answer_loses_nothing_of_what_was_changed(
    serve: Serve, connect: Connect, desk: Coatcheck
) -> None:
    class Endless(App):
        def home(self, _rest: str) -> None:
            self.session["begun"] = True
            self.send_response(200)
            self.end_headers()
            self.session["later"] = True
            while True:
                self.wfile.write(b"x" * 65_536)

    server = serve(Endless)
    line = connect(server)
    line.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert line.answers.readline().split()[1] == b"200"

    line.close()
    server.shutdown()
    server.server_close()  # waits for the handler

    ((session, _),) = desk.all_sessions()[0]
    assert session.data() == {"begun": True, "later": True}


def test_hdr_01_who_looks_only_when_the_answer_is_over_keeps_it_everybodys(
    serve: Serve, connect: Connect, desk: Coatcheck
) -> None:
    seen: list[str | None] = []

    class After(App):
        def home(self, _rest: str) -> None:
            self.answer("hello")
            seen.append(self.account.username if self.account else None)

    desk.sign_up(username="ada", password=PASSWORD)
    server = serve(After)
    cookie = cookie_of(posted(connect(server), "/login", f"username=ada&password={PASSWORD.replace(' ', '+')}")[1])

    _, fields, body = connect(server).ask(f"GET / HTTP/1.1\nConnection: close\nCookie: {cookie}")

    assert (fields.get("cache-control"), body) == (None, b"hello")
    server.server_close()
    assert seen == ["ada"]


def test_a_form_is_read_strictly_and_says_what_is_wrong(line: Line) -> None:
    text = "username=ada&username=eve"
    head = f"POST /login HTTP/1.1\n{FORM}\nAccept: application/json\nContent-Length: {len(text)}"
    status, _, body = line.ask(head, body=text.encode())

    assert status == 400
    assert b"/username" in body
    assert b"/password" in body


def test_a_form_whose_token_was_looked_at_is_still_there_for_the_application(line: Line, ada: str) -> None:
    """Without evidence in the headers the token decides; the body has been read then."""
    text = f"username=ada&password={PASSWORD.replace(' ', '+')}"
    head = f"Content-Type: application/x-www-form-urlencoded\nCookie: {ada}"
    status, _, _ = line.ask(f"POST /login HTTP/1.1\n{head}\nContent-Length: {len(text)}", body=text.encode())
    assert status == 403

    token = line.ask(f"GET /auth/api/csrf HTTP/1.1\nCookie: {ada}")[2].split(b'"')[3].decode()
    text += f"&csrf_token={token}"
    status, _, _ = line.ask(f"POST /login HTTP/1.1\n{head}\nContent-Length: {len(text)}", body=text.encode())
    assert status == 303


def test_a_method_that_raises_saves_nothing_of_the_session_data(line: Line, desk: Coatcheck) -> None:
    status, fields, _ = line.ask("GET /raise HTTP/1.1")

    assert status == 500
    assert "set-cookie" not in fields
    assert desk.all_sessions()[0] == []


def test_a_log_in_stands_whatever_becomes_of_the_request(line: Line) -> None:
    status, fields, _ = posted(line, "/login-and-fail", f"username=ada&password={PASSWORD.replace(' ', '+')}")

    assert (status, fields["cache-control"]) == (500, "no-store")
    assert line.ask(f"GET / HTTP/1.1\nCookie: {cookie_of(fields)}")[2] == b"Welcome ada!"


def test_a_method_that_sends_nothing_is_500(line: Line) -> None:
    assert posted(line, "/nothing", "")[0] == 500


def test_a_counter_counts(line: Line) -> None:
    _, fields, body = posted(line, "/count", "")
    assert body == b"1"
    assert posted(line, "/count", "", cookie_of(fields))[2] == b"2"


def test_a_server_says_at_its_start_what_it_cannot_work_with(desk: Coatcheck) -> None:
    def start(handler: type[BaseHTTPRequestHandler] = App, of: object = desk, **settings: object) -> None:
        CoatcheckServer(("127.0.0.1", 0), handler, of, **settings)  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="handler: BaseHTTPRequestHandler must be"):
        start(BaseHTTPRequestHandler, development=True)
    with pytest.raises(ConfigurationError, match="public_url: set it"):
        start()
    with pytest.raises(ConfigurationError, match="desk: this door needs Coatcheck"):
        start(of=AsyncCoatcheck("memory://"), development=True)
    with pytest.raises(ConfigurationError, match="tls: needs a certificate"):
        start(development=True, tls=True)
    with pytest.raises(ConfigurationError, match="no such setting"):
        start(development=True, prefx="/auth")


def test_a_handler_at_the_standard_library_s_own_server_says_what_it_needs() -> None:
    """That one makes a handler for each connection, and asks nobody before."""
    with HTTPServer(("127.0.0.1", 0), App) as server, closing(socket.socket()) as visitor:
        visitor.connect(server.server_address)
        connection, address = server.get_request()

        with closing(connection), pytest.raises(ConfigurationError, match=r"say CoatcheckServer\(address, App,"):
            App(connection, address, server)


def test_a_guard_of_an_argument_that_is_none_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="takes no argument 'id'"):

        @same_account_required("id")
        def edit(self: App) -> None: ...
