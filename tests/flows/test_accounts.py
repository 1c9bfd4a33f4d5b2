"""Accounts: opened, found, disabled, enabled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from coatcheck import Client, EmailTaken, InvalidCredentials, InvalidInput, TooManyAttempts, UsernameTaken
from coatcheck.core.audit import AccountDisabled, AccountEnabled, LoggedIn, SignedUp
from coatcheck.crypto.hashing import PasswordHasher
from tests.flows.conftest import HERE, PASSWORD, World


async def sign_up(world: World, username: str | None = "ada", email: str | None = None, password: str = PASSWORD):
    return await world.desk.sign_up(username=username, email=email, password=password, client=HERE)


async def test_sign_up_keeps_names_as_typed_and_logs_nobody_in(world):
    account = await sign_up(world, "Ada", "Ada.L+x@Example.org")

    assert (account.username, account.email) == ("Ada", "Ada.L+x@Example.org")
    assert await world.desk.account(account.subject) == account
    assert await world.desk.all_sessions() == ([], None)
    assert [type(event) for event in world.events] == [SignedUp]
    assert "create_account" in world.steps.writes


@pytest.mark.parametrize(("username", "email"), [("ada", None), (None, "ada@example.org"), ("ada", "ada@example.org")])
async def test_account_needs_one_name(quick, username, email):
    assert await sign_up(quick, username, email)


BAD = [
    ({"username": None, "email": None}, [("/username", "username_or_email_missing")]),
    ({"username": "", "email": ""}, [("/username", "username_or_email_missing")]),
    ({"username": "a b"}, [("/username", "username_invalid")]),
    ({"username": ["a", "d", "a"]}, [("/username", "username_invalid")]),
    ({"username": 5}, [("/username", "username_invalid")]),
    ({"username": "\ud800abc"}, [("/username", "username_invalid")]),
    ({"email": "no address"}, [("/email", "email_invalid")]),
    ({"email": {"a@b.c": 1}}, [("/email", "email_invalid")]),
    ({"password": None}, [("/password", "not_text")]),
    ({"password": "short"}, [("/password", "password_too_short")]),
    ({"password": "x" * 2**20}, [("/password", "password_too_long")]),
    (
        {"username": "!", "email": "!", "password": "!"},
        [("/username", "username_invalid"), ("/email", "email_invalid"), ("/password", "password_too_short")],
    ),
]


@pytest.mark.parametrize(("fields", "errors"), BAD, ids=lambda value: repr(value)[:40])
async def test_err_04_pwd_03_every_field_at_fault_is_told_at_once_and_nothing_is_done(quick, fields, errors):
    with pytest.raises(InvalidInput) as refusal:
        await sign_up(quick, **fields)

    assert list(refusal.value.errors) == errors
    assert quick.steps == []


async def test_taken_names_are_told(world):
    await sign_up(world, "ada", "ada@example.org")

    with pytest.raises(UsernameTaken):
        await sign_up(world, "ADA", "other@example.org")
    with pytest.raises(EmailTaken):
        await sign_up(world, "other", "ADA@EXAMPLE.ORG")

    assert len((await world.desk.all_accounts())[0]) == 1


async def test_acc_05_of_many_sign_ups_at_once_under_one_name_one_wins(make_world):
    world = make_world("sqlite", settings={"hashing_queue": 64})

    def attempt(n: int) -> bool:
        try:
            name = "".join(c.upper() if n >> i & 1 else c for i, c in enumerate("ada@x.org"))
            world.desk.desk.sign_up(email=name, password=PASSWORD)
        except EmailTaken:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        won = list(pool.map(attempt, range(20)))

    assert won.count(True) == 1
    assert len((await world.desk.all_accounts())[0]) == 1


async def test_acc_01_subjects_are_opaque_and_never_come_twice(quick):
    subjects = {(await sign_up(quick, f"name{n}")).subject for n in range(5)}

    assert len(subjects) == 5
    assert {len(subject) for subject in subjects} == {22}


async def test_operator_finds_an_account_by_name_address_or_subject(world):
    account = await sign_up(world, "ada", "ada@example.org")

    for name in ("ada", " ADA ", "Ada@Example.org", account.subject):
        assert await world.desk.find_account(name) == account
    for nobody in ("", "nobody", "\0", "\ud800", "%", "subject-42"):
        assert await world.desk.find_account(nobody) is None


async def test_operator_who_names_a_subject_does_not_find_who_signed_up_under_its_letters(world):
    victim = "A" * 21 + "b"
    await world.store.create_account(
        *(await _account(world, victim, "victim")),
        events=(),
    )
    impostor = await sign_up(world, victim.lower())

    found = await world.desk.find_account(victim)

    assert found.subject == victim != impostor.subject


async def _account(world: World, subject: str, name: str):
    from coatcheck.core.records import AccountRecord, PasswordCredential

    record = AccountRecord(subject, name, name, None, None, world.clock())
    return record, PasswordCredential(subject, "!", 1, world.clock())


async def test_ses_07_disabled_account_loses_its_sessions_at_once_and_for_good(world):
    subject = await world.member()
    login = await world.log_in()

    await world.desk.disable(subject)

    assert await world.absence(login.token) == "account_disabled"
    assert await world.desk.is_disabled(subject)
    with pytest.raises(InvalidCredentials):
        await world.log_in()
    assert await world.desk.enable(subject)
    assert not await world.desk.enable(subject)
    assert not await world.desk.is_disabled(subject)
    assert not await world.is_live(login.token)
    assert await world.is_live((await world.log_in()).token)
    told = [type(event) for event in world.events if isinstance(event, AccountDisabled | AccountEnabled | LoggedIn)]
    assert told == [LoggedIn, AccountDisabled, AccountEnabled, LoggedIn]


async def test_ses_07_subject_without_an_account_of_ours_can_be_disabled_too(world):
    login = await world.desk.start_session("subject-42")

    await world.desk.disable("subject-42")

    assert (await world.desk.authenticate(login.token)).reason == "account_disabled"
    with pytest.raises(InvalidCredentials):
        await world.desk.start_session("subject-42")


async def test_subject_that_was_not_disabled_is_not_enabled(world):
    assert not await world.desk.enable("nobody")


async def test_pages_of_accounts_and_events_show_each_once(world):
    for n in range(5):
        await world.member(f"name{n}")
        await world.desk.start_session(f"subject-of-name{n}")
    await world.desk.disable("subject-of-name3")

    accounts, after = [], None
    while True:
        page, after = await world.desk.all_accounts(after=after, limit=2)
        accounts += [(account.subject, is_disabled) for account, is_disabled in page]
        if after is None:
            break
    events, after = [], None
    while True:
        page, after = await world.desk.all_events(after=after, limit=2)
        events += [(event.name, event.subject) for event in page]
        if after is None:
            break

    assert sorted(accounts) == [(f"subject-of-name{n}", n == 3) for n in range(5)]
    expected = [("logged_in", f"subject-of-name{n}") for n in range(5)] + [("account_disabled", "subject-of-name3")]
    assert events == expected[::-1]


async def test_log_08_events_of_one_subject_are_its_own(world):
    await world.desk.start_session("ada")
    await world.desk.start_session("bob")

    events, _ = await world.desk.events(of="ada")

    assert [event.subject for event in events] == ["ada"]


async def test_pwd_14_flood_of_sign_ups_waits_before_anything_is_hashed(make_world):
    world = make_world("memory", settings={"network_free_sign_ups": 2})
    client = Client(ip="2001:db8::1")
    await world.desk.sign_up(username="one", password=PASSWORD, client=client)
    await world.desk.sign_up(username="two", password=PASSWORD, client=client)

    with pytest.raises(TooManyAttempts) as wait:
        await world.desk.sign_up(username="three", password=PASSWORD, client=Client(ip="2001:db8::2"))

    assert wait.value.retry_after == 600
    assert await world.desk.sign_up(username="three", password=PASSWORD, client=Client(ip="2001:db8:1::1"))
    world.clock.move(600)
    assert await world.desk.sign_up(username="four", password=PASSWORD, client=client)


async def test_taken_name_is_told_before_anything_is_hashed(quick):
    await quick.member()
    parts = quick.desk.flows.parts

    class Broken(PasswordHasher):
        def hash(self, password):
            raise AssertionError(f"hashed {len(password)} bytes for nothing")

    parts.hasher = Broken(quick.desk.policy)

    with pytest.raises(UsernameTaken):
        await quick.desk.sign_up(username="ADA", password=PASSWORD)


@pytest.mark.parametrize("count", [0, -1, 1.5])
async def test_a_page_or_batch_of_nothing_is_the_caller_s_mistake_and_no_answer(world, count):
    """It would say that there is nothing, or nothing more; a caller who asks for `limit=0` has miscounted."""
    account = await world.desk.sign_up(username="ada", password=PASSWORD)

    for call in (
        lambda: world.desk.all_accounts(limit=count),
        lambda: world.desk.all_sessions(limit=count),
        lambda: world.desk.all_events(limit=count),
        lambda: world.desk.events(of=account.subject, limit=count),
    ):
        with pytest.raises(ValueError, match="limit: must be a whole number from 1 on"):
            await call()
    with pytest.raises(ValueError, match="batch: must be a whole number from 1 on"):
        await world.desk.purge(batch=count)
