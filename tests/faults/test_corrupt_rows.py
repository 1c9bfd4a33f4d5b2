"""Rows that cannot be right hurt their owner only, in the proper form; lists leave them out (ERR-05, DAT-01)."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from coatcheck import Client
from coatcheck.testing.scene import the_hasher
from tests.e2e.serving import environment
from tests.faults.damage import DAMAGES, Damage, inflict
from tests.web.conftest import PASSWORD, Browser, make_world

OTHER_PASSWORD = "another long passphrase"
COLUMNS = [(place, list(damages)) for place, damages in groupby(DAMAGES, key=lambda one: f"{one.table}.{one.column}")]
# Every third, and other ones for each column; all of them, in both colours, when there is time.
SOME = [(place, damages[number % 3 :: 3]) for number, (place, damages) in enumerate(COLUMNS)]
ASYNC = {place for place, _ in COLUMNS[::2]}
PROPER = {200, 204, 303, 401, 404, 422, 429, 503}


class Town:
    """A world over a file, with Zoe in it, whom nothing concerns."""

    def __init__(self, folder: Path, colour: str) -> None:
        folder.mkdir()
        self.file = folder / "coatcheck.db"
        self.world = make_world(colour, f"sqlite:///{self.file}", production=False)
        self.world.desk.flows.parts.hasher = the_hasher()
        self.zoe = self.move_in("zoe")

    def move_in(self, name: str) -> Browser:
        """Open an account and log in, at a device nobody else has."""
        self.world.account(name)
        client = Client("192.0.2.7", f"Device of {name}")
        login = self.world.do(self.world.desk.start_session(f"subject-of-{name}", methods=("pwd",), client=client))
        browser = self.world.browser(user_agent=f"Device of {name}")
        browser.jar[self.world.cookie] = login.token.reveal()
        return browser

    def log_in(self, name: str) -> Any:
        return self.world.browser().call("POST", "/api/login", {"identifier": name, "password": PASSWORD})

    def everything_of(self, browser: Browser, name: str) -> Iterator[Any]:
        """All that somebody may ask for."""
        for path in ("/api/me", "/api/sessions", "/api/events", "/account"):
            yield browser.copy().get(path)
        yield self.log_in(name)
        new = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        yield browser.copy().call("POST", "/api/reauthenticate", {"password": PASSWORD})
        yield browser.copy().call("POST", "/api/sessions/revoke-others")
        yield browser.copy().call("POST", "/api/password/change", new)
        yield browser.copy().call("POST", "/api/logout")

    def is_well_with_zoe(self) -> bool:
        paths = ("/api/me", "/api/sessions", "/api/events", "/account")
        return [self.zoe.get(path).status for path in paths] == [200] * 4 and self.log_in("zoe").status == 200

    def operators_see_zoe(self) -> bool:
        desk, do = self.world.desk, self.world.do
        sessions, _ = do(desk.all_sessions(limit=1000))
        accounts, _ = do(desk.all_accounts(limit=1000))
        events, _ = do(desk.all_events(limit=1000))
        do(desk.purge())
        return (
            "subject-of-zoe" in {session.subject for session, _ in sessions}
            and "zoe" in {account.username for account, _ in accounts}
            and "subject-of-zoe" in {event.subject for event in events}
        )

    def forgive(self) -> None:
        """Forget what was failed so far: all of it came from one network."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("DELETE FROM counters")

    def close(self) -> None:
        self.world.do(self.world.desk.close())
        self.world.web.mount.release_host()
        if self.world.runner is not None:
            self.world.runner.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Callable[[str], Town]]:
    towns: list[Town] = []

    def make(colour: str) -> Town:
        towns.append(Town(tmp_path / str(len(towns)), colour))
        return towns[-1]

    yield make
    for one in towns:
        one.close()


@pytest.mark.parametrize(("place", "damages"), SOME, ids=[place for place, _ in SOME])
def test_err_05_a_row_that_cannot_be_right_hurts_its_owner_only(
    town: Callable[[str], Town], caplog: pytest.LogCaptureFixture, place: str, damages: list[Damage]
) -> None:
    _hurts_its_owner_only(town("async" if place in ASYNC else "blocking"), damages, caplog)


@pytest.mark.long
@pytest.mark.parametrize("colour", ["blocking", "async"])
@pytest.mark.parametrize("damages", [damages for _, damages in COLUMNS], ids=[place for place, _ in COLUMNS])
def test_err_05_a_row_that_cannot_be_right_in_any_way_hurts_its_owner_only(
    town: Callable[[str], Town], caplog: pytest.LogCaptureFixture, damages: list[Damage], colour: str
) -> None:
    _hurts_its_owner_only(town(colour), damages, caplog)


def _hurts_its_owner_only(here: Town, damages: list[Damage], caplog: pytest.LogCaptureFixture) -> None:
    for number, damage in enumerate(damages):
        name = f"user{number}"
        owner = here.move_in(name)
        if damage.table == "counters":
            here.world.browser().call("POST", "/api/login", {"identifier": name, "password": "no such passphrase"})
        if not inflict(here.file, damage, name):
            continue

        for answer in here.everything_of(owner, name):
            assert answer.status in PROPER, f"{damage}: {answer}"
            if answer.status == 503 and answer.one("content-type") == "application/problem+json":
                assert answer.reason == "corrupt_record", f"{damage}: {answer}"
            assert b"subject-of-zoe" not in answer.body
        if damage.table != "counters":  # those of the network are everybody's
            assert here.is_well_with_zoe(), f"{damage} hurts somebody else"
        assert here.operators_see_zoe(), f"{damage} hides others"
        here.forgive()
    assert [record for record in caplog.records if record.exc_info] == []


def test_err_05_a_page_of_corrupt_records_only_is_not_taken_for_the_last(town: Callable[[str], Town]) -> None:
    here = town("blocking")
    for number in range(3):
        here.move_in(f"user{number}")
        inflict(here.file, Damage("sessions", "methods", "CAST(x'ff' AS TEXT)"), f"user{number}")
        inflict(here.file, Damage("accounts", "username", "CAST(x'ff' AS TEXT)"), f"user{number}")

    for read in (here.world.desk.all_sessions, here.world.desk.all_accounts):
        found, after = here.world.do(read(limit=1))
        while after is not None:
            page, after = here.world.do(read(after=after, limit=1))
            found = [*found, *page]
        assert len(found) == 1, "zoe's, and hers only"


def test_err_05_doctor_looks_at_a_damaged_store_without_falling_over_it(town: Callable[[str], Town]) -> None:
    here = town("blocking")
    for number, damage in enumerate(DAMAGES[::8]):
        if damage.table != "counters":
            here.move_in(f"user{number}")
            inflict(here.file, damage, f"user{number}")

    command = [sys.executable, "-m", "coatcheck", "doctor", "--json", "--store", f"sqlite:///{here.file}"]
    doctor = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    assert doctor.returncode in (0, 1), doctor.stderr
    assert "Traceback" not in doctor.stderr
