# pyright: basic
# mypy: disable-error-code="import-untyped, import-not-found"
"""Flask twice in one process: bare or with SQLite asked in the handler, and with Coatcheck's door."""

from __future__ import annotations

from flask import Flask, Response, request

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import DOOR, SECRET, RawSelect, url_of
from coatcheck import Coatcheck
from coatcheck.flask import CoatcheckFlask, current_account, login_required

_bare = Flask("bare")
_bare.add_url_rule("/bare", "answer", view_func=lambda: Response(BODY, mimetype=JSON))
_bare.add_url_rule("/cpu", "cpu", view_func=lambda: Response(cpu(), mimetype=JSON))
_select = RawSelect(file())
_ours = Flask("ours")
CoatcheckFlask(_ours, Coatcheck(url_of(file()), secret=SECRET), **DOOR)


@_bare.get("/raw")
def raw() -> Response:
    fields = [request.environ["HTTP_COOKIE"].encode("latin-1")]
    return Response(BODY, 200 if _select.knows(fields) else 401, mimetype=JSON)


@_ours.get("/door")
@login_required
def answer() -> Response:
    return Response(BODY, 200 if current_account.subject else 500, mimetype=JSON)


def app(environ, start_response):  # type: ignore[no-untyped-def]  # WSGI
    """Applications of their own: a door would burden the bare handler too."""
    return (_ours if environ["PATH_INFO"] == "/door" else _bare)(environ, start_response)
