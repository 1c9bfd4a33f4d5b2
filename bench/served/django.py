# pyright: basic, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# mypy: disable-error-code="import-untyped, import-not-found"
"""Django: a handler without middleware, one behind its sessions and users, and a log-in."""

from __future__ import annotations

from bench.served import BODY, JSON, cpu, file
from bench.sides.django import configure

configure(
    file(),
    hashes=True,
    urls=__name__,
    middleware=(
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ),
)

from django.contrib.auth import authenticate, login  # noqa: E402 - Django wants its settings first
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from django.urls import path  # noqa: E402


def _answer(body: bytes, status: int = 200) -> HttpResponse:
    # Django's `CommonMiddleware` would add the length; without one the server would send chunks.
    return HttpResponse(body, status=status, content_type=JSON, headers={"Content-Length": str(len(body))})


def _bare(_request: HttpRequest) -> HttpResponse:
    return _answer(BODY)


def _authenticated(request: HttpRequest) -> HttpResponse:
    return _answer(BODY, 200 if request.user.is_authenticated else 401)


def _used(_request: HttpRequest) -> HttpResponse:
    return _answer(cpu())


def _log_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return _answer(b"", 401)
    login(request, user)
    return _answer(b"")


urlpatterns = [
    path("bare", _bare), path("authenticated", _authenticated), path("cpu", _used), path("login", _log_in),
]  # fmt: skip

_behind = WSGIHandler()
with override_settings(MIDDLEWARE=[]):
    _plain = WSGIHandler()


def app(environ, start_response):  # type: ignore[no-untyped-def]  # WSGI
    """Two handlers: middleware would burden the bare one too."""
    chosen = _plain if environ["PATH_INFO"] in ("/bare", "/cpu") else _behind
    return chosen(environ, start_response)
