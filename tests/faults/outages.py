"""Every outage once, with everybody there at once; each question about it is a test of its own.

Nothing here waits for a time. That a call is given up shows in that it ends while the outage goes on. How long it took
is kept, printed at the end of the run and entered in `docs/faults.md`; it is asserted only against a hang.

Desks and server have the patience they ship with. A busy machine may be too slow for it even when all is well: what has
to be answered is asked again where that is why it was refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from coatcheck.testing.patience import PATIENCE, stores_waiting
from tests.e2e.serving import FOR_CROWDS, Server
from tests.faults.engines import Ground, Outage
from tests.faults.witnesses import KINDS, REFUSED, RIGHT, ROUNDS, Desk, Told, Visitors, Witness

SHIPPED = 2.0  # seconds that a store waits
HANG = PATIENCE  # seconds. Many who are served by two busy processors at once wait for these, too
SETTINGS = {**FOR_CROWDS, "COATCHECK_SESSIONS_PER_SUBJECT": "1000"}
ALLOWED = {"refused": {REFUSED}, "answered": {RIGHT}, "either": {REFUSED, RIGHT}}


class Account(NamedTuple):
    """What one witness has to tell of an outage."""

    during: list[Told]
    back_after: float  # seconds from its end to the first right answer
    wrong: list[str]  # answers on the way there that were neither right nor refused
    after: list[Told]
    missed: list[str]


class Seen(NamedTuple):
    """What all have to tell."""

    outage: Outage
    accounts: dict[str, Account]
    was_alive: bool  # the server answered what needs no store while others waited for the store


class OutageContract:
    """A subclass brings the fixtures `outage`, a parameter, and `ground`, both as long-lived as the class."""

    @pytest.fixture(scope="class")
    @classmethod
    def witnesses(
        cls, ground: Ground[Any], tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[tuple[Visitors, Desk, Desk]]:
        env = {**SETTINGS, "COATCHECK_STORE": ground.url}
        server = Server(tmp_path_factory.mktemp("server"), "--workers", "1", env=env, is_elsewhere=True)
        server.start()
        with stores_waiting(SHIPPED):
            visitors = Visitors(server)
            desks = [Desk(ground.url, is_async=is_async) for is_async in (False, True)]
            yield visitors, desks[0], desks[1]
            for witness in (*desks, visitors):
                witness.leave()
        assert "Traceback" not in server.said

    @pytest.fixture(scope="class")
    @classmethod
    def seen(cls, ground: Ground[Any], witnesses: tuple[Visitors, Desk, Desk], outage: Outage) -> Seen:
        for witness in witnesses:
            witness.prepare()
        with ThreadPoolExecutor(len(witnesses)) as threads:
            with outage.happens(ground):
                asking = [threads.submit(_ask_again_and_again, witness, outage) for witness in witnesses]
                was_alive = _is_alive_before_all_have_answers(witnesses[0], asking)
                during = [one.result() for one in asking]
            accounts = threads.map(_come_back, witnesses, during)
            return Seen(outage, {w.name: account for w, account in zip(witnesses, accounts, strict=True)}, was_alive)

    @pytest.fixture(params=["server", "blocking desk", "async desk"])
    def account(self, seen: Seen, request: pytest.FixtureRequest) -> Account:
        return seen.accounts[request.param]

    def test_err_01_who_asks_meanwhile_is_answered_rightly_or_refused_and_never_anonymous(
        self, seen: Seen, account: Account
    ) -> None:
        reads = {told.answer for told in account.during if not told.is_write}
        writes = {told.answer for told in account.during if told.is_write}

        assert reads <= ALLOWED[seen.outage.reads]
        assert writes <= ALLOWED[seen.outage.writes]

    def test_err_06_nobody_hangs(self, account: Account) -> None:
        """Each question was answered while the outage went on; this is about how long it took."""
        assert max(told.seconds for told in account.during) < HANG

    def test_err_06_what_needs_no_store_is_answered_meanwhile(self, seen: Seen) -> None:
        assert seen.was_alive

    def test_right_answers_come_back_by_themselves(
        self, seen: Seen, account: Account, record_property: Callable[[str, object], None], request: Any
    ) -> None:
        record_property("outage", _row(type(self).__name__, seen, request.node.callspec.params["account"], account))

        assert account.back_after < HANG
        assert account.wrong == []
        assert [told for told in account.after if told.answer != RIGHT] == []

    def test_nothing_acknowledged_is_lost(self, account: Account) -> None:
        assert account.missed == []


def _ask_again_and_again(witness: Witness, outage: Outage) -> list[Told]:
    """Ask when connections are still those of before, and when these are known to be broken."""
    answered = [kind for kind in KINDS if getattr(outage, kind) == "answered"]
    return [told for _ in range(ROUNDS) for told in witness.ask(answered)]


def _is_alive_before_all_have_answers(visitors: Visitors, asking: list[Future[list[Told]]]) -> bool:
    while not all(one.done() for one in asking):
        if visitors.is_alive():
            return True
    return visitors.is_alive()


def _come_back(witness: Witness, during: list[Told]) -> Account:
    over = time.monotonic()
    answers = [witness.look()]
    while answers[-1] != RIGHT and time.monotonic() - over < HANG:
        time.sleep(0.01)
        answers.append(witness.look())
    back_after = time.monotonic() - over
    return Account(
        during, back_after, [a for a in answers if a not in (RIGHT, REFUSED)], witness.ask(KINDS), witness.missed()
    )


def _row(engine: str, seen: Seen, witness: str, account: Account) -> dict[str, object]:
    """What the table says of one witness, as plain data."""
    return {
        "engine": engine,
        "outage": seen.outage.name,
        "witness": witness,
        "reads": _counted([told.answer for told in account.during if not told.is_write]),
        "writes": _counted([told.answer for told in account.during if told.is_write]),
        "slowest": round(max(told.seconds for told in account.during), 2),
        "back_after": round(account.back_after, 2),
    }


def _counted(answers: list[str]) -> list[int]:
    return [answers.count(RIGHT), answers.count(REFUSED)]
