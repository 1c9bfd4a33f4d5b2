"""A relay between a PostgreSQL client and its server: it counts round trips, falls silent, and cuts lines."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

_ENCRYPT = {80877103, 80877104}  # what a client asks before it introduces itself: TLS, GSSAPI


class Relay:
    """Passes on what client and server say, until it is told otherwise.

    `round_trips` counts how often clients have waited for the server: each Sync or simple query, as the protocol calls
    it. Silent, it takes what comes and passes nothing on, as a network does that has lost the other half.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
        self.url = urlunsplit(parts._replace(netloc=netloc))
        self.round_trips = 0
        self._lines: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._asks, self._answers = threading.Event(), threading.Event()
        self._silent_after: int | None = None
        self.speak_again()

    def __enter__(self) -> Relay:
        self._acceptor = self._begin(self._accept)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()  # from here on no line is added
        self.speak_again()
        self.cut()
        for thread in self._threads:
            thread.join()

    def fall_silent(self) -> None:
        """Pass nothing on any more; what comes is taken all the same."""
        self._asks.clear()
        self._answers.clear()

    def lose_answers_after(self, round_trips: int) -> None:
        """Pass on so many questions with their answers, and then only questions."""
        self._silent_after = self.round_trips + round_trips

    def speak_again(self) -> None:
        """Pass on everything, what came in the silence too."""
        self._silent_after = None
        self._asks.set()
        self._answers.set()

    def note_round_trip(self) -> None:
        """Take note of a question, before it is passed on."""
        if self._silent_after is not None and self.round_trips >= self._silent_after:
            self._answers.clear()
        self.round_trips += 1

    def cut(self) -> None:
        """Cut every line there is, and none that a client opens because it has lost another just now."""
        lines, self._lines = self._lines, []
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def counted(self) -> Iterator[list[int]]:
        """Count the round trips of a block, into the list that it gets."""
        before, counts = self.round_trips, list[int]()
        yield counts
        counts.append(self.round_trips - before)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            for line in (client, server):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._lines.append(line)
            self._begin(self._pass_on, client, server, _RoundTrips(self))
            self._begin(self._pass_on, server, client, None)

    def _begin(self, work: object, *words: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=words, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return thread

    def _pass_on(self, source: socket.socket, target: socket.socket, watch: _RoundTrips | None) -> None:
        with source, suppress(OSError):
            while said := source.recv(65536):
                if watch is not None:
                    watch.hear(said)
                (self._answers if watch is None else self._asks).wait()
                target.sendall(said)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


class _RoundTrips:
    """Takes a client's words apart far enough to see where it waits for an answer."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._heard = b""
        self._has_introduced_itself = False

    def hear(self, said: bytes) -> None:
        self._heard += said
        while (message := self._next()) is not None:
            if message in (b"S", b"Q"):
                self._relay.note_round_trip()

    def _next(self) -> bytes | None:
        head = 1 if self._has_introduced_itself else 0
        if len(self._heard) < head + 4:
            return None
        (length,) = struct.unpack_from("!I", self._heard, head)
        if len(self._heard) < head + length:
            return None
        message, self._heard = self._heard[: head + length], self._heard[head + length :]
        if not self._has_introduced_itself:
            self._has_introduced_itself = struct.unpack_from("!I", message, 4)[0] not in _ENCRYPT
            return b""
        return message[:1]
