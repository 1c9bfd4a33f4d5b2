"""Puts the door into a Flask application: before its routes, around its session, into its templates."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Unpack, cast

from flask import Flask, Response, got_request_exception, has_request_context, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.routing import Rule

from coatcheck.core.views import A
from coatcheck.errors import ConfigurationError, Refused, StoreError
from coatcheck.facade import Coatcheck
from coatcheck.flask import views
from coatcheck.flask.sessions import SENT_ON, ServerSessions, is_sent_on
from coatcheck.http.messages import MAX_BODY, Reply
from coatcheck.web.blocking import BlockingPassage
from coatcheck.web.door import Door, DoorSettings, exemption_of
from coatcheck.web.pages import PATHS
from coatcheck.wsgi import KEY, has_come_through, look_at_server, request_of, send_reply, serve, with_end

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PREFIX = "/auth"
_REFUSAL = "coatcheck_refusal"

_log = logging.getLogger("coatcheck")


class CoatcheckFlask(Generic[A]):
    """The extension. With an application it is installed at once; without, `init_app` installs it, in any number.

    Args:
        app: the Flask application.
        desk: the blocking desk; `init_app` may bring it.
        settings: those of `coatcheck.web.door.DoorSettings`. They may also stand in `app.config["COATCHECK"]`, a
            mapping with the same names; what is said here wins. `prefix` is the path as visitors see it, what stands in
            `SCRIPT_NAME` included.

    Development mode is implied where neither `public_url` nor `development` is given and the application is in debug
    or testing mode when its first request arrives. Flask's own `SECRET_KEY` and `SESSION_COOKIE_*` are not used.

    Raises:
        ConfigurationError: with every mistake in the settings; the application has the door already, or another
            extension's sessions.
    """

    def __init__(
        self, app: Flask | None = None, desk: Coatcheck[A] | None = None, **settings: Unpack[DoorSettings]
    ) -> None:
        self._desk = desk
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, desk: Coatcheck[A] | None = None, **settings: Unpack[DoorSettings]) -> None:
        """Install the door in an application, before its first request."""
        desk = desk or self._desk
        if desk is None:
            raise ConfigurationError("desk: is missing; CoatcheckFlask(app, Coatcheck(...)) or init_app(app, desk)")
        if views.NAME in app.extensions:
            raise ConfigurationError(f"CoatcheckFlask: {app.name} has it already; install it once")
        if type(app.session_interface) is not SecureCookieSessionInterface:
            raise ConfigurationError(
                f"session_interface: {app.name} has that of {type(app.session_interface).__module__}; remove the other "
                "extension, for its sessions would live at the desk from now on"
            )
        configured = cast("DoorSettings", cast("dict[str, object]", app.config).get("COATCHECK", {}))
        chosen: DoorSettings = {**configured, **self._settings, **settings}
        entrance = Entrance(app, desk, chosen)
        app.extensions[views.NAME] = entrance
        app.context_processor(views.template_context)
        app.session_interface = entrance.sessions
        app.wsgi_app = entrance  # type: ignore[method-assign]  # where Flask's documentation puts what stands before it
        # Before all others, and before those handlers of the application that are for any exception.
        app.before_request_funcs.setdefault(None, []).insert(0, entrance.admit)
        handlers = app.error_handler_spec[None][None]
        for kind in (Refused, StoreError):
            handlers.setdefault(kind, entrance.refuse)
        got_request_exception.connect(entrance.give_up, app)
        prefix = chosen.get("prefix", _PREFIX).removeprefix(_root_of(app))
        for page, path in PATHS.items():
            app.add_url_rule(f"{prefix}{path}", endpoint=f"{views.NAME}.{page}", build_only=True)

    @property
    def account(self) -> A | None:
        """What `current_account` is, in the desk's own type, which a name that all applications share cannot have."""
        return cast("A | None", views.account())


class Entrance:
    """What stands before one application: a WSGI application around it, and what Flask calls while it works."""

    def __init__(self, app: Flask, desk: Coatcheck[Any], settings: DoorSettings) -> None:
        self._app = app
        self._inner: WSGIApplication = app.wsgi_app
        self._desk = desk
        self._settings = settings
        self.sessions = ServerSessions(self)
        # Debug and testing may be switched on later, so that decision waits for the first request; no mistake has to.
        self._implies = settings.get("public_url") is None and settings.get("development") is None
        self._door = self._open({**settings, "development": True} if self._implies else settings)
        self._has_answered = False

    @property
    def door(self) -> Door:
        """The door. Raises `ConfigurationError` if by now there is neither a `public_url` nor debug or testing mode."""
        if self._implies:
            if not (self._app.debug or self._app.testing):
                self._open({**self._settings, "development": False})  # says what is missing
            self._implies = False
        return self._door

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request: our pages and calls ourselves, everything else through the application."""
        try:
            door = self.door
            if not self._has_answered:
                self._look_at_application(door)
            if has_come_through(door, environ):
                return self._inner({**environ, SENT_ON: self._is_answering(environ)}, start_response)
        except ConfigurationError as error:
            _log.critical("%s", error)  # servers answer 500, and not every one says why
            raise
        request = request_of(environ)
        if door.owns(request.path):
            return serve(door, request, start_response)
        look_at_server(door, environ)
        entered = door.enter(request)
        if isinstance(entered, Reply):
            return send_reply(entered, request, start_response)
        passage = environ[KEY] = BlockingPassage(entered)
        return with_end(self._inner(environ, start_response), environ, passage)

    def _is_answering(self, environ: WSGIEnvironment) -> bool:
        """Say whether a view is at work that sends this request on, and is going to have an answer of its own."""
        return has_request_context() and request.environ.get(KEY) is environ[KEY]

    def passage_of(self, environ: WSGIEnvironment) -> BlockingPassage | None:
        """Give a request's passage: a new one where a test has made the context, None if its host is not the site's."""
        if KEY not in environ:
            entered = self.door.enter(request_of(environ))
            if isinstance(entered, Reply):
                return None
            environ[KEY] = BlockingPassage(entered)
        passage: BlockingPassage = environ[KEY]
        return passage

    def admit(self) -> None:
        """Ask for evidence that a request comes from a page of ours, before the application's own functions."""
        passage, request = views.passage(), views.current_request()
        exemption = exemption_of(self._app.view_functions.get(request.endpoint or ""))
        if exemption is not None:
            passage.passage.exemption = exemption
        passage.admit(_form_token, method=request.method)  # which middleware may have made another one

    def refuse(self, error: Exception) -> Response:
        """Answer a refusal in the application's place; an error handler of its own for `Refused` goes before this."""
        response = self._app.response_class()
        self.refuse_instead(response, views.passage(), cast("Refused | StoreError", error))
        return response

    def refuse_instead(self, response: Response, passage: BlockingPassage, error: Refused | StoreError) -> None:
        """Make a refusal of a response. What the application changed in the session data is not saved."""
        if not is_sent_on(request):
            passage.passage.abandon()
        reply = self.door.refusal(passage.passage, error)
        response.status_code = reply.status
        response.headers.clear()
        response.headers.extend(list(reply.headers))
        response.set_data(reply.body)
        setattr(response, _REFUSAL, True)

    def is_refusal(self, response: Response) -> bool:
        """Say whether a response is ours and says of the session what is to be said."""
        return getattr(response, _REFUSAL, False)

    def give_up(self, sender: Flask, **_more: object) -> None:  # noqa: ARG002 - a signal's interface
        """Save nothing more of a request whose handler raised what nobody handles."""
        passage: BlockingPassage | None = request.environ.get(KEY)
        if passage is not None and not is_sent_on(request):
            passage.passage.abandon()

    def _open(self, settings: DoorSettings) -> Door:
        return Door(self._desk, settings, wanted=Coatcheck, codec=self.sessions.codec)

    def _look_at_application(self, door: Door) -> None:
        """See at the first request what start could not know, and list the views that need no evidence."""
        if self._app.session_interface is not self.sessions:
            other = type(self._app.session_interface).__module__
            raise ConfigurationError(
                f"session_interface: that of {other} has come after ours; remove the other extension"
            )
        root = _root_of(self._app)
        hidden = sorted(
            rule.rule for rule in self._app.url_map.iter_rules() if _is_route(rule) and door.owns(root + rule.rule)
        )
        if hidden:
            raise ConfigurationError(f"prefix: hides {', '.join(hidden)} of {self._app.name}; choose another one")
        for endpoint, view in sorted(self._app.view_functions.items()):
            exemption = exemption_of(view)
            if exemption is not None:
                _log.info("csrf_exempt: the view %s needs no evidence of its origin: %s", endpoint, exemption.reason)
        self._has_answered = True


def _root_of(app: Flask) -> str:
    return cast("str", app.config["APPLICATION_ROOT"]).rstrip("/")


def _is_route(rule: Rule) -> bool:
    return not rule.build_only


async def _form_token() -> str | None:
    """Read the field `csrf_token` of a form that says that it fits in 64 KiB."""
    if request.content_length is None or request.content_length > MAX_BODY:
        return None
    request.get_data(parse_form_data=False)  # kept, so that the view can still read the body as it came
    values = request.form.getlist("csrf_token")
    return values[0] if len(values) == 1 else None
