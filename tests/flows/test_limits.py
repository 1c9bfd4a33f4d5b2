"""Limits around one account: the lock of its password, the browsers it knows, and the operator who lifts both."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck import (
    AttemptsForgotten,
    Client,
    InvalidCredentials,
    LogInFailed,
    PasswordLocked,
    Token,
    TooManyAttempts,
)
from coatcheck.core.throttle import Settlement, lock_of
from coatcheck.errors import InvalidInput
from tests.flows.conftest import HERE, NEW_PASSWORD, PASSWORD, WRONG

ELSEWHERE = Client(ip="198.51.100.9")
FEW = {"password_lock_failures": 10, "account_free_failures": 100, "network_free_failures": 1000}
FEW |= {"network_hourly_failures": 1000}


async def fail(world, times: int, name: str = "ada", **options) -> None:
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await world.log_in(name, WRONG, **options)


def with_device(login, client: Client = HERE) -> Client:
    return msgspec.structs.replace(client, device=login.device)


# RAT-02


async def test_rat_02_enu_03_a_hundred_straight_failures_lock_the_password_for_right_and_wrong_alike(world):
    subject = await world.member()
    lock = lock_of(subject, world.desk.policy)
    for _ in range(99):
        await world.store.settle([Settlement(lock, "failure", world.clock())], account=None, events=())
    await fail(world, 1)

    with pytest.raises(InvalidCredentials) as wrong:
        await world.log_in(password=WRONG, client=ELSEWHERE)
    world.events.clear()
    with pytest.raises(InvalidCredentials) as right:
        await world.log_in(client=ELSEWHERE)

    assert (right.value.reason, right.value.status, right.value.errors, str(right.value)) == (
        wrong.value.reason, wrong.value.status, wrong.value.errors, str(wrong.value),
    )  # fmt: skip
    assert [(type(event), event.cause) for event in world.events] == [(LogInFailed, "password_locked")]
    again = await world.desk.start_session(subject, methods=("webauthn",))
    assert await world.is_live(again.token), "other ways in stay open"


async def test_rat_02_the_lock_holds_over_names_devices_and_in_every_store(make_world):
    for one in (make_world(settings=FEW), make_world("sqlite", settings=FEW, is_async=True)):
        await one.member()
        login = await one.log_in()
        await fail(one, 4, "ada")
        await fail(one, 3, "ada@example.org")
        await fail(one, 3, "ada", client=with_device(login))

        for name, client in (("ada", HERE), ("ada@example.org", ELSEWHERE), ("ada", with_device(login))):
            with pytest.raises(InvalidCredentials):
                await one.log_in(name, client=client)
        with pytest.raises(InvalidCredentials):
            await one.desk.reauthenticate(login.session, PASSWORD)
        with pytest.raises(InvalidCredentials):
            await one.desk.change_password(login.session, current_password=PASSWORD, new_password=NEW_PASSWORD)
        assert await one.is_live(login.token)
        await one.close()


async def test_rat_02_the_moment_of_locking_is_told_once(make_world):
    world = make_world(settings=FEW)
    subject = await world.member()

    await fail(world, 15)

    locked = [event for event in world.events if isinstance(event, PasswordLocked)]
    assert [(event.subject, event.failures, event.outcome) for event in locked] == [(subject, 10, "failure")]
    kept, _ = await world.desk.events(of=subject)
    assert [event.name for event in kept].count("password_locked") == 1


async def test_rat_02_failures_of_a_whole_year_are_one_row(make_world):
    world = make_world(settings={"password_lock_failures": 10})
    await world.member()
    for _ in range(10):
        await fail(world, 1)
        world.clock.move(36 * 86_400)
        await world.desk.purge()

    with pytest.raises(InvalidCredentials):
        await world.log_in()


async def test_rat_07_success_resets_the_row_of_its_own_account_only(make_world):
    world = make_world(settings=FEW)
    await world.member("ada")
    await world.member("bob")
    await fail(world, 9, "ada")
    await fail(world, 9, "bob")

    await world.log_in("bob")
    await fail(world, 1, "ada")

    with pytest.raises(InvalidCredentials):
        await world.log_in("ada")
    assert await world.log_in("bob")


async def test_rat_07_a_session_started_some_other_way_resets_nothing(make_world):
    world = make_world(settings=FEW)
    subject = await world.member()
    await fail(world, 9)

    await world.desk.start_session(subject, methods=("oidc",))
    await fail(world, 1)

    with pytest.raises(InvalidCredentials):
        await world.log_in()


# Lifting


async def test_rat_01_rat_02_an_operator_lifts_waits_and_lock(world):
    subject = await world.member()
    await fail(world, 5)
    with pytest.raises(TooManyAttempts):
        await world.log_in(client=ELSEWHERE)
    world.events.clear()

    assert await world.desk.unlock(subject) is True

    assert [type(event) for event in world.events] == [AttemptsForgotten]
    assert await world.log_in(client=ELSEWHERE)


async def test_rat_02_an_unlocked_password_works_again(make_world):
    world = make_world(settings=FEW)
    subject = await world.member()
    await fail(world, 10)

    await world.desk.unlock(subject)

    assert await world.log_in()


async def test_unlocking_nobody_says_so(quick):
    assert await quick.desk.unlock("nobody") is False
    with pytest.raises(InvalidInput):
        await quick.desk.unlock("")


# RAT-13


async def test_rat_13_the_owners_known_browser_logs_in_while_everybody_else_waits(world):
    await world.member()
    login = await world.log_in()
    await fail(world, 3, client=ELSEWHERE)
    await fail(world, 2, client=HERE)  # also from the owner's own network
    with pytest.raises(TooManyAttempts):
        await world.log_in(client=HERE)

    again = await world.log_in(client=with_device(login))

    assert await world.is_live(again.token)


async def test_rat_13_a_known_browser_has_as_many_tries_as_any_and_waits_then(world):
    await world.member()
    known = with_device(await world.log_in())
    await fail(world, 5, client=known)

    with pytest.raises(TooManyAttempts) as wait:
        await world.log_in(client=known)

    assert wait.value.retry_after == 30
    assert await world.log_in(client=ELSEWHERE), "its failures are its own"


async def test_rat_13_a_note_is_good_for_one_account_and_one_password(quick):
    await quick.member("ada")
    await quick.member("bob")
    login = await quick.log_in("ada")
    await fail(quick, 5, "bob")
    with pytest.raises(TooManyAttempts):
        await quick.log_in("bob", client=with_device(login))

    changed = await quick.desk.change_password(login.session, current_password=PASSWORD, new_password=NEW_PASSWORD)
    await fail(quick, 5, "ada")

    with pytest.raises(TooManyAttempts):
        await quick.log_in("ada", NEW_PASSWORD, client=with_device(login))
    assert await quick.log_in("ada", NEW_PASSWORD, client=with_device(changed))


@pytest.mark.parametrize("bend", ["", "A", "x" * 48, "é" * 48, "=" * 48, "A" * 47, "A" * 1000, "\0" * 48])
async def test_rat_13_a_forged_note_buys_no_tries(quick, bend):
    await quick.member()
    await fail(quick, 5)

    with pytest.raises(TooManyAttempts):
        await quick.log_in(client=Client(device=Token(bend)))


async def test_rat_13_every_bit_of_a_note_counts(quick):
    await quick.member()
    note = (await quick.log_in()).device.reveal()
    await fail(quick, 5)
    for place in range(len(note)):
        bent = note[:place] + ("A" if note[place] != "A" else "B") + note[place + 1 :]
        with pytest.raises(TooManyAttempts):
            await quick.log_in(client=Client(device=Token(bent)))


async def test_rat_13_a_note_ends_at_its_second_and_is_renewed_at_half_its_life(quick):
    lifetime = quick.desk.policy.known_device_lifetime
    await quick.member()
    first = await quick.log_in()
    assert (await quick.log_in(client=with_device(first))).device is None

    quick.clock.move(lifetime // 2)
    second = await quick.log_in(client=with_device(first))
    assert second.device is not None

    quick.clock.move(lifetime - lifetime // 2)
    await fail(quick, 5)
    with pytest.raises(TooManyAttempts):
        await quick.log_in(client=with_device(first))
    assert await quick.log_in(client=with_device(second))


async def test_rat_13_can_be_turned_off(make_world):
    world = make_world(settings={"known_device_lifetime": 0})
    await world.member()

    assert (await world.log_in()).device is None


async def test_rat_13_tok_07_a_note_opens_no_session_and_no_token_is_a_note(quick):
    await quick.member()
    login = await quick.log_in()
    assert await quick.absence(login.device) == "unknown_session"

    await fail(quick, 5)
    with pytest.raises(TooManyAttempts):
        await quick.log_in(client=Client(device=login.token))


async def test_rat_13_a_note_tells_nothing_and_shows_itself_nowhere(quick):
    subject = await quick.member()
    login = await quick.log_in()
    note = login.device.reveal()

    assert note not in repr(login) + repr(with_device(login))
    assert subject not in note
    again = await quick.log_in()
    assert again.device.reveal()[:24] != note[:24]
