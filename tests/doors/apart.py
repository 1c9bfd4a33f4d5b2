"""Houses in a process of their own, for servers that want one: gunicorn, and granian for WSGI.

Time, trouble and the gate stay in the test's hands: the house asks for them over a Unix socket, at every step.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from coatcheck import Coatcheck, Policy, StoreUnavailable
from coatcheck.colour import Blocking, hashing_lane
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.counting import NO_STEPS
from coatcheck.testing.scene import SECRET, the_hasher
from coatcheck.testing.visits.house import PATIENCE, Send, Stage
from coatcheck.testing.visits.ways import over_http
from coatcheck.web.door import Door, DoorSettings, Exemption
from tests.conftest import ROOT
from tests.doors.houses import flask, wsgi
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
VARIABLE = "STORY_OF_A_HOUSE"


class Told(msgspec.Struct):
    """What a house in another process is told at its start."""

    door: str
    stage: str
    store: str
    policy: dict[str, Any]
    settings: dict[str, Any]
    exempt: dict[str, Exemption]


class HouseApart:
    desk_type = Coatcheck

    def __init__(self, door: str, server: str, folder: Path) -> None:
        self.answers_errors = door == "flask"
        self._door, self._server, self._folder = door, server, folder

    @contextmanager
    def open(self, desk: Coatcheck, stage: Stage, **settings: Any) -> Generator[Send]:
        Door(desk, cast("DoorSettings", settings), wanted=Coatcheck).mount.release_host()  # mistakes are told here
        address = f"{self._folder}/stage.sock"
        defaults = msgspec.structs.asdict(Policy())
        chosen = {name: value for name, value in msgspec.structs.asdict(desk.policy).items() if value != defaults[name]}
        told = Told(
            door=self._door,
            stage=address,
            store=f"sqlite:///{self._folder / 'stories.db'}",
            policy=chosen,
            exempt=dict(settings.pop("csrf_exempt", {})),
            settings=settings,
        )
        paths = os.pathsep.join(str(folder) for folder in (ROOT / "src", ROOT))
        env = {VARIABLE: msgspec.json.encode(told).decode(), "PYTHONPATH": paths}
        process = Process(COMMANDS[self._server], self._folder, env=env)
        with stage_at(address, stage):
            process.start()
            try:
                yield over_http(process.port)
            finally:
                process.stop()


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


def make_application() -> Any:
    """Make the house that this process was told to be."""
    told = msgspec.json.decode(os.environ[VARIABLE], type=Told)
    stage = DistantStage(told.stage)
    store = open_store(told.store, Blocking(hashing_lane(queue=16, nice=0)))
    desk = Coatcheck(
        cast("Store", DistantlyTroubled(store, stage)), clock=stage.clock, secret=SECRET, settings=told.policy or None
    )
    desk.flows.parts.hasher = the_hasher()
    settings = {**told.settings, **({"csrf_exempt": told.exempt} if told.exempt else {})}
    if told.door == "flask":
        return flask.application(desk, cast("Stage", stage), **settings)
    return wsgi.WsgiHouse().application(desk, cast("Stage", stage), **settings)
