"""What an application's views and templates call: who is there, guards, log-in and log-out."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from flask import current_app, has_request_context, request, session
from markupsafe import Markup
from werkzeug.local import LocalProxy

from coatcheck.core.views import Account, Login
from coatcheck.errors import CoatcheckError, ConfigurationError
from coatcheck.flask.sessions import ServerSession
from coatcheck.web.blocking import BlockingPassage
from coatcheck.wsgi import KEY

if TYPE_CHECKING:
    from flask import Flask, Request

    from coatcheck.flask.extension import Entrance

    class CurrentAccount(Account):
        """An account that may be nobody's: false then, and without attributes."""

        def __bool__(self) -> bool: ...


View = TypeVar("View", bound=Callable[..., Any])

NAME = "coatcheck"
"""Under which Flask's `app.extensions` has the door."""

OUTSIDE = (
    "no request is being answered here, and what coatcheck.flask gives speaks of one. In a job, a shell or a thread of "
    "yours ask the desk itself, desk.find_account(...) or desk.sessions(of=...), and hand over what the request knows, "
    "such as current_account.subject, as an argument. In tests: with app.test_request_context():"
)


# What two of Flask's proxies stand for now, by Werkzeug's documented way. Each attribute that is asked of a proxy costs
# as much as a look at a cookie.
current_request = cast("LocalProxy[Request]", request)._get_current_object  # pyright: ignore[reportPrivateUsage]
_application = cast("LocalProxy[Flask]", current_app)._get_current_object  # pyright: ignore[reportPrivateUsage]


def passage() -> BlockingPassage:
    """Give the passage of the request that is being answered.

    Only to the application whose door it came through: another one within the same request would know who is there, and
    have neither the check for cross-site requests nor the headers that keep its answers out of caches.
    """
    try:
        found: BlockingPassage | None = current_request().environ.get(KEY)
    except RuntimeError:
        raise RuntimeError(OUTSIDE) from None
    entrance: Entrance | None = _application().extensions.get(NAME)
    if entrance is None:
        raise ConfigurationError(f"CoatcheckFlask: is missing in {current_app.name}; CoatcheckFlask(app, desk)")
    if found is None:
        raise ConfigurationError(
            "allowed_hosts: the host of this request context is none of the site's; give a base_url"
        )
    if found.passage.door is not entrance.door:
        raise ConfigurationError(
            f"CoatcheckFlask: this request did not come through that of {current_app.name}; mount the application "
            "itself, or its wsgi_app as CoatcheckFlask has left it"
        )
    return found


def account() -> Account | None:
    """Give the account of whoever is logged in.

    A `LocalProxy` takes any `RuntimeError` for "there is nothing behind me", which is false: what fails at a look for a
    visitor must not make a stranger of one (ERR-02). Outside a request it is as it says: there, who asks for more than
    whether there is somebody hears what to do.
    """
    try:
        return passage().account
    except RuntimeError as error:
        if not has_request_context():
            raise
        raise CoatcheckError("the account of this request could not be looked up") from error


current_passage = cast("BlockingPassage", LocalProxy(passage))
"""This request at the desk: the visit with its session, atomic counters, step-up, and whatever has no name here."""


class Nobody:
    """What `current_account` is where there is no account: false, equal to None, and able to say why."""

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Nobody)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> str:
        return "None"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)  # asked by Python and by libraries, of any object
        why = (
            "nobody is logged in; ask `if current_account` first, or guard the view with @login_required"
            if passage().visit.subject is None
            else "this session's subject has no account of ours; it is current_passage.visit.subject"
        )
        raise AttributeError(f"current_account.{name}: {why}")


def _account_or_nobody() -> Account | Nobody:
    return account() or Nobody()


current_account = cast("CurrentAccount", LocalProxy(_account_or_nobody))
"""The account of whoever is logged in; false where nobody is, or a subject of yours without an account of ours."""


def log_in(identifier: str, password: str, *, remember: bool | None = None) -> Login:
    """Log in with a user name or address and a password. At once, and only by POST; the answer bears the cookie.

    What an anonymous visitor had in the session moves on, messages do not. `remember` keeps the session beyond the end
    of the browser; None asks `session.permanent`.

    Raises:
        InvalidCredentials: name or password are wrong, and nobody learns which.
        TooManyAttempts: nothing was looked at; wait `retry_after` seconds.
    """
    return passage().log_in(identifier, password, remember=_remembers(remember))


def start_session(subject: str, *, methods: tuple[str, ...] = (), remember: bool | None = None) -> Login:
    """Log in whoever has proven identity your own way: `subject` is your stable id of the person.

    A provider's callback may do this by GET; check then that this very browser asked for it.
    Raises `InvalidCredentials` if the subject is disabled.
    """
    return passage().start_session(subject, methods=methods, remember=_remembers(remember))


def log_out() -> bool:
    """End the session at once, and only by POST; the answer takes the cookie away. False if there was none."""
    return passage().log_out()


def sign_up(*, username: str | None = None, email: str | None = None, password: str) -> Account:
    """Open an account; it is not logged in by that.

    Raises `InvalidInput` with all that is wrong, `UsernameTaken`, `EmailTaken`.
    """
    return passage().sign_up(username=username, email=email, password=password)


def login_required(view: View) -> View:
    """Let only those in who are logged in: a page sends others to log in and back, a call is answered 401."""

    def guard(_arguments: dict[str, Any]) -> None:
        passage().require_session()

    return _guarded(view, guard)


def fresh_login_required(view: View) -> View:
    """Let only those in who have proven identity in the last minutes; others are asked to do it again."""

    def guard(_arguments: dict[str, Any]) -> None:
        passage().require_fresh()

    return _guarded(view, guard)


def same_account_required(name: str) -> Callable[[View], View]:
    """Let only the account in whose subject is the part `name` of the route, as in `/users/<id>`; others get 403.

    A route without that part lets nobody in: `ConfigurationError`.
    """

    def guard(arguments: dict[str, Any]) -> None:
        if name not in arguments:
            raise ConfigurationError(f'same_account_required: the route of {request.endpoint} has no part "<{name}>"')
        passage().require_subject(str(arguments[name]))

    def decorate(view: View) -> View:
        return _guarded(view, guard)

    return decorate


def csrf_token() -> str:
    """Make a token for a form, its field `csrf_token`, or for the header `X-CSRF-Token`."""
    return passage().csrf_token()


def csrf_field() -> Markup:
    """Make the hidden field with the token, ready to stand in a form."""
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(csrf_token())


def template_context() -> dict[str, object]:
    """What templates get by name; a macro gets it where it is imported `with context`."""
    return {"current_account": current_account, "csrf_token": csrf_token, "csrf_field": csrf_field}


def _remembers(remember: bool | None) -> bool:
    if remember is not None:
        return remember
    return bool(cast("ServerSession", session).asks_permanent)


def _guarded(view: View, guard: Callable[[dict[str, Any]], None]) -> View:
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        guard(kwargs)
        return (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs)

    return cast("View", guarded)
