"""A Flask application at a desk, and browsers to visit it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from coatcheck import Account, Coatcheck, StoreUnavailable
from coatcheck.flask import CoatcheckFlask
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock

PASSWORD = "a long enough passphrase"
SECRET = bytes(range(7, 39))
SITE = "https://shop.example.org"
Handler = Callable[..., Any]


class House:
    """An application whose routes a test writes as functions, and a browser."""

    def __init__(
        self, *, desk: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **door: Any
    ) -> None:
        self.clock = MovableClock()
        self.store = MemoryStore()
        self.desk = Coatcheck(self.store, clock=self.clock, secret=SECRET, settings=desk)
        self.app = Flask(__name__)
        self.app.config.update(config or {"TESTING": True})
        CoatcheckFlask(self.app, self.desk, **door)
        self.browser = self.new_browser()

    def new_browser(self) -> FlaskClient:
        """A browser without cookies, that says where its requests come from, as browsers do."""
        browser = self.app.test_client()
        browser.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
        return browser

    def route(self, path: str, view: Handler, **options: Any) -> None:
        """Add a route, between two visits too, which Flask itself would rather not have."""
        self.app._got_first_request = False
        self.app.add_url_rule(path, f"view{len(self.app.view_functions)}", view, methods=["GET", "POST"], **options)

    def get(self, path: str = "/", **more: Any) -> Any:
        return self.browser.get(path, **more)

    def post(self, path: str = "/", **more: Any) -> Any:
        return self.browser.post(path, **more)

    def account(self, name: str = "ada") -> Account:
        return self.desk.sign_up(username=name, password=PASSWORD)

    def break_store(self, *methods: str) -> None:
        """Let the store fail from now on."""

        async def down(*_args: Any, **_more: Any) -> Any:
            raise StoreUnavailable("down on purpose")

        for method in methods:
            setattr(self.store, method, down)

    @property
    def token(self) -> str | None:
        cookie = self.browser.get_cookie("coatcheck-dev")
        return None if cookie is None else cookie.value


@pytest.fixture
def house() -> House:
    return House()
