"""Row 2: requests per second kept when a handler asks who is there, against the bare handler on the same server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import served
from bench.load import RawSockets, make_client
from bench.measure import Line, Row, say
from bench.stock import make_stock

BARE = "bare handler"
RAW = "behind the raw SELECT, nothing judged"
OURS = "behind `Cookie` field read + `AsyncCoatcheck.authenticate`"
PATHS = {BARE: "/bare", RAW: "/raw", OURS: "/authenticated"}
CONNECTIONS = 32
PATIENCE = 20.0


def measure(directory: Path, *, count: int, rounds: int, seconds: float) -> Row:
    say("http: filling a file, starting granian with one worker")
    stock = make_stock(directory / "http.db", count=count)
    with _apart() as core, _server(stock.url, core) as port:
        client = make_client(port, stock.cookie_fields[:CONNECTIONS])
        meter = RawSockets(port, stock.cookie_fields[:1])
        say(f"http: load by {client.name}; {rounds} rounds by turns, {seconds:g} s each")
        rates: dict[str, list[float]] = {name: [] for name in PATHS}
        work: dict[str, list[float]] = {name: [] for name in PATHS}
        effort: list[float] = []
        for turn in range(rounds + 1):
            names = list(PATHS)[turn % 3 :] + list(PATHS)[: turn % 3]
            for name in names:
                used, spent, began = _cpu(meter), _own_cpu(), time.perf_counter()
                rate = client.rate(PATHS[name], seconds=seconds)
                answered = rate * (time.perf_counter() - began)
                if turn:
                    rates[name].append(rate)
                    work[name].append((_cpu(meter) - used) / answered)
                    effort.append((_own_cpu() - spent) / answered)
    least = {name: min(each) for name, each in work.items()}
    return Row(
        key="http",
        title="HTTP: an authenticated handler over a bare one, granian, one worker, loopback",
        unit="rate",
        lines=[
            Line(
                name, max(each), median(each), f"{least[name] * 1e6:.1f} µs of the server's processor time per request"
            )
            for name, each in rates.items()
        ],
        target="at least 92 % kept",
        judged=OURS,
        limit=0.92,
        remarks=_remarks(client.name, min(effort), least, is_apart=core is not None),
    )


def _remarks(client: str, effort: float, least: Mapping[str, float], *, is_apart: bool) -> list[str]:
    cores = "server and client on a core of their own each" if is_apart else "no cores set apart"
    by_work = f"{least[BARE] / least[OURS]:.0%} are kept, {least[BARE] / least[RAW]:.0%} behind the raw SELECT"
    return [
        f"Load: {client}, {effort * 1e6:.1f} µs of processor time per request; {cores}.",
        f"Rates suffer from whoever else is busy; processor time per request hardly does: by it {by_work}.",
        "A raw ASGI handler that answers fixed bytes is the hardest bare handler there is: one that works keeps more.",
    ]


@contextmanager
def _apart() -> Iterator[int | None]:
    """Keep this process and its children to one core and give another for the server; None where that cannot be."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        yield None
        return
    before = os.sched_getaffinity(0)
    own, other, *_ = sorted(before, reverse=True)
    os.sched_setaffinity(0, {own})
    try:
        yield other
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _server(url: str, core: int | None) -> Iterator[int]:
    port = _free_port()
    options = f"--interface asginl --host 127.0.0.1 --port {port} --workers 1 --runtime-threads 1 --loop asyncio"
    command = [sys.executable, "-m", "granian", *options.split(), "--no-ws", "--no-log", "--factory"]
    command.append(f"{served.__name__}:make_app")
    process = subprocess.Popen(command, env={**os.environ, served.STORE: url})
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # before it starts its worker, which inherits it
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("granian did not start")


def _cpu(meter: RawSockets) -> float:
    return float(meter.ask("/cpu").partition(b"\r\n\r\n")[2])


def _own_cpu() -> float:
    # With the children that have ended: wrk is one.
    return sum(os.times()[:4])
