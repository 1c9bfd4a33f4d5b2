"""A FastAPI application with a door, and clients that send what browsers send."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from coatcheck import AsyncCoatcheck, Client
from coatcheck.fastapi import CoatcheckFastAPI
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock
from tests.web.conftest import Fragile

PASSWORD = "a long enough passphrase"
COOKIE = "coatcheck-dev"
ORIGIN = {"origin": "http://testserver"}
SECRET = bytes(range(7, 39))


class House:
    """A desk, a door, and the application that a test adds its routes to."""

    def __init__(self, **settings: Any) -> None:
        self.clock = MovableClock()
        self.store = Fragile(MemoryStore())
        self.desk = AsyncCoatcheck(self.store, secret=SECRET, clock=self.clock)  # type: ignore[arg-type]
        self.auth = CoatcheckFastAPI(self.desk, development=True, **settings)
        self.app = FastAPI(lifespan=self.auth.lifespan)
        self.app.include_router(self.auth.router, prefix="/auth")
        self.stack = ExitStack()

    def client(self) -> TestClient:
        """A browser: it says where its requests come from, and follows nothing by itself."""
        made = TestClient(self.app, headers={**ORIGIN, "accept": "application/json"}, follow_redirects=False)
        return self.stack.enter_context(made)

    def logged_in(self, subject: str = "ada") -> TestClient:
        """A browser with a session, of a subject without an account."""
        client = self.client()
        assert client.portal is not None
        login = client.portal.call(self._start, subject)
        client.cookies.set(COOKIE, login.token.reveal())
        return client

    async def _start(self, subject: str) -> Any:
        return await self.desk.start_session(subject, methods=("pwd",), client=Client("192.0.2.7"))

    def member(self, name: str = "ada") -> tuple[TestClient, str]:
        """A browser that has signed up and logged in through our own calls, and its subject."""
        client = self.client()
        given = {"username": name, "password": PASSWORD}
        subject = client.post("/auth/api/signup", json=given).json()["account"]["subject"]
        told = client.post("/auth/api/login", json={"identifier": name, "password": PASSWORD})
        assert told.status_code == 200
        return client, subject


@pytest.fixture
def build() -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(**settings: Any) -> House:
        houses.append(House(**settings))
        return houses[-1]

    yield make
    for house in houses:
        house.store.broken = set()
        house.stack.close()


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    return build()


def token_on(text: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', text)
    assert found
    return found[1]
