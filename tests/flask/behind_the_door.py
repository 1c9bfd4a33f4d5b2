"""A pytest plugin for `test_flasks_own.py`: every Flask application that a test makes gets our door."""

from __future__ import annotations

from typing import Any

import _pytest.monkeypatch
import flask
from flask.testing import FlaskClient

from coatcheck import Coatcheck
from coatcheck.flask import CoatcheckFlask

# What Flask's conftest takes from pytest 8 and pytest 9 calls otherwise.
_pytest.monkeypatch.notset = _pytest.monkeypatch.NOTSET  # type: ignore[attr-defined]


class Browser(FlaskClient):
    """A client that says where its requests come from, as browsers do: else every POST with a cookie is refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"


make = flask.Flask.__init__


def make_with_door(app: flask.Flask, *args: Any, **kwargs: Any) -> None:
    make(app, *args, **kwargs)
    if type(app).session_interface is flask.Flask.session_interface:  # else the test is about one of its own
        app.test_client_class = app.test_client_class or Browser
        CoatcheckFlask(app, Coatcheck("memory://"), development=True)


flask.Flask.__init__ = make_with_door  # type: ignore[method-assign]
