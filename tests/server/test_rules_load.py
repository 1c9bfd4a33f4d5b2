"""Five hundred log-ins at once: one is hashed at a time, few wait, the rest is told to come again (PWD-14)."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from coatcheck.core.policy import STANDARD
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.server.app import create_app
from coatcheck.server.config import Config
from coatcheck.testing.patience import PATIENCE
from tests.e2e.serving import Server

CROWD = 500
SECRET = bytes(range(7, 39))


class Watched:
    """The hasher, noting how often it verified and how many did so at once."""

    def __init__(self, inner: PasswordHasher) -> None:
        self.inner = inner
        self.verified = 0
        self.at_once = 0
        self.most_at_once = 0

    def verify(self, hashed: str | None, password: bytes) -> bool:
        self.verified += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.inner.verify(hashed, password)
        finally:
            self.at_once -= 1

    def needs_rehash(self, hashed: str) -> bool:
        return self.inner.needs_rehash(hashed)


async def visit(app: Any, number: int) -> httpx.Response:
    """Try to log in as somebody else from somewhere else than all others."""
    transport = httpx.ASGITransport(app=app, client=(f"198.51.{number // 250}.{number % 250}", 4000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        fields = {"identifier": f"name-{number}", "password": "a wrong enough passphrase"}
        return await client.post("/api/login", json=fields)


async def ask(app: Any, path: str) -> int:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        return (await client.get(path)).status_code


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_pwd_14_of_five_hundred_at_once_sixteen_wait_the_rest_hears_503_and_everybody_else_is_served(
    store: str, tmp_path: Path
) -> None:
    url = "memory://" if store == "memory" else f"sqlite:///{tmp_path}/coatcheck.db"

    async def story() -> tuple[list[httpx.Response], list[int], int]:
        app = create_app(Config(store=url, secret=SECRET, development=True))
        parts = app.desk.flows.parts
        parts.hasher = watched = Watched(parts.hasher)  # type: ignore[assignment]
        lane: Any = parts.colour._lane  # type: ignore[attr-defined]
        gate, started = threading.Event(), threading.Event()
        lane.submit(lambda: (started.set(), gate.wait(PATIENCE)))
        assert started.wait(PATIENCE)
        try:
            visits = [asyncio.ensure_future(visit(app, number)) for number in range(CROWD)]
            for turned_away in islice(asyncio.as_completed(visits), CROWD - STANDARD.hashing_queue):
                await turned_away
            served = [await ask(app, path) for path in ("/healthz", "/readyz", "/login", "/api/csrf")]
            assert watched.verified == 0, "the lane is taken all the while"
        finally:
            gate.set()
        answers = await asyncio.gather(*visits)
        await app.desk.close()
        assert watched.most_at_once == 1, "the memory of one hash"
        return answers, served, watched.verified

    answers, served, verified = asyncio.run(story())

    assert Counter(answer.status_code for answer in answers) == {401: 16, 503: CROWD - 16}
    assert verified == 16
    assert {answer.headers["retry-after"] for answer in answers if answer.status_code == 503} == {"1"}
    assert served == [200] * 4


def test_pwd_14_who_was_told_to_come_again_was_not_counted(tmp_path: Path) -> None:
    async def story() -> int:
        app = create_app(Config(store=f"sqlite:///{tmp_path}/coatcheck.db", secret=SECRET, development=True))
        lane: Any = app.desk.flows.parts.colour._lane  # type: ignore[attr-defined]
        gate, started = threading.Event(), threading.Event()
        jobs = [lane.submit(lambda: (started.set(), gate.wait(PATIENCE)))]
        assert started.wait(PATIENCE)
        jobs += [lane.submit(lambda: None) for _ in range(STANDARD.hashing_queue)]
        try:
            crowded = [await visit(app, 7) for _ in range(30)]
        finally:
            gate.set()
        for job in jobs:
            await asyncio.to_thread(job.wait)
        again = await visit(app, 7)
        await app.desk.close()
        assert {answer.status_code for answer in crowded} == {503}
        return again.status_code

    assert asyncio.run(story()) == 401


CROWDED = {"COATCHECK_NETWORK_FREE_FAILURES": "1000", "COATCHECK_NETWORK_HOURLY_FAILURES": "10000"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, env=CROWDED)
    server.start()
    yield server
    server.end()


def resident(pid: int) -> int:
    """Give the resident memory of a process and its children in MiB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in (str(pid), *children)]
    return sum(pages) * 4096 // 2**20


@pytest.mark.long
def test_pwd_14_a_real_server_bears_five_hundred_log_ins_at_once(server: Server, record_property: Any) -> None:
    before = resident(server.pid)
    body = b'{"identifier": "name-%d", "password": "a wrong enough passphrase"}'
    head = (
        f"POST /api/login HTTP/1.1\r\nHost: {server.authority}\r\nContent-Type: application/json\r\n"
        "Connection: close\r\nContent-Length: %d\r\n\r\n"
    )
    crowd = [socket.create_connection((server.host, server.port), timeout=PATIENCE) for _ in range(CROWD)]
    for number, each in enumerate(crowd):
        octets = body % number
        each.sendall((head % len(octets)).encode() + octets)
    begun = time.perf_counter()
    assert server.is_answering()
    health, during = time.perf_counter() - begun, resident(server.pid)
    answers = Counter(int(each.makefile("rb").readline().split()[1]) for each in crowd)
    for each in crowd:
        each.close()

    told = f"{dict(answers)}, /healthz {health * 1000:.0f} ms, resident {before} MiB before, {during} during"
    record_property("crowd", told)
    print(told)
    assert set(answers) == {401, 503}
    assert answers.total() == CROWD
    assert during - before < 200, "as if each log-in had memory of its own"
