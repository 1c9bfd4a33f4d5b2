"""Django's sessions and accounts on an SQLite file of their own, at the same durability and with the same checks.

What runs is Django's: the database session backend, `get_user` (account exists, is active, session hash verifies) and
`login`. Imported only where it is measured; without Django the rows say so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.stock import user_name

SETTINGS = {
    "SECRET_KEY": "only for measuring, and longer than fifty characters for the checks",
    "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    "USE_TZ": True,
    "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
}


@dataclass(frozen=True)
class DjangoStock:
    """Django's users and sessions, and the `Cookie` fields that open them."""

    version: str
    cookie_fields: tuple[str, ...]
    signed_fields: tuple[str, ...]


def make_django_stock(path: Path, *, count: int) -> DjangoStock:
    """Set Django up on a file with `count` users, each with one session. Raises ImportError where Django is absent."""
    import django
    from django.conf import settings

    settings.configure(
        **SETTINGS,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(path),
                "OPTIONS": {
                    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
                    "transaction_mode": "IMMEDIATE",
                },
            }
        },
    )
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        keys = []
        for number in range(count):
            user = User(username=user_name(number), email=f"{user_name(number)}@example.org")
            # As long as a real one; Django derives the session's hash from it and nothing here verifies it.
            user.password = "argon2$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + f"{number:043}"
            user.save()
            keys.append(_session_of(user))
    pairs = [key for key, _ in keys]
    signed = [value for _, value in keys]
    return DjangoStock(
        django.get_version(),
        tuple(f"theme=dark; sessionid={key}; _lang=en-GB" for key in pairs),
        tuple(f"theme=dark; sessionid={value}; _lang=en-GB" for value in signed),
    )


def _session_of(user: Any) -> tuple[str, str]:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedSession

    content = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: SETTINGS["AUTHENTICATION_BACKENDS"][0],
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    session, signed = SessionStore(), SignedSession()
    session.update(content)
    session.create()
    signed.update(content)
    signed.save()
    return str(session.session_key), str(signed.session_key)


def is_ready() -> bool:
    """Say whether `make_django_stock` has been here."""
    return "django" in sys.modules and sys.modules["django"].apps.apps.ready


class _Visit:
    """All that `get_user` wants of a request."""

    __slots__ = ("session",)

    def __init__(self, session: Any) -> None:
        self.session = session


def authenticate_all(cookie_fields: Sequence[str]) -> int:
    """`Cookie` field in, live session and user out."""
    from django.contrib.auth import get_user
    from django.contrib.sessions.backends.db import SessionStore
    from django.http.cookie import parse_cookie

    for field in cookie_fields:
        user = get_user(_Visit(SessionStore(parse_cookie(field)["sessionid"])))
        if not user.is_authenticated:
            raise RuntimeError("Django did not know its own session")
    return len(cookie_fields)


def decode_all(signed_fields: Sequence[str]) -> int:
    """`Cookie` field in, contents of a signed cookie out: no account, and nobody can revoke it."""
    from django.contrib.sessions.backends.signed_cookies import SessionStore
    from django.http.cookie import parse_cookie

    for field in signed_fields:
        if "_auth_user_id" not in SessionStore(parse_cookie(field)["sessionid"]):
            raise RuntimeError("Django did not know its own cookie")
    return len(signed_fields)


def log_in_once(number: int) -> None:
    """Find the user by name and log in, the hash left out: session started and saved, `last_login` written."""
    from django.contrib.auth import login
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.http import HttpRequest

    request = HttpRequest()
    request.session = SessionStore()  # type: ignore[attr-defined]  # as its middleware does
    user = User.objects.get_by_natural_key(user_name(number))
    login(request, user, backend=SETTINGS["AUTHENTICATION_BACKENDS"][0])
    request.session.save()  # type: ignore[attr-defined]  # set above
