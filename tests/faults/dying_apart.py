"""Flows killed at every moment over two files: accounts in one, sessions in the other.

No transaction spans the two, so what is found after a death need not be as before a step or as after it. It has to be
the safer of what lies between: nobody is let in who would be neither before nor after, what was acknowledged holds, and
what died half way is completed by whoever comes next.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from coatcheck.colour import run_blocking
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.interleaving import in_a_row
from coatcheck.testing.kill_points import Death, Tell, deaths
from coatcheck.testing.operations import Operation, new_password
from coatcheck.testing.scene import ADA, Live, Scene, Sight
from tests.faults.dying import FLOWS, PLACE, Ground, Toll, toll
from tests.faults.whole import contents_of, structure_of

HALVES = ("accounts", "sessions")
ADAS = ("here", "there", "stale")


class ApartDrama:
    """One operation on a scene over two files, played to its end or until its process dies."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self.scene = Scene()
        self._operation = operation
        self._grounds: dict[str, Ground] = {}
        for half in HALVES:
            (folder / half).mkdir()
            self._grounds[half] = Ground(folder / half)
        store = self.open()
        self.scene.fill(store)
        if operation.before is not None:
            self.scene.stage.run(operation.before(self.scene))
        run_blocking(store.close())
        for ground in self._grounds.values():
            ground.keep()
        self._before = self.look({})
        self._answers = self._rehearse()
        self._after = self.look(self._answers)

    def open(self) -> ApartStore:
        colour = self.scene.stage.colour
        accounts, sessions = (str(self._grounds[half].file) for half in HALVES)
        return ApartStore(SqliteStore(accounts, colour), SqliteStore(sessions, colour, holds_accounts=False))

    def arrange(self) -> Callable[[], None]:
        """Set the stage; a child opens its connections before its life is watched."""
        self._restore()
        return self._enter

    def life(self, tell: Tell) -> None:
        """Play, and tell when it was answered."""
        self._play()
        tell("answered")

    def look(self, answers: Mapping[str, object]) -> Sight:
        """See what visitors see, with both files opened anew."""
        store = self.open()
        self.scene.stage.enter(store)
        sight = self.scene.see(answers)
        run_blocking(store.close())
        return sight._replace(tries_left=0)

    def judge(self, death: Death, where: str) -> Iterator[str]:
        """Say in words what is wrong with the two files after a death."""
        found = [*self._structure(), *self._seen(is_answered=bool(death.told)), *self._completed()]
        yield from (f"{where}: {trouble}" for trouble in found)

    def _structure(self) -> Iterator[str]:
        for half, ground in self._grounds.items():
            yield from (f"{half}: {trouble}" for trouble in structure_of(ground.file))

    def _seen(self, *, is_answered: bool) -> Iterator[str]:
        before, after, seen = self._before, self._after, self.look(self._answers)
        if is_answered and seen != after:
            yield f"it was acknowledged, and visitors do not see it: {seen}"
        for name, found in seen.tokens.items():
            # Why one is over may be said in other words; one that lives must be as it was, or as it was to be.
            if isinstance(found, Live) and found not in (before.tokens.get(name), after.tokens.get(name)):
                yield f"the session {name} is neither as before nor as after: {found}"
        for name, subject in seen.names.items():
            if subject not in (before.names[name], after.names[name]):
                yield f"the name {name} is neither as before nor as after: {subject}"
        if not set(seen.standing) <= {*before.standing, *after.standing}:
            yield f"a session stands that nobody began: {seen.standing}"
        if before.is_disabled and after.is_disabled and not seen.is_disabled:
            yield "who was disabled is so no more"
        if seen.names["ada"] is None and any(isinstance(seen.tokens[name], Live) for name in ADAS):
            yield "the account is gone and its sessions live"

    def _completed(self) -> Iterator[str]:
        """Have whoever comes next come, and say what they leave undone."""
        store, run = self.open(), self.scene.stage.run
        self.scene.stage.enter(store)
        if self._operation.name == "delete_account":
            self._play()
            traces = [line for ground in self._grounds.values() for line in contents_of(ground.file) if ADA in line]
            yield from (f"deleting again leaves {trace}" for trace in traces)
        password = run(store.credential(ADA))
        if self._operation.changes_password and password is not None and password.version == 2:
            run(self.scene.flows.accounts.unlock(ADA))  # whoever looked has used up her tries
            self.scene.stage.play({"N": self.scene.log_in("ada", new_password("A"))}, in_a_row("N"))
            for login in self._operation.ends(self.scene):
                if run(self.scene.flows.sessions.authenticate(login.token, touch=False)):
                    yield f"a session of the old password outlives the next log-in: {login}"
        run_blocking(store.close())

    def _restore(self) -> None:
        for ground in self._grounds.values():
            ground.restore()

    def _enter(self) -> None:
        store = self.open()
        run_blocking(store.ready())
        for half in (store.accounts, store.sessions):
            run_blocking(half.touch(b"", seen_at=0))
            run_blocking(half.rehash("", was="", new=""))
        self.scene.stage.enter(store)

    def _play(self) -> dict[str, object]:
        played = self.scene.stage.play({"A": self._operation.flow(self.scene, "A")}, in_a_row("A"))
        return dict(played.answers)

    def _rehearse(self) -> dict[str, object]:
        self._restore()
        store = self.open()
        self.scene.stage.enter(store)
        answers = self._play()
        run_blocking(store.close())
        return answers


def kill_flow_apart(name: str) -> Toll:
    """Kill a flow at each of its calls into SQLite, whichever file they are for."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        drama = ApartDrama(FLOWS[name], Path(folder))
        return toll(deaths(drama.life, drama.arrange), drama.judge)
