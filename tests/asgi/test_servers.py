"""The door under real servers, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
import websockets

from coatcheck.testing.patience import PATIENCE, eventually
from tests.serving import ASGI_SERVERS, asgi_server

PASSWORD = "a long enough passphrase"
COOKIE = "coatcheck-dev"


@pytest.fixture(scope="module", params=ASGI_SERVERS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Each server in turn, with the application in it."""
    with asgi_server(request.param, "tests.asgi.served:app", tmp_path_factory.mktemp("server")) as server:
        yield server.port


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    url = f"http://localhost:{port}"
    with httpx.Client(base_url=url, headers={"origin": url}, timeout=PATIENCE) as made:
        yield made


def log_in(client: httpx.Client, name: str) -> str:
    """Sign up and log in through our calls; give the subject."""
    given = {"username": name, "password": PASSWORD}
    subject = client.post("/auth/api/signup", json=given).json()["account"]["subject"]
    assert client.post("/auth/api/login", json={"identifier": name, "password": PASSWORD}).status_code == 200
    return subject


def test_a_visit_from_first_to_last(client: httpx.Client) -> None:
    first = client.get("/who")
    assert (first.json(), "set-cookie" in first.headers) == ({"user": "", "data": {}}, False)

    assert [client.get("/count").json() for _ in range(2)] == [1, 2]
    planted = client.cookies[COOKIE]
    subject = log_in(client, "ada")
    assert client.cookies[COOKIE] != planted
    told = client.get("/who")
    assert (told.json(), told.headers["cache-control"]) == ({"user": subject, "data": {"n": 2}}, "private")
    assert client.get("/members").text == "in"
    assert client.get("/stream").text == "012"
    assert seen_in_the_end(client, "sent") == {"n": 2, "sent": 2}

    assert b"<form" in client.get("/auth/account").content
    assert client.post("/auth/api/logout").status_code == 204
    assert COOKIE not in client.cookies
    assert client.get("/who").json() == {"user": "", "data": {}}


def seen_in_the_end(client: httpx.Client, key: str) -> dict[str, Any]:
    """The session data once a key is in it: what is changed after the answer has begun is saved when all is done."""
    seen: dict[str, Any] = {}

    def is_saved() -> bool:
        seen.update(client.get("/who").json()["data"])
        return key in seen

    eventually(is_saved, f"{key} was never saved")
    return seen


def test_head_redirects_and_refusals(client: httpx.Client) -> None:
    head = client.head("/count")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1")
    page = client.get("/members", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/auth/login?next=%2Fmembers")
    assert client.get("/members", headers={"accept": "application/json"}).status_code == 401
    assert client.get("/who", headers={"host": "evil.example"}).status_code == 421


def test_csr_02_csr_12_forms_over_a_socket(client: httpx.Client) -> None:
    client.get("/count")
    token = client.get("/form").json()
    del client.headers["origin"]
    fields = {"a": "1" * 30_000, "csrf_token": token}

    assert client.post("/form", data=fields).json() == fields
    json = {"accept": "application/json"}
    assert client.post("/form", data={"a": "1"}, headers=json).json()["reason"] == "csrf_token_required"
    foreign = client.post("/form", data=fields, headers={"origin": "https://evil.example", **json})
    assert foreign.json()["reason"] == "foreign_origin"
    assert client.get("/who").json()["data"] == {"n": 1}


def raw(port: int, *lines: str) -> str:
    """Send exactly these lines; give the answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = [lines[0], f"Host: localhost:{port}", "Connection: close", *lines[1:]]
        connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode("latin-1")


def test_cky_08_cky_10_cky_11_cookies_over_a_socket(client: httpx.Client, port: int) -> None:
    subject = log_in(client, "grace")
    token = client.cookies[COOKIE]
    cookie = f"{COOKIE}={token}"

    assert subject in raw(port, "GET /who HTTP/1.1", "Cookie: a=b", f"Cookie: {cookie}")
    for strange in (f"\xa0{cookie}", f'{COOKIE}="{token}"', f"{COOKIE.upper()}={token}", f"={cookie}"):
        assert subject not in raw(port, "GET /who HTTP/1.1", f"Cookie: {strange}")
    for other in (token, "A" * 43):
        assert subject not in raw(port, "GET /who HTTP/1.1", f"Cookie: {cookie}", f"Cookie: {COOKIE}={other}")


def test_err_07_a_visitor_who_hangs_up_amid_the_stream_loses_nothing(client: httpx.Client) -> None:
    log_in(client, "linus")
    with client.stream("GET", "/endless") as answer:
        next(answer.iter_bytes())
    assert client.get("/hung_up").text == "hung up"

    assert seen_in_the_end(client, "endless") == {"endless": True}


def test_a_socket_from_handshake_to_revocation(client: httpx.Client, port: int) -> None:
    subject = log_in(client, "barbara")
    cookie = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}

    async def connect(origin: str | None) -> Any:
        return await websockets.connect(
            f"ws://localhost:{port}/talk", origin=origin, additional_headers=cookie, proxy=None,
            open_timeout=PATIENCE, close_timeout=PATIENCE, ping_interval=None,
        )  # fmt: skip

    async def talk() -> Any:
        for foreign in (None, "https://evil.example", "null"):
            with pytest.raises(websockets.InvalidStatus) as denied:
                await connect(foreign)
            assert denied.value.response.status_code == 403
        async with await connect(f"http://localhost:{port}") as there:
            await there.send("hello")
            said = await there.recv()
            await asyncio.to_thread(client.post, "/revoke")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await there.recv()
        return said, closed.value.rcvd.code, closed.value.rcvd.reason

    assert asyncio.run(talk()) == (f"{subject}: hello", 3000, "session_ended")
