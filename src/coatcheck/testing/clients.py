"""Test clients of frameworks in which somebody is logged in. No framework is imported; theirs come in as they are.

ada = desk.sign_up(username="ada", password="...")
client = app.test_client()                      # Flask
log_in_flask(client, ada, age=timedelta(minutes=20))

with TestClient(app) as client:                 # Starlette, FastAPI
    log_in_starlette(client, desk, ada, age=timedelta(minutes=20))
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from coatcheck.colour import run_blocking
from coatcheck.core.views import Account, Client, Login
from coatcheck.errors import ConfigurationError
from coatcheck.facade import AsyncCoatcheck
from coatcheck.testing.logins import cookie_name, login_as_async, started
from coatcheck.web.door import Door


class FlaskClient(Protocol):
    """What is needed of `flask.testing.FlaskClient`."""

    application: Any

    def set_cookie(self, key: str, value: str = "", *, domain: str = "localhost") -> None:
        """Put a cookie into the client's jar."""
        ...


class StarletteClient(Protocol):
    """What is needed of `starlette.testclient.TestClient`, which is FastAPI's too."""

    cookies: Any
    base_url: Any
    portal: Any


def log_in_flask(
    client: FlaskClient,
    account: Account | str,
    *,
    age: timedelta | int = 0,
    methods: tuple[str, ...] = ("pwd",),
    remember: bool = False,
    origin: Client | None = None,
) -> Login:
    """Log somebody in, in a test client of Flask, as `coatcheck.testing.logins.login_as` does.

    Which desk and which cookie it is the application's `CoatcheckFlask` knows. In production, where visits need
    `base_url="https://..."`, the cookie is for the host of `public_url`.
    """
    entrance = client.application.extensions.get("coatcheck")
    if entrance is None:
        raise ConfigurationError(f"CoatcheckFlask: is missing in {client.application.name}; CoatcheckFlask(app, desk)")
    door: Door = entrance.door
    login = run_blocking(started(door.mount.flows, account, age=age, methods=methods, remember=remember, client=origin))
    site = door.mount.site
    host = "localhost" if site.public_origin is None else site.public_origin.host
    client.set_cookie(site.session_cookie.name, login.token.reveal(), domain=host)
    return login


def log_in_starlette(
    client: StarletteClient,
    desk: AsyncCoatcheck[Any],
    account: Account | str,
    *,
    age: timedelta | int = 0,
    methods: tuple[str, ...] = ("pwd",),
    remember: bool = False,
    origin: Client | None = None,
    cookie: str | None = None,
) -> Login:
    """Log somebody in, in a test client of Starlette or FastAPI, as `coatcheck.testing.logins.login_as` does.

    The client must have been entered, `with TestClient(app) as client:`, because the desk belongs to its event loop.
    `cookie` is the session cookie's name, where the door was given a `cookie_name`; without it, a client whose
    `base_url` begins with https is taken to visit a site in production.
    """
    portal = client.portal
    if portal is None:
        raise ConfigurationError("client: enter it first, with TestClient(app) as client: the desk lives on its loop")
    start: Callable[..., Any] = partial(
        login_as_async, desk, account, age=age, methods=methods, remember=remember, client=origin
    )
    login: Login = portal.call(start)
    name = cookie or cookie_name(secure=str(client.base_url).startswith("https"))
    # Under the domain that the client files our own cookies under, or it would send this one beside the next of them;
    # what was there before goes, for a cookie that stands twice is nobody's.
    host = str(client.base_url.host)
    domain = host if "." in host else f"{host}.local"
    client.cookies.set(name, login.token.reveal(), domain=domain)
    return login
