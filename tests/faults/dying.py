"""Flows killed at every moment. This runs in a process of its own with one thread, for it forks all the time.

What is found is given as plain data: how many were killed, and everything that was wrong after one of them, in words.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Protocol

import argon2
from msgspec.structs import replace

from coatcheck.colour import Colour, run_blocking
from coatcheck.stores.protocols import Store
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.interleaving import Pick, Played, in_a_row
from coatcheck.testing.kill_points import SQLITE, Death, Reach, Tell, Watch, deaths
from coatcheck.testing.operations import OPERATIONS, Operation
from coatcheck.testing.scene import ADA, PASSWORD, Scene, Sight
from tests.faults.whole import FILES, contents_of, troubles_of

# Without a disk there is nothing to wait for. What a killed process has written is the kernel's in any case.
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
FRAME = 24 + 4096  # bytes of a page in the log, its header first
TEARS = (0, 11, 24, 2071)  # where in a frame a write is torn


class Toll(NamedTuple):
    """How many died, and what was wrong after it."""

    killed: int
    wrong: list[str]


async def _fill_up(scene: Scene) -> None:
    """Give ada all the sessions she may have."""
    live = len(await scene.flows.oversight.live_sessions(ADA))
    for _ in range(scene.desk.policy.sessions_per_subject - live):
        await scene.start()


async def _weaken(scene: Scene) -> None:
    """Give ada's password a hash of older settings."""
    store, hasher = scene.stage.inner, scene.flows.parts.hasher
    weaker = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    assert hasher.verify(weaker, PASSWORD.encode())
    credential = await store.credential(ADA)
    assert credential is not None
    assert await store.rehash(ADA, was=credential.hash, new=weaker)


FLOWS = {
    operation.name: operation
    for operation in (
        *OPERATIONS,
        Operation("log_in_evicting", lambda scene, _: scene.log_in("ada", remember=True), before=_fill_up),
        Operation("log_in_rehashing", lambda scene, _: scene.log_in("ada"), before=_weaken),
        Operation("purge_at_once", lambda scene, _: scene.flows.oversight.purge(batch=1000, progress=None)),
    )
}


class AnyGround(Protocol):
    """Where a store keeps things, set back to what it was before each life."""

    def open(self, colour: Colour) -> Store:
        """Open a store there."""
        ...

    def keep(self) -> None:
        """Take what is there now, all stores on it closed, for what each life begins with."""
        ...

    def restore(self) -> None:
        """Have what was kept there."""
        ...

    def contents(self) -> tuple[str, ...]:
        """Read all there is, in a form in which two can be compared."""
        ...

    def troubles(self) -> list[str]:
        """Say in words what is broken or half done."""
        ...


class Ground:
    """A database file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "store.db"
        self._template = folder / "template.db"

    def open(self, colour: Colour) -> Store:
        return SqliteStore(str(self.file), colour)

    def keep(self) -> None:
        shutil.copyfile(self.file, self._template)

    def clear(self) -> None:
        """Have no file."""
        for suffix in FILES:
            Path(f"{self.file}{suffix}").unlink(missing_ok=True)

    def restore(self) -> None:
        self.clear()
        shutil.copyfile(self._template, self.file)

    def contents(self) -> tuple[str, ...]:
        return contents_of(self.file)

    def troubles(self) -> list[str]:
        return troubles_of(self.file)


class Drama:
    """One operation on a scene, played to its end or until its process dies."""

    def __init__(self, operation: Operation, ground: AnyGround) -> None:
        self.scene = Scene()
        self.ground = ground
        self._operation = operation
        store = self.open()
        self.scene.fill(store)
        if operation.before is not None:
            self.scene.stage.run(operation.before(self.scene))
        run_blocking(store.close())
        self.ground.keep()
        self.states, self._answers = self._rehearse()
        self._views = {self.states[0]: self.look(), self.states[-1]: self._view_after_all()}

    def open(self) -> Store:
        return self.ground.open(self.scene.stage.colour)

    def arrange(self) -> Callable[[], None]:
        """Set the stage; a child opens its connections before its life is watched."""
        self.ground.restore()
        return self._enter

    def life(self, tell: Tell) -> None:
        """Play, and tell before each step that all earlier ones were acknowledged, and at the end the last one too."""

        def pick(_waiting: object) -> str:
            tell("so far")
            return "A"

        self._play(pick)
        tell("answered")

    def judge(self, death: Death, where: str) -> Iterator[str]:
        """Say in words what is wrong with what is kept after a death."""
        acknowledged = max(0, len(death.told) - 1)
        contents = self.ground.contents()
        if contents not in self.states[acknowledged : acknowledged + 2]:
            yield f"{where}: what is kept is neither as before the step nor as after it"
        yield from (f"{where}: {trouble}" for trouble in self.ground.troubles())
        if contents in self._views and contents not in (self.states[0], self.states[-1]):
            return
        view = self.look()
        if view not in (self._views[self.states[0]], self._views[self.states[-1]]):
            yield f"{where}: visitors see neither what was nor what was to be: {view}"
        self._views.setdefault(contents, view)

    def look(self) -> Sight:
        """See what visitors see, with the store opened anew; what they do not see is left out."""
        store = self.open()
        self.scene.stage.enter(store)
        sight = self.scene.see(self._answers)
        run_blocking(store.close())
        password = sight.password
        # A hash of the same password is as good as another.
        seen = None if password is None else replace(password, hash="")
        return sight._replace(tries_left=0, events={}, password=seen)

    def _enter(self) -> None:
        store = self.open()
        run_blocking(store.ready())
        run_blocking(store.touch(bytes(32), seen_at=0))
        run_blocking(store.rehash("", was="", new=""))
        self.scene.stage.enter(store)

    def _play(self, pick: Pick) -> Played:
        return self.scene.stage.play({"A": self._operation.flow(self.scene, "A")}, pick)

    def _rehearse(self) -> tuple[list[tuple[str, ...]], dict[str, object]]:
        """Play to the end in this process: what is kept before each step and after the last, and the answer."""
        self.ground.restore()
        states: list[tuple[str, ...]] = []

        def pick(_waiting: object) -> str:
            states.append(self.ground.contents())
            return "A"

        store = self.open()
        self.scene.stage.enter(store)
        played = self._play(pick)
        states.append(self.ground.contents())
        run_blocking(store.close())
        self.ground.restore()
        return states, dict(played.answers)

    def _view_after_all(self) -> Sight:
        self.ground.restore()
        store = self.open()
        self.scene.stage.enter(store)
        self._play(in_a_row("A"))
        run_blocking(store.close())
        return self.look()


def kill_flow(name: str, *, watch: Watch = SQLITE, stride: int = 1) -> Toll:
    """Kill a flow at each of its calls into SQLite."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        drama = Drama(FLOWS[name], Ground(Path(folder)))
        return toll(deaths(drama.life, drama.arrange, watch=watch, stride=stride), drama.judge)


def kill_flow_amid_statements(name: str, stride: int) -> Toll:
    """Kill a flow at every `stride`-th instruction of SQLite's machine."""
    return kill_flow(name, watch=instructions, stride=stride)


def instructions(reach: Reach) -> None:
    """Watch every instruction that SQLite's statements are made of (`Connection.set_progress_handler`)."""
    known: dict[int, sqlite3.Connection] = {}

    def on_event(_frame: FrameType, event: str, called: object) -> None:
        cursor = getattr(called, "__self__", None)
        if event == "c_call" and isinstance(cursor, sqlite3.Cursor) and id(cursor.connection) not in known:
            known[id(cursor.connection)] = cursor.connection
            cursor.connection.set_progress_handler(lambda: reach("an instruction"), 1)

    sys.setprofile(on_event)


def tear_flow(name: str) -> Toll:
    """Kill a flow amid its writes to the log: the system takes some bytes of a page, and the process with the rest."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        ground = Ground(Path(folder))
        drama = Drama(FLOWS[name], ground)
        torn = tears(drama.life, drama.arrange)
        return toll(torn, drama.judge)


def tears(life: Callable[[Tell], None], arrange: Callable[[], Callable[[], None]]) -> Iterator[Death]:
    """Kill a child at each tear of a life's log: within its header, and within and between its pages.

    Who puts the log into the file at last and cuts it, as a deletion does, dies amid that too: at pages of the file
    that lie beyond the log's.
    """

    def dies_at(limit: int) -> bool:
        return _live_until_torn(life, arrange, limit=limit)[0] == -signal.SIGXFSZ

    end = 32
    while dies_at(end):
        end += FRAME
    limits = [0, 17, *(frame + tear for frame in range(32, end, FRAME) for tear in TEARS)]
    while not dies_at(limits[-1]):
        limits.pop()  # pages of the file have their ends elsewhere
    return torn_at(limits, life, arrange)


def torn_at(
    limits: Sequence[int], life: Callable[[Tell], None], arrange: Callable[[], Callable[[], None]]
) -> Iterator[Death]:
    """Kill a child each time when a file would grow beyond another size."""
    for number, limit in enumerate(limits):
        status, told = _live_until_torn(life, arrange, limit=limit)
        if status != -signal.SIGXFSZ:
            raise RuntimeError(f"it did not die at byte {limit}: exit status {status}")
        yield Death(number, len(limits), f"byte {limit}", ("so far",) * told)


def _live_until_torn(
    life: Callable[[Tell], None], arrange: Callable[[], Callable[[], None]], *, limit: int
) -> tuple[int, int]:
    """Live in a child until a file would grow beyond a limit; give its status and how often it told."""
    prepare = arrange()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            prepare()
            die_at(limit)
            life(lambda _: os.write(writing, b".") and None)
        os._exit(0)  # without closing, which would take the log away
    os.close(writing)
    with os.fdopen(reading, "rb") as dots:
        told = len(dots.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told


def die_at(limit: int) -> None:
    """Have the system kill this process when it makes a file larger than that, after the bytes that still fit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def toll(dead: Iterator[Death], judge: Callable[[Death, str], Iterator[str]]) -> Toll:
    """Count the dead, each judged when it has died."""
    killed, wrong = 0, []
    for death in dead:
        killed += 1
        wrong.extend(judge(death, f"killed at {death.moment + 1} of {death.moments}, before {death.name}"))
    return Toll(killed, wrong)
