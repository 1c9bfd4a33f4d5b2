"""Where houses stand one after the other, so that a server is started once for many stories."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from coatcheck.testing.patience import PATIENCE
from coatcheck.testing.visits.ways import Application, begin_life


class Site:
    """What a server is given for its application. It is no house itself: it answers 503 while none stands there.

    A house leaves when the last of its requests is over, for some of what is done for a request comes after the answer.
    """

    def __init__(self) -> None:
        self.house: Any = None
        self._under_way = 0
        self._changed = threading.Condition()

    def came(self) -> None:
        with self._changed:
            self._under_way += 1

    def went(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    @contextmanager
    def held_by(self, house: Any) -> Generator[None]:
        self.house = house
        try:
            yield
        finally:
            with self._changed:
                is_still = self._changed.wait_for(lambda: not self._under_way, PATIENCE)
                self.house = None
            assert is_still, "the server has not come to the end of every request: what is left of them is never done"


class WsgiSite(Site):
    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.came()
        try:
            blocks: Any = (self.house or nobody)(environ, start_response)
        except BaseException:
            self.went()
            raise
        # What servers do with a body depends on its kind: so it is not put into another one.
        if not hasattr(blocks, "close") or not hasattr(blocks, "__dict__"):
            self.went()
            return blocks  # type: ignore[no-any-return]  # what an application gives
        close = blocks.close

        def close_and_go() -> None:
            try:
                close()
            finally:
                self.went()

        blocks.close = close_and_go
        return blocks  # type: ignore[no-any-return]  # what an application gives


def nobody(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]


class AsgiSite(Site):
    """It has a life of its own; that of a house is told on the same loop."""

    _loop: asyncio.AbstractEventLoop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self._loop = asyncio.get_running_loop()
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
        elif self.house is None:
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            self.came()
            try:
                await self.house(scope, receive, send)
            finally:
                self.went()

    @contextmanager
    def held_by(self, house: Application) -> Generator[None]:
        end = self._run(begin_life(house))
        try:
            with super().held_by(house):
                yield
        finally:
            self._run(end())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)
