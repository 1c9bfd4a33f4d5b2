"""Logging in: refusals, what they cost, and what they give away."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import argon2
import pytest

from coatcheck import Busy, Client, InvalidCredentials, InvalidInput, StoreUnavailable, TooManyAttempts
from coatcheck.core.audit import LoggedIn, LogInFailed, Throttled
from coatcheck.core.records import PasswordCredential
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.testing.patience import PATIENCE
from tests.flows.conftest import HERE, PASSWORD, WRONG, World, hashed_once, weaker_hash


class Tallying:
    """A hasher that counts how often it verifies and hashes."""

    def __init__(self, inner: PasswordHasher) -> None:
        self.inner = inner
        self.verified = 0
        self.hashed = 0

    def verify(self, hashed: str | None, password: bytes) -> bool:
        self.verified += 1
        return self.inner.verify(hashed, password)

    def hash(self, password: bytes) -> str:
        self.hashed += 1
        return self.inner.hash(password)

    def needs_rehash(self, hashed: str) -> bool:
        return self.inner.needs_rehash(hashed)


def tally(world: World) -> Tallying:
    parts = world.desk.flows.parts
    parts.hasher = Tallying(parts.hasher)
    return parts.hasher


async def refused(world: World, name: str, password: str, **options) -> InvalidCredentials:
    with pytest.raises(InvalidCredentials) as refusal:
        await world.log_in(name, password, **options)
    return refusal.value


async def crowd(world: World) -> None:
    """Accounts of every class of ENU-01 but the unknown one."""
    await world.member("ada")
    await world.member("disabled")
    await world.desk.disable("subject-of-disabled")
    await world.member("passwordless", hashed="!")
    world.steps.clear()
    world.events.clear()


CLASSES = [
    ("nobody", WRONG, "unknown_identifier"),
    ("nobody", PASSWORD, "unknown_identifier"),
    ("nobody", "", "unknown_identifier"),
    ("nobody@example.org", WRONG, "unknown_identifier"),
    ("no name of ours!", WRONG, "unknown_identifier"),
    ("%s{0.__class__}", WRONG, "unknown_identifier"),
    ("' OR 1=1--", WRONG, "unknown_identifier"),
    ("a%", PASSWORD, "unknown_identifier"),
    ("ada\0", PASSWORD, "unknown_identifier"),
    ("\ud800", WRONG, "unknown_identifier"),
    ("ada", WRONG, "wrong_password"),
    ("ada", "", "wrong_password"),
    ("ada", PASSWORD + " ", "wrong_password"),
    ("ada", PASSWORD.upper(), "wrong_password"),
    ("ada@example.org", WRONG, "wrong_password"),
    ("disabled", WRONG, "wrong_password"),
    ("disabled", PASSWORD, "account_disabled"),
    ("passwordless", PASSWORD, "wrong_password"),
]


async def check_refusal(world: World, name: str, password: str, cause: str) -> None:
    hasher = tally(world)
    world.steps.clear()
    world.events.clear()

    refusal = await refused(world, name, password)

    assert (str(refusal), refusal.reason, refusal.status) == ("invalid_credentials", "invalid_credentials", 401)
    assert (refusal.errors, refusal.retry_after, refusal.__cause__) == ((), None, None)
    assert world.steps == ["identify", "admit", "settle"]
    assert (hasher.verified, hasher.hashed) == (1, 0)
    (event,) = world.events
    assert isinstance(event, LogInFailed)
    assert event.cause == cause


@pytest.mark.parametrize(("name", "password", "cause"), CLASSES)
async def test_enu_01_enu_02_enu_08_dat_03_every_refusal_is_equal_and_costs_the_same(quick, name, password, cause):
    await crowd(quick)

    await check_refusal(quick, name, password, cause)


@pytest.mark.parametrize(("name", "password", "cause"), [CLASSES[9], CLASSES[10], CLASSES[16], CLASSES[17]])
async def test_enu_01_enu_08_refusals_are_equal_at_every_desk(world, name, password, cause):
    await crowd(world)

    await check_refusal(world, name, password, cause)


async def test_log_in_takes_three_steps_with_a_token_to_replace_too(world):
    await world.member()

    first = await world.log_in()
    assert world.steps == ["identify", "admit", "start"]
    world.steps.clear()
    await world.log_in(replaces=first.token)

    assert world.steps == ["identify", "admit", "start"]


async def test_enu_02_unknown_name_is_verified_against_a_decoy_of_todays_strength(quick):
    quick.desk.flows.parts.hasher.verify(None, b"x")

    decoy = quick.desk.flows.parts.hasher._decoy

    assert argon2.extract_parameters(decoy) == argon2.extract_parameters(hashed_once())


async def test_log_in_by_user_name_or_address_in_any_case(world):
    await world.member()

    logins = [await world.log_in(name) for name in ("ada", "ADA", " ada ", "Ada@Example.ORG")]

    assert {login.subject for login in logins} == {"subject-of-ada"}


async def test_tok_08_token_we_did_not_issue_is_never_adopted(world):
    await world.member()
    planted = "A" * 43

    login = await world.log_in(replaces=planted)

    assert login.token.reveal() != planted
    assert await world.absence(planted) == "unknown_session"


# Malformed input (ERR-04)

NOT_TEXT = [5, None, True, ["ada"], {"a": 1}, b"ada", 1.5]


@pytest.mark.parametrize("value", NOT_TEXT)
async def test_err_04_name_and_password_that_are_no_text_are_refused_unread(quick, value):
    with pytest.raises(InvalidInput) as refusal:
        await quick.desk.log_in(value, value)

    assert refusal.value.errors == (("/identifier", "not_text"), ("/password", "not_text"))
    assert quick.steps == []


@pytest.mark.parametrize(
    ("password", "reason"),
    [("x" * 2**20, "password_too_long"), ("x" * 1025, "password_too_long"), ("\ud800" * 20, "password_not_text")],
)
@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_pwd_03_pwd_05_what_is_nobodys_password_is_refused_before_any_hashing(quick, name, password, reason):
    await quick.member()
    hasher = tally(quick)

    with pytest.raises(InvalidInput) as refusal:
        await quick.desk.log_in(name, password)

    assert refusal.value.errors == (("/password", reason),)
    assert hasher.verified == 0
    assert quick.steps == []


async def test_identifier_of_a_megabyte_is_refused_unread(quick):
    with pytest.raises(InvalidInput):
        await quick.desk.log_in("x" * 2**20, PASSWORD)

    assert quick.steps == []


# Throttling


async def fail(world: World, name: str, times: int, **options) -> None:
    for _ in range(times):
        await refused(world, name, WRONG, **options)


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_rat_01_enu_06_sixth_try_waits_even_with_the_right_password(world, name):
    await world.member()
    await fail(world, name, 5, client=None)
    world.steps.clear()

    world.clock.move(29)
    with pytest.raises(TooManyAttempts) as wait:
        await world.log_in(name, PASSWORD, client=None)

    assert (wait.value.status, wait.value.retry_after) == (429, 1)
    assert world.steps == ["identify", "admit"]
    assert isinstance(world.events[-1], Throttled)


async def test_rat_01_wait_ends_at_its_second_and_success_starts_afresh(quick):
    await quick.member()
    await fail(quick, "ada", 5, client=None)

    quick.clock.move(30)
    await quick.log_in(client=None)

    await fail(quick, "ada", 4, client=None)
    await quick.log_in(client=None)


async def test_enu_06_twenty_failures_give_known_and_unknown_the_same_sequence(quick):
    await quick.member()

    async def sequence(name: str) -> list[tuple[str, int | None]]:
        answers = []
        for _ in range(20):
            try:
                await quick.log_in(name, WRONG, client=None)
            except (InvalidCredentials, TooManyAttempts) as refusal:
                answers.append((refusal.reason, refusal.retry_after))
            quick.clock.move(20)
        return answers

    quick_clock = quick.clock()
    known = await sequence("ada")
    quick.clock.now = quick_clock

    assert await sequence("nobody") == known


async def test_rat_05_spellings_of_one_address_share_a_counter(quick):
    for typed in ("A@x.org", "a@X.ORG", "a@x.org ", " a@x.org", "a@x.org"):
        await refused(quick, typed, WRONG, client=None)

    with pytest.raises(TooManyAttempts):
        await quick.log_in("a@x.org", WRONG, client=None)


async def test_rat_03_spray_over_many_names_blocks_its_network_and_no_other(quick):
    await quick.member()
    attacker = Client(ip="2001:db8:0:1::1")
    for n in range(10):
        await refused(quick, f"name{n}", WRONG, client=attacker)

    with pytest.raises(TooManyAttempts) as wait:
        await quick.log_in(client=Client(ip="2001:db8:0:1:ffff::9"))

    assert wait.value.retry_after == 600
    await quick.log_in(client=Client(ip="2001:db8:0:2::1"))


async def test_rat_06_two_hundred_guesses_at_once_give_five_verifications(make_world):
    world = make_world("sqlite")
    await world.member()
    hasher = tally(world)
    guesses = threading.Barrier(50)

    def guess(n: int) -> str:
        if n < 50:
            guesses.wait()
        try:
            world.desk.desk.log_in("ada", f"{WRONG} {n}")
        except (InvalidCredentials, TooManyAttempts, Busy, StoreUnavailable) as refusal:
            return type(refusal).__name__
        return "in"

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(guess, range(200)))

    assert hasher.verified <= 5
    assert answers.count("InvalidCredentials") == hasher.verified
    assert "in" not in answers


async def test_pwd_14_crowded_lane_locks_nobody_out(make_world):
    world = make_world(settings={"hashing_queue": 1})
    await world.member()
    lane = world.desk.flows.parts.colour._lane
    gate, started = threading.Event(), threading.Event()
    running = lane.submit(lambda: (started.set(), gate.wait(PATIENCE)))
    assert started.wait(PATIENCE)
    lane.submit(lambda: None)

    for _ in range(20):
        with pytest.raises(Busy):
            await world.log_in()
    gate.set()
    running.wait()

    assert (await world.log_in()).subject == "subject-of-ada"


class Failing:
    """A store in which one method fails: the first `times` it is called, or always."""

    def __init__(self, inner, method: str) -> None:
        self.inner = inner
        self.method = method
        self.times = -1

    def __getattr__(self, name: str):
        if name == self.method and self.times:
            self.times -= 1

            async def fail(*_: object, **__: object) -> None:
                raise StoreUnavailable("the store is away")

            return fail
        return getattr(self.inner, name)


@pytest.mark.parametrize("is_known", [True, False], ids=["known device", "names and network"])
async def test_err_02_right_passwords_amid_an_outage_are_no_failures(make_world, is_known):
    """Nine log-ins and nine proofs in a session fail with the store; the first of each after it is answered."""
    world = make_world(wrap=lambda store: Failing(store, ""))
    await world.member()
    login = await world.log_in()
    client = Client(ip=HERE.ip, device=login.device if is_known else None)

    for _ in range(9):
        world.inner.method, world.inner.times = "start", 1
        with pytest.raises(StoreUnavailable):
            await world.log_in(client=client)
    await world.log_in(client=client)
    for _ in range(9):
        world.inner.method, world.inner.times = "settle", 1
        with pytest.raises(StoreUnavailable):
            await world.desk.reauthenticate(login.session, PASSWORD, client=client)
    await world.desk.reauthenticate(login.session, PASSWORD, client=client)


@pytest.mark.parametrize("method", ["identify", "admit", "start"])
async def test_rat_08_err_01_err_02_store_that_fails_is_never_a_log_in(make_world, method):
    world = make_world(wrap=lambda store: Failing(store, method))
    await world.member()

    with pytest.raises(StoreUnavailable):
        await world.log_in(replaces="A" * 43)

    assert not [event for event in world.events if isinstance(event, LoggedIn)]


# Stored hashes


async def test_pwd_11_hash_of_other_settings_is_replaced_at_log_in(world):
    old = weaker_hash()
    subject = await world.member(hashed=old)

    await world.log_in()

    now = (await world.store.credential(subject)).hash
    assert now != old
    assert argon2.extract_parameters(now) == argon2.extract_parameters(hashed_once())
    world.steps.clear()
    await world.log_in()
    assert "rehash" not in world.steps


async def test_pwd_11_wrong_password_replaces_nothing(quick):
    old = weaker_hash()
    subject = await quick.member(hashed=old)

    await refused(quick, "ada", WRONG)

    assert (await quick.store.credential(subject)).hash == old


async def test_pwd_11_failed_replacement_does_not_fail_the_log_in(make_world):
    world = make_world(wrap=lambda store: Failing(store, "rehash"))
    await world.member(hashed=weaker_hash())

    login = await world.log_in()

    assert await world.is_live(login.token)


@pytest.mark.parametrize("hashed", ["$argon2id$v=19$m=19456,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "", "\u00e4"])
async def test_pwd_13_err_05_absurd_hash_is_no_match_and_harms_nobody_else(world, hashed):
    await world.member("broken", hashed=hashed or " ")
    await world.member("ada")

    await refused(world, "broken", PASSWORD)

    assert await world.log_in("ada")


async def test_pwd_06_password_of_ten_years_logs_in(world):
    await world.member()

    world.clock.move(10 * 365 * 86_400)

    assert await world.log_in()


# A log-in that races


async def test_log_in_that_began_before_a_password_change_is_refused_and_told_of(quick):
    subject = await quick.member()
    credential = await quick.store.credential(subject)

    class Racing(Tallying):
        def verify(self, hashed, password):
            from coatcheck.colour import run_blocking

            run_blocking(quick.store.replace_password(PasswordCredential(subject, credential.hash, 2, 0), was=1))
            run_blocking(
                quick.store.raise_epoch(
                    subject,
                    at=quick.clock(),
                    reason="password_changed",
                    keep=None,
                    credential_version=2,
                    disabled_at=None,
                    events=(),
                )
            )
            return super().verify(hashed, password)

    quick.desk.flows.parts.hasher = Racing(quick.desk.flows.parts.hasher)
    await refused(quick, "ada", PASSWORD)

    assert [type(event) for event in quick.events] == [LogInFailed]
    assert quick.events[0].cause == "refused_meanwhile"


# What is told


async def test_log_03_log_04_events_and_logs_hold_neither_password_nor_name_nor_token(world, caplog):
    caplog.set_level("DEBUG")
    await world.member()
    canary = "canary-password-typed-as-a-name"

    await refused(world, canary, "canary-in-the-password-field")
    login = await world.log_in(replaces="canarycanarycanarycanarycanarycanarycanary1")
    await world.desk.authenticate(login.token)
    rotated = await world.desk.rotate(login.session)
    await world.desk.log_out(rotated.token)

    kept, _ = await world.desk.all_events()
    told = caplog.text + repr([record.__dict__ for record in caplog.records]) + repr(kept) + repr(world.events)
    for secret in ("canary", PASSWORD, login.token.reveal(), rotated.token.reveal()):
        assert secret not in told
    assert "log_in_failed" in told


async def test_log_02_failure_of_a_known_account_is_in_its_own_events(world):
    subject = await world.member()

    await refused(world, "ada", WRONG)

    (event,), _ = await world.desk.events(of=subject)
    assert (event.name, event.subject, event.ip, event.at) == ("log_in_failed", subject, HERE.ip, world.clock())
    assert event.user_agent == HERE.user_agent


@pytest.mark.parametrize("client", [None, Client(), Client(ip="not an address"), Client(ip="", user_agent="")])
async def test_client_that_says_nothing_useful_may_log_in(quick, client):
    await quick.member()

    login = await quick.log_in(client=client)

    assert login.session.ip is None
    assert login.session.user_agent is None


async def test_rev_08_label_of_a_hostile_client_is_harmless(world):
    await world.member()

    login = await world.log_in(client=Client(ip="::ffff:192.0.2.1", user_agent="<img onerror>\x1b[2J\r\nx" + "y" * 999))

    assert login.session.ip == "192.0.2.1"
    assert login.session.user_agent == ("<img onerror> [2J x" + "y" * 999)[:256]


@pytest.mark.parametrize("identifier", ["", " ", "\t "])
async def test_blank_name_is_asked_for_again_and_counts_as_nobodys_attempt(world, identifier):
    for _ in range(20):
        with pytest.raises(InvalidInput) as refusal:
            await world.desk.log_in(identifier, "not the passphrase at all")

        assert [tuple(fault) for fault in refusal.value.errors] == [("/identifier", "missing")]
