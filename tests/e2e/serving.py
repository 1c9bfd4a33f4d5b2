"""`coatcheck serve` as a real process on loopback, and visitors who speak to it with the plainest client there is."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coatcheck.testing.patience import PATIENCE, eventually
from tests.ports import free_port

SOURCES = Path(__file__).resolve().parents[2] / "src"
PASSWORD = "a long enough passphrase"
# All visitors of a test share one address; without these, a crowd of them would be taken for one guesser.
FOR_CROWDS = {
    "COATCHECK_NETWORK_FREE_FAILURES": "1000",
    "COATCHECK_ACCOUNT_FREE_FAILURES": "100",
    "COATCHECK_NETWORK_FREE_SIGN_UPS": "1000",
    "COATCHECK_HASHING_QUEUE": "256",
}


class Server:
    """One server with a folder of its own: `store/` holds the database and what belongs to it, `output` all it said.

    It can be stopped, killed and started again; the folder and the port stay. One that `is_elsewhere` has no database
    of its own: `env` says where it keeps things.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        env: Mapping[str, str] = {},
        host: str = "127.0.0.1",
        is_elsewhere: bool = False,
    ) -> None:
        self.folder = folder
        self.store = folder / "store" / "coatcheck.db"
        self.output = folder / "output"
        self.host = host
        self.port = free_port()
        self.options = options
        self.is_tls = "--tls-self-signed" in options
        self._is_elsewhere = is_elsewhere
        self._env = environment({"COATCHECK_LOG_FORMAT": "text", **env})
        self._process: subprocess.Popen[bytes] | None = None
        self.store.parent.mkdir(parents=True, exist_ok=True)

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def start(self) -> None:
        """Start it and return once it answers."""
        assert self._process is None, "the server runs already"
        store = () if self._is_elsewhere else ("--store", f"sqlite:///{self.store}")
        options = ("--port", str(self.port), *store, *self.options)
        with self.output.open("ab") as output:
            said_before = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "coatcheck", "serve", *options],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # It says so itself first: another server could answer on the port.
        self._wait_for(lambda: "\nStop with Ctrl-C." in self.said[said_before:] and self.is_answering())

    def is_answering(self) -> bool:
        try:
            return Visitor(self).get("/healthz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def ask_to_stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end and give the exit status."""
        assert self._process is not None
        status = self._process.wait(PATIENCE)
        self._process = None
        return status

    def stop(self) -> None:
        """Stop it as an operator would; anything but a quiet end fails the test."""
        self.ask_to_stop()
        status = self.wait()
        assert status == 0, f"exit status {status}\n{self.said}"
        assert not self.is_listening(), "somebody still listens on the port"
        assert "Traceback" not in self.said, self.said

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill the server and all its workers at the same instant, as the end of a container does."""
        os.killpg(self.pid, signal.SIGKILL)  # a session of its own: the group is the server's and nobody else's
        self.wait()

    def end(self) -> None:
        """Stop it if it runs; if it refuses, let nothing stay behind."""
        if self._process is None:
            return
        pid = self.pid
        try:
            self.stop()
        except BaseException:
            if self._process is not None:
                os.killpg(pid, signal.SIGKILL)
                self._process.wait()
                self._process = None
            raise

    def _wait_for(self, condition: Any) -> None:
        def is_so() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"the server ended\n{self.said}"
            return bool(condition())

        eventually(is_so, lambda: f"the server does not answer\n{self.said}")


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The stable reason of a refusal."""
        return str(self.json["reason"])

    @property
    def cookies(self) -> list[str]:
        return self.headers.get_all("set-cookie", [])


class Visitor:
    """A cookie jar and `http.client`: no header that is not asked for, a new connection for each request."""

    def __init__(self, server: Server, *, host: str | None = None, headers: Mapping[str, str] = {}) -> None:
        self.server = server
        self.jar: dict[str, str] = {}
        self._headers = {"Host": host or server.authority, **headers}

    @property
    def token(self) -> str:
        """The session's token, as the cookie holds it."""
        return next(value for name, value in self.jar.items() if not name.endswith(("-pre", "-device")))

    def copy(self) -> Visitor:
        """A thief: somebody else with the same cookies."""
        other = Visitor(self.server)
        other._headers, other.jar = dict(self._headers), dict(self.jar)
        return other

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        """Send a request with these headers and no others but `Host`, `Cookie` and the length."""
        given = {**self._headers, **headers}
        if self.jar:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        connection = self._connect()
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        self._keep(answer.cookies)
        return answer

    def get(self, path: str, headers: Mapping[str, str] = {}) -> Answer:
        return self.send("GET", path, headers=headers)

    def call(self, method: str, path: str, fields: Mapping[str, object] | None = None) -> Answer:
        """Call the API as a program does that keeps cookies but has no browser's headers."""
        headers = {}
        if self.jar:
            headers["X-CSRF-Token"] = self.get("/api/csrf").json["csrf_token"]
        body = None if fields is None else json.dumps(fields).encode()
        if fields is not None:
            headers["Content-Type"] = "application/json"
        return self.send(method, path, body, headers)

    def sign_up(self, username: str, password: str = PASSWORD) -> Answer:
        return self.call("POST", "/api/signup", {"username": username, "password": password})

    def log_in(self, username: str, password: str = PASSWORD, **more: object) -> Answer:
        return self.call("POST", "/api/login", {"identifier": username, "password": password, **more})

    def me(self) -> Answer:
        return self.get("/api/me")

    def sessions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/sessions").json["sessions"]
        return found

    def _connect(self) -> http.client.HTTPConnection:
        if not self.server.is_tls:
            return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        trust = ssl.create_default_context(cafile=f"{self.server.store}.tls.pem")
        return http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=PATIENCE, context=trust)

    def _keep(self, cookies: list[str]) -> None:
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar[name] = value
            if not value:
                del self.jar[name]


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """The caller's environment without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    path = os.pathsep.join([str(SOURCES), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, **extra}
