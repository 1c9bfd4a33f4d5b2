"""The FastAPI door under real servers: its lifespan, its dependencies and its router, over real sockets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from coatcheck.testing.patience import PATIENCE
from tests.ports import free_port
from tests.serving import ASGI_SERVERS, asgi_server

PASSWORD = "a long enough passphrase"


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_a_visit_under(name: str, tmp_path: Path) -> None:
    with asgi_server(name, "tests.fastapi.served:app", tmp_path, SPA="http://localhost:3000") as server:
        url = f"http://localhost:{server.port}"
        with httpx.Client(base_url=url, headers={"origin": url}, timeout=PATIENCE) as client:
            visit(client)


def visit(client: httpx.Client) -> None:
    assert client.get("/api/me").status_code == 401
    assert b"<form" in client.get("/auth/login", headers={"accept": "text/html"}).content
    given = {"username": "ada", "password": PASSWORD}
    assert client.post("/auth/api/signup", json=given).status_code == 201
    assert client.post("/auth/api/login", json={"identifier": "ada", "password": PASSWORD}).status_code == 200
    told = client.get("/api/me")
    assert (told.json(), told.headers["cache-control"]) == ({"name": "ada"}, "private")
    assert client.post("/api/notes", json={"text": "hello"}).json() == {"notes": ["ada: hello"]}
    foreign = client.post("/api/notes", json={"text": "x"}, headers={"origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["reason"]) == (403, "foreign_origin")
    assert client.post("/auth/api/logout").status_code == 204
    assert client.get("/api/me").status_code == 401


def test_a_start_that_fails_ends_the_server_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from fastapi import FastAPI\n"
        "from coatcheck import AsyncCoatcheck\n"
        "from coatcheck.fastapi import CoatcheckFastAPI\n"
        "auth = CoatcheckFastAPI(AsyncCoatcheck('memory://'), development=True, prefix='/members')\n"
        "app = FastAPI(lifespan=auth.lifespan)\n"
        "app.include_router(auth.router, prefix='/auth')\n"
    )
    command = [sys.executable, "-m", "uvicorn", "wrong:app", "--port", str(free_port())]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert ran.returncode != 0
    assert 'included under "/auth", and the door has "/members"' in ran.stderr
