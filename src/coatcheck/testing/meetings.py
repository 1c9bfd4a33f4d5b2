"""Operations that meet: played in every order, and held to what they promised to whoever was told that they are done.

Partner modules: `coatcheck.testing.operations`, what there is to play; `coatcheck.testing.suites.interleavings`, which
compares what it leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

from coatcheck.core.views import Absent, Login, Visit
from coatcheck.stores.protocols import Store
from coatcheck.testing.interleaving import Failed, Pick, Played, every_order, in_a_row
from coatcheck.testing.operations import Operation, both
from coatcheck.testing.scene import ADA, Live, Scene, Sight

PLAYERS = "ABC"
Prepared = Callable[[Callable[[Store], None]], Callable[[], Store]]


class Outcome(NamedTuple):
    """What a play led to, as two plays can be compared: tokens and ids are the same in both, whoever drew first."""

    answers: Mapping[str, object]
    sight: Sight


class Play(NamedTuple):
    """One order of steps, spelled out, what it led to, and the promises it broke, in words."""

    order: str
    outcome: Outcome
    broken: list[str]


class Meeting:
    """Some operations under way at once, each with a player: the first is A, the next B.

    `prepared_stores` is given a function that fills an empty store, and gives one that makes stores filled so.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        prepared_stores: Prepared,
    ) -> None:
        self.players = dict(zip(PLAYERS, operations, strict=False))
        self._scene = Scene()
        self._make_store = prepared_stores(self._fill)
        self._rows: dict[tuple[str, ...], Outcome] = {}

    def orders(self, *, is_reduced: bool) -> Iterator[Play]:
        """Play every order."""
        return every_order(self._play, is_reduced=is_reduced)

    def in_rows(self, players: str) -> list[Outcome]:
        """Give what it leads to if only these players act, one after the other: one outcome for each order of them."""
        return [self._in_a_row(row) for row in permutations(players)]

    def _in_a_row(self, row: tuple[str, ...]) -> Outcome:
        if row not in self._rows:
            self._rows[row] = self._play(in_a_row(row), players=row).outcome
        return self._rows[row]

    def _fill(self, store: Store) -> None:
        self._scene.fill(store)
        for operation in self.players.values():
            if operation.before is not None:
                self._scene.stage.run(operation.before(self._scene))

    def _play(self, pick: Pick, players: Sequence[str] | None = None) -> Play:
        scene = self._scene
        store = self._make_store()
        scene.stage.enter(store)
        flows = {
            who: operation.flow(scene, who)
            for who, operation in self.players.items()
            if players is None or who in players
        }
        try:
            played = scene.stage.play(flows, pick)
            sight = scene.see(played.answers)
        finally:
            scene.stage.run(store.close())
        answers = {who: _comparable(answer) for who, answer in played.answers.items()}
        return Play(str(played), Outcome(answers, sight), broken_promises(scene, self.players, played, sight))


def broken_promises(scene: Scene, players: Mapping[str, Operation], played: Played, sight: Sight) -> list[str]:
    """Hold against what is seen everything that was acknowledged; say in words what does not hold."""
    done = {who: players[who] for who, answer in played.answers.items() if _is_acknowledged(answer)}
    live = {name: found for name, found in sight.tokens.items() if isinstance(found, Live)}
    return [
        *_broken_always(scene, done, sight, live),
        *_broken_by_one(scene, done, played, live),
        *_broken_together(done, sight, live),
        *_lost_writes(scene, done, played, live),
    ]


def _broken_always(
    scene: Scene, done: Mapping[str, Operation], sight: Sight, live: Mapping[str, Live]
) -> Iterator[str]:
    ids = [found.session_id for found in live.values()]
    if len(ids) != len(set(ids)):
        yield "two tokens open one session"
    if {found.session_id for found in live.values() if found.subject == ADA} != set(sight.standing):
        yield "the list of sessions is not that of the live tokens"
    if not _is_ended(scene.bystander, scene, done) and sight.tokens["bystander"] != _untouched(scene):
        yield "somebody else's session was touched"
    for login in both(scene):
        replaced = login is scene.here and any(operation.replaces for operation in done.values())
        if not _is_ended(login, scene, done) and not replaced and login.session.id not in ids:
            yield "a session that nobody ended is dead"


def _broken_by_one(
    scene: Scene, done: Mapping[str, Operation], played: Played, live: Mapping[str, Live]
) -> Iterator[str]:
    ids = {found.session_id for found in live.values()}
    by_token = {login.token.reveal(): name for name, login in _logins(scene, played).items()}
    for who, operation in done.items():
        if not ids.isdisjoint(login.session.id for login in operation.ends(scene)):
            yield f"a session that {operation.name} ({who}) ended is live"
        if not live.keys().isdisjoint(by_token[login.token.reveal()] for login in operation.spends(scene)):
            yield f"a token that {operation.name} ({who}) made void is live"


def _broken_together(done: Mapping[str, Operation], sight: Sight, live: Mapping[str, Live]) -> Iterator[str]:
    begun = [who for who, one in done.items() if one.proves_old_password and who in live and live[who].subject == ADA]
    if any(operation.changes_password for operation in done.values()):
        for who in begun:
            yield f"a session begun with the old password ({who}) outlives it"
    names = {operation.name for operation in done.values()}
    if "disable" in names and "enable" not in names and sight.standing:
        yield "a disabled subject has a session"
    if "delete_account" in names and begun:
        yield "a session outlives the account it was begun at"


def _lost_writes(
    scene: Scene, done: Mapping[str, Operation], played: Played, live: Mapping[str, Live]
) -> Iterator[str]:
    if _is_ended(scene.here, scene, done):
        return
    heirs = [
        found
        for name, found in live.items()
        if found.session_id == scene.here.session.id or (name in done and done[name].replaces)
    ]
    if not heirs:
        return
    # One session took the data over; another that began at the same time has none.
    values = max((heir.values for heir in heirs), key=len)
    written = [(key, value) for who, operation in done.items() for key, value in operation.writes(who).items()]
    for key in {key for key, _ in written}:
        if (key, values.get(key)) not in written:
            yield f"an acknowledged write of {key!r} is lost"
    sums = [played.answers[who] for who, operation in done.items() if operation.adds]
    if values.get("visits") != 1 + len(sums) or len(set(sums)) != len(sums):
        yield "an increment is lost"


def _is_ended(login: Login, scene: Scene, done: Mapping[str, Operation]) -> bool:
    return any(login in operation.ends(scene) for operation in done.values())


def _logins(scene: Scene, played: Played) -> dict[str, Login]:
    before = {"here": scene.here, "there": scene.there, "stale": scene.stale}
    return before | {who: answer for who, answer in played.answers.items() if isinstance(answer, Login)}


def _untouched(scene: Scene) -> Live:
    record = scene.bystander.session.record
    return Live(record.id, record.subject, {}, record.auth_time, record.last_seen_at, record.expires_at, record.methods)


def _is_acknowledged(answer: object) -> bool:
    return not isinstance(answer, Failed | Absent) and answer is not False


def _comparable(answer: object) -> object:
    if isinstance(answer, Login):
        return ("login", answer.token.reveal(), answer.session.id)
    if isinstance(answer, Visit):
        return ("visit", answer.session.id, answer.subject)
    if isinstance(answer, Absent):
        return ("absent", answer.reason)
    return answer
