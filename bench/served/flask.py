# pyright: basic
# mypy: disable-error-code="import-untyped, import-not-found"
"""Flask four times in one process: bare, with Flask-Login, with Flask-Session and Flask-Login, and that unrefreshed."""

from __future__ import annotations

from flask import Response
from flask_login import login_required

from bench.served import BODY, JSON, cpu, file
from bench.sides.flask import SESSION_FILE, Kind, make_app


def _answer() -> Response:
    return Response(BODY, mimetype=JSON)


def _app(kind: Kind, path: str, *, refreshes: bool = True):  # type: ignore[no-untyped-def]  # a WSGI application
    app, _ = make_app(file() if kind == "login" else file().with_name(SESSION_FILE), kind, refreshes=refreshes)
    app.add_url_rule(path, "answer", view_func=login_required(_answer) if kind != "bare" else _answer)
    return app


_bare = _app("bare", "/bare")
_bare.add_url_rule("/cpu", "cpu", view_func=lambda: Response(cpu(), mimetype=JSON))
_apps = {
    "/authenticated": _app("login", "/authenticated"),
    "/session": _app("session", "/session"),
    "/session-kept": _app("session", "/session-kept", refreshes=False),
}


def app(environ, start_response):  # type: ignore[no-untyped-def]  # WSGI
    """Applications of their own: an extension would burden the bare handler too."""
    return _apps.get(environ["PATH_INFO"], _bare)(environ, start_response)
