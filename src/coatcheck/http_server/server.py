"""The server: one door for all its connections, TLS where it is asked for, and an end that cuts nobody off."""

from __future__ import annotations

import logging
import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import Any, Unpack, cast

from coatcheck.errors import ConfigurationError
from coatcheck.facade import Coatcheck
from coatcheck.web.door import Door, DoorSettings

HANDSHAKE_SECONDS = 10.0
DRAIN_SECONDS = 30.0

_log = logging.getLogger("coatcheck")


class CoatcheckServer(ThreadingHTTPServer):
    """A `ThreadingHTTPServer` whose handlers know who is there. Use it as a context manager.

    It listens as soon as it is made; `serve_forever()` answers. `server_close()` waits for the answers under way. The
    desk stays open: whoever made it closes it.

    Args:
        server_address: host and port, IPv4 or IPv6; port 0 takes a free one (`server_port`).
        handler: a subclass of `CoatcheckHandler`.
        desk: the blocking desk.
        ssl_context: to speak TLS; handshakes happen in the connection's own thread.
        settings: those of every door, `coatcheck.web.door.DoorSettings`: `development=True`, or `public_url=...`.

    Raises:
        ConfigurationError: with every mistake in the settings, each with its mend.
        OSError: the address cannot be listened on.
    """

    request_queue_size = 128
    most_connections = 256
    """Further ones are turned away: each takes a thread."""

    def __init__(
        self,
        server_address: tuple[str, int],
        handler: type[socketserver.BaseRequestHandler],
        desk: Coatcheck[Any],
        *,
        ssl_context: ssl.SSLContext | None = None,
        **settings: Unpack[DoorSettings],
    ) -> None:
        from coatcheck.http_server.handler import CoatcheckHandler

        if not issubclass(handler, CoatcheckHandler):
            raise ConfigurationError(f"handler: {handler.__name__} must be a subclass of CoatcheckHandler")
        if ssl_context is not None and settings.get("development"):
            settings["tls"] = True
        elif ssl_context is None and settings.get("tls"):
            raise ConfigurationError("tls: needs a certificate; hand over ssl_context=..., or leave tls out")
        self.door = Door(desk, settings, wanted=Coatcheck)
        self._ssl_context = ssl_context
        self._changed = threading.Condition()
        self._open: set[Any] = set()
        self._waiting: set[socket.socket] = set()
        self._is_closing = False
        if ":" in server_address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(server_address, cast("type[socketserver.BaseRequestHandler]", handler))

    def server_bind(self) -> None:
        """Take the address, without asking the network for its name as `HTTPServer` does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # str for inet

    @property
    def is_plain(self) -> bool:
        """Whether connections are without TLS."""
        return self._ssl_context is None

    @property
    def is_closing(self) -> bool:
        """Whether connections are to end after the answer under way."""
        return self._is_closing

    def server_close(self) -> None:
        """Stop listening, let the answers under way be finished, and end all connections."""
        super().server_close()
        with self._changed:
            self._is_closing = True
            for connection in self._waiting:
                with suppress(OSError):
                    # Not the method of an SSLSocket, which would end its writing too.
                    socket.socket.shutdown(connection, socket.SHUT_RD)
            self._changed.wait_for(lambda: not self._open, DRAIN_SECONDS)
        self.door.mount.release_host()

    def begin_waiting(self, connection: socket.socket) -> bool:
        """Note that a connection waits for its next request; false where none will be taken."""
        with self._changed:
            if not self._is_closing:
                self._waiting.add(connection)
            return not self._is_closing

    def end_waiting(self, connection: socket.socket) -> None:
        """Note that a connection has a request, or is over."""
        with self._changed:
            self._waiting.discard(connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's
        """Turn away who comes when all places are taken."""
        return len(self._open) < self.most_connections

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread."""
        with self._changed:
            self._open.add(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._gone(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._gone(request)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, after its handshake where it has one."""
        if self._ssl_context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(HANDSHAKE_SECONDS)
        try:
            secured = self._ssl_context.wrap_socket(request, server_side=True)
        except OSError:
            return  # not a TLS client, or one that does not trust the certificate: there is nothing to answer
        with secured:
            super().finish_request(secured, client_address)
            with suppress(OSError):
                secured.settimeout(1.0)
                secured.unwrap()  # tells the client that nothing was cut off

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """Log what a handler's own machinery raised; the connection ends, the server goes on."""
        _log.exception("a connection failed")

    def _gone(self, request: Any) -> None:
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()
