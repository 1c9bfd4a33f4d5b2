"""Starting servers on loopback and keeping them apart from who asks them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import served

PATIENCE = 30.0
# Connections stay open between turns; the peers' servers would close them after 2 to 5 seconds.
KEEP_ALIVE = "75"


@dataclass(frozen=True)
class Server:
    """A command that serves on a port it is given, and what it is called in tables."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict[str, str])


def granian(app: str, file: Path, *, workers: int = 1) -> Server:
    """Granian, which `coatcheck serve` uses, with a factory of an ASGI application."""
    options = f"--interface asginl --host 127.0.0.1 --workers {workers} --runtime-threads 1 --loop asyncio"
    command = ("granian", *options.split(), "--no-ws", "--no-log", "--factory", f"{app}:make_app", "--port")
    return Server("granian", command, _environ(file))


def uvicorn(app: str, file: Path, *, workers: int = 1, is_factory: bool = False) -> Server:
    """Uvicorn with uvloop and httptools, as `uvicorn[standard]` runs it."""
    options = f"--host 127.0.0.1 --workers {workers} --timeout-keep-alive {KEEP_ALIVE}"
    made = ("--factory", f"{app}:make_app") if is_factory else (f"{app}:app",)
    command = ("uvicorn", *options.split(), "--no-access-log", "--log-level", "warning", *made, "--port")
    return Server("uvicorn", command, _environ(file))


def gunicorn(app: str, file: Path, *, workers: int = 1, threads: int) -> Server:
    """Gunicorn with threads: its plain workers close the connection after every answer."""
    options = f"--worker-class gthread --workers {workers} --threads {threads} --keep-alive {KEEP_ALIVE}"
    command = ("gunicorn", *options.split(), "--log-level", "warning", f"{app}:app", "--bind")
    return Server("gunicorn", command, _environ(file))


def http_server(module: str, file: Path) -> Server:
    """A program of its own around the standard library's server, with a thread for each connection."""
    return Server("http.server", (module,), _environ(file))


@contextmanager
def running(server: Server, core: int | None = None) -> Generator[int, None, None]:
    """Run a server, on one core if one is named; give the port it answers on."""
    port = _free_port()
    address = f"127.0.0.1:{port}" if server.command[0] == "gunicorn" else str(port)
    process = subprocess.Popen(
        [sys.executable, "-m", *server.command, address],
        env={**os.environ, **server.environ},
        cwd=Path(__file__).parents[1],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # before it starts its workers, which inherit it
    try:
        _wait_for(port, process, server)
        yield port
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own workers, should any be left


@contextmanager
def all_running(servers: Mapping[str, Server], core: int | None) -> Generator[dict[str, int], None, None]:
    """Run several servers; those that are not asked cost nothing."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(server, core)) for name, server in servers.items()}


@contextmanager
def apart() -> Generator[int | None, None, None]:
    """Keep this process and its children to one core and give another for the server; None where that cannot be."""
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
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
def neighbours(count: int) -> Generator[None, None, None]:
    """So many processes that do nothing but use a processor."""
    command: Sequence[str] = (sys.executable, "-c", "while True: pass")
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def before_others() -> Generator[bool, None, None]:
    """Run this process before others of the machine, so that what it times is the server and not its own waiting.

    Gives whether that was allowed.
    """
    if not hasattr(os, "setpriority"):
        yield False
        return
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


def _environ(file: Path) -> dict[str, str]:
    return {served.FILE: str(file)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{server.name} did not start: {' '.join(server.command)}")
