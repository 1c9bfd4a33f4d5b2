"""Load over loopback: Debian's `wrk` where it is installed, else a small client on raw sockets.

The client speaks just enough HTTP/1.1: the same request again and again on kept connections, an answer of known
length each time. It is in one thread and does not parse, so that it costs less than the server it drives.
"""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol


class Client(Protocol):
    """Something that sends requests for a while."""

    name: str

    def rate(self, path: str, *, seconds: float) -> float:
        """Requests answered with 200 per second. Raises RuntimeError if any answer was something else."""
        ...


def make_client(port: int, cookie_fields: Sequence[bytes]) -> Client:
    wrk = shutil.which("wrk")
    return RawSockets(port, cookie_fields) if wrk is None else Wrk(wrk, port, cookie_fields)


class Wrk:
    """`wrk` with one thread. It sends one session's cookie."""

    def __init__(self, program: str, port: int, cookie_fields: Sequence[bytes]) -> None:
        self.name = f"wrk, one thread, {len(cookie_fields)} connections"
        self._start = [
            program, "--threads", "1", "--connections", str(len(cookie_fields)),
            "--header", f"Cookie: {cookie_fields[0].decode()}",
        ]  # fmt: skip
        self._origin = f"http://127.0.0.1:{port}"

    def rate(self, path: str, *, seconds: float) -> float:
        # wrk knows whole seconds only.
        command = [*self._start, "--duration", f"{max(1, round(seconds))}s", self._origin + path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
        if found is None or "Non-2xx" in done.stdout:
            raise RuntimeError(f"wrk saw other answers than 200:\n{done.stdout}")
        return float(found[1])


class RawSockets:
    """Our own client: as many connections as cookie fields, each with one request under way."""

    def __init__(self, port: int, cookie_fields: Sequence[bytes]) -> None:
        self.name = f"own client on raw sockets, one thread, {len(cookie_fields)} connections"
        self._selector = selectors.DefaultSelector()
        self._connections = [_Connection(socket.create_connection(("127.0.0.1", port)), f) for f in cookie_fields]
        for connection in self._connections:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def rate(self, path: str, *, seconds: float) -> float:
        length = len(self._connections[0].ask(path))  # all answers are alike, the date too is of fixed length
        for connection in self._connections:
            connection.send(path)
        select, count, began = self._selector.select, 0, perf_counter()
        until = began + seconds
        while perf_counter() < until:
            for key, _ in select():
                if key.data.has_answer(length):
                    count += 1
                    key.data.send_again()
        spent = perf_counter() - began
        for connection in self._connections:
            while not connection.has_answer(length):
                pass
        return count / spent

    def ask(self, path: str) -> bytes:
        """One request by itself; gives the answer with its head."""
        return self._connections[0].ask(path)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    cookie_field: bytes
    request: bytes = b""
    received: int = 0

    def send(self, path: str) -> None:
        self.request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %b\r\n\r\n" % (path.encode(), self.cookie_field)
        self.send_again()

    def send_again(self) -> None:
        self.socket.send(self.request)

    def has_answer(self, length: int) -> bool:
        """Read what is there; true when the answer is complete."""
        chunk = self.socket.recv(65536)
        if self.received == 0 and not chunk.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered something else than 200: {chunk[:60]!r}")
        self.received += len(chunk)
        if self.received < length:
            return False
        self.received = 0
        return True

    def ask(self, path: str) -> bytes:
        self.send(path)
        answer = self.socket.recv(65536)
        while not (head := answer.partition(b"\r\n\r\n"))[1] or len(head[2]) < _announced(head[0]):
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError("the server hung up")
            answer += more
        return answer


def _announced(head: bytes) -> int:
    found = re.search(rb"(?im)^content-length: *(\d+)", head)
    return int(found[1]) if found else 0
