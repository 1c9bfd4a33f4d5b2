"""Ways to a house: straight into a WSGI or ASGI application, or over a socket."""

from __future__ import annotations

import asyncio
import http.client
import io
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_to_bytes

from coatcheck.testing.patience import PATIENCE
from coatcheck.testing.visits.house import Fields, Raw, Send

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
PEER = "127.0.0.1"


def over_http(port: int, *, host: str = "127.0.0.1") -> Send:
    """Send over a socket, a new connection for each request."""

    def send(method: str, target: str, headers: Fields, body: bytes) -> Raw:
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value.encode("latin-1"))
            if body or method not in ("GET", "HEAD"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            try:
                response = connection.getresponse()
            except http.client.RemoteDisconnected:
                return Raw(500, [], b"")  # broken off before any of it was sent
            fields = [(name.lower(), value) for name, value in response.getheaders()]
            try:
                content = response.read()
            except http.client.IncompleteRead as error:
                content = error.partial
            except ConnectionResetError:
                content = b""
            return Raw(response.status, fields, content)
        finally:
            connection.close()

    return send


def into_wsgi(application: Callable[[dict[str, Any], Any], Iterable[bytes]]) -> Send:
    """Call a WSGI application, as a server would (PEP 3333)."""

    def send(method: str, target: str, headers: Fields, body: bytes) -> Raw:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "RAW_URI": target,
            "REQUEST_URI": target,
            "QUERY_STRING": query,
            "SERVER_NAME": PEER,
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": PEER,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in headers:
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            joint = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{joint}{value}" if key in environ and key != "CONTENT_LENGTH" else value
        begun: list[tuple[int, list[tuple[str, str]]]] = []

        def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            if exc_info is not None and written:
                raise exc_info[1]
            begun[:] = [(int(status.split()[0]), [(name.lower(), value) for name, value in fields])]
            return written.append

        written: list[bytes] = []
        try:
            answer = application(environ, start_response)
            try:
                written.extend(answer)
            finally:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()
        except Exception:  # noqa: BLE001 - what a server does: it answers, and goes on
            return Raw(500, [], b"Internal Server Error")
        return Raw(*begun[0], b"" if method == "HEAD" else b"".join(written))

    return send


@contextmanager
def into_asgi(application: Application) -> Generator[Send]:
    """Call an ASGI application, as a server would: with a lifespan, on one event loop, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE)

    life = run(begin_life(application))
    try:
        yield lambda method, target, headers, body: run(_visit(application, method, target, headers, body))
    finally:
        run(life())
        run(loop.shutdown_asyncgens())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def begin_life(application: Application) -> Callable[[], Awaitable[None]]:
    """Begin the lifespan of an ASGI application, as a server would; give what ends it."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    told: asyncio.Queue[Message] = asyncio.Queue()

    async def live() -> None:
        try:
            await application({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, asked.get, told.put)
        except Exception:  # noqa: BLE001 - an application may refuse the protocol by raising anything
            await told.put({"type": "none"})

    life = asyncio.ensure_future(live())
    await asked.put({"type": "lifespan.startup"})
    answer = await told.get()
    if answer["type"] == "lifespan.startup.failed":
        raise RuntimeError(f"the application did not start: {answer.get('message', '')}")

    async def end() -> None:
        await asked.put({"type": "lifespan.shutdown"})
        await life

    return end


async def _visit(application: Application, method: str, target: str, headers: Fields, body: bytes) -> Raw:
    path, _, query = target.partition("?")
    octets = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [*octets, (b"content-length", str(len(body)).encode())],
        "client": (PEER, 40_000),
        "server": (PEER, 8000),
        "state": {},
    }
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    over = asyncio.Event()
    status, fields, chunks = 0, list[tuple[str, str]](), list[bytes]()

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            fields.extend((name.decode().lower(), value.decode("latin-1")) for name, value in message["headers"])
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                over.set()

    try:
        await application(scope, receive, send)
    except Exception:  # noqa: BLE001 - what a server does; an application may raise after it has answered, for a log
        if not status:
            return Raw(500, [], b"Internal Server Error")
    return Raw(status, fields, b"" if method == "HEAD" else b"".join(chunks))
