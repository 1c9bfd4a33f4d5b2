"""Raw WSGI, twice in one process: bare, and with Coatcheck's door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import DOOR, SECRET, url_of
from coatcheck import Coatcheck
from coatcheck.wsgi import KEY, CoatcheckWSGI

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

HEADERS = [("content-type", JSON), ("content-length", str(len(BODY)))]


def _bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [cpu() if environ["PATH_INFO"] == "/cpu" else BODY]


def _behind(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    passage = environ[KEY]
    passage.require_session()
    start_response("200 OK" if passage.account else "500 Internal Server Error", HEADERS)
    return [BODY]


_ours = CoatcheckWSGI(_behind, Coatcheck(url_of(file()), secret=SECRET), **DOOR)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Applications of their own: a door would burden the bare handler too."""
    return (_ours if environ["PATH_INFO"] == "/door" else _bare)(environ, start_response)
