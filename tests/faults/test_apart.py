"""One of two stores gone: accounts in PostgreSQL, sessions in Valkey, and what can still be done meanwhile (ERR-01).

What is refused has not happened, what was answered has, and who was logged in is so when both are back.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from coatcheck import AsyncCoatcheck, Client, Coatcheck, StoreUnavailable
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.driving import AsyncDriver, Driver
from coatcheck.testing.races import PASSWORD, Face
from coatcheck.testing.scene import SECRET, the_hasher
from tests.faults.wire import Wire

CLIENT = Client(ip="192.0.2.7")
ANOTHER = "another long passphrase"
Flow = Coroutine[Any, Any, Any]


class Town:
    """Ada, logged in at four devices, at a desk over two stores, each at the end of a wire."""

    def __init__(self, driver: Driver, accounts: Wire, sessions: Wire, *urls: str) -> None:
        self.wires = {"accounts": accounts, "sessions": sessions}
        self._run = driver.run
        make = AsyncCoatcheck if isinstance(driver, AsyncDriver) else Coatcheck
        clock = MovableClock()
        store, beside = (wire.instead_of(url) for wire, url in zip((accounts, sessions), urls, strict=True))
        desk = make(store, sessions=beside, secret=SECRET, clock=clock)
        desk.flows.parts.hasher = the_hasher()
        self.face = Face(desk, clock)
        self.ada = self.do(self.face.sign_up(username="ada", password=PASSWORD))
        self.here, self.there, self.spare, self.lost = (self.do(self.face.log_in("ada", PASSWORD)) for _ in range(4))

    def do(self, flow: Flow) -> Any:
        return self._run(flow)

    def comes_to(self, flow: Flow) -> str:
        """Say whether something was done, or refused for the time being."""
        try:
            self.do(flow)
        except StoreUnavailable:  # 503
            return "refused"
        return "done"

    def deeds(self) -> dict[str, Flow]:
        """All that may be wanted meanwhile, in this order."""
        face, here, ada = self.face, self.here, self.ada.subject
        return {
            "sign up": face.sign_up(username="eve", password=PASSWORD, client=CLIENT),
            "log in": face.log_in("ada", PASSWORD, client=CLIENT),
            "log in over a session": face.log_in("ada", PASSWORD, client=CLIENT, replaces=here.token),
            "begin a session": face.start_session("guest"),
            "who is there, and their account": face.authenticate(here.token),
            "who is there": face.authenticate(here.token, with_account=False),
            "save": face.save(here.session, theme="dark"),
            "list": face.sessions(of=ada),
            "prove again": face.reauthenticate(here.session, PASSWORD, client=CLIENT),
            "change the password": face.change_password(
                here.session, current_password=PASSWORD, new_password=ANOTHER, client=CLIENT
            ),
            "delete": face.delete_account(ada),
            "log out": face.log_out(self.spare.token),
            "end one": face.revoke(self.lost.session.id, of=ada),
            "end all others": face.revoke_all(of=ada, keep=here.session.id),
        }

    def live(self) -> set[str]:
        """Which of her devices are logged in."""
        logins = {"here": self.here, "there": self.there, "spare": self.spare, "lost": self.lost}
        return {name for name, login in logins.items() if self.do(self.face.is_live(login.token.reveal()))}


@pytest.fixture
def town(driver: Driver, stocked_postgres_url: str, redis_url: str) -> Iterator[Town]:
    urls = (stocked_postgres_url, redis_url)
    with ExitStack() as opened:
        wires = [opened.enter_context(Wire(urlsplit(url).port or 0)) for url in urls]
        town = Town(driver, *wires, *urls)
        opened.callback(lambda: town.do(town.face.close()))
        yield town


AWAY: dict[str, tuple[set[str], set[str]]] = {
    # which is away: what is done all the same, and which devices are logged in afterwards
    "sessions": (set(), {"here", "there", "spare", "lost"}),
    "accounts": (
        {"begin a session", "who is there", "save", "list", "log out", "end one", "end all others"},
        {"here"},
    ),
}


@pytest.mark.parametrize("away", AWAY)
def test_err_01_rat_08_while_one_store_is_away_what_needs_it_is_refused_and_nothing_is_lost(
    town: Town, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    done, live = AWAY[away]
    town.wires[away].refuse()

    answers = {deed: town.comes_to(flow) for deed, flow in town.deeds().items()}

    town.wires[away].release()
    assert {deed for deed, answer in answers.items() if answer == "done"} == done
    assert town.live() == live
    assert town.do(town.face.account(town.ada.subject)) == town.ada, "a deletion that was refused has not begun"
    assert town.do(town.face.log_in("ada", PASSWORD)), "nor has a change of the password"
    assert town.do(town.face.sign_up(username="eve", password=PASSWORD)), "nor has a sign-up"
    kept = town.do(town.face.sessions(of=town.ada.subject))
    assert len(kept) == len(live) + 1, "nor has a log-in"
    # LOG-07: what happened while its event could not be kept is told to the log.
    told = {name for name in ("logged_out", "session_revoked", "sessions_revoked") if name in caplog.text}
    assert told == ({"logged_out", "session_revoked", "sessions_revoked"} if away == "accounts" else set())


CHANGES: dict[str, Callable[[Town], Flow]] = {
    "log out": lambda town: town.face.log_out(town.here.token),
    "end one": lambda town: town.face.revoke(town.here.session.id, of=town.ada.subject),
    "end all": lambda town: town.face.revoke_all(of=town.ada.subject),
    "change the password": lambda town: town.face.change_password(
        town.here.session, current_password=PASSWORD, new_password=ANOTHER
    ),
    "delete": lambda town: town.face.delete_account(town.ada.subject),
}  # fmt: skip


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("change", CHANGES)
def test_whoever_was_refused_succeeds_when_both_are_back(town: Town, change: str, away: str) -> None:
    town.wires[away].refuse()
    is_done = town.comes_to(CHANGES[change](town)) == "done"
    town.wires[away].release()

    if not is_done:
        assert town.live() == {"here", "there", "spare", "lost"}
        assert town.comes_to(CHANGES[change](town)) == "done"

    assert "here" not in town.live()
    assert is_done == (away == "accounts" and change in ("log out", "end one", "end all"))
