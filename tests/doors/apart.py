"""Houses in a process of their own, for servers that want one: gunicorn, and granian for WSGI.

The process is started once; a caretaker in it opens one house after the other. Time, trouble and the gate stay in the
test's hands: a house asks for them over a Unix socket, at every step.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from coatcheck import Coatcheck, Policy, StoreUnavailable
from coatcheck.colour import Blocking, hashing_lane
from coatcheck.stores.protocols import Store
from coatcheck.testing.counting import NO_STEPS
from coatcheck.testing.patience import PATIENCE, stores_wait
from coatcheck.testing.scene import SECRET, the_hasher
from coatcheck.testing.visits.house import Fields, Raw, Send, Stage
from coatcheck.testing.visits.ways import over_http
from coatcheck.web.door import Door, DoorSettings, Exemption
from coatcheck.web.mount import release_hosts_of
from tests.conftest import ROOT
from tests.doors.houses import flask, wsgi
from tests.doors.places import store_at
from tests.doors.sites import WsgiSite
from tests.serving import Process

COMMANDS = {
    "gunicorn": [
        *("-m", "gunicorn", "--no-control-socket", "--worker-class", "gthread", "--threads", "8"),
        *("--bind", "127.0.0.1:{port}", "tests.doors.served:application"),
    ],
    "granian": [
        *("-m", "granian", "--interface", "wsgi", "--blocking-threads", "8", "--host", "127.0.0.1"),
        *("--port", "{port}", "tests.doors.served:application"),
    ],
}


class Told(msgspec.Struct):
    """What the caretaker is told of a house."""

    door: str
    stage: str
    places: Sequence[str]
    policy: dict[str, Any]
    settings: dict[str, Any]
    exempt: dict[str, Exemption]


@contextmanager
def server_apart(name: str, folder: Path) -> Generator[Process]:
    """Start a server in a process of its own, with nothing but a caretaker."""
    paths = os.pathsep.join(str(folder) for folder in (ROOT / "src", ROOT))
    process = Process(COMMANDS[name], folder, env={"PYTHONPATH": paths})
    process.start()
    try:
        yield process
    finally:
        process.stop()


class HouseApart:
    desk_type = Coatcheck

    def __init__(self, door: str, places: Sequence[str], process: Process) -> None:
        self.answers_errors = door == "flask"
        self._door, self._places, self._process = door, places, process

    @contextmanager
    def open(self, desk: Coatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        Door(desk, cast("DoorSettings", settings), wanted=Coatcheck).mount.release_host()  # mistakes are told here
        address = f"{self._process.folder}/stage.sock"
        defaults = msgspec.structs.asdict(Policy())
        chosen = {name: value for name, value in msgspec.structs.asdict(desk.policy).items() if value != defaults[name]}
        told = Told(
            door=self._door,
            stage=address,
            places=self._places,
            policy=chosen,
            exempt=dict(settings.pop("csrf_exempt", {})),
            settings=settings,
        )
        send = over_http(self._process.port)
        with stage_at(address, stage):
            self._bid(send, "open", msgspec.json.encode(told))
            try:
                with self._process.output.open(errors="replace") as output:
                    output.seek(0, os.SEEK_END)
                    yield overheard(send, output)
            finally:
                self._bid(send, "close")

    def _bid(self, send: Send, what: str, words: bytes = b"") -> None:
        answer = send("POST", f"/caretaker/{what}", [], words)
        assert answer.status == 200, f"the caretaker could not {what} a house\n{self._process.said[-4000:]}"


def overheard(send: Send, output: TextIO) -> Send:
    """Say again here what the process says, where stories look for what nobody must say."""

    def send_and_listen(method: str, target: str, headers: Fields, body: bytes) -> Raw:
        answer = send(method, target, headers, body)
        sys.stderr.write(output.read())
        return answer

    return send_and_listen


@contextmanager
def stage_at(address: str, stage: Stage) -> Generator[None]:
    """Answer what houses ask of a stage."""

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(json.dumps(answer_of(stage, json.loads(line))).encode() + b"\n")

    Path(address).unlink(missing_ok=True)
    with socketserver.ThreadingUnixStreamServer(address, Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def answer_of(stage: Stage, asked: list[str]) -> Any:
    match asked:
        case ["time"]:
            return stage.clock()
        case ["gate"]:
            stage.gate.wait()
            return None
        case ["step", name]:
            stage.steps.append(name)
            if not (stage.trouble.is_everywhere or name in stage.trouble.at):
                return None
            error = stage.trouble.error()
            return ["down" if isinstance(error, StoreUnavailable) else "bug", str(error)]
        case _:
            raise ValueError(asked)


# In the other process


class DistantStage:
    """The stage as the house sees it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.gate = self

    def ask(self, *words: str) -> Any:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(self._address)
            line.sendall(json.dumps(words).encode() + b"\n")
            with line.makefile("rb") as answers:
                return json.loads(answers.readline())

    def clock(self) -> int:
        return int(self.ask("time"))

    def wait(self) -> None:
        self.ask("gate")


class DistantlyTroubled:
    """A store whose every step is told to the test, and fails if the test says so."""

    def __init__(self, inner: Store, stage: DistantStage) -> None:
        self._inner, self._stage = inner, stage

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name in NO_STEPS or not callable(attribute):
            return attribute

        async def step(*args: Any, **kwargs: Any) -> Any:
            trouble = self._stage.ask("step", name)
            if trouble is not None:
                kind, words = trouble
                raise StoreUnavailable(words) if kind == "down" else RuntimeError(words)
            return await attribute(*args, **kwargs)

        return step


class Caretaker:
    """The application of the process: it opens a house, lets requests in, and closes it after the last of them."""

    def __init__(self) -> None:
        self._site = WsgiSite()
        self._open = ExitStack()
        stores_wait()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/caretaker/open":
                body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
                self._open_house(msgspec.json.decode(body, type=Told))
            case "/caretaker/close":
                self._open.close()
            case _:
                return self._site(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]

    def _open_house(self, told: Told) -> None:
        stage = DistantStage(told.stage)
        store = cast("Store", DistantlyTroubled(store_at(told.places, Blocking(hashing_lane(queue=16, nice=0))), stage))
        desk = Coatcheck(store, clock=stage.clock, secret=SECRET, settings=told.policy or None)
        desk.flows.parts.hasher = the_hasher()
        self._open.callback(desk.close)
        self._open.callback(release_hosts_of, desk.flows)
        settings = {**told.settings, **({"csrf_exempt": told.exempt} if told.exempt else {})}
        house: Any = flask.application if told.door == "flask" else wsgi.WsgiHouse().application
        self._open.enter_context(self._site.held_by(house(desk, cast("Stage", stage), **settings)))
