"""The standard library's `http.server`, twice in one process: bare, and with Coatcheck's door.

`python -m bench.served.ours_http_server PORT`
"""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler
from typing import Any

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import DOOR, SECRET, url_of
from coatcheck import Account, Coatcheck
from coatcheck.http_server import CoatcheckHandler, CoatcheckServer, login_required


class Bare(BaseHTTPRequestHandler):
    """What the standard library's documentation shows, with connections that stay open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer."""
        _answer(self, cpu() if self.path == "/cpu" else BODY)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: neither does any other server here."""


class Door(CoatcheckHandler[Account]):
    """The same behind the door."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/cpu":
            _answer(self, cpu())
        else:
            self._door()

    @login_required
    def _door(self) -> None:
        _answer(self, BODY, 200 if self.account else 500)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class Server(CoatcheckServer):
    """Gives each connection the handler that its first request wants: one for both would burden the bare one too."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        first = request.recv(9, socket.MSG_PEEK)
        handler = Bare if first == b"GET /bare" else Door
        handler(request, client_address, self)


def _answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", JSON)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


if __name__ == "__main__":
    with (
        Coatcheck(url_of(file()), secret=SECRET) as desk,
        Server(("127.0.0.1", int(sys.argv[1])), Door, desk, **DOOR) as server,
    ):
        server.serve_forever()
