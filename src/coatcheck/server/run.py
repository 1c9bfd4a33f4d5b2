"""The processes of `coatcheck serve`: one that watches over N workers, each with an application of its own.

Settings travel to the workers in memory: inherited by a fork, or pickled through a pipe; never on a command line.
SIGTERM and Ctrl-C drain: requests under way are answered, then everything ends with status 0.
"""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from granian import _signals  # what it does at a signal is to be replaced
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from coatcheck.colour import run_blocking
from coatcheck.errors import ConfigurationError
from coatcheck.facade import Coatcheck
from coatcheck.flows.copying import UNFINISHED
from coatcheck.server import tls
from coatcheck.server.advice import sessions_left_behind, weaknesses_of
from coatcheck.server.app import create_app
from coatcheck.server.config import Config
from coatcheck.server.logs import logging_config
from coatcheck.server.secret import development_secret, new_secret
from coatcheck.server.store_urls import MEMORY, sqlite_file, that_exists, without_password

Application = Callable[[Any, Any, Any], Awaitable[None]]
MakeApp = Callable[[Config], Application]
Say = Callable[[str], None]

# A Cookie header of 16 KiB must come through to be judged (CKY-12). A head is read in growing chunks, so that 431 is
# the answer from somewhere between this and its double; also beyond 100 headers.
MOST_HEAD_BYTES = 64 * 1024
# A visitor who sends half a request and waits holds a place all that time. Heads get as long as bodies do in the door
# (`coatcheck.asgi`); it is also how long a connection may stay idle.
HEAD_TIMEOUT_MS = 10_000
# Places for visitors in one worker; further ones wait in the kernel's queue. With 512 of them, 600 visitors who sent
# nothing at all kept everybody else waiting for 29 s (measured). A place costs a file descriptor, and memory only as
# far as its visitor sends: 4000 of them with 60 KiB of a head or body each took 350 MiB.
CONNECTIONS = 4096
OTHER_FILES = 256  # descriptors that a worker needs besides
DRAIN_SECONDS = 30
REMINDED_EVERY = 1.0
# The server's memory under ASGI is known to creep up: workers are exchanged now and then, without a refused request.
WORKER_SECONDS = 24 * 3600
WORKER_MEMORY_MIB = 512


def serve(config: Config, *, say: Say, make_app: MakeApp = create_app) -> int:
    """Serve until told to stop. Gives the exit status: 0 if it was told so, 1 if the workers died.

    Args:
        config: from `coatcheck.server.config.load`.
        say: takes the lines for whoever started the server, once it answers.
        make_app: makes a worker's application; picklable by name.

    Raises:
        ConfigurationError: the address cannot be used, or the store has another schema.
        StoreUnavailable: the store cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="coatcheck-") as scratch:
        _check_address(config)
        with Coatcheck(
            config.store, sessions=config.sessions, profile=config.profile, settings=config.settings
        ) as desk:
            desk.ready()  # one clear refusal here instead of one from each worker; creates an empty store
            _check_whole(desk)
            policy = desk.policy
        left_behind = sessions_left_behind(config)
        config = with_secret(config)  # only now: a refused start leaves nothing beside another program's file
        make_app(config)  # likewise one refusal; it opens nothing
        certificate, notes = _certificate(config, Path(scratch))
        notes += [f"  weaker than it should be: {one.words}\n    {one.mend}" for one in weaknesses_of(config)]
        if left_behind is not None:
            notes.append(f"  warning: {left_behind.words}\n    {left_behind.mend}")
        server = _Server(
            "coatcheck",
            address=_numeric(config.host),
            port=config.port,
            workers=config.workers,
            interface=Interfaces.ASGI,
            loop=Loops.asyncio,
            http=HTTPModes.http1,
            websockets=False,
            backlog=CONNECTIONS,
            backpressure=places(),
            http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT_MS, max_buffer_size=MOST_HEAD_BYTES),
            log_level=LogLevels.warning,
            log_dictconfig=logging_config(config.log_level, config.log_format),
            ssl_cert=certificate[0] if certificate else None,
            ssl_key=certificate[1] if certificate else None,
            ssl_protocol_min=SSLProtocols.tls12,
            respawn_failed_workers=True,
            workers_kill_timeout=DRAIN_SECONDS,
        )
        # What memory:// holds lives in the worker and would die with it.
        if not config.forgets:
            server.exchanged_above_mib = WORKER_MEMORY_MIB + policy.argon2_memory_kib // 1024
        server.when_started = partial(_announce, config, notes, say)
        # A worker that takes the place of another must not begin a new store where the one that was there is gone.
        there = msgspec.structs.replace(
            config,
            store=that_exists(config.store),
            sessions=None if config.sessions is None else that_exists(config.sessions),
        )
        return server.run(partial(_application, there, make_app))


def places() -> int:
    """Raise our limit of open files as far as we may, and say how many connections fit under it."""
    if sys.platform == "win32":
        return 512
    import resource

    needed = CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):  # macOS has a further limit that it does not tell here
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(64, min(CONNECTIONS, soft - OTHER_FILES))


def with_secret(config: Config) -> Config:
    """Complete a development configuration with the secret kept beside the database, made on first run."""
    if config.secret is not None:
        return config
    file = config.store_file
    if file is None:
        return msgspec.structs.replace(config, secret=new_secret().encode("ascii"))
    return msgspec.structs.replace(config, secret=development_secret(beside(file, "secret")))


def beside(file: Path, suffix: str) -> Path:
    """Name a file that belongs to a database: `coatcheck.db` and `coatcheck.db.secret`."""
    return file.with_name(f"{file.name}.{suffix}")


class _Server(MPServer):
    """Granian's server of several processes, which tells when it has started and whether it was told to stop."""

    when_started: Callable[[Callable[[], bool]], None]
    exchanged_above_mib: int | None = None

    def run(self, target_loader: Callable[[], Application]) -> int:
        """Serve until told to stop and give the exit status."""
        try:
            self.serve(target_loader=target_loader, wrap_loader=False)
        except SystemExit:
            # A worker that a signal reached before us counts as lost there; being told to stop is no failure.
            if not self.interrupt_signal:
                return 1
        return 0

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers, then have the start announced."""
        # Set here and not by the constructor, which would greet every visitor of the log with advice on a sysctl.
        if self.exchanged_above_mib is not None:
            self.workers_lifetime = WORKER_SECONDS
            self.workers_rss = self.exchanged_above_mib * 1024 * 1024
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]  # granian's is
        # After the workers were forked: a child must not inherit a lock that this thread holds.
        threading.Thread(target=self.when_started, args=(lambda: self.interrupt_signal,), daemon=True).start()

    def _stop_workers(self) -> None:
        with reminding(self.wrks):
            super()._stop_workers()  # type: ignore[no-untyped-call]  # granian's are

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        with reminding([self.wrks[place] for place in workers]):
            super()._respawn_workers(workers, spawn_target, target_loader, delay)  # pyright: ignore[reportUnknownMemberType]


@contextmanager
def reminding(workers: Sequence[WorkerProcess]) -> Generator[None]:
    """Tell workers that were told to stop once more, every second, as long as the block runs.

    Signals reach a worker's event loop through a pipe that a few hundred events at once fill, such as 600 visitors who
    leave together; a signal that comes then is lost, and the worker would be killed after the time for draining.
    """
    workers, is_over = list(workers), threading.Event()

    def remind() -> None:
        while not is_over.wait(REMINDED_EVERY):
            for worker in workers:
                if worker.interrupt_by_parent:
                    worker.terminate()  # type: ignore[no-untyped-call]  # granian's is

    threading.Thread(target=remind, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _application(config: Config, make_app: MakeApp) -> Application:
    """Make the application of a worker; runs in the worker, before it listens to signals."""
    _signals.set_loop_signals = _told_to_stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return make_app(config)


def _told_to_stop(loop: asyncio.AbstractEventLoop) -> WorkerSignal:
    """Give what a worker ends by when it is told to, the first time.

    In place of granian's own, whose second signal waits for ever with the interpreter's lock in its hand: a worker that
    is told twice answered nothing any more.

    Ctrl-C reaches the workers as well, and is left to their parent. On a busy machine a worker that obeyed it by itself
    was gone before the parent had heard of it, which complained of a lost worker and began another one.
    """
    stop, is_told = WorkerSignal(), False

    def tell(*_: object) -> None:
        nonlocal is_told
        if not is_told:
            is_told = True
            stop.set()

    try:
        loop.add_signal_handler(signal.SIGTERM, tell)
    except NotImplementedError:  # Windows
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, tell)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return stop


def _end_with_parent() -> None:
    """Do what the parent does to stop a worker, should it be killed: we would go on holding the port.

    We are told more than once: a worker that has only begun does not listen to signals yet.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    multiprocessing.connection.wait([parent.sentinel])
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, DRAIN_SECONDS)  # the system's own alarm ends what has come to a halt too
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(REMINDED_EVERY)


def _certificate(config: Config, scratch: Path) -> tuple[tuple[Path, Path] | None, list[str]]:
    if config.tls_cert is not None and config.tls_key is not None:
        return (config.tls_cert, config.tls_key), []
    if not config.tls_self_signed:
        return None, []
    file = config.store_file
    path = scratch / "tls.pem" if file is None else beside(file, "tls.pem")
    shown = tls.self_signed(path, now=int(time.time()))
    return (path, path), ["The browser will warn of the certificate. Its SHA-256 fingerprint:", f"  {shown}"]


def _check_address(config: Config) -> None:
    """Make sure that the address can be listened on.

    The workers share the port (SO_REUSEPORT), and would share it with any other server of this user too: half of
    the visitors would end up there. So it is tried without.
    """
    host, port = config.host, config.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(f"host: {host!r} is no address of this machine; use 127.0.0.1 or 0.0.0.0") from error
    except OSError as error:
        raise ConfigurationError(_why_not(error, host, port)) from error


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port: {port} on {host} is taken by another program; stop that one, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port: {port} needs privileges that this user lacks; choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host: {host} is no address of this machine; use 127.0.0.1 or 0.0.0.0"
    return f"host: cannot listen on {host} port {port} ({error.strerror}); choose others with --host and --port"


def _check_whole(desk: Coatcheck) -> None:
    store = desk.flows.parts.store
    if run_blocking(store.bookmark()) is not None:
        raise ConfigurationError(f"store: {store.location} {UNFINISHED}")


def _numeric(host: str) -> str:
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


def _announce(config: Config, notes: list[str], say: Say, is_stopping: Callable[[], bool]) -> None:
    while not is_stopping():
        try:
            socket.create_connection((_reachable(config.host), config.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            say("\n".join([*welcome(config), *notes, "Stop with Ctrl-C."]))
            return


def welcome(config: Config) -> list[str]:
    """Say where to click, where the data is, and in which mode the server runs."""
    if config.public_url is not None:
        site = config.public_url.rstrip("/")
        lines = [f"Coatcheck serves {site} (listening on {_authority(config)})"]
    else:
        site = f"{'https' if config.uses_tls else 'http'}://{_authority(config)}"
        lines = [f"Coatcheck is open: {site}/"]
    lines += [f"  account page: {site}/account", f"  JSON API: {site}/docs"]
    for name, url in (("store", config.store), ("sessions", config.sessions)):
        if url is not None:
            file = sqlite_file(url)
            place = without_password(url) if file is None else str(file.absolute())
            lines.append(f"  {name}: {place}" + (" (all is gone when it stops)" if url == MEMORY else ""))
    if config.development:
        lines.append("  development mode: for this machine only; set public_url for real visitors")
    return lines


def _authority(config: Config) -> str:
    return f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
