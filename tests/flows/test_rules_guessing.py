"""Guessing, attacked with the figures of its rules: what refusals cost, how far sprays get, and what is remembered."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from coatcheck import Busy, Client, EmailTaken, InvalidCredentials, InvalidInput, TooManyAttempts
from coatcheck.core import throttle
from coatcheck.core.audit import Throttled
from coatcheck.core.throttle import Settlement, lock_of
from tests.flows.conftest import HERE, NEW_PASSWORD, PASSWORD, WRONG, weaker_hash

DAY = 86_400
HOUR = 3600


async def lock(world, subject: str) -> None:
    gate = lock_of(subject, world.desk.policy)
    for _ in range(world.desk.policy.password_lock_failures):
        await world.store.settle([Settlement(gate, "failure", world.clock())], account=None, events=())


async def people(world) -> None:
    """An account of every class of ENU-01."""
    await world.member("ada")
    await world.desk.disable(await world.member("dora"))
    await world.member("nora", hashed="!")
    await world.member("wendy", hashed=weaker_hash())
    await world.desk.delete_account(await world.member("gone"))
    await lock(world, await world.member("lola"))


class Tally:
    """The hasher, noting by which parameters each verification was made."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.costs: list[str] = []

    def verify(self, hashed, password):
        is_hash = hashed is not None and hashed.startswith("$")
        self.costs.append(re.findall("m=[0-9]+,t=[0-9]+,p=[0-9]+", hashed if is_hash else self.decoy)[0])
        return self.inner.verify(hashed, password)

    @property
    def decoy(self) -> str:
        self.inner.needs_rehash("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo")  # makes the decoy
        return self.inner._decoy

    def __getattr__(self, name):
        return getattr(self.inner, name)


CLASSES = {
    "unknown": ("nobody", WRONG),
    "unknown, empty": ("nobody", ""),
    "wrong": ("ada", WRONG),
    "empty": ("ada", ""),
    "disabled, right": ("dora", PASSWORD),
    "disabled, wrong": ("dora", WRONG),
    "no password": ("nora", PASSWORD),
    "no password, empty": ("nora", ""),
    "deleted": ("gone", PASSWORD),
    "locked, wrong": ("lola", WRONG),
    "locked, right": ("lola", PASSWORD),
}


async def refusals(world) -> dict[str, object]:
    """Try each class once, each from a network of its own; give what visitors and the machine can see of it."""
    await people(world)
    world.desk.flows.parts.hasher = tally = Tally(world.desk.flows.parts.hasher)
    seen: dict[str, object] = {}
    for number, (what, (name, password)) in enumerate(CLASSES.items()):
        world.steps.clear()
        tally.costs.clear()
        with pytest.raises(InvalidCredentials) as refused:
            await world.log_in(name, password, client=Client(ip=f"198.51.100.{number}"))
        error = refused.value
        answer = (type(error), str(error), error.reason, error.status, error.errors, error.retry_after, error.__cause__)
        seen[what] = (answer, list(world.steps), list(tally.costs))
    return seen


async def test_enu_01_enu_02_enu_08_deleted_and_locked_are_refused_at_the_cost_of_the_unknown(world):
    seen = await refusals(world)

    assert seen == dict.fromkeys(CLASSES, seen["unknown"])
    assert seen["unknown"][1:] == (["identify", "admit", "settle"], ["m=19456,t=2,p=1"])


# How far sprays get


async def spray(world, names: int, network: Client) -> tuple[list[str], int]:
    """Try one password at each name, waiting as told while less than an hour has passed."""
    begun, tried = world.clock(), []
    for number in range(names):
        while True:
            try:
                await world.log_in(f"name-{number}", WRONG, client=network)
            except InvalidCredentials:
                tried.append(f"name-{number}")
                break
            except TooManyAttempts as wait:
                if world.clock() + wait.retry_after - begun >= HOUR:
                    return tried, wait.retry_after
                world.clock.move(wait.retry_after)
    return tried, 0


@pytest.mark.parametrize("place", [("memory", False), ("sqlite", True)], ids=["memory-blocking", "sqlite-async"])
async def test_rat_03_one_password_sprayed_over_sixty_accounts_reaches_no_more_than_fifty_in_the_hour(
    make_world, place
):
    world = make_world(place[0], is_async=place[1])
    await world.member("ada")
    world.clock.now -= world.clock.now % HOUR
    begun = world.clock()

    tried, _ = await spray(world, 60, Client(ip="2001:db8:7:8::1"))

    assert len(tried) == 50
    with pytest.raises(TooManyAttempts) as wait:
        await world.log_in(client=Client(ip="2001:db8:7:8:ffff::2"))
    assert world.clock() + wait.value.retry_after >= begun + HOUR
    assert await world.log_in(client=Client(ip="2001:db8:7:9::1")), "other networks are unaffected"
    world.clock.now = begun + HOUR
    world.clock.move(600)
    assert await world.log_in(client=Client(ip="2001:db8:7:8::1"))


async def test_rat_13_an_attacker_drives_the_wait_to_an_hour_and_the_owners_browser_logs_in_at_once(world):
    await world.member()
    login = await world.log_in()
    known, waits = msgspec.structs.replace(HERE, device=login.device), []
    number = 0
    while not waits or waits[-1] < HOUR:
        number += 1
        try:
            await world.log_in(password=WRONG, client=Client(ip=f"198.51.100.{number}"))
        except InvalidCredentials:
            continue
        except TooManyAttempts as wait:
            waits.append(wait.retry_after)
            if waits[-1] < HOUR:
                world.clock.move(wait.retry_after)

    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert await world.log_in(client=known)
    with pytest.raises(TooManyAttempts):
        await world.log_in(client=HERE)


async def test_rat_06_two_hundred_guesses_at_once_at_the_async_desk_give_five_verifications(make_world):
    world = make_world("sqlite", is_async=True)
    await world.member()
    world.desk.flows.parts.hasher = tally = Tally(world.desk.flows.parts.hasher)

    async def guess(number: int) -> str:
        try:
            await world.log_in(password=f"{WRONG} {number}", client=Client(ip=f"198.51.{number}.7"))
        except (InvalidCredentials, TooManyAttempts, Busy) as refusal:
            return type(refusal).__name__
        return "in"

    answers = await asyncio.gather(*(guess(number) for number in range(200)))

    assert len(tally.costs) <= 5
    assert answers.count("InvalidCredentials") == len(tally.costs)
    assert "in" not in answers


async def test_pwd_15_a_stolen_session_guesses_six_times_and_waits_and_is_told_nothing_of_the_password(world):
    await world.member()
    login = await world.log_in()
    refused, change = [], world.desk.change_password
    for number in range(5):
        with pytest.raises(InvalidCredentials) as refusal:
            await change(login.session, current_password=f"{WRONG} {number}", new_password=NEW_PASSWORD)
        refused.append((refusal.value.reason, refusal.value.errors))

    for guess in (WRONG, PASSWORD):
        with pytest.raises(TooManyAttempts) as wait:
            await change(login.session, current_password=guess, new_password=NEW_PASSWORD)
        refused.append((wait.value.reason, wait.value.retry_after))

    assert len({repr(each) for each in refused[:5]}) == 1
    assert refused[5:] == [("too_many_attempts", 30)] * 2
    assert await world.is_live(login.token)


# What is remembered


async def flood(world, identifiers: int) -> int:
    """Have one network try so many random names, as fast as it is let; give how many were looked at."""
    gates = throttle.gates_of
    admitted = 0
    for number in range(identifiers):
        now = world.clock.move(number % 11 == 0)
        passed = gates([f"random-{number}"], "198.51.100.7", world.desk.policy, now=now)
        if await world.inner.admit(passed, subject=None, now=now) == 0:
            admitted += 1
            await world.inner.settle(throttle.settlements_of(passed, "failure", at=now), account=None, events=())
    return admitted


async def check_flood(world, identifiers: int) -> None:
    await world.member()
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await world.log_in(password=WRONG, client=Client(ip="192.0.2.1"))
    begun = world.clock()

    admitted = await flood(world, identifiers)

    hours = (world.clock() - begun) // HOUR + 2
    assert admitted <= 50 * hours
    world.clock.now = begun + 29
    with pytest.raises(TooManyAttempts):
        await world.log_in(client=Client(ip="192.0.2.2"))
    world.clock.now = begun + identifiers + 25 * HOUR
    purged = await world.desk.purge()
    assert purged.counters <= admitted + 2 * hours + 5, "a turned away name leaves nothing"


@pytest.mark.parametrize("place", [("memory", False), ("sqlite", False)], ids=["memory", "sqlite"])
async def test_rat_12_ten_thousand_random_names_of_one_network_leave_few_counters_and_the_hot_ones_stay(
    make_world, place
):
    await check_flood(make_world(place[0], is_async=place[1]), 10_000)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_rat_12_a_million_random_names_of_one_network_leave_few_counters_and_the_hot_ones_stay(make_world):
    await check_flood(make_world(), 10**6)


async def test_rat_12_names_that_were_turned_away_leave_no_counter(world):
    for number in range(10):
        with pytest.raises(InvalidCredentials):
            await world.log_in(f"name-{number}", WRONG)
    for number in range(10, 500):
        with pytest.raises(TooManyAttempts):
            await world.log_in(f"name-{number}", WRONG)

    world.clock.move(25 * HOUR)

    assert (await world.desk.purge()).counters == 12, "ten names, their network and its hour"


@pytest.mark.parametrize("name", ["%s" * 60, "x" * 1024, "a@" + "b" * 900 + ".org", "\u202e", "name\0"])
async def test_rat_12_no_counter_or_event_grows_with_what_was_typed(world, name):
    with pytest.raises(InvalidCredentials):
        await world.log_in(name, WRONG)

    keys = [gate.key for gate in throttle.gates_of([name], "192.0.2.7", world.desk.policy, now=0)]
    assert {len(key) for key in keys} == {32}
    assert len(world.events[-1].identifier_hash) == 32
    assert not [event for event in world.events if isinstance(event, Throttled)]


# Passwords


async def test_pwd_02_sixty_four_emoji_are_a_password_and_all_of_them_count(quick):
    password = "\U0001f511" * 64
    await quick.desk.sign_up(username="ada", password=password)

    assert await quick.log_in(password=password)
    for other in (password[:-1], password + "\U0001f511", password[:-1] + "\U0001f512"):
        with pytest.raises(InvalidCredentials):
            await quick.log_in(password=other)


async def test_pwd_02_seven_letters_with_a_mark_each_are_seven_characters(make_world):
    world = make_world(settings={"password_min_length": 8})

    for length, letters in ((7, "e\u0301" * 7), (8, "e\u0301" * 8)):
        if length == 7:
            with pytest.raises(InvalidInput) as refusal:
                await world.desk.sign_up(username="ada", password=letters)
            assert refusal.value.errors == (("/password", "password_too_short"),)
        else:
            await world.desk.sign_up(username="ada", password=letters)
            assert await world.log_in(password="\u00e9" * 8)


@pytest.mark.parametrize("length", [72, 1023])
async def test_pwd_03_passwords_that_differ_after_so_many_octets_are_two(quick, length):
    await quick.desk.sign_up(username="ada", password="x" * length + "a")

    with pytest.raises(InvalidCredentials):
        await quick.log_in(password="x" * length + "b")
    with pytest.raises(InvalidCredentials):
        await quick.log_in(password="x" * length)
    assert await quick.log_in(password="x" * length + "a")


@pytest.mark.parametrize("password", ["x" * 1025, "x" * 2**20, "\u00e9" * 513])
async def test_pwd_03_a_password_past_the_limit_is_hashed_nowhere(world, password):
    await world.member()
    login = await world.desk.start_session("subject-of-ada")
    world.desk.flows.parts.hasher = None  # whatever asks it fails
    calls = (
        lambda: world.desk.sign_up(username="eve", password=password),
        lambda: world.log_in(password=password),
        lambda: world.desk.reauthenticate(login.session, password),
        lambda: world.desk.change_password(login.session, current_password=password, new_password=NEW_PASSWORD),
        lambda: world.desk.change_password(login.session, current_password=PASSWORD, new_password=password),
    )

    for call in calls:
        with pytest.raises(InvalidInput) as refusal:
            await call()
        assert [fault.reason for fault in refusal.value.errors] == ["password_too_long"]


@pytest.mark.parametrize("letters", ["abcdefghijklmno", "zzzzzzzzzzzzzzz"])
async def test_pwd_06_fifteen_plain_letters_are_enough_and_fourteen_are_not(quick, letters):
    with pytest.raises(InvalidInput):
        await quick.desk.sign_up(username="ada", password=letters[:14])

    assert await quick.desk.sign_up(username="ada", password=letters)


# Accounts


async def test_acc_05_of_fifty_sign_ups_of_one_address_in_every_case_one_wins(make_world):
    world = make_world("sqlite")
    spelled = ["ada@example.org", "ADA@example.org", "Ada@Example.ORG", "aDa@EXAMPLE.org", " ada@example.org"]

    def sign_up(number: int) -> str:
        try:
            return world.desk.desk.sign_up(
                username=f"user-{number}", email=spelled[number % 5].strip(), password=PASSWORD
            ).subject
        except (EmailTaken, Busy) as refusal:
            return type(refusal).__name__

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(sign_up, range(50)))

    accounts, _ = await world.desk.all_accounts()
    assert len(accounts) == 1
    assert [answer for answer in answers if answer == accounts[0][0].subject] == [accounts[0][0].subject]


async def test_acc_01_a_subject_is_sixteen_random_octets_and_none_comes_twice(quick):
    seen = set()
    for _ in range(5):
        account = await quick.desk.sign_up(username="ada", email="ada@example.org", password=PASSWORD)
        seen.add(account.subject)
        assert len(account.subject) == 22
        assert "ada" not in account.subject.lower()
        assert await quick.desk.delete_account(account.subject)

    assert len(seen) == 5


async def test_acc_02_acc_04_no_look_alike_logs_in_as_somebody_or_takes_the_name(world):
    await world.desk.sign_up(username="mike", email="mike@example.org", password=PASSWORD)

    for like in ("m\u0131ke", "mi\u212ae", "\u217fike", "mike\u200b", "\uff4dike", "m\u0456ke", "mike\u0000", "mike."):
        with pytest.raises(InvalidCredentials):
            await world.log_in(like, client=None)
        with pytest.raises(InvalidCredentials):
            await world.log_in(f"{like}@example.org", client=None)
