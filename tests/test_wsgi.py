"""The WSGI door: PEP 3333 kept to the letter on both sides, whatever the server hides and whatever the visitor does."""

from __future__ import annotations

import io
import re
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from coatcheck import Coatcheck, ConfigurationError, NotAuthenticated, StoreUnavailable
from coatcheck.colour import run_blocking
from coatcheck.errors import BadRequest
from coatcheck.http.messages import ClientGone
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock
from coatcheck.web.blocking import BlockingPassage
from coatcheck.wsgi import CoatcheckWSGI, Exemption, request_of
from tests.conftest import ROOT
from tests.docs import examples
from tests.served_wsgi import answer, routes
from tests.serving import WSGI_SERVERS, Client, Process, wsgi_server

PASSWORD = "a long enough passphrase"
OWN = {"HTTP_SEC_FETCH_SITE": "same-origin"}
Start = Callable[..., Callable[[bytes], object]]


class House:
    """An application behind the door, called as a server would, with a judge of PEP 3333 on both of its sides."""

    def __init__(self, app: Any = routes, **settings: Any) -> None:
        self.clock = MovableClock()
        self.store = MemoryStore()
        self.desk = Coatcheck(self.store, clock=self.clock, secret=bytes(range(7, 39)))
        self.door = CoatcheckWSGI(validator(app), self.desk, **{"development": True, **settings})
        self.jar: dict[str, str] = {}
        self.headers: list[tuple[str, str]] = []

    def environ(self, method: str = "GET", path: str = "/", body: bytes = b"", **more: Any) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "HTTP_HOST": "localhost:8000",
            "REMOTE_ADDR": "192.0.2.7",
            "wsgi.input": io.BytesIO(body),
            "wsgi.file_wrapper": FileWrapper,
        }
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        if self.jar:
            environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        environ |= more
        setup_testing_defaults(environ)
        return environ

    def send(self, method: str = "GET", path: str = "/", body: bytes = b"", **more: Any) -> tuple[int, bytes]:
        """Make a request; give status and body, and keep headers and cookies."""
        return self.serve(self.environ(method, path, body, **more))

    def serve(self, environ: dict[str, Any]) -> tuple[int, bytes]:
        status, written = "", []

        def start_response(given: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status
            if exc_info and written:
                raise exc_info[1].with_traceback(exc_info[2])
            status, self.headers = given, headers
            return written.append

        blocks = validator(self.door)(environ, start_response)
        try:
            body = b"".join(written) + b"".join(blocks)
        finally:
            blocks.close()  # type: ignore[attr-defined]
        self.keep()
        return int(status[:3]), body

    def keep(self) -> None:
        for name, value in self.headers:
            if name.lower() == "set-cookie":
                key, _, text = value.partition(";")[0].partition("=")
                self.jar[key] = text
                if "Max-Age=0" in value:
                    del self.jar[key]

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) <= 1
        return found[0] if found else None


@pytest.fixture
def house() -> House:
    return House()


def passage_of(environ: dict[str, Any]) -> BlockingPassage:
    passage = environ["coatcheck.passage"]
    assert isinstance(passage, BlockingPassage)
    return passage


# The answer of the application


def test_ses_01_a_request_that_stores_nothing_creates_nothing_and_is_left_alone(house: House) -> None:
    assert house.send("GET", "/") == (200, b"GET")

    assert [name for name, _ in house.headers] == ["Content-Type", "Content-Length"]
    assert house.desk.all_sessions()[0] == []


def test_what_is_stored_is_there_the_next_time(house: House) -> None:
    assert [house.send("GET", "/count")[1] for _ in range(3)] == [b"1", b"2", b"3"]
    assert house.send("GET", "/peek") == (200, b"3")


def test_hdr_01_hdr_02_an_answer_that_looked_is_private_and_one_that_sets_a_cookie_is_stored_nowhere(
    house: House,
) -> None:
    house.send("GET", "/count")
    assert (house.header("cache-control"), house.header("vary")) == ("no-store", "Cookie")

    house.send("GET", "/peek")
    assert (house.header("cache-control"), house.header("vary")) == ("private", "Cookie")


@pytest.mark.parametrize("way", ["generator", "write"])
def test_hdr_01_an_answer_that_may_look_while_it_streams_is_the_visitors_own(way: str) -> None:
    def stream(environ: Any, start: Start) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        yield b"hello "
        yield repr(environ["coatcheck.passage"].session.get("x")).encode()

    def written(environ: Any, start: Start) -> list[bytes]:
        write = start("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        write(b"hello ")
        return [repr(environ["coatcheck.passage"].session.get("x")).encode()]

    def app(environ: Any, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/put":
            return routes(environ | {"PATH_INFO": "/count"}, start)
        if environ["PATH_INFO"] == "/whole":
            start("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public"), ("Content-Length", "5")])
            return iter([b"whole"])
        return (stream if way == "generator" else written)(environ, start)

    house = House(app)
    house.send("GET", "/")
    assert house.header("cache-control") == "public, max-age=60", "nobody's"
    house.send("GET", "/put")

    assert house.send("GET", "/") == (200, b"hello None")
    assert (house.header("cache-control"), house.header("vary")) == ("private, max-age=60", "Cookie")
    house.send("GET", "/whole")
    assert (house.header("cache-control"), house.header("vary")) == ("public", None)


def test_a_generator_that_starts_its_answer_late_is_dressed_all_the_same(house: House) -> None:
    assert house.send("GET", "/stream") == (200, b"one two")

    assert house.header("set-cookie")
    assert house.send("GET", "/data") == (200, b"late=2,streamed=1")


def test_blocks_go_out_as_they_are_made() -> None:
    made: list[int] = []

    def app(_environ: Any, start: Start) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        for number in range(3):
            made.append(number)
            yield b"%d" % number

    house = House(app)
    blocks: Any = house.door(house.environ(), lambda *_: lambda _block: None)

    running = iter(blocks)

    assert (next(running), made) == (b"0", [0])
    assert (next(running), made) == (b"1", [0, 1])
    blocks.close()


def test_what_is_written_the_old_way_is_sent_and_saved_before(house: House) -> None:
    assert house.send("GET", "/written") == (200, b"by hand")

    assert house.send("GET", "/data") == (200, b"written=1")


def test_a_file_is_handed_to_the_server_in_its_own_wrapper() -> None:
    house = House()
    house.door.app = routes
    environ, sent = house.environ("GET", "/file"), list[Any]()

    blocks = house.door(environ, lambda *given: sent.append(given) or sent.append)  # type: ignore[func-returns-value]

    assert type(blocks) is FileWrapper
    assert any(name == "set-cookie" for name, _ in sent[0][1])


def test_a_list_stays_a_list_whose_length_a_server_can_see() -> None:
    house = House()
    house.door.app = lambda environ, start: answer(start, "x")

    assert len(house.door(house.environ(), lambda *_: lambda _block: None)) == 1  # type: ignore[arg-type]


def test_the_applications_close_is_called_once_also_when_the_visitor_leaves() -> None:
    class Body:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield from (b"one", b"two")

        def close(self) -> None:
            self.closed += 1

    body = Body()

    def app(_environ: Any, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return body

    house = House()
    house.door.app = app
    blocks: Any = house.door(house.environ(), lambda *_: lambda _block: None)
    next(iter(blocks))

    blocks.close()

    assert body.closed == 1


def test_hdr_01_who_looks_only_when_the_answer_is_over_keeps_it_everybodys() -> None:
    class Body:
        def __init__(self, environ: Any) -> None:
            self.environ = environ

        def __iter__(self) -> Iterator[bytes]:
            yield b"half "
            yield b"whole"

        def close(self) -> None:
            seen.append(passage_of(self.environ).session.get("count"))

    def app(environ: Any, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/count":
            return routes(environ, start)
        start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
        return Body(environ)

    seen: list[object] = []
    house = House(app)
    house.send("GET", "/count")

    assert house.send("GET", "/") == (200, b"half whole")
    assert (house.header("cache-control"), seen) == (None, [1])


def test_a_failing_close_of_the_application_does_not_cost_us_ours() -> None:
    class Body(list[bytes]):
        def close(self) -> None:
            raise OSError("its own trouble")

    def app(environ: Any, start: Start) -> Iterable[bytes]:
        passage_of(environ).session["x"] = 1
        start("200 OK", [("Content-Type", "text/plain")])
        return Body([b"x"])

    house = House()
    house.door.app = app
    environ = house.environ()
    blocks: Any = house.door(environ, lambda *_: lambda _block: None)
    list(blocks)
    passage_of(environ).session["late"] = 2
    visit = passage_of(environ).visit

    with pytest.raises(OSError, match="trouble"):
        blocks.close()

    assert visit
    ((session, _),) = house.desk.all_sessions()[0]
    assert session.data() == {"x": 1, "late": 2}


@pytest.mark.parametrize("late", [False, True])
def test_an_application_that_reports_an_error_of_its_own_saves_nothing(late: bool) -> None:
    def app(environ: Any, start: Start) -> Iterable[bytes]:
        passage_of(environ).session["x"] = 1
        if late:
            start("200 OK", [("Content-Type", "text/plain")])
        try:
            raise ValueError("a bug")
        except ValueError:
            start("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    house = House(app)

    assert house.send() == (500, b"sorry")
    assert house.desk.all_sessions()[0] == []


def test_an_error_after_the_first_block_is_the_servers_to_raise() -> None:
    def app(_environ: Any, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])(b"half of it")
        try:
            raise ValueError("a bug")
        except ValueError:
            start("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
        pytest.fail("the server did not raise")

    with pytest.raises(ValueError, match="a bug"):
        House(app).send()


@pytest.mark.parametrize("times", [0, 2])
def test_an_application_that_breaks_the_protocol_is_told(times: int) -> None:
    def app(_environ: Any, start: Start) -> Iterable[bytes]:
        for _ in range(times):
            start("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    house = House()
    house.door.app = app

    with pytest.raises(AssertionError, match="start_response"):
        house.send()


def test_an_exception_leaves_as_it_came_and_saves_nothing(house: House) -> None:
    house.send("GET", "/count")

    with pytest.raises(RuntimeError, match="a bug"):
        house.send("GET", "/boom")

    assert house.send("GET", "/peek") == (200, b"1")


def test_an_exception_amid_a_stream_saves_nothing_of_what_was_changed_since_it_began(house: House) -> None:
    house.send("GET", "/count")

    def app(environ: Any, start: Start) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        yield b"half"
        passage_of(environ).session["count"] = 1000
        raise RuntimeError("a bug")

    house.door.app = app
    with pytest.raises(RuntimeError, match="a bug"):
        house.send()

    house.door.app = routes
    assert house.send("GET", "/peek") == (200, b"1")


def test_a_refusal_is_answered_in_the_applications_place(house: House) -> None:
    assert house.send("GET", "/me", HTTP_ACCEPT="application/json")[0] == 401
    assert house.header("www-authenticate")

    status, _ = house.send("GET", "/me", QUERY_STRING="a=b", HTTP_ACCEPT="text/html")
    assert (status, house.header("location")) == (303, "/auth/login?next=%2Fme%3Fa%3Db")


def test_a_refusal_within_a_generator_is_answered_before_its_first_block_and_raised_after() -> None:
    def app(environ: Any, start: Start) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/late":
            start("200 OK", [("Content-Type", "text/plain")])
            yield b"half"
        raise NotAuthenticated

    house = House(app)

    assert house.send("GET", "/", HTTP_ACCEPT="application/json")[0] == 401
    with pytest.raises(NotAuthenticated):
        house.send("GET", "/late")


def test_ses_08_what_cannot_be_kept_is_refused_before_the_answer_begins() -> None:
    def app(environ: Any, start: Start) -> Iterable[bytes]:
        passage_of(environ).session["x"] = object()
        start("200 OK", [("Content-Type", "text/plain")])
        opened = io.BytesIO(b"a file")
        environ["opened"] = opened
        return FileWrapper(opened) if environ["PATH_INFO"] == "/file" else [b"x"]

    house = House()
    house.door.app = app

    assert house.send()[0] == 422
    environ = house.environ("GET", "/file")
    assert house.serve(environ)[0] == 422
    assert environ["opened"].closed


def test_err_01_a_store_that_is_down_is_503_and_the_handler_does_not_go_on(house: House) -> None:
    house.send("GET", "/count")
    went_on: list[int] = []

    async def down(*_args: Any, **_more: Any) -> Any:
        raise StoreUnavailable("down on purpose")

    def app(environ: Any, start: Start) -> Iterable[bytes]:
        passage_of(environ).session.get("count")
        went_on.append(1)
        return answer(start, "x")

    house.store.find = down  # type: ignore[method-assign]
    house.door.app = app

    assert house.send()[0] == 503
    assert (went_on, house.header("set-cookie")) == ([], None)


# Our own pages and calls


def test_our_pages_stand_under_the_prefix_and_the_application_under_the_rest(house: House) -> None:
    assert b"<h1" in house.send("GET", "/auth/login")[1]
    assert house.send("GET", "/authors") == (404, b"not here")


@pytest.mark.parametrize("path", ["/auth/login", "/auth/api/me", "/auth/nowhere", "/auth/account"])
def test_head_is_get_without_the_body(house: House, path: str) -> None:
    get, length = house.send("GET", path), house.header("content-length")
    head = house.send("HEAD", path)

    assert head == (get[0], b"")
    assert house.header("content-length") == length


def test_a_log_in_at_our_page_is_known_to_the_application(house: House) -> None:
    ada = house.desk.sign_up(username="ada", password=PASSWORD)
    body = b'{"identifier": "ada", "password": "%s"}' % PASSWORD.encode()

    assert house.send("POST", "/auth/api/login", body, CONTENT_TYPE="application/json", **OWN)[0] == 200

    assert house.send("GET", "/me") == (200, ada.subject.encode())


def test_tmo_04_use_is_noted_after_the_answer(house: House) -> None:
    house.desk.sign_up(username="ada", password=PASSWORD)
    house.send("POST", "/in", PASSWORD.encode(), **OWN)
    house.clock.move(120)

    house.send("GET", "/me")

    ((session, _),) = house.desk.all_sessions()[0]
    assert int(session.last_seen_at.timestamp()) == house.clock()


@pytest.mark.usefixtures("uncollected")
def test_nothing_of_a_request_stays_in_memory_when_it_is_over() -> None:
    passages: list[weakref.ref[BlockingPassage]] = []

    def app(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        passages.append(weakref.ref(passage_of(environ)))
        passage_of(environ).session["theme"] = "dark"
        start_response("200 OK", [])
        return [b"ok"]

    door = CoatcheckWSGI(app, Coatcheck(MemoryStore(), secret=bytes(range(7, 39))), development=True)
    environ = House().environ()

    blocks: Any = door(environ, lambda *_: lambda _block: None)
    blocks.close()
    del environ, blocks

    assert [passage() for passage in passages] == [None]


def test_hst_01_another_host_is_refused_before_the_application(house: House) -> None:
    for path in ("/", "/auth/login"):
        assert house.send("GET", path, HTTP_HOST="evil.example")[0] == 421


def test_mounted_below_a_path_the_prefix_is_the_whole_one() -> None:
    house = House(prefix="/shop/auth")

    assert b"/shop/auth/login" in house.send("GET", "/auth/login", SCRIPT_NAME="/shop")[1]
    assert house.send("GET", "/", SCRIPT_NAME="/shop") == (200, b"GET")


def test_a_request_that_is_sent_on_within_its_application_goes_through_the_door_once() -> None:
    def app(environ: Any, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/again":
            return door(environ | {"PATH_INFO": "/count"}, start)
        return routes(environ, start)

    house = House(app)
    door = house.door

    assert [house.send("GET", path)[1] for path in ("/count", "/again", "/count")] == [b"1", b"2", b"3"]
    assert len(house.desk.all_sessions()[0]) == 1


def test_a_door_before_a_door_stops_the_start(house: House) -> None:
    with pytest.raises(ConfigurationError, match="stands twice"):
        CoatcheckWSGI(house.door, house.desk, development=True)


def test_two_doors_of_which_the_first_has_looked_are_one_too_many() -> None:
    """Each would begin a session for a stranger, and the browser keeps one cookie."""

    def app(environ: Any, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/count":
            passage_of(environ).session["seen"] = True
        return inner(environ, start)

    house = House(app)
    inner = CoatcheckWSGI(routes, house.desk, development=True)

    assert house.send("GET", "/peek") == (200, b"none")
    with pytest.raises(ConfigurationError, match="stands twice"):
        house.send("GET", "/count")
    assert house.desk.all_sessions()[0] == []


def test_a_prefix_that_nobody_gets_to_is_mentioned_once(caplog: pytest.LogCaptureFixture) -> None:
    for root, prefix in (("/shop", "/auth"), ("/shop", "/shopping/auth"), ("/shop", "/shop/auth"), ("", "/auth")):
        caplog.clear()
        house = House(prefix=prefix)

        for _ in range(2):
            assert house.send("GET", "/", SCRIPT_NAME=root) == (200, b"GET")

        said = [record.message for record in caplog.records if record.message.startswith("prefix")]
        wrong = root and prefix != "/shop/auth"
        assert len(said) == bool(wrong)
        assert not said or f'say prefix="/shop{prefix}"' in said[0]


# Cross-site evidence


def test_csr_02_an_application_asks_for_the_evidence_of_a_method_that_it_has_made_itself() -> None:
    def app(environ: Any, start: Start) -> Iterable[bytes]:
        passage_of(environ).require_evidence("DELETE")
        return routes(environ, start)

    house = House(app)
    house.jar["coatcheck-dev"] = house.desk.start_session("ada").token.reveal()

    assert house.send("GET", HTTP_SEC_FETCH_SITE="cross-site")[0] == 403
    assert house.send("GET", HTTP_SEC_FETCH_SITE="same-origin")[0] == 200


def test_csr_12_a_post_from_elsewhere_is_refused_and_its_body_unread(house: House) -> None:
    house.send("GET", "/count")
    environ = house.environ("POST", "/count", b"x" * 100, HTTP_SEC_FETCH_SITE="cross-site")
    stream = environ["wsgi.input"]

    assert house.serve(environ)[0] == 403

    assert stream.tell() == 0


def test_csr_06_a_form_field_is_evidence_and_the_application_still_gets_its_body(house: House) -> None:
    house.send("GET", "/count")
    token = house.send("GET", "/form")[1].decode()
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    body = f"csrf_token={token}&a=b".encode()

    assert house.send("POST", "/echo", body, **form) == (200, body)
    assert house.send("POST", "/echo", b"a=b", **form)[0] == 403
    assert house.send("POST", "/echo", b"csrf_token=%ff", **form)[0] == 403
    assert house.send("POST", "/echo", body, CONTENT_TYPE="text/plain")[0] == 403
    assert house.send("POST", "/echo", body + b"&b=" + b"x" * 70_000, **form)[0] == 403


def test_csr_07_a_token_in_the_header_needs_no_form(house: House) -> None:
    house.send("GET", "/count")
    token = house.send("GET", "/form")[1].decode()

    assert house.send("POST", "/echo", b"\xc3\xa9" * 40_000, HTTP_X_CSRF_TOKEN=token)[0] == 200


def test_csr_14_an_exempt_path_sees_a_stranger() -> None:
    house = House(csrf_exempt={"/peek": Exemption(reason="signed by the sender")})
    house.send("GET", "/count")

    assert house.send("POST", "/peek") == (200, b"none")


# Translating the request


def request(house: House, **more: Any) -> Any:
    return request_of(house.environ() | more)


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"PATH_INFO": "/a/b"}, "/a/b"),
        ({"PATH_INFO": "/a b?c#d%"}, "/a%20b%3Fc%23d%25"),
        ({"PATH_INFO": "/caf\xc3\xa9"}, "/caf%C3%A9"),
        ({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb?x=y"}, "/a%2Fb"),
        ({"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb?x=y"}, "/a%2Fb"),
        ({"PATH_INFO": "/b", "SCRIPT_NAME": "/a", "REQUEST_URI": "/a/%62"}, "/a/%62"),
        # What was rewritten on the way is not what the application sees.
        ({"PATH_INFO": "/b", "SCRIPT_NAME": "/x", "REQUEST_URI": "/a/b"}, "/x/b"),
        ({"PATH_INFO": "/evil", "RAW_URI": "//evil"}, "/evil"),
        ({"PATH_INFO": "", "RAW_URI": ""}, "/"),
        ({"PATH_INFO": "/a", "RAW_URI": "http://localhost:8000/a?b"}, "/a"),
        ({"PATH_INFO": "http://localhost:8000/a"}, "/a"),
    ],
)
def test_the_path_is_the_raw_one_of_what_the_application_sees(house: House, environ: dict[str, str], path: str) -> None:
    assert request(house, **environ).path == path


def test_hst_01_an_authority_in_the_path_is_seen(house: House) -> None:
    """As the standard library's server hands it over."""
    assert request(house, PATH_INFO="http://evil.example/a").authority == b"evil.example"


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_hst_01_a_target_in_absolute_form_is_served_for_the_host_of_the_header_only(house: House, key: str) -> None:
    for host, status in (("localhost:8000", 200), ("evil.example", 400)):
        path = {"PATH_INFO": "/auth/login"}

        assert house.send(**path | {key: f"http://{host}/auth/login"})[0] == status


def test_header_names_are_translated_and_cgis_two_are_themselves(house: House) -> None:
    found = request(
        house,
        HTTP_X_CSRF_TOKEN="t",
        CONTENT_TYPE="a/b",
        CONTENT_LENGTH="",
        HTTP_CONTENT_TYPE="evil/type",
        HTTP_X="\xe9",
    )

    assert found.all(b"x-csrf-token") == [b"t"]
    assert found.all(b"content-type") == [b"a/b"]
    assert found.all(b"content-length") == []
    assert found.all(b"x") == [b"\xe9"]


@pytest.mark.parametrize(("length", "kind"), [("", None), ("0", None), ("1", b"text/plain")])
def test_the_type_that_wsgiref_makes_up_for_no_body_is_none(house: House, length: str, kind: bytes | None) -> None:
    assert request(house, CONTENT_TYPE="text/plain", CONTENT_LENGTH=length).header(b"content-type") == kind


def test_a_visitor_without_an_address_has_none(house: House) -> None:
    assert request(house, REMOTE_ADDR="").peer is None


@pytest.mark.parametrize(
    "cookies",
    [
        "\u2000{name}={token}", "{NAME}={token}", '"{name}"={token}', '{name}="{token}"', "{name}%20={token}",
        "={name}={token}", "{name}", "{name}={token},a=b", "a=b,{name}={token}", "{name}={token}; {name}={token}",
        "{name}={token}; {name}=other", "{name}=other; {name}={token}", "{name}={token}\xe9", "{name}={token}x",
    ],
)  # fmt: skip
def test_cky_08_cky_10_a_cookie_is_read_octet_by_octet(house: House, cookies: str) -> None:
    house.send("GET", "/count")
    ((name, token),) = house.jar.items()
    cookie = cookies.format(name=name, NAME=name.upper(), token=token).encode().decode("latin-1")
    house.jar.clear()

    assert house.send("GET", "/peek", HTTP_COOKIE=cookie) == (200, b"none")
    assert house.send("GET", "/peek", HTTP_COOKIE=f"x=y; {name}={token};z") == (200, b"1")


# Bodies


class Dripping:
    """A body that comes in single bytes, or breaks off with an error."""

    def __init__(self, body: bytes, *, breaks: bool = False) -> None:
        self._rest = io.BytesIO(body)
        self._breaks = breaks

    def read(self, size: int) -> bytes:
        block = self._rest.read(min(size, 1))
        if not block and self._breaks:
            raise ConnectionResetError
        return block

    # The judge looks for these; nobody calls them.
    readline = readlines = __iter__ = None


def read(environ: dict[str, Any], limit: int = 10, seconds: float = 60.0) -> bytes:
    return run_blocking(request_of(environ, body_seconds=seconds).read(limit))


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(BadRequest) as caught:
        call()
    return caught.value.reason


def test_a_body_has_the_length_it_says_or_the_end_the_server_knows(house: House) -> None:
    stream = {"wsgi.input": Dripping(b"abc")}

    assert read(house.environ(CONTENT_LENGTH="3", **stream)) == b"abc"
    assert read(house.environ(CONTENT_LENGTH="0" * 30 + "3", **{"wsgi.input": Dripping(b"abc")})) == b"abc"
    assert read(house.environ(CONTENT_LENGTH="0" * 30, **{"wsgi.input": Dripping(b"abc")})) == b""
    assert read(house.environ(**{"wsgi.input": Dripping(b"abc"), "wsgi.input_terminated": True})) == b"abc"
    assert read(house.environ(**{"wsgi.input": Dripping(b"abc")})) == b""
    for length in ("", "x", "-1", "\xb2"):
        assert read(house.environ(CONTENT_LENGTH=length, **{"wsgi.input": Dripping(b"abc")})) == b""


def test_reading_stops_where_the_limit_is_passed(house: House) -> None:
    endless = {"wsgi.input": io.BytesIO(b"x" * 100_000), "wsgi.input_terminated": True}

    assert reason_of(lambda: read(house.environ(**endless))) == "body_too_large"
    assert endless["wsgi.input"].tell() <= 16 * 1024  # type: ignore[union-attr]
    for length in ("11", "0" * 30 + "11", "9" * 50):
        announced = house.environ(CONTENT_LENGTH=length, **{"wsgi.input": None})
        assert reason_of(lambda announced=announced: read(announced)) == "body_too_large"


def test_err_06_a_body_that_drips_past_its_time_is_given_up(house: House) -> None:
    slow = house.environ(CONTENT_LENGTH="3", **{"wsgi.input": Dripping(b"abc")})

    assert reason_of(lambda: read(slow, seconds=0)) == "body_timeout"


@pytest.mark.parametrize("breaks", [False, True])
def test_err_07_a_visitor_who_hangs_up_amid_the_body_changes_nothing(house: House, breaks: bool) -> None:
    def gone() -> dict[str, Any]:
        return {"CONTENT_LENGTH": "9", "wsgi.input": Dripping(b"abc", breaks=breaks)}

    with pytest.raises(ClientGone):
        read(house.environ(**gone()))
    assert house.send("POST", "/auth/api/login", CONTENT_TYPE="application/json", **OWN, **gone())[0] == 400
    house.send("GET", "/count")
    form = "application/x-www-form-urlencoded"
    assert house.send("POST", "/count", CONTENT_TYPE=form, **gone()) == (400, b"")
    assert house.send("GET", "/peek") == (200, b"1")


# Settings


def test_err_03_mistakes_in_the_settings_are_told_at_start() -> None:
    with pytest.raises(ConfigurationError, match="public_url"):
        CoatcheckWSGI(routes, Coatcheck("memory://"))
    with pytest.raises(ConfigurationError, match="colour: there is no such setting"):
        CoatcheckWSGI(routes, Coatcheck("memory://"), development=True, colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("software", "mentioned"), [("gunicorn/27", 0), ("waitress", 0), ("Werkzeug/3", 0), ("Granian", 1), ("WSGI", 1)]
)
def test_rat_04_a_server_that_lets_underscores_pass_is_mentioned_where_a_proxy_is_believed(
    software: str, mentioned: int, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(trusted_proxies=["127.0.0.1"], trusted_hops=1)

    for _ in range(2):
        house.send(SERVER_SOFTWARE=software)

    assert len(caplog.records) == mentioned


# Real servers, real sockets


@pytest.fixture(scope="module", params=list(WSGI_SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp(request.param)
    store = f"sqlite:///{folder}/app.db"
    with Coatcheck(store) as desk:
        desk.sign_up(username="ada", password=PASSWORD)
    with wsgi_server(request.param, "tests.served_wsgi:application", folder, COATCHECK_TEST_STORE=store) as server:
        yield server


def test_served_a_session_goes_its_way(server: Process) -> None:
    visitor = Client(server)

    assert [visitor.get("/count").text for _ in range(2)] == ["1", "2"]
    assert visitor.get("/me").status == 303
    assert visitor.send("POST", "/in", PASSWORD.encode()).text == "welcome"
    assert visitor.get("/peek").text == "2"
    assert visitor.get("/me").status == 200
    assert visitor.send("POST", "/auth/api/logout").status == 204
    assert visitor.get("/peek").text == "none"


def test_served_bodies_of_every_kind_arrive(server: Process) -> None:
    visitor = Client(server)

    for path, body in (("/stream", "one two"), ("/written", "by hand"), ("/file", "some file")):
        found = visitor.get(path)
        # granian gives no write(), to nobody.
        assert (found.status, found.text) == (200, body) or (path, "granian" in str(server.folder)) == (
            "/written",
            True,
        )
    assert visitor.get("/data").text == "file=1,late=2,streamed=1,written=1"
    assert visitor.send("HEAD", "/auth/login").body == b""
    assert visitor.post("/echo", {"a": "b"}).text == "a=b"


def test_served_csr_06_a_form_without_a_browsers_headers_needs_its_token(server: Process) -> None:
    visitor = Client(server)
    visitor.get("/count")
    token = visitor.get("/form").text
    visitor.fetch_site = None

    assert visitor.post("/echo", {"a": "b"}).status == 403
    assert visitor.post("/echo", {"a": "b", "csrf_token": token}).text == f"a=b&csrf_token={token}"


def test_served_a_body_in_chunks_is_read(server: Process) -> None:
    if "wsgiref" in str(server.folder):
        pytest.skip("the standard library's server reads no chunked bodies")
    visitor = Client(server)
    log_in = iter([b'{"identifier": "ada", ', b'"password": "%s"}' % PASSWORD.encode()])

    answer = visitor.send("POST", "/auth/api/login", log_in, [("Content-Type", "application/json")])

    assert (answer.status, visitor.get("/me").status) == (200, 200)


def test_served_err_06_a_body_too_large_is_refused(server: Process) -> None:
    json = ("Content-Type", "application/json")

    assert Client(server).send("POST", "/auth/api/login", b"x" * 70_000, [json]).status == 413


def test_served_cky_11_two_cookie_fields_are_one_list_or_none(server: Process) -> None:
    """gunicorn, waitress and the standard library join them with a comma: such a session is not found."""
    visitor = Client(server)
    visitor.get("/count")
    session = "; ".join(f"{name}={value}" for name, value in visitor.jar.items())
    visitor.jar.clear()

    split = visitor.get("/peek", ("Cookie", "a=b"), ("Cookie", session)).text
    doubled = visitor.get("/peek", ("Cookie", session), ("Cookie", session)).text

    assert split == ("1" if "granian" in str(server.folder) else "none")
    assert doubled == "none"


def test_served_hst_01_a_foreign_host_is_refused(server: Process) -> None:
    for headers in ([("Host", "evil.example")], [("Host", "localhost"), ("Host", "evil.example")]):
        connection = Client(server)._connect()
        connection.putrequest("GET", "/", skip_host=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()

        assert status in (400, 421)


def test_served_names_with_underscores(server: Process) -> None:
    """What `look_at_server` says of servers: which of them drop a name that pretends to be another."""
    visitor = Client(server, fetch_site=None)
    visitor.get("/count")

    passed = visitor.send("POST", "/count", b"", [("Sec_Fetch_Site", "same-origin")]).status == 200

    assert passed is any(name in str(server.folder) for name in ("granian", "wsgiref"))


def test_served_an_exception_saves_nothing(server: Process) -> None:
    visitor = Client(server)
    visitor.get("/count")

    assert visitor.get("/boom").status == 500

    assert visitor.get("/peek").text == "1"


@pytest.mark.parametrize("name", ["gunicorn", "wsgiref"])
def test_the_program_of_the_page_is_served(name: str, tmp_path: Path) -> None:
    examples.prepare(ROOT / "docs" / "wsgi.md", tmp_path)
    account = {"username": "ada", "password": PASSWORD}

    with wsgi_server(name, "shop:application", tmp_path) as server:
        visitor = Client(server)
        first = visitor.get("/").text
        token = csrf_token_in(visitor.get("/auth/signup").text)
        visitor.post("/auth/signup", {**account, "csrf_token": token})
        token = csrf_token_in(visitor.get("/auth/login").text)
        entered = visitor.post("/auth/login", {"identifier": "ada", "password": PASSWORD, "csrf_token": token})
        welcome = visitor.follow(entered).text

    assert first == "Welcome, stranger. You were here 1 times.\n"
    assert welcome == "Welcome, ada. You were here 2 times.\n"


def csrf_token_in(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]
