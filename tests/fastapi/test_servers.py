"""The FastAPI door under real servers: its lifespan, its dependencies and its router, over real sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.conftest import ROOT
from tests.e2e.serving import free_port

APP = "tests.fastapi.served:app"
PASSWORD = "a long enough passphrase"
SERVERS = {
    "uvicorn": ["uvicorn", APP, "--host", "127.0.0.1", "--port", "{port}"],
    "hypercorn": ["hypercorn", APP, "--bind", "127.0.0.1:{port}"],
    "granian": ["granian", "--interface", "asgi", APP, "--host", "127.0.0.1", "--port", "{port}"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_visit_under(server: str, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", *(word.format(port=port) for word in SERVERS[server])]
    env = {**os.environ, "SPA": "http://localhost:3000"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=env)
    try:
        with client_of(process, port, log) as client:
            visit(client)
    finally:
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


def client_of(process: subprocess.Popen[bytes], port: int, log: Path) -> httpx.Client:
    url = f"http://localhost:{port}"
    while True:
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(f"{url}/api/me")
        except httpx.TransportError:
            continue
        return httpx.Client(base_url=url, headers={"origin": url})


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

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode != 0
    assert 'included under "/auth", and the door has "/members"' in ran.stderr
