"""Real servers in threads of this process, so that they share the stories' clock; each on a free port of loopback.

Each serves one application, or as many as stand at one site one after the other (`for_many`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from coatcheck.testing.patience import PATIENCE, eventually
from coatcheck.testing.visits.house import Send
from coatcheck.testing.visits.ways import over_http
from tests.doors.sites import Site
from tests.ports import free_port

Serve = Callable[[Any], AbstractContextManager[Send]]


@contextmanager
def for_many(serve: Serve, site: Site) -> Generator[Serve]:
    """Start a server once, and give what serves one application after the other by it."""
    with serve(site) as send:

        @contextmanager
        def let_in(app: Any) -> Generator[Send]:
            with site.held_by(app):
                yield send

        yield let_in


@contextmanager
def wsgiref(app: Any) -> Generator[Send]:
    """The standard library's, with a thread for each connection: by itself it answers one request at a time."""

    class Threaded(socketserver.ThreadingMixIn, WSGIServer):
        daemon_threads = False

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = make_server("127.0.0.1", 0, app, Threaded, Quiet)
    with server, in_a_thread(lambda: server.serve_forever(poll_interval=0.01)):
        try:
            yield over_http(server.server_port)
        finally:
            server.shutdown()


@contextmanager
def werkzeug(app: Any) -> Generator[Send]:
    """Flask's own, that of `flask run`."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    with in_a_thread(lambda: server.serve_forever(poll_interval=0.01)):
        try:
            yield over_http(server.port)
        finally:
            server.shutdown()  # closes it, too


@contextmanager
def waitress(app: Any) -> Generator[Send]:
    from waitress.server import create_server

    channels: dict[int, Any] = {}
    # It takes a proxy's headers away from the application, unless told that somebody else judges them.
    server = create_server(app, host="127.0.0.1", port=0, threads=8, map=channels, clear_untrusted_proxy_headers=False)

    def close_all() -> None:
        for channel in list(channels.values()):
            channel.close()

    with in_a_thread(server.run):
        try:
            yield over_http(server.effective_port)
        finally:
            server.task_dispatcher.shutdown(cancel_pending=True, timeout=PATIENCE)
            with contextlib.suppress(OSError):  # an earlier pull may have done it already
                server.trigger.pull_trigger(close_all)  # its loop ends when nothing is left to listen to


@contextmanager
def uvicorn(app: Any) -> Generator[Send]:
    from uvicorn import Config, Server

    with listening() as listener:
        # Left to itself it believes whoever speaks from this machine about a client's address.
        config = Config(
            app, log_config=None, lifespan="on", timeout_graceful_shutdown=int(PATIENCE), proxy_headers=False
        )
        server = Server(config)
        with in_a_thread(lambda: server.run(sockets=[listener])) as thread:
            await_start(lambda: server.started, thread)
            try:
                yield over_http(listener.getsockname()[1])
            finally:
                server.should_exit = True


@contextmanager
def hypercorn(app: Any) -> Generator[Send]:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    with listening() as listener:
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.loglevel = "CRITICAL"
        config.graceful_timeout = PATIENCE
        loop, over = asyncio.new_event_loop(), asyncio.Event()

        def run() -> None:
            loop.run_until_complete(serve(app, config, shutdown_trigger=over.wait, mode="asgi"))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

        port = listener.getsockname()[1]
        with in_a_thread(run) as thread:
            await_start(lambda: answers(port), thread)
            try:
                yield over_http(port)
            finally:
                loop.call_soon_threadsafe(over.set)
        listener.detach()  # hypercorn has closed the descriptor


@contextmanager
def granian(app: Any) -> Generator[Send]:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    port = free_port()
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_until_complete(server.serve())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    with in_a_thread(run) as thread:
        await_start(lambda: answers(port), thread)
        try:
            yield over_http(port)
        finally:
            loop.call_soon_threadsafe(server.stop)


@contextmanager
def listening() -> Generator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield listener


@contextmanager
def in_a_thread(run: Callable[[], object]) -> Generator[threading.Thread]:
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the server did not end"


def await_start(is_answering: Callable[[], bool], thread: threading.Thread) -> None:
    def has_started() -> bool:
        assert thread.is_alive(), "the server ended"
        return is_answering()

    eventually(has_started, "the server does not answer")


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return over_http(port)("GET", "/plain", [("Host", "nobody.example")], b"").status > 0
    return False
