"""The Starlette door: `CoatcheckMiddleware`, guards for endpoints, and what templates need.

    app = Starlette(routes=[...], middleware=[Middleware(CoatcheckMiddleware, desk=desk, public_url="https://...")])

`request.session`, `request.user` and `request.auth` are ours then. Refusals are exceptions of the family `Refused`: an
application that answers them itself gives Starlette an exception handler for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from coatcheck import asgi
from coatcheck.asgi import Exemption, Passage, Scope, SessionData
from coatcheck.asgi.middleware import ANOTHER_SESSION, Doorway
from coatcheck.colour import run_blocking
from coatcheck.core.views import A, Session, Visit
from coatcheck.errors import ConfigurationError, Refused, StoreError
from coatcheck.facade import AsyncCoatcheck

try:
    from anyio import from_thread
    from starlette.authentication import BaseUser
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
except ModuleNotFoundError as error:  # pragma: no cover - a process without it runs in tests/starlette
    raise ImportError("coatcheck.starlette needs Starlette: pip install 'coatcheck[starlette]'") from error

__all__ = [
    "CoatcheckMiddleware",
    "CoatcheckUser",
    "Exemption",
    "Passage",
    "SessionData",
    "flash",
    "flashes",
    "fresh_login_required",
    "login_required",
    "passage",
    "same_account_required",
    "template_context",
]

P = ParamSpec("P")
R = TypeVar("R")
Endpoint = Callable[P, R]
AUTHENTICATED = "authenticated"


class CoatcheckUser(BaseUser, Generic[A]):
    """Whoever is there, as `request.user`; it follows a log-in or log-out in the same request."""

    def __init__(self, passage: Passage[A]) -> None:
        self._passage = passage

    @property
    def visit(self) -> Visit | None:
        """The visit of whoever is logged in; None for strangers."""
        visit = run_blocking(self._passage.visit())  # known since before the application
        return visit if visit and visit.subject is not None else None

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is logged in."""
        return self.visit is not None

    @property
    def identity(self) -> str:
        """The subject; "" for strangers."""
        return (self.visit.subject if self.visit else None) or ""

    @property
    def display_name(self) -> str:
        """What may be shown of them: user name, address or, where there is no account, the subject."""
        account = self.account
        shown = getattr(account, "username", None) or getattr(account, "email", None)
        return shown if isinstance(shown, str) else self.identity

    @property
    def account(self) -> A | None:
        """The account of whoever is logged in; None for strangers, and subjects without an account of ours."""
        return self._passage.known_account if self.visit else None

    @property
    def session(self) -> Session | None:
        """The session of whoever is logged in."""
        return self.visit.session if self.visit else None


class Permissions:
    """What `request.auth` says, for Starlette's own `requires("authenticated")`."""

    def __init__(self, user: CoatcheckUser[Any]) -> None:
        self._user = user

    @property
    def scopes(self) -> list[str]:
        """`authenticated`, if somebody is logged in."""
        return [AUTHENTICATED] if self._user.is_authenticated else []


class StarletteDoorway(Doorway):
    """The ASGI way to an application, with what Starlette's requests show besides."""

    knows_accounts = True  # for `request.user`

    def show(self, scope: Scope, passage: Passage[Any]) -> None:
        """Put what an application finds into its scope."""
        super().show(scope, passage)
        user = CoatcheckUser(passage)
        scope["user"], scope["auth"] = user, Permissions(user)

    def trouble(self, scope: Scope) -> ConfigurationError | None:
        """Say what is wrong with the place where this door stands; Starlette tells before the first request."""
        found = super().trouble(scope)
        if found is None and scope["type"] == "lifespan" and has_another_session(scope.get("app")):
            return ConfigurationError(ANOTHER_SESSION)
        return found


class CoatcheckMiddleware(asgi.CoatcheckMiddleware):
    """Put a desk before a Starlette application: `Middleware(CoatcheckMiddleware, desk=desk, ...)`.

    What it takes and does stands at `coatcheck.asgi.CoatcheckMiddleware`. Middleware that reads the session, or
    changes it, belongs behind it in the list.
    """

    doorway = StarletteDoorway


@overload
def passage(connection: HTTPConnection) -> Passage: ...


@overload
def passage(connection: HTTPConnection, desk: AsyncCoatcheck[A]) -> Passage[A]: ...


def passage(connection: HTTPConnection, desk: AsyncCoatcheck[A] | None = None) -> Passage[A]:
    """Give the passage of a request or WebSocket: log in and out, messages, the account, CSRF tokens.

    Where accounts have a type of your own, `desk` tells it to checkers; the door must be that desk's.
    """
    found = connection.scope.get("coatcheck")
    if not isinstance(found, Passage):
        raise ConfigurationError(
            "middleware: Coatcheck's door does not stand before this application; make it "
            "Starlette(middleware=[Middleware(CoatcheckMiddleware, desk=desk, ...)])"
        )
    if desk is not None and found.exchange.flows is not desk.flows:
        raise ConfigurationError("desk: the door before this application is another desk's")
    answer_refusals(connection.scope)
    return cast("Passage[A]", found)


async def answer_refusal(connection: HTTPConnection, error: Exception) -> Response:
    """Answer a refusal, as an exception handler of Starlette. Session data that was changed is not saved."""
    doorway: Doorway | None = connection.scope.get("coatcheck_doorway")
    if not isinstance(error, Refused | StoreError) or connection.scope["type"] != "http" or doorway is None:
        raise error  # the door closes a WebSocket itself; and this application may be reached by a way without a door
    found: Passage = connection.scope["coatcheck"]
    found.abandon()
    reply = doorway.refusal(found, error)
    response = Response(reply.body, reply.status)
    for name, value in reply.headers:
        if name != "set-cookie":  # the door adds those, as to every answer
            response.headers.append(name, value)
    return response


def answer_refusals(scope: Scope) -> None:
    """Have refusals answered where they are raised, unless the application does it itself."""
    # An application inside another answers 500 to all that its own handlers do not know: no refusal would come as far
    # as the door. Its own handlers of one kind of refusal go before these of the whole family.
    handlers, _ = scope.get("starlette.exception_handlers", ({}, {}))
    for family in (Refused, StoreError):
        handlers.setdefault(family, answer_refusal)


def login_required(endpoint: Endpoint[P, R]) -> Endpoint[P, R]:
    """Let in whoever is logged in. Others go to the log-in page and come back, or are told 401."""
    return _guarded(endpoint, lambda _connection, way: run_blocking(way.require_session()))


def fresh_login_required(endpoint: Endpoint[P, R]) -> Endpoint[P, R]:
    """Let in whoever has proven identity in the last five minutes (a setting). Others prove it again first."""
    return _guarded(endpoint, lambda _connection, way: run_blocking(way.require_fresh()))


def same_account_required(parameter: str) -> Callable[[Endpoint[P, R]], Endpoint[P, R]]:
    """Let in only the one whose subject the path's `parameter` is. Others are told 403."""

    def check(connection: HTTPConnection, way: Passage) -> object:
        return run_blocking(way.require_subject(subject_in_path(connection, parameter)))

    return lambda endpoint: _guarded(endpoint, check)


def subject_in_path(connection: HTTPConnection, parameter: str) -> str:
    """Give the subject that a route's path names. Raises `ConfigurationError` for a route without that parameter."""
    if parameter not in connection.path_params:
        raise ConfigurationError(f"same_account_required: the path of this route has no parameter {parameter!r}")
    return str(connection.path_params[parameter])


def flash(request: HTTPConnection, message: str, category: str = "message") -> None:
    """Keep a message for the next page that shows messages, once."""
    run_blocking(passage(request).flash(message, category))


def flashes(request: HTTPConnection) -> list[tuple[str, str]]:
    """Take the messages that wait, as pairs of category and text; escape them where they are shown."""
    return run_blocking(passage(request).flashes())


def template_context(request: Request) -> dict[str, Any]:
    """Give templates `csrf_token()` and `flashes()`: `Jinja2Templates(..., context_processors=[template_context])`."""
    return {"csrf_token": passage(request).csrf_token, "flashes": lambda: flashes(request)}


def has_another_session(app: object) -> bool:
    """Say whether Starlette's own session middleware is among those of an application."""
    return any(
        base.__module__ == "starlette.middleware.sessions"
        for middleware in getattr(app, "user_middleware", ())
        for base in getattr(middleware.cls, "__mro__", ())
    )


def _guarded(endpoint: Endpoint[P, R], check: Callable[[HTTPConnection, Passage], object]) -> Endpoint[P, R]:
    # Who is there is known since before the application, so that no check waits: both kinds of endpoint need one only.
    def examine(args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[Passage, str] | None:
        """Check; give the passage and the method that it has not been admitted for, where middleware changed that."""
        for given in (*args, *kwargs.values()):
            if isinstance(given, HTTPConnection):
                connection = cast(HTTPConnection, given)
                way = passage(connection)
                check(connection, way)
                method = connection.scope.get("method")  # a WebSocket has none
                return None if method in (None, way.exchange.request.method) else (way, method)
        raise ConfigurationError(f"{endpoint!r} is guarded and takes no request: give it a parameter `request`")

    if iscoroutinefunction(endpoint):

        @wraps(endpoint)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            if (other := examine(args, kwargs)) is not None:
                await other[0].require_evidence(other[1])
            return await endpoint(*args, **kwargs)

        return guarded  # type: ignore[return-value]  # R is its coroutine

    @wraps(endpoint)
    def guarded_in_thread(*args: P.args, **kwargs: P.kwargs) -> R:
        if (other := examine(args, kwargs)) is not None:
            from_thread.run(other[0].require_evidence, other[1])
        return endpoint(*args, **kwargs)

    return guarded_in_thread
