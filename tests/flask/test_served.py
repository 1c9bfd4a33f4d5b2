"""The page's own program, served as people serve Flask: by its development server, gunicorn and waitress."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck import Coatcheck
from tests.conftest import ROOT
from tests.docs import examples
from tests.e2e.serving import PASSWORD
from tests.serving import Client, Process, wsgi_server

PRODUCTION = """
from flask import Flask, session
from coatcheck import Coatcheck
from coatcheck.flask import CoatcheckFlask, current_account, login_required

app = Flask(__name__)
CoatcheckFlask(app, Coatcheck("sqlite:///shop.db", secret=bytes(range(7, 39))), public_url="https://shop.example.org")

@app.get("/")
def index():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])

@app.get("/members")
@login_required
def members():
    return current_account.username
"""


def fill_in(visitor: Client, path: str, **fields: str) -> int:
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get(path).text)
    assert token, path
    return visitor.post(path, {**fields, "csrf_token": token[1]}).status


@pytest.fixture
def development(tmp_path: Path) -> Iterator[Process]:
    examples.prepare(ROOT / "docs" / "flask.md", tmp_path)
    server = Process(["-m", "flask", "--app", "shop", "run", "--debug", "--port", "{port}"], tmp_path)
    server.start()
    yield server
    server.stop()


def test_flask_run_debug_is_development_mode(development: Process) -> None:
    visitor = Client(development)

    assert visitor.get("/").text == "Welcome, stranger. You were here 1 times."
    assert visitor.get("/members").status == 303
    assert fill_in(visitor, "/auth/signup", username="ada", email="", password=PASSWORD) == 303
    assert fill_in(visitor, "/auth/login", identifier="ada", password=PASSWORD) == 303
    assert visitor.get("/").text == "Welcome, ada. You were here 2 times."
    assert visitor.get("/members").text == "Only members see this, ada."
    with Coatcheck(f"sqlite:///{development.folder}/shop.db") as desk:
        subject = desk.find_account("ada").subject  # type: ignore[union-attr]
    assert visitor.get(f"/users/{subject}/edit").text.startswith("Nothing to save yet.")
    assert visitor.get("/users/somebody/edit").status == 403
    development.restart()
    assert visitor.get("/members").text == "Only members see this, ada."


def test_flask_run_without_debug_says_what_is_missing(tmp_path: Path) -> None:
    examples.prepare(ROOT / "docs" / "flask.md", tmp_path)
    server = Process(["-m", "flask", "--app", "shop", "run", "--port", "{port}"], tmp_path)
    server.start()
    try:
        answer = Client(server).get("/")
    finally:
        server.stop()

    assert answer.status == 500
    assert "public_url: set it to the https address under which visitors see the site" in server.said
    assert "public_url" not in answer.text


@pytest.mark.parametrize("name", ["gunicorn", "waitress", "granian"])
def test_in_production_behind_a_servers_socket(name: str, tmp_path: Path) -> None:
    (tmp_path / "live.py").write_text(PRODUCTION)

    with wsgi_server(name, "live:app", tmp_path) as server:
        visitor = Client(server, host="shop.example.org")

        assert [visitor.get("/").text for _ in range(2)] == ["1", "2"]
        assert list(visitor.jar) == ["__Host-coatcheck"]
        assert fill_in(visitor, "/auth/signup", username="ada", email="", password=PASSWORD) == 303
        assert fill_in(visitor, "/auth/login", identifier="ada", password=PASSWORD) == 303
        assert visitor.get("/members").text == "ada"
        assert visitor.get("/").text == "3"
        assert visitor.send("POST", "/auth/api/logout").status == 204
        assert visitor.get("/members").headers["location"].startswith("/auth/login")
        assert Client(server).get("/").status == 421
