"""The ASGI door: octets in, octets out, whatever server calls it and whatever the visitor does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from coatcheck import AsyncCoatcheck, Client
from coatcheck.asgi import CoatcheckASGI
from coatcheck.http.hosts import Site
from coatcheck.web.app import Web
from coatcheck.web.mount import Mount

LOG_IN = b'{"identifier": "nobody", "password": "a long enough passphrase"}'
JSON = (b"content-type", b"application/json")
ORIGIN = (b"origin", b"http://localhost:8000")


class Server:
    """Calls the door as a server would, with every message under the test's control."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.desk = AsyncCoatcheck("memory://")
        self.door = CoatcheckASGI(Web(Mount(self.desk, Site.configure(development=True))))

    def logged_in(self) -> tuple[bytes, bytes]:
        login = self.runner.run(self.desk.start_session("ada", methods=("pwd",), client=Client("192.0.2.7")))
        return b"cookie", f"coatcheck-dev={login.token.reveal()}".encode()

    def scope(
        self, method: str = "GET", path: str = "/login", *headers: tuple[bytes, bytes], **more: Any
    ) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost:8000"), *headers],
            "client": ("192.0.2.7", 40_000),
            "server": ("127.0.0.1", 8000),
        } | more

    def serve(self, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Call the door; the messages are what it receives, in order. Give what it sent."""
        waiting, sent = list(messages), list[dict[str, Any]]()

        async def receive() -> dict[str, Any]:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        self.runner.run(self.door(scope, receive, send))
        self.left = waiting
        return sent


@pytest.fixture
def server() -> Iterator[Server]:
    with asyncio.Runner() as runner:
        yield Server(runner)


def headers_of(sent: list[dict[str, Any]]) -> dict[bytes, bytes]:
    return dict(sent[0]["headers"])


def body(*chunks: bytes) -> list[dict[str, Any]]:
    last = len(chunks) - 1
    return [{"type": "http.request", "body": chunk, "more_body": n < last} for n, chunk in enumerate(chunks)]


def test_a_reply_is_a_start_and_one_body_of_the_length_it_says(server: Server) -> None:
    sent = server.serve(server.scope())

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert int(headers_of(sent)[b"content-length"]) == len(sent[1]["body"]) > 0


def test_names_and_values_are_octets_and_names_are_lower_case(server: Server) -> None:
    for name, value in server.serve(server.scope())[0]["headers"]:
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)
        assert name == name.lower()


@pytest.mark.parametrize("path", ["/login", "/api/me", "/nowhere", "/account"])
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    get, head = server.serve(server.scope("GET", path)), server.serve(server.scope("HEAD", path))

    assert head[0]["status"] == get[0]["status"]
    assert headers_of(head).keys() == headers_of(get).keys()
    assert headers_of(head)[b"content-length"] == headers_of(get)[b"content-length"]
    assert head[1]["body"] == b""


def test_options_names_the_methods_and_changes_nothing(server: Server) -> None:
    sent = server.serve(server.scope("OPTIONS", "/api/sessions"))

    assert sent[0]["status"] == 204
    assert headers_of(sent)[b"allow"] == b"DELETE, GET, HEAD, OPTIONS"
    assert b"content-length" not in headers_of(sent)


def test_204_has_no_body_and_no_length(server: Server) -> None:
    sent = server.serve(server.scope("POST", "/api/logout", ORIGIN), *body(b""))

    assert sent[0]["status"] == 204
    assert b"content-length" not in headers_of(sent)
    assert sent[1]["body"] == b""


@pytest.mark.parametrize(
    "chunks",
    [
        [LOG_IN],
        [LOG_IN[:1], LOG_IN[1:]],
        [bytes([octet]) for octet in LOG_IN],
        [b"", LOG_IN, b""],
    ],
)
def test_a_body_may_come_in_any_chunks(server: Server, chunks: list[bytes]) -> None:
    sent = server.serve(server.scope("POST", "/api/login", JSON), *body(*chunks))

    assert sent[0]["status"] == 401
    assert server.left == []


def test_a_message_without_body_counts_as_an_empty_end(server: Server) -> None:
    assert server.serve(server.scope("POST", "/api/login", JSON), {"type": "http.request"})[0]["status"] == 400


def test_reading_stops_where_the_limit_is_passed(server: Server) -> None:
    sent = server.serve(server.scope("POST", "/api/login", JSON), *body(*[b"x" * 40_000] * 100))

    assert sent[0]["status"] == 413
    assert len(server.left) == 98


def test_an_announced_length_over_the_limit_is_not_read_at_all(server: Server) -> None:
    for length in (b"65537", b"10485760", b"9" * 50):
        scope = server.scope("POST", "/api/login", JSON, (b"content-length", length))

        assert server.serve(scope, *body(LOG_IN))[0]["status"] == 413
        assert len(server.left) == 1


@pytest.mark.parametrize("length", [b"", b"x", b"-1", b"1.5", b"\xb2", b"0x10", b"0"])
def test_a_length_that_lies_or_is_none_is_not_believed(server: Server, length: bytes) -> None:
    scope = server.scope("POST", "/api/login", JSON, (b"content-length", length))

    assert server.serve(scope, *body(LOG_IN))[0]["status"] == 401


def test_err_07_a_visitor_who_hangs_up_amid_the_body_gets_no_answer_and_no_trace(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    started = {"type": "http.request", "body": LOG_IN[:9], "more_body": True}

    assert server.serve(server.scope("POST", "/api/login", JSON), started, {"type": "http.disconnect"}) == []
    assert caplog.records == []


def test_csr_12_a_request_that_its_headers_refuse_is_never_read(server: Server) -> None:
    sent = server.serve(server.scope("POST", "/api/login", JSON, (b"origin", b"https://evil.example")))

    assert sent[0]["status"] == 403


def test_csr_13_websockets_are_refused_before_they_are_accepted(server: Server) -> None:
    scope = server.scope(type="websocket", scheme="ws", subprotocols=[])

    assert server.serve(scope, {"type": "websocket.connect"}) == [{"type": "websocket.close", "code": 1008}]


def test_a_scope_that_nobody_knows_is_an_error_of_the_server(server: Server) -> None:
    for kind in ("lifespan", "tcp"):
        with pytest.raises(RuntimeError, match="does not serve"):
            server.serve(server.scope(type=kind))


def test_cky_11_several_cookie_fields_are_one_list(server: Server) -> None:
    name, cookie = server.logged_in()

    found = server.serve(server.scope("GET", "/api/me", (name, b"a=b"), (name, cookie), (name, b"c=d")))
    doubled = server.serve(server.scope("GET", "/api/me", (name, cookie), (name, cookie)))

    assert (found[0]["status"], doubled[0]["status"]) == (200, 401)


WEIRD = [
    "/%00", "/%2e%2e/login", "/login/%2e%2e/login", "/..", "/./login", "//login", "/login/", "/login;x=y", "/login%00",
    "/log%69n", "/%6cogin", "/api/sessions/%2e%2e", "/api/sessions/../me", "/api//me", "/API/me", "/\\login",
    "/login%20", "http://localhost:8000/nowhere", "http://localhost:8000//login", "ftp://localhost:8000/login",
    "/" + "a" * 65_536, "/api/sessions/" + "a" * 65_536, "/" + "%2f" * 20_000, "/assets/../pages/messages.py",
    "/assets/%2e%2e/messages.py", "/assets/coatcheck.css", "*", "/%ff%fe", "/%", "/%zz",
]  # fmt: skip


@pytest.mark.parametrize("path", WEIRD, ids=[path[:30] for path in WEIRD])
def test_a_weird_path_is_404(server: Server, path: str) -> None:
    cookie = server.logged_in()

    for method in ("GET", "POST", "DELETE"):
        assert server.serve(server.scope(method, path, cookie, ORIGIN), *body(b""))[0]["status"] == 404


def test_hst_01_a_target_in_absolute_form_is_served_for_the_host_of_the_header_only(server: Server) -> None:
    for target, status in (("http://localhost:8000/login", 200), ("http://evil.example/login", 400)):
        for hidden in ({}, {"raw_path": None}):
            assert server.serve(server.scope("GET", target) | hidden)[0]["status"] == status


@pytest.mark.parametrize(
    "raw", [b"/\xff\xfe", b"/\x00", b"/login\x00", b"/caf\xc3\xa9", b"\xed\xa0\x80", b"/login\r\nx: y"]
)
def test_a_path_of_stray_octets_is_404(server: Server, raw: bytes) -> None:
    for path in ("/whatever", raw.decode(errors="replace")):
        assert server.serve(server.scope(path=path) | {"raw_path": raw})[0]["status"] == 404


def test_a_server_without_raw_path_is_served(server: Server) -> None:
    for missing in ({"raw_path": None}, {"raw_path": b""}):
        assert server.serve(server.scope() | missing)[0]["status"] == 200
    scope = server.scope()
    del scope["raw_path"]
    assert server.serve(scope)[0]["status"] == 200


@pytest.mark.parametrize(
    "path", [f"/{chr(0xD800)}", f"/{chr(0xDCFF)}", f"/login{chr(0xD800)}", "/login?x", "/caf\u00e9", "/\0", "/login#x"]
)
def test_a_decoded_path_of_strange_characters_is_404(server: Server, path: str) -> None:
    """Without `raw_path` the server has decoded already: what looks like a query is part of a name."""
    scope = server.scope() | {"path": path, "raw_path": None}

    assert server.serve(scope)[0]["status"] == 404


def test_a_raw_path_that_holds_the_query_is_cut(server: Server) -> None:
    scope = server.scope() | {"raw_path": b"/login?next=/x", "query_string": b"next=/x"}

    assert server.serve(scope)[0]["status"] == 200


@pytest.mark.parametrize(
    "query", [b"\xff", b"%ff", b"a" * 65_536, b"&" * 5000, b"next=%00", b"next=\xed\xa0\x80", b";;"]
)
def test_a_strange_query_is_no_500(server: Server, query: bytes) -> None:
    assert server.serve(server.scope() | {"query_string": query})[0]["status"] == 200
    assert server.serve(server.scope("GET", "/api/me") | {"query_string": query})[0]["status"] in (400, 401)


def test_a_client_without_an_address_is_served(server: Server) -> None:
    for client in (None, ("", 0), ("not an address", 1), ("fe80::1%eth0", 1)):
        scope = server.scope("POST", "/api/login", JSON) | {"client": client}

        assert server.serve(scope, *body(LOG_IN))[0]["status"] == 401


def test_headers_of_any_octets_are_no_500(server: Server) -> None:
    strange = [(name, value) for name in (b"user-agent", b"cookie", b"accept", b"x") for value in (b"\xff\x00\n", b"")]

    assert server.serve(server.scope("GET", "/login", *strange))[0]["status"] == 200


def test_a_real_client_walks_through_it() -> None:
    async def walk() -> list[int]:
        async with AsyncCoatcheck("memory://") as desk:
            door = CoatcheckASGI(Web(Mount(desk, Site.configure(development=True))))
            transport = httpx.ASGITransport(app=door)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
                account = {"username": "ada", "password": "a long enough passphrase"}
                answers = [await client.post("/api/signup", json=account)]
                answers.append(
                    await client.post("/api/login", json={"identifier": "ada", "password": account["password"]})
                )
                answers.append(await client.get("/api/me"))
                token = {"x-csrf-token": (await client.get("/api/csrf")).json()["csrf_token"]}
                answers.append(await client.post("/api/logout", headers=token))
                answers.append(await client.get("/api/me"))
            return [answer.status_code for answer in answers]

    assert asyncio.run(walk()) == [201, 200, 200, 204, 401]


def test_err_06_a_body_that_never_ends_is_answered_and_its_connection_freed(server: Server) -> None:
    door = CoatcheckASGI(server.door.web, body_seconds=0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:  # a byte now and then, for ever
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"{", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    server.runner.run(door(server.scope("POST", "/api/login", JSON, ORIGIN), receive, send))

    assert sent[0]["status"] == 408
    assert b"body_timeout" in sent[1]["body"]
