"""Deleting an account, ending everybody's sessions, and keeping less of addresses."""

from __future__ import annotations

import sqlite3

import pytest

from coatcheck import (
    AccountDeleted,
    Client,
    Coatcheck,
    EverybodyRevoked,
    InvalidCredentials,
    SessionEnded,
    UsernameTaken,
)
from coatcheck.errors import InvalidInput
from tests.flows.conftest import PASSWORD, WRONG

CLIENT = Client(ip="203.0.113.77", user_agent="Canary/7.7", request_id="request-canary")


async def test_ses_07_dat_07_deletion_ends_everything_at_once_and_frees_the_names(world):
    account = await world.desk.sign_up(username="ada", email="ada@example.org", password=PASSWORD)
    logins = [await world.log_in() for _ in range(2)]
    world.events.clear()

    assert await world.desk.delete_account(account.subject) is True

    assert [await world.absence(login.token) for login in logins] == ["unknown_session"] * 2
    assert await world.desk.account(account.subject) is None
    assert await world.desk.find_account("ada@example.org") is None
    for call in (
        world.log_in,
        lambda: world.desk.reauthenticate(logins[0].session, PASSWORD),
    ):
        with pytest.raises(InvalidCredentials):
            await call()
    with pytest.raises(SessionEnded):
        await world.desk.increment(logins[0].session, "visits")
    assert isinstance(world.events[0], AccountDeleted)
    assert world.events[0].subject is None
    assert account.subject not in repr(world.events[0])

    reopened = await world.desk.sign_up(username="ada", password=PASSWORD)
    assert reopened.subject != account.subject, "ACC-01: an id is never given again"


async def test_dat_07_a_full_dump_after_deletion_names_neither_id_nor_address_nor_handle(make_world, tmp_path):
    world = make_world("sqlite")
    account = await world.desk.sign_up(username="canary-name", email="canary@example.org", password=PASSWORD)
    login = await world.log_in("canary-name", client=CLIENT)
    await world.desk.increment(login.session, "visits")
    other = await world.log_in("canary-name", client=CLIENT)
    await world.desk.log_out(other.token, client=CLIENT)
    await world.desk.revoke_all(of=account.subject, note="canary-note")
    with pytest.raises(InvalidCredentials):
        await world.log_in("canary-name", WRONG, client=CLIENT)
    await world.desk.disable(account.subject)
    traces = [account.subject, "canary", login.session.id, other.session.id, CLIENT.ip, CLIENT.user_agent]
    assert all(trace in dump(tmp_path) for trace in traces), "the search would find them"

    await world.desk.delete_account(account.subject)

    assert [trace for trace in traces if trace in dump(tmp_path)] == []


async def test_dat_07_no_octet_of_a_deleted_account_is_left_in_the_files(make_world, tmp_path, monkeypatch):
    """Whether the SQLite of this Python overwrites what it deletes or not, and while a server has the files open."""
    connect = sqlite3.connect

    def connect_to_another_build(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_to_another_build)
    world = make_world("sqlite")
    account = await world.desk.sign_up(username="canary-name", email="canary@example.org", password=PASSWORD)
    login = await world.log_in("canary-name", client=CLIENT)
    await world.desk.increment(login.session, "canary-key")
    traces = [text.encode() for text in (account.subject, "canary", login.session.id, CLIENT.ip, CLIENT.user_agent)]
    assert all(trace in octets(tmp_path) for trace in traces), "the search would find them"

    await world.desk.delete_account(account.subject)

    assert [trace for trace in traces if trace in octets(tmp_path)] == []


def octets(folder) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("app.db*"))


def dump(folder) -> str:
    with sqlite3.connect(f"file:{folder}/app.db?mode=ro", uri=True) as connection:
        return "\n".join(connection.iterdump())


async def test_only_accounts_are_deleted(world):
    session = await world.desk.start_session("somebody", methods=("oidc",))

    assert [await world.desk.delete_account(subject) for subject in ("somebody", "nobody")] == [False, False]
    with pytest.raises(InvalidInput):
        await world.desk.delete_account("")
    assert await world.is_live(session.token)


async def test_dat_07_a_deleted_account_harms_no_other(world):
    ada, bob = await world.member("ada"), await world.member("bob")
    kept = await world.log_in("bob", client=CLIENT)
    await world.log_in("ada", client=CLIENT)

    await world.desk.delete_account(ada)

    assert await world.is_live(kept.token)
    assert (await world.desk.account(bob)).username == "bob"
    assert [event.user_agent for event in (await world.desk.events(of=bob))[0]] == ["Canary/7.7"]
    with pytest.raises(UsernameTaken):
        await world.desk.sign_up(username="bob", password=PASSWORD)


class DeletesMeanwhile:
    """Verifies passwords as ever; while it does, an operator at another desk deletes the account."""

    def __init__(self, world, subject) -> None:
        self.inner = world.desk.flows.parts.hasher
        self.world, self.subject = world, subject

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def verify(self, hashed, password) -> bool:
        with Coatcheck(self.world.inner, clock=self.world.clock) as operator:
            operator.delete_account(self.subject)
        return self.inner.verify(hashed, password)


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
async def test_dat_07_an_attempt_under_way_at_the_deletion_names_nobody_afterwards(make_world, tmp_path, password):
    world = make_world("sqlite")
    subject = await world.member()
    login = await world.log_in()
    world.desk.flows.parts.hasher = DeletesMeanwhile(world, subject)

    with pytest.raises(InvalidCredentials):
        await world.log_in(password=password, client=CLIENT)

    assert [trace for trace in (subject, CLIENT.user_agent) if trace in dump(tmp_path)] == [CLIENT.user_agent]
    assert world.events[-1].subject is None
    for attempt in (world.desk.reauthenticate(login.session, PASSWORD), world.log_in()):
        with pytest.raises(InvalidCredentials):
            await attempt
    assert subject not in dump(tmp_path)
    assert await world.desk.unlock(subject) is False


# REV-06


async def test_rev_06_everybody_can_be_logged_out_in_one_step(world):
    await world.member("ada")
    login = await world.log_in()
    outsider = await world.desk.start_session("outsider", methods=("oidc",))
    anonymous = await world.desk.start_session(None)
    world.steps.clear()
    world.events.clear()

    await world.desk.revoke_everybody(note="stolen backup\n")

    assert world.steps == ["raise_everybody"]
    assert [(type(event), event.note) for event in world.events] == [(EverybodyRevoked, "stolen backup")]
    for dead in (login, outsider, anonymous):
        assert await world.absence(dead.token) == "everybody_revoked"
        with pytest.raises(SessionEnded):
            await world.desk.increment(dead.session, "visits")
    assert await world.desk.sessions(of=login.subject) == ()
    assert await world.is_live((await world.log_in()).token)


async def test_rev_06_a_session_begun_after_everybodys_end_can_be_kept_changed_and_ended(world):
    subject = await world.member()
    await world.desk.revoke_everybody()
    login, other = await world.log_in(), await world.log_in()

    await world.desk.revoke_all(of=subject, keep=login.session.id)

    assert await world.is_live(login.token)
    assert await world.absence(other.token) == "revoked"
    world.clock.move(1)
    rotated = await world.desk.rotate(login.session)
    assert await world.is_live(rotated.token)
    await world.desk.revoke_everybody()
    assert await world.absence(rotated.token) == "everybody_revoked"


async def test_rev_06_purging_takes_everybodys_sessions_in_time(world):
    await world.member()
    await world.log_in()
    await world.desk.start_session(None)
    await world.desk.revoke_everybody()
    world.clock.move(world.desk.policy.ended_kept + 1)

    assert (await world.desk.purge()).sessions == 2


# DAT-11, LOG-02


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ("full", {"203.0.113.77", "2001:db8:1:2:3:4:5:6"}),
        ("network", {"203.0.113.0", "2001:db8:1::"}),
        ("off", {None}),
    ],
)
async def test_dat_11_addresses_are_kept_as_far_as_the_policy_says(make_world, tmp_path, kept, expected):
    world = make_world("sqlite", settings={"stored_addresses": kept})
    subject = await world.member()
    for ip in ("203.0.113.77", "::ffff:203.0.113.77", "2001:db8:1:2:3:4:5:6"):
        client = Client(ip=ip)
        login = await world.log_in(client=client)
        await world.desk.reauthenticate(login.session, PASSWORD, client=client)
        with pytest.raises(InvalidCredentials):
            await world.log_in(password=WRONG, client=client)

    assert {session.ip for session in await world.desk.sessions(of=subject)} == expected
    assert {event.ip for event in (await world.desk.all_events())[0]} == expected
    if kept != "full":
        assert "203.0.113.77" not in dump(tmp_path)
        assert "2001:db8:1:2" not in dump(tmp_path)


async def test_dat_11_limits_still_count_whole_addresses(make_world):
    world = make_world(settings={"stored_addresses": "off", "account_free_failures": 100})
    await world.member()
    for _ in range(10):
        with pytest.raises(InvalidCredentials):
            await world.log_in(password=WRONG, client=Client(ip="203.0.113.77"))

    with pytest.raises(Exception, match="too_many_attempts"):
        await world.log_in(client=Client(ip="203.0.113.77"))
    assert await world.log_in(client=Client(ip="203.0.113.78"))


async def test_log_02_events_carry_outcome_and_the_id_of_their_request(world):
    subject = await world.member()
    login = await world.log_in(client=CLIENT)
    with pytest.raises(InvalidCredentials):
        await world.log_in(password=WRONG, client=Client(request_id="r-2\r\nforged" + "x" * 99))
    await world.desk.log_out(login.token, client=CLIENT)

    assert [(event.name, event.outcome, event.request_id) for event in world.events] == [
        ("logged_in", "success", "request-canary"),
        ("log_in_failed", "failure", ("r-2 forged" + "x" * 99)[:64]),
        ("logged_out", "success", "request-canary"),
    ]
    kept, _ = await world.desk.events(of=subject)
    assert [event.request_id for event in kept][-1] == "request-canary"
