# pyright: basic, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# mypy: disable-error-code="import-untyped, import-not-found, misc, unused-ignore"
"""Django: `contrib.sessions` in the database and `contrib.auth`.

What runs is Django's: the database session backend, `get_user` (account exists, is active, session hash verifies),
`authenticate` and `login`. A process knows one configuration, so several files are several database aliases behind a
router.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from bench.measure import Crowd
from bench.people import (
    ARGON2_MEMORY_KIB,
    ARGON2_PARALLELISM,
    ARGON2_TIME,
    PASSWORD,
    SECRET,
    among_others,
    email,
    user_name,
)
from bench.sides import PATIENCE, PRAGMAS, fresh

SETTINGS_NOTE = (
    "Django: `contrib.sessions` (database backend, its default) and `contrib.auth`; SQLite with the options that its "
    "manual gives against locked files: `transaction_mode: IMMEDIATE` and a longer `timeout`."
)
BACKEND = "django.contrib.auth.backends.ModelBackend"
COOKIE_NAME = "sessionid"
DEFAULT_TIMEOUT = 5


_alias_by_path: dict[str, str] = {}  # of databases that are no files


class Hasher(Argon2PasswordHasher):
    """Argon2id with the parameters everybody has here."""

    time_cost, memory_cost, parallelism = ARGON2_TIME, ARGON2_MEMORY_KIB, ARGON2_PARALLELISM


class NoHasher(Hasher):
    """Says that every password is right without looking."""

    def verify(self, password: str, encoded: str) -> bool:  # noqa: ARG002 - the hash is what is left out
        return True


class Router:
    """Sends every query to the file of the side that works at the moment."""

    alias = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str:  # noqa: ARG002 - Django's signature
        return self.alias

    db_for_write = db_for_read


class Django:
    """Django at work on a file that `make_django` has made."""

    def __init__(
        self,
        path: Path,
        cookie_fields: Sequence[bytes] = (),
        *,
        timeout: int = PATIENCE,
        postgres: str | None = None,
        redis: str | None = None,
    ) -> None:
        self.path = path
        self.cookie_fields = cookie_fields
        self.backend = "db" if redis is None else "cache"
        configure(path, timeout=timeout)
        if postgres is not None:
            _add_postgres(path, postgres)
        if redis is not None:
            _add_cache(redis)
        self.alias = _alias_of(path)

    def here(self) -> Django:
        """Make this side's file the one that Django works on."""
        Router.alias = self.alias
        return self

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        from django.contrib.auth import get_user
        from django.http.cookie import parse_cookie

        self.here()
        open_session = self.open_session
        for field in fields:
            user = get_user(_Visit(open_session(parse_cookie(field.decode())[COOKIE_NAME])))  # type: ignore[arg-type]  # all that it wants of a request
            if not user.is_authenticated:
                raise RuntimeError("Django did not know its own session")
        return len(fields)

    def log_in_all(self, numbers: Sequence[int]) -> int:
        from django.contrib.auth import authenticate, login
        from django.http import HttpRequest

        self.here()
        for number in numbers:
            request = HttpRequest()
            request.session = self.open_session()  # as its middleware does
            user = authenticate(request, username=user_name(number), password=PASSWORD)
            if user is None:
                raise RuntimeError("Django let nobody in")
            login(request, user)
            request.session.save()
        return len(numbers)

    @property
    def open_session(self) -> Any:
        """The class of its sessions."""
        return import_module(f"django.contrib.sessions.backends.{self.backend}").SessionStore

    def log_in_at_once(self, crowd: Crowd, shares: Sequence[Sequence[int]]) -> int:
        return crowd.do(self.log_in_all, shares)

    def log_out(self, cookie_field: bytes) -> None:
        """End a session, as `logout` does."""
        from django.contrib.sessions.backends.db import SessionStore
        from django.http.cookie import parse_cookie

        self.here()
        SessionStore(parse_cookie(cookie_field.decode())[COOKIE_NAME]).flush()

    def clear_sessions(self) -> None:
        """Delete expired sessions, as `clearsessions` does."""
        from django.contrib.sessions.backends.db import SessionStore

        self.here()
        SessionStore.clear_expired()


class _Visit:
    __slots__ = ("session",)

    def __init__(self, session: Any) -> None:
        self.session = session


def configure(
    path: Path,
    *,
    hashes: bool = False,
    middleware: Sequence[str] = (),
    urls: str | None = None,
    timeout: int = PATIENCE,
) -> None:
    """Set Django up, once in a process; a further file only gets an alias. `hashes`: passwords are verified."""
    from django.db import connections

    if settings.configured:
        if str(path) not in {str(one["NAME"]) for one in connections.settings.values()}:
            connections.settings[_alias_of(path)] = {**connections.settings["default"], "NAME": str(path)}
        return
    settings.configure(
        SECRET_KEY=SECRET,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        USE_TZ=True,
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=list(middleware),
        ROOT_URLCONF=urls,
        AUTHENTICATION_BACKENDS=[BACKEND],
        PASSWORD_HASHERS=[f"{__name__}.{'Hasher' if hashes else 'NoHasher'}"],
        DATABASE_ROUTERS=[f"{__name__}.Router"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(path),
                "OPTIONS": {
                    "init_command": "; ".join(PRAGMAS),
                    "transaction_mode": "IMMEDIATE",
                    "timeout": timeout,
                },
            }
        },
    )
    django.setup()


def close() -> None:
    """Let go of all files."""
    from django.db import connections

    connections.close_all()


def _add_postgres(path: Path, url: str) -> None:
    """Have a path stand for a database of PostgreSQL, whose connection stays open."""
    from django.db import connections

    parts = urlsplit(url)
    alias = _alias_by_path[str(path)] = f"{path} on PostgreSQL"
    connections.settings[alias] = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password,
        "NAME": parts.path[1:],
        "CONN_MAX_AGE": None,
        "OPTIONS": {},
    }


def _add_cache(url: str) -> None:
    """Have sessions in a cache be kept on Redis, as Django does it by itself."""
    from django.core.cache import caches

    caches.settings["default"] = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}


def _alias_of(path: Path) -> str:
    from django.db import connections

    named = [alias for alias, one in connections.settings.items() if str(one["NAME"]) == str(path)]
    return _alias_by_path.get(str(path)) or (named[0] if named else str(path))


def make_django(path: Path, *, count: int, postgres: str | None = None, redis: str | None = None) -> Django:
    """Make a file with `count` users, each with one session.

    With `postgres`, a URL, everything is in that database; with `redis` the sessions are in a cache there.
    """
    side = Django(fresh(path), postgres=postgres, redis=redis).here()  # before the models can be imported
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", database=side.alias, verbosity=0)
    password = make_password(PASSWORD)
    with transaction.atomic(using=side.alias):
        keys = [
            session_of(User.objects.create(username=user_name(n), email=email(n), password=password), side.open_session)
            for n in range(count)
        ]
    side.cookie_fields = tuple(among_others(COOKIE_NAME, key) for key in keys)
    return side


def session_of(user: Any, open_session: Any = None) -> str:
    """Give a user a session and its key."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = (open_session or SessionStore)()
    session.update(
        {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
    )
    session.create()
    return str(session.session_key)


def signed_cookies(side: Django) -> list[bytes]:
    """The same sessions as `signed_cookies` keeps them: all in the cookie."""
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedSession
    from django.http.cookie import parse_cookie

    side.here()
    fields: list[bytes] = []
    for field in side.cookie_fields:
        signed = SignedSession()
        signed.update(dict(SessionStore(parse_cookie(field.decode())[COOKIE_NAME]).items()))
        signed.save()
        fields.append(among_others(COOKIE_NAME, str(signed.session_key)))
    return fields


def decode_all(signed_fields: Sequence[bytes]) -> int:
    """`Cookie` field in, contents of a signed cookie out: no account, and nobody can revoke it."""
    from django.contrib.sessions.backends.signed_cookies import SessionStore
    from django.http.cookie import parse_cookie

    for field in signed_fields:
        if "_auth_user_id" not in SessionStore(parse_cookie(field.decode())[COOKIE_NAME]):
            raise RuntimeError("Django did not know its own cookie")
    return len(signed_fields)
