"""What a step costs on the wire: one round trip for a read, and for a change what its engine needs to be whole."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.stores.opening import open_store
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.counting import Steps
from coatcheck.testing.driving import AsyncDriver, BlockingDriver, Driver
from coatcheck.testing.races import PASSWORD, Face
from coatcheck.testing.scene import SECRET, the_hasher
from tests.faults.wire import Wire

# PostgreSQL is asked what the change depends on, and then told the change. A script of Valkey's does both.
MOST_FOR_A_CHANGE = {"postgres": 2, "redis": 1}


class Counted:
    """A desk whose store talks over a wire, in one colour; every answer is kept with its steps and its exchanges."""

    def __init__(self, url: str, driver: Driver) -> None:
        self.driver = driver
        self.wire = Wire(urlsplit(url).port or 0)
        self.wire.__enter__()
        self.steps = Steps()
        store = self.steps.of(open_store(self.wire.instead_of(url), driver.colour))
        make = AsyncCoatcheck if isinstance(driver, AsyncDriver) else Coatcheck
        clock = MovableClock()
        desk = make(store, secret=SECRET, clock=clock)
        desk.flows.parts.hasher = the_hasher()
        self.face = Face(desk, clock)

    def __call__(self, flow: Coroutine[Any, Any, Any]) -> tuple[Any, list[str], int]:
        self.steps.clear()
        before = self.wire.exchanges
        answer = self.driver.run(flow)
        return answer, list(self.steps), self.wire.exchanges - before

    def close(self) -> None:
        self.driver.run(self.face.close())
        self.wire.__exit__()
        self.driver.close()


@pytest.fixture(params=[BlockingDriver, AsyncDriver], ids=["blocking", "async"])
def counted(request: pytest.FixtureRequest, engine: str, url_of: Callable[[str], str]) -> Iterator[Counted]:
    counted = Counted(url_of(engine), request.param())
    yield counted
    counted.close()


@pytest.mark.parametrize("engine", MOST_FOR_A_CHANGE)
def test_a_read_is_one_round_trip_and_a_change_no_more_than_its_engine_needs(counted: Counted, engine: str) -> None:
    _live(counted, "warm")  # connections are made, statements and scripts are known

    costs = _live(counted, "ada")

    most = MOST_FOR_A_CHANGE[engine]
    for deed, (steps, exchanges) in costs.items():
        writes = [step for step in steps if step in Steps([step]).writes]
        print(f"{engine}: {deed}: {exchanges} round trips in {len(steps)} steps")
        assert exchanges <= len(steps) + (most - 1) * len(writes), f"{deed}: {steps}"
    assert costs["authenticate"] == (["find"], 1)
    assert len(costs["log in"][0]) <= 4


def _live(counted: Counted, name: str) -> dict[str, tuple[list[str], int]]:
    face, costs = counted.face, {}

    def do(deed: str, flow: Coroutine[Any, Any, Any]) -> Any:
        answer, *cost = counted(flow)
        costs[deed] = tuple(cost)
        return answer

    account = do("sign up", face.sign_up(username=name, password=PASSWORD))
    first = do("log in", face.log_in(name, PASSWORD))
    do("log in once more", face.log_in(name, PASSWORD, replaces=first.token))
    login = do("log in a third time", face.log_in(name, PASSWORD))
    do("authenticate", face.authenticate(login.token))
    face.clock.move(61)
    do("renew", face.renew(login.session))
    do("save", face.save(login.session, theme="dark"))
    do("count", face.increment(login.session, "visits"))
    do("list", face.sessions(of=account.subject))
    login = do("rotate", face.rotate(login.session))
    new = f"a new long passphrase of {name}"
    change = face.change_password(login.session, current_password=PASSWORD, new_password=new)
    login = do("change password", change)
    do("revoke all", face.revoke_all(of=account.subject, keep=login.session.id))
    do("log out", face.log_out(login.token))
    do("delete account", face.delete_account(account.subject))
    return costs
