"""`kill -9` amid log-ins, revocations, edits and sign-ups: nothing acknowledged is lost, nothing half-done is visible.

Each client keeps a ledger: what it intended, and what was acknowledged. At the moment of death at most one intention of
each client is open; it may have happened or not, and everything else must be as the ledger says.
"""

from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from coatcheck import Coatcheck, Login
from coatcheck.testing.patience import PATIENCE
from tests.e2e.conftest import Serve
from tests.e2e.serving import FOR_CROWDS, PASSWORD, Server, Visitor
from tests.faults.whole import troubles_of

SPAWN = multiprocessing.get_context("spawn")
CLIENTS = 3
# When to kill: so many acknowledgements after the start, and so many milliseconds later. Fixed, so that a failure can
# be looked for again; the processes' own timing makes each round another one.
MOMENTS = [(7, 3), (19, 0), (31, 11)]
MORE_MOMENTS = [(5 + 7 * turn % 61, 5 * turn % 17) for turn in range(25)]


# Over HTTP: the server and all its workers die at one instant


class Client(threading.Thread):
    """Somebody who signs up, logs in, throws devices out, logs out and changes the password while there is a server."""

    def __init__(self, server: Server, name: str, acknowledged: threading.Semaphore) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.username = name
        self.password = PASSWORD
        self.next_password: str | None = None  # while a change is not acknowledged
        self.is_signed_up = False
        self.live: dict[str, Visitor] = {}  # by session id
        self.dead: list[Visitor] = []
        self.uncertain: list[Visitor] = []
        self.trouble: BaseException | None = None
        self._acknowledged = acknowledged

    def run(self) -> None:
        try:
            self._sign_up()
            for turn in count():
                self._act(turn)
        except (OSError, http.client.HTTPException):
            return  # the server is gone
        except BaseException as error:  # noqa: BLE001 - told by the test, in its own thread
            self.trouble = error

    def _sign_up(self) -> None:
        assert Visitor(self.server).sign_up(self.username, self.password).status in (201, 409)
        self.is_signed_up = True
        self._acknowledged.release()

    def _act(self, turn: int) -> None:
        if not self.live:
            self._log_in()
        elif turn % 7 == 6:
            self._change_password(f"passphrase of {self.username}, turn {turn}")
        elif turn % 3 == 2 and len(self.live) > 1:
            self._throw_out()
        elif turn % 5 == 4:
            self._log_out()
        else:
            self._log_in()
        self._acknowledged.release()

    def _log_in(self) -> None:
        visitor = Visitor(self.server)
        answer = visitor.log_in(self.username, self.password)
        assert answer.status == 200, answer
        self.live[answer.json["session"]["id"]] = visitor

    def _throw_out(self) -> None:
        (id_, gone), *_, (_, actor) = self.live.items()
        del self.live[id_]
        self.uncertain = [gone]
        assert actor.call("DELETE", f"/api/sessions/{id_}").status == 204
        self._is_dead(gone)

    def _log_out(self) -> None:
        id_, gone = next(iter(self.live.items()))
        del self.live[id_]
        self.uncertain = [gone]
        before = gone.copy()
        assert gone.call("POST", "/api/logout").status == 204
        self._is_dead(before)

    def _change_password(self, new: str) -> None:
        """The one change of two steps: first the password, then the end of all other sessions."""
        id_, actor = self.live.popitem()
        before, others = actor.copy(), list(self.live.values())
        self.live, self.uncertain, self.next_password = {}, [before, *others], new
        change = {"current_password": self.password, "new_password": new}
        assert actor.call("POST", "/api/password/change", change).status == 204
        self.password, self.next_password = new, None
        self._is_dead(before, *others)
        self.live[id_] = actor

    def _is_dead(self, *visitors: Visitor) -> None:
        self.dead.extend(visitors)
        self.uncertain = []

    def verify(self) -> None:
        """Ask the server that came after the kill."""
        assert self.trouble is None, self.trouble
        assert {visitor.copy().me().status for visitor in self.live.values()} <= {200}, "an acknowledged log-in is lost"
        assert {visitor.copy().me().status for visitor in self.dead} <= {401}, "something acknowledged as ended lives"
        if not self.is_signed_up:
            return
        if self.next_password is None:
            assert Visitor(self.server).log_in(self.username, self.password).status == 200
            return
        statuses = {
            password: Visitor(self.server).log_in(self.username, password).status
            for password in (self.password, self.next_password)
        }
        assert sorted(statuses.values()) == [200, 401], "both passwords hold, or none"
        if statuses[self.next_password] == 200:
            # Whatever the first step left standing ended with this log-in.
            assert {visitor.copy().me().status for visitor in self.uncertain} == {401}
        self.password = next(password for password, status in statuses.items() if status == 200)
        self.next_password, self.uncertain = None, []


def test_nothing_acknowledged_over_http_is_lost(serve: Serve) -> None:
    _hammer_and_kill(serve, MOMENTS)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_acknowledged_over_http_is_lost_in_many_rounds(serve: Serve) -> None:
    _hammer_and_kill(serve, MORE_MOMENTS)


def _hammer_and_kill(serve: Serve, moments: list[tuple[int, int]]) -> None:
    server = serve("--workers", "2", env=FOR_CROWDS)
    for turn, (acknowledgements, milliseconds) in enumerate(moments):
        acknowledged = threading.Semaphore(0)
        clients = [Client(server, f"client-{turn}-{number}", acknowledged) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(acknowledgements):
            assert acknowledged.acquire(timeout=PATIENCE), [client.trouble for client in clients]
        time.sleep(milliseconds / 1000)

        server.kill()

        for client in clients:
            client.join()
        assert troubles_of(server.store) == []
        server.start()
        for client in clients:
            client.verify()
        assert troubles_of(server.store) == []


# By the library: one of two processes on the file dies, the other goes on


def test_nothing_acknowledged_by_the_library_is_lost(tmp_path: Path) -> None:
    _write_and_kill(tmp_path, [(60, 0), (150, 2), (233, 1), (97, 3)])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_acknowledged_by_the_library_is_lost_in_many_rounds(tmp_path: Path) -> None:
    _write_and_kill(tmp_path, [(40 + 37 * turn % 211, turn % 5) for turn in range(30)])


def _write_and_kill(folder: Path, moments: list[tuple[int, int]]) -> None:
    store = folder / "library.db"
    with Coatcheck(f"sqlite:///{store}") as desk:
        desk.ready()
    for turn, (acknowledgements, milliseconds) in enumerate(moments):
        with (
            _writer(store, f"bystander-{turn}") as (bystander, _),
            _writer(store, f"victim-{turn}") as (victim, killed),
        ):
            ledger = Ledger()
            for _ in range(2 * acknowledgements):
                ledger.enter(victim.recv())
            time.sleep(milliseconds / 1000)

            os.kill(killed, signal.SIGKILL)

            while (entry := _received(victim)) is not None:
                ledger.enter(entry)
            beside = Ledger()
            while bystander.poll():
                beside.enter(bystander.recv())
            for _ in range(20):  # its next steps come, too: the dead one left no lock behind
                assert bystander.poll(PATIENCE), "the other process is stuck"
                beside.enter(bystander.recv())
        while (entry := _received(bystander)) is not None:
            beside.enter(entry)
        assert troubles_of(store) == []
        for kept in (ledger, beside):
            _verify(store, kept)


class Ledger:
    """What a writer intended and what it was told: `("will", step, ...)` before, `("done", step, ...)` after."""

    def __init__(self) -> None:
        self.live: dict[str, str] = {}  # session id: token
        self.dead: list[str] = []  # tokens
        self.counts: dict[str, int] = {}  # session id: acknowledged increments
        self.accounts: list[str] = []
        self.open: tuple[str, ...] | None = None

    def enter(self, entry: tuple[str, ...]) -> None:
        kind, step, *known = entry
        if kind == "will":
            self.open = entry
            return
        self.open = None
        if step == "started":
            self.live[known[0]] = known[1]
            self.counts[known[0]] = 0
        elif step == "ended":
            self.dead.append(self.live.pop(known[0]))
        elif step == "rotated":
            self.dead.append(self.live[known[0]])
            self.live[known[0]] = known[1]
        elif step == "counted":
            self.counts[known[0]] += 1
        elif step == "ended all but":
            self.dead.extend(token for id_, token in self.live.items() if id_ != known[0])
            self.live = {known[0]: self.live[known[0]]}
        elif step == "signed up":
            self.accounts.append(known[0])


def _verify(store: Path, ledger: Ledger) -> None:
    step, touched = (ledger.open[1], ledger.open[2]) if ledger.open is not None else ("", "")
    with Coatcheck(f"sqlite:///{store}") as desk:
        for id_, token in ledger.live.items():
            visit = desk.authenticate(token, touch=False)
            may_have_happened = id_ == touched if step != "ended all but" else id_ != touched
            if step in ("ended", "rotated", "ended all but") and may_have_happened and not visit:
                # All of it, then: a rotated session lives on under a secret that nobody was told.
                death = desk.session(id_)
                assert death is not None
                assert (death[1] is None) == (step == "rotated")
                continue
            assert visit, f"an acknowledged session is lost ({visit.reason})"
            counted = visit.session.data().get("count", 0)
            assert isinstance(counted, int)
            surplus = int(step == "counted" and id_ == touched)
            assert ledger.counts[id_] <= counted <= ledger.counts[id_] + surplus, "an acknowledged increment is lost"
        alive = [token for token in ledger.dead if desk.authenticate(token, touch=False)]
        assert alive == [], "something acknowledged as ended lives"
        for username in ledger.accounts:
            assert desk.find_account(username) is not None, "an acknowledged sign-up is lost"
        if ledger.accounts:
            desk.log_in(ledger.accounts[-1], PASSWORD)


@contextmanager
def _writer(store: Path, subject: str) -> Iterator[tuple[Connection, int]]:
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_write_for_ever, args=(store, subject, theirs))
    process.start()
    theirs.close()
    assert process.pid is not None
    try:
        yield ours, process.pid
    finally:
        process.kill()
        process.join()


def _received(pipe: Connection) -> tuple[str, ...] | None:
    try:
        return pipe.recv() if pipe.poll() else None
    except EOFError:
        return None


def _write_for_ever(store: Path, subject: str, ledger: Connection) -> None:
    """Runs in a process of its own: intends, does, acknowledges, until it is killed."""
    with Coatcheck(f"sqlite:///{store}") as desk:
        live: list[Login] = []
        for turn in count():
            if turn % 50 == 49:
                username = f"{subject}-{turn}"
                ledger.send(("will", "signed up", username))
                desk.sign_up(username=username, password=PASSWORD)
                ledger.send(("done", "signed up", username))
            elif turn % 41 == 40:
                kept = live.pop()
                ledger.send(("will", "ended all but", kept.session.id))
                desk.revoke_all(of=subject, keep=kept.session.id)
                ledger.send(("done", "ended all but", kept.session.id))
                live = [kept]
            elif turn % 5 == 2:
                id_ = live[-1].session.id
                ledger.send(("will", "counted", id_))
                desk.increment(live[-1].session, "count")
                ledger.send(("done", "counted", id_))
            elif turn % 5 == 3 and len(live) > 1:
                gone = live.pop(0)
                ledger.send(("will", "ended", gone.session.id))
                if turn % 2:
                    desk.revoke(gone.session.id, of=subject)
                else:
                    desk.log_out(gone.token)
                ledger.send(("done", "ended", gone.session.id))
            elif turn % 5 == 4:
                ledger.send(("will", "rotated", live[0].session.id))
                live[0] = desk.rotate(live[0].session)
                ledger.send(("done", "rotated", live[0].session.id, live[0].token.reveal()))
            else:
                ledger.send(("will", "started", ""))
                live.append(desk.start_session(subject, methods=("pwd",)))
                ledger.send(("done", "started", live[-1].session.id, live[-1].token.reveal()))
