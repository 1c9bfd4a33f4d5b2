"""A Starlette application behind the door, and clients that send what browsers send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient

from coatcheck import AsyncCoatcheck, Client
from coatcheck.starlette import CoatcheckMiddleware
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock
from tests.web.conftest import Fragile

PASSWORD = "a long enough passphrase"
COOKIE = "coatcheck-dev"
ORIGIN = {"origin": "http://testserver"}
SECRET = bytes(range(7, 39))


class House:
    """A desk, and an application that is made when a test has said what is in it."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.store = Fragile(MemoryStore())
        self.desk = AsyncCoatcheck(self.store, secret=SECRET, clock=self.clock)  # type: ignore[arg-type]
        self.stack = ExitStack()

    def client(
        self, *routes: BaseRoute | tuple[str, Any], inside: Any = (), door: Any = None, raises: bool = True, **more: Any
    ) -> TestClient:
        """A browser before an application of these routes: it says where its requests come from."""
        made = [one if isinstance(one, BaseRoute) else Route(*one, methods=["GET", "POST", "DELETE"]) for one in routes]
        middleware = [Middleware(CoatcheckMiddleware, desk=self.desk, development=True, **(door or {})), *inside]
        app = Starlette(routes=made, middleware=middleware, **more)
        client = TestClient(app, headers=ORIGIN, follow_redirects=False, raise_server_exceptions=raises)
        return self.stack.enter_context(client)

    def log_in(self, client: TestClient, subject: str = "ada") -> str:
        """Put a session into a browser's jar; give its id."""
        assert client.portal is not None
        login = client.portal.call(self._start, subject)
        client.cookies.set(COOKIE, login.token.reveal())
        return login.session.id

    async def _start(self, subject: str) -> Any:
        return await self.desk.start_session(subject, methods=("pwd",), client=Client("192.0.2.7"))

    def sign_up(self, client: TestClient, name: str = "ada") -> str:
        """Open an account and log in through our own calls; give the subject."""
        given = {"username": name, "password": PASSWORD}
        subject = client.post("/auth/api/signup", json=given).json()["account"]["subject"]
        assert client.post("/auth/api/login", json={"identifier": name, "password": PASSWORD}).status_code == 200
        return subject


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.store.broken = set()
    made.stack.close()


Endpoint = Callable[..., Any]
