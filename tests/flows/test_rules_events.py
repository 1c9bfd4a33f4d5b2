"""Each kind of event, triggered at both desks and over both stores: told once, kept once, and of the stated form."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from coatcheck import Client, CoatcheckError
from coatcheck.core import audit
from coatcheck.core.audit import Event, record_of
from tests.flows.conftest import NEW_PASSWORD, PASSWORD, WRONG

WHERE = Client(ip="203.0.113.77", user_agent="Browser/1.0", request_id="request-1")
SETTINGS = {"sessions_per_subject": 3, "password_lock_failures": 10, "account_free_failures": 20}
SETTINGS |= {"network_free_failures": 100}
DAY = 86_400


async def refused(call: Awaitable[object]) -> None:
    with pytest.raises(CoatcheckError):
        await call


async def fail_until_one_before_the_lock(world) -> None:
    for _ in range(9):
        await refused(world.log_in(password=WRONG, client=WHERE))


async def close_the_gate(world) -> None:
    for _ in range(20):
        await refused(world.log_in("nobody", WRONG, client=WHERE))


async def open_three_more(world) -> None:
    for _ in range(2):
        world.clock.move(1)
        await world.log_in(client=WHERE)


async def nothing(world) -> None:
    del world


async def grow_old(world) -> None:
    world.clock.move(DAY)


# Kind: what to do before, what to do, and which events of other kinds the same deed is.
Deed = Callable[..., Awaitable[object]]
DEEDS: dict[type[Event], tuple[Deed, Deed, tuple[type[Event], ...]]] = {
    audit.SignedUp: (
        nothing,
        lambda world, *_: world.desk.sign_up(username="eve", password=PASSWORD, client=WHERE),
        (),
    ),
    audit.LoggedIn: (nothing, lambda world, *_: world.log_in(client=WHERE), ()),
    audit.LogInFailed: (nothing, lambda world, *_: refused(world.log_in(password=WRONG, client=WHERE)), ()),
    audit.Throttled: (close_the_gate, lambda world, *_: refused(world.log_in("nobody", WRONG, client=WHERE)), ()),
    audit.LoggedOut: (nothing, lambda world, login, _: world.desk.log_out(login.token, client=WHERE), ()),
    audit.SessionRevoked: (
        nothing,
        lambda world, login, subject: world.desk.revoke(login.session.id, of=subject, note="lost", client=WHERE),
        (),
    ),
    audit.SessionEvicted: (open_three_more, lambda world, *_: world.log_in(client=WHERE), (audit.LoggedIn,)),
    audit.SessionsRevoked: (
        nothing,
        lambda world, login, subject: world.desk.revoke_all(of=subject, keep=login.session.id, client=WHERE),
        (),
    ),
    audit.SessionExpired: (grow_old, lambda world, login, _: world.desk.authenticate(login.token, client=WHERE), ()),
    audit.Reauthenticated: (
        nothing,
        lambda world, login, _: world.desk.reauthenticate(login.session, PASSWORD, client=WHERE),
        (),
    ),
    audit.ReauthenticationFailed: (
        nothing,
        lambda world, login, _: refused(world.desk.reauthenticate(login.session, WRONG, client=WHERE)),
        (),
    ),
    audit.PasswordChanged: (
        nothing,
        lambda world, login, _: world.desk.change_password(
            login.session, current_password=PASSWORD, new_password=NEW_PASSWORD, client=WHERE
        ),
        (),
    ),
    audit.AccountDisabled: (nothing, lambda world, _, subject: world.desk.disable(subject), ()),
    audit.AccountEnabled: (
        lambda world: world.desk.disable("subject-of-ada"),
        lambda world, _, subject: world.desk.enable(subject),
        (),
    ),
    audit.AccountDeleted: (nothing, lambda world, _, subject: world.desk.delete_account(subject), ()),
    audit.PasswordLocked: (
        fail_until_one_before_the_lock,
        lambda world, *_: refused(world.log_in(password=WRONG, client=WHERE)),
        (audit.LogInFailed,),
    ),
    audit.AttemptsForgotten: (nothing, lambda world, _, subject: world.desk.unlock(subject), ()),
    audit.EverybodyRevoked: (nothing, lambda world, *_: world.desk.revoke_everybody(note="stolen backup"), ()),
    audit.SessionRotated: (nothing, lambda world, login, _: world.desk.rotate(login.session, client=WHERE), ()),
}
# Asked at the door: tests/web/test_cross_site.py and tests/web/test_cookies.py trigger these.
AT_THE_DOOR = {audit.CrossSiteRefused, audit.DuplicateCookie}
# Told, and not kept: whoever is turned away must not be able to fill the store by coming again.
NOT_KEPT = {audit.Throttled}
OF_NOBODY = {audit.Throttled, audit.AccountDeleted, audit.EverybodyRevoked}
BY_OPERATORS = {audit.AccountDisabled, audit.AccountEnabled, audit.AccountDeleted, audit.AttemptsForgotten}
BY_OPERATORS |= {audit.EverybodyRevoked}
# What follows from another event has no client of its own.
WITHOUT_CLIENT = BY_OPERATORS | {audit.SessionEvicted, audit.PasswordLocked}


def test_log_01_every_kind_of_event_is_triggered_here_or_at_the_door():
    kinds = {kind for kind in vars(audit).values() if isinstance(kind, type) and issubclass(kind, Event)} - {Event}

    assert set(DEEDS) | AT_THE_DOOR == kinds
    assert len({kind.name for kind in kinds}) == len(kinds)


async def lived(make_world, kind: type[Event], engine: str, *, is_async: bool):
    """Trigger one event; give the world, the session it happened in, and what was kept before."""
    world = make_world(engine, is_async=is_async, settings=SETTINGS)
    subject = await world.member()
    login = await world.log_in(client=WHERE)
    before, deed, _ = DEEDS[kind]
    await before(world)
    world.events.clear()
    kept = len((await world.desk.all_events(limit=1000))[0])
    await deed(world, login, subject)
    return world, login, kept


@pytest.mark.parametrize("colour", ["blocking", "async"])
@pytest.mark.parametrize("engine", ["memory", "sqlite"])
@pytest.mark.parametrize("kind", DEEDS, ids=lambda kind: kind.name)
async def test_log_01_log_02_each_deed_is_told_once_and_kept_once_in_the_stated_form(make_world, kind, engine, colour):
    world, login, kept_before = await lived(make_world, kind, engine, is_async=colour == "async")

    assert sorted(event.name for event in world.events) == sorted(event.name for event in (kind, *DEEDS[kind][2])), (
        "exactly one of that name"
    )
    for event in world.events:
        check_form(event, world, login)

    kept = (await world.desk.all_events(limit=1000))[0]
    new = kept[: len(kept) - kept_before] if kind is not audit.AccountDeleted else kept[:1]
    told = [record_of(event) for event in world.events if type(event) not in NOT_KEPT]
    assert sorted(new, key=lambda record: record.name) == sorted(told, key=lambda record: record.name)
    await world.close()


def check_form(event: Event, world, login) -> None:
    kind = type(event)
    assert re.fullmatch("[a-z]+(_[a-z]+)*", event.name)
    assert event.outcome in ("success", "failure")
    assert type(event.at) is int
    assert event.at == world.clock()
    if kind in OF_NOBODY:
        assert event.subject is None
    elif kind is audit.SignedUp:
        assert re.fullmatch("[A-Za-z0-9_-]{22}", event.subject or "")
    else:
        assert event.subject == "subject-of-ada"
    assert event.session_id is None or re.fullmatch("[A-Za-z0-9_-]{12}", event.session_id)
    client = (None, None, None) if kind in WITHOUT_CLIENT else (WHERE.ip, WHERE.user_agent, WHERE.request_id)
    assert (event.ip, event.user_agent, event.request_id) == client
    for field in set(event.__struct_fields__) - set(Event.__struct_fields__):
        value = getattr(event, field)
        assert type(value) in (str, int, bool)
        assert len(str(value)) <= 256
        assert not field.endswith("_hash") or re.fullmatch("[0-9a-f]{32}", value)
    octets = msgspec.json.encode(record_of(event)).decode()
    assert login.token.reveal() not in octets
    assert PASSWORD not in octets


IN_A_SESSION = {
    audit.LoggedIn, audit.LoggedOut, audit.SessionRevoked, audit.SessionEvicted, audit.SessionsRevoked,
    audit.SessionExpired, audit.Reauthenticated, audit.ReauthenticationFailed, audit.PasswordChanged,
    audit.SessionRotated,
}  # fmt: skip


@pytest.mark.parametrize("kind", DEEDS, ids=lambda kind: kind.name)
async def test_log_02_an_event_names_its_session_where_it_has_one(make_world, kind):
    world, login, _ = await lived(make_world, kind, "memory", is_async=False)

    (event,) = [event for event in world.events if type(event) is kind]
    assert (event.session_id is not None) == (kind in IN_A_SESSION)
    if kind in IN_A_SESSION - {audit.LoggedIn}:
        assert event.session_id == login.session.id
