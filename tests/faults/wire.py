"""A wire between a store and its server, which can be cut, held up and slowed down: TCP on loopback, both ends real.

It runs in a thread of its own, so whoever waits for an answer that comes over it may block.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: to close is to reset


class Wire:
    """Leads from a port of its own to another one on loopback. What it holds up is not lost but late."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._listener = _not_blocking(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        self._flows = asyncio.Event()
        self._delay = 0.0
        self._turns_away = False
        self._ends: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._in_the_queue: list[socket.socket] = []
        self._is_answering: dict[socket.socket, bool] = {}
        self.exchanges = 0  # so often somebody asked and waited

    def __enter__(self) -> Self:
        self._thread.start()
        self.release()
        return self

    def __exit__(self, *_error: object) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def instead_of(self, url: str) -> str:
        """Give a URL that goes over this wire to the server of another."""
        assert f":{self._target[1]}/" in url
        return url.replace(f":{self._target[1]}/", f":{self.port}/")

    def cut(self) -> None:
        """Reset all connections; new ones are let through."""
        self._do(self._cut)

    def hold(self) -> None:
        """Be a black hole: connections stay and carry nothing, and whoever makes a new one hears nothing at all."""
        self._do(self._hold)

    def refuse(self) -> None:
        """Be a server that is gone: connections are reset, and new ones as soon as they are made."""
        self._turns_away = True
        self.cut()

    def release(self) -> None:
        """Carry again, first what was held up."""
        self._do(self._release)

    def slow_down(self, seconds: float) -> None:
        """Carry what the server says that much later, or at once again."""
        self._delay = seconds

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    async def _cut(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)

    async def _hold(self) -> None:
        self._flows.clear()
        if self._accepting is not None:
            self._accepting.cancel()
        # A full queue of those who want to be let in: the system no longer answers others who knock (Linux).
        self._listener.listen(0)
        for _ in range(8):
            self._in_the_queue.append(_not_blocking(socket.socket()))
            self._in_the_queue[-1].connect_ex(("127.0.0.1", self.port))

    async def _release(self) -> None:
        for waiting in self._in_the_queue:
            waiting.close()
        self._in_the_queue.clear()
        self._listener.listen()
        if self._accepting is not None:
            self._accepting.cancel()
        self._accepting = self._loop.create_task(self._accept())
        self._turns_away = False
        self._flows.set()

    async def _end(self) -> None:
        tasks = [*self._tasks, *filter(None, [self._accepting])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (*self._ends, *self._in_the_queue, self._listener):
            end.close()

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            self._ends.add(near)
            task = self._loop.create_task(self._connect(near))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, near: socket.socket) -> None:
        far = _not_blocking(socket.socket())
        self._ends.add(far)
        try:
            if self._turns_away:
                raise OSError
            await self._loop.sock_connect(far, self._target)
            # One that fails takes the other with it before the sockets are closed, whose numbers are used again.
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._carry(near, far, near, is_answer=False))
                directions.create_task(self._carry(far, near, near, is_answer=True))
        except* OSError:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            self._ends -= {near, far}
            self._is_answering.pop(near, None)
            near.close()
            far.close()

    async def _carry(
        self, source: socket.socket, target: socket.socket, near: socket.socket, *, is_answer: bool
    ) -> None:
        while said := await self._loop.sock_recv(source, CHUNK):
            self.exchanges += not is_answer and self._is_answering.get(near, True)
            self._is_answering[near] = is_answer
            if is_answer and self._delay:
                await asyncio.sleep(self._delay)
            await self._flows.wait()
            await self._loop.sock_sendall(target, said)
        await self._flows.wait()
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _not_blocking(end: socket.socket) -> socket.socket:
    end.setblocking(False)
    if end.type == socket.SOCK_STREAM:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end
