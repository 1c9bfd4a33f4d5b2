# pyright: basic
# mypy: disable-error-code="import-untyped, import-not-found"
"""Flask: Flask-Login over a Flask-SQLAlchemy model, with Flask's own signed cookie or with Flask-Session's rows.

Flask-Login alone keeps no session on the server: its cookie holds the account's id, and one device cannot be logged
out. With Flask-Session there are a session row and an account row, which is what Coatcheck looks at too.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Literal

from flask import Flask as App
from flask import Response
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from sqlalchemy import event

from bench.measure import Crowd
from bench.people import IP, SECRET, USER_AGENT, among_others, email, phc, user_name
from bench.sides import PATIENCE, PRAGMAS, fresh

SETTINGS_NOTE = (
    "Flask: Flask-Login (`session_protection` basic, its default) over a Flask-SQLAlchemy model with a pool of 16 "
    "connections; with Flask-Session its SQLAlchemy interface and its defaults, that is msgpack and a row written anew "
    "with every answer (`SESSION_REFRESH_EACH_REQUEST`). What is timed includes Flask's request context, in which "
    "alone they work; a line of the first row shows what that costs by itself."
)
Kind = Literal["bare", "login", "session"]
COOKIE_NAME = "session"
SESSION_FILE = "flask_session.db"  # beside the other one, where both are served


class Flask:
    """A Flask application at work on a file: bare, with Flask-Login, or with Flask-Session and Flask-Login."""

    def __init__(self, path: Path, kind: Kind, *, refreshes: bool = True, redis: str | None = None) -> None:
        self.path = path
        self.app, self.users = make_app(path, kind, refreshes=refreshes, redis=redis)
        self.cookie_fields: Sequence[bytes] = ()

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        for field in fields:
            with self.app.request_context(_environ(field)):
                if not current_user.is_authenticated:
                    raise RuntimeError("Flask-Login did not know its own session")
        return len(fields)

    def enter_all(self, fields: Sequence[bytes]) -> int:
        """Open and close a request's context and ask nobody's name."""
        for field in fields:
            with self.app.request_context(_environ(field)):
                pass
        return len(fields)

    def log_in_all(self, numbers: Sequence[int]) -> int:
        for number in numbers:
            self.log_in(number)
        return len(numbers)

    def log_in_at_once(self, crowd: Crowd, shares: Sequence[Sequence[int]]) -> int:
        return crowd.do(self.log_in_all, shares)

    def log_out(self, cookie_field: bytes) -> None:
        """End a session by emptying it."""
        from flask import session

        with self.app.request_context(_environ(cookie_field)):
            session.clear()
            self.app.process_response(Response())

    def close(self) -> None:
        """Let go of the file."""
        with self.app.app_context():
            self.app.extensions["bench_db"].engine.dispose()

    def log_in(self, number: int) -> Response:
        with self.app.request_context(_environ(b"theme=dark")):
            user = self.users.query.filter_by(username=user_name(number)).first()
            if user is None or not login_user(user):
                raise RuntimeError("Flask-Login let nobody in")
            return self.app.process_response(Response())


def make_app(path: Path, kind: Kind, *, refreshes: bool = True, redis: str | None = None) -> tuple[App, Any]:
    """Make an application and the class of its accounts; with `redis`, a URL, Flask-Session keeps sessions there."""
    app = App("bench")
    app.config.update(
        SECRET_KEY=SECRET,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}",
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": PATIENCE}, "pool_size": 16},
    )
    if kind == "bare":
        return app, None
    db = SQLAlchemy(app)

    class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]  # a class made at run time
        id = db.Column(db.Integer, primary_key=True)
        username = db.Column(db.String(80), unique=True, nullable=False)
        email = db.Column(db.String(120), unique=True, nullable=False)
        password = db.Column(db.String(200), nullable=False)
        active = db.Column(db.Boolean, nullable=False, default=True)

        @property
        def is_active(self) -> bool:
            return bool(self.active)

    manager = LoginManager(app)
    manager.user_loader(lambda user_id: db.session.get(User, int(user_id)))
    with app.app_context():
        event.listen(db.engine, "connect", _set_up)
        db.create_all()
    if kind == "session":
        kept: dict[str, Any] = {"SESSION_TYPE": "sqlalchemy", "SESSION_SQLALCHEMY": db}
        if redis is not None:
            kept = {"SESSION_TYPE": "redis", "SESSION_REDIS": Redis.from_url(redis)}
        app.config.update(**kept, SESSION_REFRESH_EACH_REQUEST=refreshes)
        Session(app)
    app.extensions["bench_db"] = db
    return app, User


def make_flask(path: Path, kind: Kind, *, count: int, redis: str | None = None) -> Flask:
    """Make a file with `count` accounts, each logged in once; with `redis` their sessions are there."""
    side = Flask(fresh(path), kind, redis=redis)
    db = side.app.extensions["bench_db"]
    with side.app.app_context():
        db.session.add_all(
            [side.users(username=user_name(n), email=email(n), password=phc(), active=True) for n in range(count)]
        )
        db.session.commit()
        # A thousand waits for the disk would tell nothing.
        db.session.execute(db.text("PRAGMA synchronous = OFF"))
        db.session.commit()
    side.cookie_fields = tuple(among_others(COOKIE_NAME, _cookie_of(side.log_in(n))) for n in range(count))
    side.close()
    return side


def _set_up(connection: Any, _record: Any) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _cookie_of(response: Response) -> str:
    return SimpleCookie(response.headers["Set-Cookie"])[COOKIE_NAME].value


def _environ(cookie_field: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_COOKIE": cookie_field.decode("latin-1"),
        "HTTP_USER_AGENT": USER_AGENT,
        "REMOTE_ADDR": IP,
        "wsgi.url_scheme": "http",
    }
