"""A server with a small application of its own: what is tested here are the processes around it.

`python small_app.py key=value ...` serves; `/wait/NAME` answers when a file of that name is there. Where a file `deaf`
is, one worker takes it away, and begins to work only after it has been told to stop once.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from coatcheck.server.config import Config, load
from coatcheck.server.run import Application, serve


def make_app(config: Config) -> Application:
    if multiprocessing.parent_process() is not None:
        with suppress(FileNotFoundError):
            Path("deaf").rename(f"deaf.{os.getpid()}")
            miss_a_signal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        if scope["path"].startswith("/wait/"):
            await asyncio.to_thread(wait_for, Path(scope["path"].removeprefix("/wait/")))
        cookies = [len(value) for name, value in scope["headers"] if name == b"cookie"]
        body = json.dumps({"cookies": cookies, "pid": os.getpid(), "port": config.port}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def miss_a_signal() -> None:
    """Wait for a SIGTERM and let it pass, like a worker that does not listen yet."""
    heard = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: heard.set())
    heard.wait()
    signal.signal(signal.SIGTERM, before)


async def live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(Path(f"closed.{os.getpid()}").touch)
            return


def wait_for(file: Path) -> None:
    file.with_suffix(".begun").touch()
    while not file.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    sys.exit(serve(load(options, {}), say=lambda text: print(text, flush=True), make_app=make_app))
