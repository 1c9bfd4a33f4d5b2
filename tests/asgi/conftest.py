"""An application behind the ASGI door, called as a server would, with every message under the test's control."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from coatcheck import AsyncCoatcheck, Client
from coatcheck.asgi import CoatcheckMiddleware, Passage
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Store
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.counting import Steps
from tests.web.conftest import Fragile

PASSWORD = "a long enough passphrase"
SECRET = bytes(range(7, 39))
COOKIE = "coatcheck-dev"
OWN = ("origin", "http://localhost:8000")
FORM = ("content-type", "application/x-www-form-urlencoded")

Handler = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Answer:
    """What came back, as messages."""

    sent: list[Any] = field(default_factory=list)
    left: list[Any] = field(default_factory=list)
    """The messages that nobody asked for."""

    @property
    def start(self) -> Any:
        return next(message for message in self.sent if message["type"] == "http.response.start")

    @property
    def status(self) -> int:
        return self.start["status"]

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.start["headers"]]

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies set; those taken away are empty."""
        return {
            cookie.partition("=")[0]: cookie.partition("=")[2].partition(";")[0] for cookie in self.all("set-cookie")
        }


class House:
    """A desk, a door, an application that a test writes, and a browser's jar."""

    def __init__(self, runner: asyncio.Runner, **settings: Any) -> None:
        self.runner = runner
        self.clock = MovableClock()
        self.inner = MemoryStore()
        self.steps = Steps()
        self.fragile = Fragile(self.inner)
        policy = settings.pop("policy", None)
        self.desk = AsyncCoatcheck(
            self.steps.of(cast(Store, self.fragile)), secret=SECRET, clock=self.clock, settings=policy
        )
        if "public_url" not in settings:
            settings.setdefault("development", True)
        self.entered = 0
        self.app: Handler = hello
        self.door = CoatcheckMiddleware(self._app, self.desk, **settings)
        self.jar: dict[str, str] = {}

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.entered += 1
        await self.app(scope, receive, send)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def account(self, name: str = "ada") -> str:
        return self.run(self.desk.sign_up(username=name, password=PASSWORD)).subject

    def logged_in(self, subject: str = "ada") -> str:
        """Put a session of this subject into the jar; give its id."""
        login = self.run(self.desk.start_session(subject, methods=("pwd",), client=Client("192.0.2.7")))
        self.jar[COOKIE] = login.token.reveal()
        return login.session.id

    def data(self) -> list[dict[str, object]]:
        """The session data of every session there is."""
        sessions, _ = self.run(self.desk.all_sessions())
        return [session.data() for session, ended in sessions if ended is None]

    def scope(self, method: str, path: str, headers: Any = (), **more: Any) -> dict[str, Any]:
        cookies = [("cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items()))] if self.jar else []
        octets = [
            (octets_of(name), octets_of(value)) for name, value in (("host", "localhost:8000"), *cookies, *headers)
        ]
        plain, _, query = path.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": octets,
            "client": ("192.0.2.7", 40_000),
            "server": ("127.0.0.1", 8000),
        } | more

    def send(self, method: str, path: str = "/", headers: Any = (), body: Any = b"", **more: Any) -> Answer:
        return self.run(self.visit(method, path, headers, body, **more))

    async def visit(self, method: str, path: str = "/", headers: Any = (), body: Any = b"", **more: Any) -> Answer:
        """One request from its beginning to its end; keep the cookies."""
        chunks = [body] if isinstance(body, bytes) else list(body)
        answer = Answer(left=[*requests(chunks), {"type": "http.disconnect"}])

        async def receive() -> Any:
            return answer.left.pop(0)

        async def send(message: Any) -> None:
            answer.sent.append(message)

        await self.door(self.scope(method, path, headers, **more), receive, send)
        if answer.sent:
            self.keep(answer)
        return answer

    def get(self, path: str = "/", headers: Any = (), **more: Any) -> Answer:
        return self.send("GET", path, headers, **more)

    def post(self, path: str = "/", headers: Any = (OWN,), body: Any = b"", **more: Any) -> Answer:
        return self.send("POST", path, headers, body, **more)

    def keep(self, answer: Answer) -> None:
        for name, value in answer.cookies.items():
            if value:
                self.jar[name] = value
            else:
                self.jar.pop(name, None)


def octets_of(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def requests(chunks: list[bytes]) -> list[dict[str, Any]]:
    last = len(chunks) - 1
    return [{"type": "http.request", "body": chunk, "more_body": n < last} for n, chunk in enumerate(chunks)]


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await answer(send, b"hello")


async def answer(send: Any, body: bytes = b"", *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def handler(work: Callable[[Passage, Any], Any]) -> Handler:
    """An application that does something with passage and session data, and answers with what comes of it."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        told = work(scope["coatcheck"], scope["session"])
        if hasattr(told, "__await__"):
            told = await told
        await answer(send, json.dumps(told, default=str).encode(), (b"content-type", b"application/json"))

    return app


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def build(runner: asyncio.Runner) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(**settings: Any) -> House:
        houses.append(House(runner, **settings))
        return houses[-1]

    yield make
    for house in houses:
        house.fragile.broken = set()
        house.run(house.desk.close())


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    return build()
