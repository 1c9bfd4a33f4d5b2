"""A server of the standard library in a thread, and connections to it of plain octets."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from coatcheck import Coatcheck
from coatcheck.http_server import CoatcheckHandler, CoatcheckServer
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.patience import PATIENCE

PASSWORD = "a long enough passphrase"
Serve = Callable[..., CoatcheckServer]


class Line:
    """A connection to a server, and what comes back over it."""

    def __init__(self, server: CoatcheckServer, context: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(server.server_address[:2], timeout=PATIENCE)
        self.socket = plain if context is None else context.wrap_socket(plain, server_hostname="localhost")
        self.answers = self.socket.makefile("rb")

    def send(self, octets: bytes | str) -> None:
        self.socket.sendall(octets.encode("latin-1") if isinstance(octets, str) else octets)

    def ask(self, head: str, *, body: bytes = b"", host: str | None = "localhost") -> tuple[int, dict[str, str], bytes]:
        """Send a request whose first line and fields are `head`, one a line, and read the answer."""
        lines = [*head.splitlines(), *([f"Host: {host}"] if host else [])]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.read(is_head=head.startswith("HEAD"))

    def read(self, *, is_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, fields by lower-case name (those of one name joined), body."""
        status = int(self.answers.readline().split()[1])
        fields: dict[str, str] = {}
        while line := self.answers.readline().strip():
            name, _, value = line.decode("latin-1").partition(": ")
            fields[name.lower()] = fields[name.lower()] + "\n" + value if name.lower() in fields else value
        if is_head or status in (100, 204, 304):
            return status, fields, b""
        if "content-length" in fields:
            return status, fields, self.answers.read(int(fields["content-length"]))
        return status, fields, self.answers.read()

    @property
    def is_over(self) -> bool:
        """Whether the server has ended the connection, with nothing left to read."""
        return self.answers.read() == b""

    def close(self) -> None:
        self.answers.close()
        self.socket.close()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def desk(clock: MovableClock) -> Iterator[Coatcheck]:
    with Coatcheck("memory://", clock=clock, secret=bytes(range(7, 39))) as desk:
        yield desk


@pytest.fixture
def serve(desk: Coatcheck) -> Iterator[Serve]:
    """Serve a handler: `serve(Handler)`, in development unless told otherwise."""
    with ExitStack() as running:

        def start(handler: type[CoatcheckHandler], **settings: Any) -> CoatcheckServer:
            if "public_url" not in settings:
                settings.setdefault("development", True)
            server = running.enter_context(CoatcheckServer(("127.0.0.1", 0), handler, desk, **settings))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            running.callback(thread.join)
            running.callback(server.shutdown)
            thread.start()
            return server

        yield start


@pytest.fixture
def connect() -> Iterator[Callable[..., Line]]:
    """Connect to a server; the connection is closed when the test is over."""
    with ExitStack() as lines:

        def connect(server: CoatcheckServer, context: ssl.SSLContext | None = None) -> Line:
            line = Line(server, context)
            lines.callback(line.close)
            return line

        yield connect
