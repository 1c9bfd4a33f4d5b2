"""Start any server as its reader would, and visit it with the plainest client there is."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

from coatcheck.testing.patience import PATIENCE, eventually
from tests.conftest import ROOT
from tests.e2e.serving import Answer, environment
from tests.ports import free_port

WSGI_SERVERS: dict[str, list[str]] = {
    "gunicorn": ["-m", "gunicorn", "--no-control-socket", "--bind", "127.0.0.1:{port}", "{app}"],
    "waitress": ["-m", "waitress", "--listen=127.0.0.1:{port}", "{app}"],
    "granian": ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "{app}"],
    "wsgiref": ["-m", "tests.serving_wsgiref", "{port}", "{app}"],
}
ASGI_SERVERS: dict[str, list[str]] = {
    "uvicorn": ["-m", "uvicorn", "{app}", "--host", "127.0.0.1", "--port", "{port}"],
    "hypercorn": ["-m", "hypercorn", "{app}", "--bind", "127.0.0.1:{port}"],
    "granian": ["-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "{app}"],
}


class Process:
    """One server process on a free port. It is stopped by its number, and whatever it said is kept."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        port: int | None = None,
        env: Mapping[str, str] = {},
        tls: bool = False,
    ) -> None:
        self.port = port or free_port()
        self.command = [part.replace("{port}", str(self.port)) for part in command]
        self.folder = folder
        self.output = folder / f"output-{self.port}"
        self.is_tls = tls
        self._env = environment({"PYTHONUNBUFFERED": "1", **env})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def start(self) -> None:
        """Start it and return once it listens."""
        assert self._process is None, "it runs already"
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self.command],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = self._process

        def has_started() -> bool:
            assert process.poll() is None, f"the server ended\n{self.said}"
            return self._is_listening()

        eventually(has_started, lambda: f"the server does not listen\n{self.said}")

    def stop(self) -> None:
        """Stop it and all that it has started: a reloader has a child, which may outlive it by a moment."""
        if self._process is not None:
            process, self._process = self._process, None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # a session of its own: the group is the server's
            try:
                process.wait(PATIENCE)
                eventually(lambda: not self._is_listening(), lambda: f"somebody still listens\n{self.said}")
            except (subprocess.TimeoutExpired, AssertionError):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise

    def restart(self) -> None:
        self.stop()
        self.start()

    def _is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Client:
    """Cookies, and `Sec-Fetch-Site: same-origin` as a browser sends it; a new connection for each request."""

    def __init__(self, server: Process, *, fetch_site: str | None = "same-origin", host: str | None = None) -> None:
        self.server = server
        self.host = host or f"127.0.0.1:{server.port}"
        self.jar: dict[str, str] = {}
        self.fetch_site = fetch_site

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        given = [("Accept", "text/html,*/*;q=0.8"), *headers]
        if self.fetch_site is not None:
            given.append(("Sec-Fetch-Site", self.fetch_site))
        if self.jar:
            given.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items())))
        connection = self._connect()
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", self.host)
            for name, value in given:
                connection.putheader(name, value)
            if isinstance(body, bytes):
                connection.putheader("Content-Length", str(len(body)))
            elif body is not None:
                connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(body, encode_chunked=body is not None and not isinstance(body, bytes))
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar[name] = value
            if "max-age=0" in cookie.lower():
                del self.jar[name]
        return answer

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, fields: Mapping[str, str] | None = None, *headers: tuple[str, str]) -> Answer:
        """Post a form, as a page of the site would."""
        form = ("Content-Type", "application/x-www-form-urlencoded")
        return self.send("POST", path, urlencode(fields or {}).encode(), [form, *headers])

    def follow(self, answer: Answer) -> Answer:
        """Go where a redirect leads."""
        assert answer.status in (301, 302, 303, 307, 308), answer
        where = str(answer.headers["location"])
        return self.get(where.removeprefix(self.server.url))

    def _connect(self) -> http.client.HTTPConnection:
        if not self.server.is_tls:
            return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        trust = ssl.create_default_context()  # the certificate is made for the moment and signed by nobody
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=PATIENCE, context=trust)


@contextlib.contextmanager
def wsgi_server(name: str, app: str, folder: Path, **env: str) -> Iterator[Process]:
    """Run a WSGI application, `module:attribute` of this repository, under one of the servers."""
    with _running(WSGI_SERVERS[name], app, folder, env) as server:
        yield server


@contextlib.contextmanager
def asgi_server(name: str, app: str, folder: Path, **env: str) -> Iterator[Process]:
    """Run an ASGI application in the same way; that it told of no trouble is part of every test."""
    with _running(ASGI_SERVERS[name], app, folder, env) as server:
        yield server
    assert "Traceback" not in server.said, server.said


@contextlib.contextmanager
def _running(command: Sequence[str], app: str, folder: Path, env: Mapping[str, str]) -> Iterator[Process]:
    command = [part.replace("{app}", app) for part in command]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    server = Process(command, folder, env={"PYTHONPATH": path, **env})
    server.start()
    try:
        yield server
    finally:
        server.stop()
