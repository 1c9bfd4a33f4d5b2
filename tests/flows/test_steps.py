"""How often a store is asked, flow by flow: in one store, and where accounts and sessions live apart.

A step is one round trip or one transaction (promise G1 of `coatcheck.stores.protocols`); apart, one of either half.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from coatcheck import InvalidCredentials
from coatcheck.core.throttle import Settlement, lock_of
from coatcheck.testing.scene import the_hasher
from tests.flows.conftest import HERE, NEW_PASSWORD, PASSWORD, WRONG, World, weaker_hash

LOGGED_IN = ("identify admit start", "accounts.identify sessions.admit sessions.start accounts.settle")
REFUSED = ("identify admit settle", "accounts.identify sessions.admit accounts.settle sessions.settle")
REHASHED = (f"{LOGGED_IN[0]} rehash", f"{LOGGED_IN[1]} accounts.rehash")
STARTED = ("start", "sessions.start accounts.record")
AUTHENTICATED = ("find", "sessions.find accounts.account")
PROVEN = (
    "account credential admit settle",
    "accounts.account accounts.credential sessions.admit accounts.credential sessions.settle",
)


async def _nothing(_: World) -> None:
    return None


async def _ada(world: World) -> Any:
    await world.member()
    return await world.log_in()


async def _shopping(world: World) -> Any:
    """Somebody unknown with data, and a message that must not cross the log-in."""
    await world.member()
    visitor = await world.desk.start_session(None)
    async with world.desk.edit(visitor.session) as data:
        data |= {"cart": [1], "_flashes": [["info", "for somebody else"]]}
    return visitor


async def _eve(world: World) -> Any:
    await world.member()
    return await world.desk.start_session("subject-of-eve")


async def _revoked(world: World) -> Any:
    login = await _ada(world)
    await world.desk.revoke_all(of=login.subject)
    return login


async def _expired(world: World) -> Any:
    login = await _ada(world)
    world.clock.move(3 * 3600)
    return login


async def _disabled(world: World) -> None:
    await world.desk.disable(await world.member())


async def _locked(world: World) -> None:
    await world.member()
    lock = lock_of("subject-of-ada", world.desk.policy)
    for _ in range(lock.free):
        await world.store.settle([Settlement(lock, "failure", world.clock())], account=None, events=())


async def _idle_for_a_minute(world: World) -> Any:
    login = await _ada(world)
    world.clock.move(60)
    return login


async def _weakly_hashed(world: World) -> None:
    await world.member(hashed=weaker_hash())


def log_in(world: World, before: Any) -> Awaitable[Any]:
    return world.log_in(replaces=None if before is None else before.token)


async def fail(world: World, _: Any, *, name: str = "ada", password: str = WRONG) -> None:
    with pytest.raises(InvalidCredentials):
        await world.log_in(name, password)


Before, Deed = Callable[[World], Awaitable[Any]], Callable[[World, Any], Awaitable[Any]]
FLOWS: dict[str, tuple[Before, Deed, tuple[str, str]]] = {
    "a stranger": (_nothing, lambda w, _: w.desk.authenticate(None), ("", "")),
    "what is no token": (_nothing, lambda w, _: w.desk.authenticate("x" * 44), ("", "")),
    "an unknown token": (_nothing, lambda w, _: w.desk.authenticate("A" * 43), ("find", "sessions.find")),
    "authenticate": (_ada, lambda w, it: w.desk.authenticate(it.token), AUTHENTICATED),
    "authenticate, without account": (
        _ada, lambda w, it: w.desk.authenticate(it.token, with_account=False), ("find", "sessions.find"),
    ),
    "authenticate, nobody": (_shopping, lambda w, it: w.desk.authenticate(it.token), ("find", "sessions.find")),
    "authenticate, touch": (
        _idle_for_a_minute,
        lambda w, it: w.desk.authenticate(it.token),
        ("find touch", "sessions.find sessions.touch accounts.account"),
    ),
    "log in": (lambda w: w.member(), lambda w, _: w.log_in(), LOGGED_IN),
    "log in, known device": (
        _ada, lambda w, it: w.log_in(client=msgspec.structs.replace(HERE, device=it.device)), LOGGED_IN,
    ),
    "log in, shown a live session": (_ada, log_in, LOGGED_IN),
    "log in, shown the session itself": (_ada, lambda w, it: w.log_in(replaces=it.session), LOGGED_IN),
    "log in, shown nobody's with data": (_shopping, log_in, LOGGED_IN),
    "log in, shown another's": (_eve, log_in, LOGGED_IN),
    "log in, shown a revoked one": (_revoked, log_in, LOGGED_IN),
    "log in, shown an expired one": (_expired, log_in, LOGGED_IN),
    "log in, shown an unknown one": (lambda w: w.member(), lambda w, _: w.log_in(replaces="A" * 43), LOGGED_IN),
    "log in, shown no token": (lambda w: w.member(), lambda w, _: w.log_in(replaces="nonsense"), LOGGED_IN),
    "log in, one too many": (_ada, lambda w, _: w.log_in(), LOGGED_IN),
    "log in, hashed anew": (_weakly_hashed, lambda w, _: w.log_in(), REHASHED),
    "refused, unknown": (_nothing, lambda w, _: fail(w, _, name="nobody"), REFUSED),
    "refused, wrong": (lambda w: w.member(), fail, REFUSED),
    "refused, disabled": (_disabled, lambda w, _: fail(w, _, password=PASSWORD), REFUSED),
    "refused, disabled and wrong": (_disabled, fail, REFUSED),
    "refused, locked": (_locked, lambda w, _: fail(w, _, password=PASSWORD), REFUSED),
    "refused, locked and wrong": (_locked, fail, REFUSED),
    "refused, shown a session": (_ada, fail, REFUSED),
    "begin, nobody": (_nothing, lambda w, _: w.desk.start_session(None), ("start", "sessions.start")),
    "begin, proven elsewhere": (_nothing, lambda w, _: w.desk.start_session("theirs"), STARTED),
    "begin, shown nobody's": (_shopping, lambda w, it: w.desk.start_session("theirs", replaces=it.token), STARTED),
    "log out": (
        _ada, lambda w, it: w.desk.log_out(it.token), ("find end", "sessions.find sessions.end accounts.record"),
    ),
    "rotate": (_ada, lambda w, it: w.desk.rotate(it.session), ("rotate", "sessions.rotate accounts.record")),
    "increment": (_ada, lambda w, it: w.desk.increment(it.session, "n"), ("increment", "sessions.increment")),
    "list": (_ada, lambda w, it: w.desk.sessions(of=it.subject), ("sessions_of", "sessions.sessions_of")),
    "revoke": (
        _ada,
        lambda w, it: w.desk.revoke(it.session.id, of=it.subject),
        ("end_by_id", "sessions.end_by_id accounts.record"),
    ),
    "revoke all": (
        _ada,
        lambda w, it: w.desk.revoke_all(of=it.subject, keep=it.session.id),
        ("sessions_of raise_epoch", "sessions.sessions_of sessions.raise_epoch accounts.record"),
    ),
    "prove again": (
        _ada,
        lambda w, it: w.desk.reauthenticate(it.session, PASSWORD),
        (f"{PROVEN[0]} rotate", f"{PROVEN[1]} sessions.rotate accounts.record"),
    ),
    "change the password": (
        _ada,
        lambda w, it: w.desk.change_password(it.session, current_password=PASSWORD, new_password=NEW_PASSWORD),
        (
            f"{PROVEN[0]} change_password",
            f"{PROVEN[1]} sessions.find accounts.replace_password sessions.raise_epoch accounts.settle",
        ),
    ),
    "delete": (
        _ada,
        lambda w, it: w.desk.delete_account(it.subject),
        (
            "account delete_account",
            "accounts.account accounts.account sessions.raise_epoch accounts.delete_account sessions.delete_account",
        ),
    ),
}  # fmt: skip
AT_MOST_FOUR = [name for name in FLOWS if name.startswith(("log in", "refused")) and name != "log in, hashed anew"]
COLOURS = pytest.mark.parametrize("colour", ["blocking", "async"])


async def cost_of(make_world: Callable[..., World], flow: str, *, colour: str, is_apart: bool) -> str:
    before, deed, _ = FLOWS[flow]
    options = {"sessions": "memory://"} if is_apart else {}
    world = make_world(is_async=colour == "async", settings={"sessions_per_subject": 1}, **options)
    world.desk.flows.parts.hasher = the_hasher()
    found = await before(world)
    world.steps.clear()
    world.trips.clear()
    await deed(world, found)
    steps = list(world.trips if is_apart else world.steps)
    await world.close()
    return " ".join(steps)


@COLOURS
@pytest.mark.parametrize("flow", FLOWS)
async def test_what_a_flow_costs_in_one_store(make_world, flow, colour):
    together, _ = FLOWS[flow][2]

    assert await cost_of(make_world, flow, colour=colour, is_apart=False) == together


@COLOURS
@pytest.mark.parametrize("flow", FLOWS)
async def test_what_a_flow_costs_where_accounts_and_sessions_live_apart(make_world, flow, colour):
    _, apart = FLOWS[flow][2]

    assert await cost_of(make_world, flow, colour=colour, is_apart=True) == apart


@pytest.mark.parametrize("is_apart", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("flow", AT_MOST_FOUR)
async def test_no_log_in_costs_more_than_four_steps(make_world, flow, is_apart):
    assert len((await cost_of(make_world, flow, colour="blocking", is_apart=is_apart)).split()) <= 4


@pytest.mark.parametrize("is_apart", [False, True], ids=["together", "apart"])
async def test_enu_02_enu_08_every_refusal_costs_the_same_steps(make_world, is_apart):
    refusals = [flow for flow in FLOWS if flow.startswith("refused")]

    costs = [await cost_of(make_world, flow, colour="blocking", is_apart=is_apart) for flow in refusals]

    assert costs == costs[:1] * len(refusals)
