"""The program that the page of a door begins with, started as its reader starts it, and walked through.

Those of the pages for WSGI and Flask: `tests/test_wsgi.py`, `tests/flask/test_served.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.docs import examples
from tests.e2e.serving import PASSWORD, Answer
from tests.serving import Client, Process


class Program(NamedTuple):
    command: list[str]
    to_strangers: str
    to_ada: str


UVICORN = ["-m", "uvicorn", "--port", "{port}"]
PROGRAMS = {
    "asgi": Program(
        [*UVICORN, "shop:app"], "Welcome, stranger. You were here 1 times.\n", "Welcome, ada. You were here 2 times.\n"
    ),
    "starlette": Program([*UVICORN, "app:app"], "Welcome Stranger, visit 1", "Welcome ada, visit 2"),
    "fastapi": Program([*UVICORN, "app:app"], '{"welcome":"stranger"}', '{"welcome":"ada"}'),
    "http-server": Program(["app.py"], "Welcome Stranger!", "Welcome ada!"),
}


@pytest.mark.parametrize("page", [*PROGRAMS, "flask", "wsgi"])
def test_the_program_of_the_page_has_twenty_lines_at_most(page: str) -> None:
    program = examples.blocks(ROOT / "docs" / f"{page}.md", "python")[0].text

    lines = [line for line in program.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    assert len(lines) <= 20


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_program_of_the_page_is_served(page: str, tmp_path: Path) -> None:
    program = PROGRAMS[page]
    examples.prepare(ROOT / "docs" / f"{page}.md", tmp_path)
    server = Process(program.command, tmp_path)
    for file in tmp_path.glob("*.py"):
        file.write_text(file.read_text().replace("8000", str(server.port)))

    server.start()
    try:
        visitor = Client(server)
        assert visitor.get("/").text == program.to_strangers
        fill_in(visitor, "/auth/signup", username="ada", password=PASSWORD)
        entered = fill_in(visitor, "/auth/login", identifier="ada", password=PASSWORD)
        assert visitor.follow(entered).text == program.to_ada
    finally:
        server.stop()


def fill_in(visitor: Client, path: str, **fields: str) -> Answer:
    page = visitor.get(path).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token, page
    return visitor.post(path, {**fields, "csrf_token": token[1]})
