"""The life of sessions, attacked with the figures of their rules, at both desks and over both stores."""

from __future__ import annotations

import pytest

from coatcheck import Client, InvalidCredentials, InvalidData, SessionEnded
from coatcheck.core.audit import SessionEvicted
from tests.flows.conftest import HERE, PASSWORD, WRONG

DAY = 86_400
MINUTE = 60


async def data_of(world, token) -> dict[str, object]:
    return (await world.desk.authenticate(token)).session.data()


# Time


async def test_tmo_02_a_request_every_ten_minutes_does_not_extend_the_day(world):
    login = await world.desk.start_session("ada", client=HERE)
    session, begun = login.session, world.clock()

    for number in range(1, 144):
        world.clock.move(10 * MINUTE)
        visit = await world.desk.authenticate(login.token)
        assert visit, f"dead after {number * 10} minutes"
        async with world.desk.edit(visit.session) as data:
            data["n"] = number
        if number % 36 == 0 or number > 138:  # also in the last hour, when another would still fit
            await world.desk.renew(visit.session)
            login = await world.desk.rotate(visit.session)
    world.clock.now = begun + DAY - 1
    assert await world.is_live(login.token)
    world.clock.move(1)

    assert await world.absence(login.token) == "absolute_timeout"
    assert session.record.expires_at == begun + DAY


async def test_tmo_04_a_request_a_second_writes_once_a_minute_and_expiry_comes_within_the_step(world):
    login = await world.desk.start_session("ada")
    world.steps.clear()

    for _ in range(600):
        world.clock.move(1)
        assert await world.is_live(login.token)
    last_request = world.clock()
    assert len(world.steps.writes) <= 600 // MINUTE
    assert set(world.steps.writes) == {"touch"}

    world.clock.now = last_request + 3600 - 1
    visit = await world.desk.authenticate(login.token, touch=False)
    assert visit, "skipping a write shortens no life"
    world.clock.now = last_request + 3600 + MINUTE
    assert await world.absence(login.token) == "idle_timeout", "nor lengthens it past the step"


async def test_tmo_07_a_clock_set_back_two_days_makes_no_wait_endless(world):
    await world.member()
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await world.log_in(password=WRONG, client=None)

    world.clock.move(-2 * DAY)

    assert await world.log_in(client=None), "the wait was counted under another clock"


async def test_tmo_07_a_clock_set_back_grants_no_more_life_than_the_jump(world):
    login = await world.desk.start_session("ada")
    begun = world.clock()
    world.clock.move(-2 * DAY)
    while await world.is_live(login.token):
        world.clock.move(30 * MINUTE)

    assert world.clock() <= begun + DAY


async def test_tmo_08_nothing_was_ever_purged_and_the_expired_are_refused(world):
    logins = [await world.desk.start_session("ada", remember=remember) for remember in (False, True)]
    anonymous = await world.desk.start_session(None)
    world.clock.move(30 * DAY)

    for login in (*logins, anonymous):
        assert await world.absence(login.token) == "absolute_timeout"
        with pytest.raises(SessionEnded):
            await world.desk.rotate(login.session)
    assert len((await world.desk.all_sessions())[0]) == 3, "they are still there"


# Late saves


@pytest.mark.parametrize("end", ["log out", "revoke all", "everybody", "disable", "delete", "replace", "purge"])
async def test_ses_05_a_save_held_open_over_the_end_does_not_bring_the_session_back(world, end):
    subject = await world.member()
    login = await world.log_in()
    visit = await world.desk.authenticate(login.token)

    async def hold_open() -> None:
        async with world.desk.edit(visit.session) as data:
            data["late"] = True
            await end_it(world, end, subject, login)

    with pytest.raises(SessionEnded):
        await hold_open()

    assert not await world.is_live(login.token)
    assert login.session.id not in [session.id for session in await world.desk.sessions(of=subject)]
    kept = [session.data() for session, _ in (await world.desk.all_sessions())[0]]
    assert {"late": True} not in kept


async def end_it(world, end: str, subject: str, login) -> None:
    desk = world.desk
    if end == "revoke all":
        await desk.revoke_all(of=subject)
    elif end == "everybody":
        await desk.revoke_everybody()
    elif end == "disable":
        await desk.disable(subject)
    elif end == "delete":
        await desk.delete_account(subject)
    elif end == "replace":
        await desk.start_session("another", replaces=login.token)
    else:
        await desk.log_out(login.token)
    if end == "purge":
        world.clock.move(25 * 3600)
        await desk.purge()


# Data


class Detonator:
    """What would do something if it were ever pickled."""

    went_off = False

    def __reduce__(self):
        Detonator.went_off = True
        return (print, ("went off",))


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [Detonator(), float("nan"), float("inf"), nested(200), "x" * 20 * 1024, "\ud800", {1: 2}, {"k": b"bytes"}],
    ids=["reduces", "nan", "infinite", "200 deep", "20 KiB", "half a character", "number as key", "bytes"],
)
async def test_ses_08_what_is_no_small_json_raises_on_write_and_the_old_data_stays_whole(world, value):
    login = await world.desk.start_session("ada")
    async with world.desk.edit(login.session) as data:
        data["old"] = ["stays", 1.5, None, True]
    visit = await world.desk.authenticate(login.token)

    with pytest.raises(InvalidData):
        async with world.desk.edit(visit.session) as data:
            data["new"] = value

    assert await data_of(world, login.token) == {"old": ["stays", 1.5, None, True]}
    assert not Detonator.went_off


# How many


async def test_rev_07_of_a_hundred_and_one_log_ins_the_one_idle_longest_ends_and_a_guesser_evicts_none(make_world):
    world = make_world("sqlite", is_async=True)
    subject = await world.member()
    logins = []
    for _ in range(100):
        world.clock.move(1)
        logins.append(await world.log_in())
    for number in range(4):
        with pytest.raises(InvalidCredentials):
            await world.log_in(password=WRONG, client=Client(ip=f"198.51.100.{number}"))
    assert len(await world.desk.sessions(of=subject)) == 100
    assert not [event for event in world.events if isinstance(event, SessionEvicted)]

    world.clock.move(1)
    newcomer = await world.log_in()

    (evicted,) = [event for event in world.events if isinstance(event, SessionEvicted)]
    alive = {session.id for session in await world.desk.sessions(of=subject)}
    assert len(alive) == 100
    assert newcomer.session.id in alive
    assert evicted.session_id == logins[0].session.id
    assert await world.absence(logins[0].token) == "too_many_sessions"


# Housekeeping


async def test_dat_06_twenty_five_hours_later_nothing_is_left_of_what_ended_or_was_counted(world):
    subject = await world.member()
    await world.member("bob")
    ended = [await world.log_in() for _ in range(4)]
    await world.desk.log_out(ended[0].token)
    await world.desk.revoke(ended[1].session.id, of=subject)
    await world.desk.rotate(ended[2].session)
    await world.desk.revoke_all(of=subject)
    await world.desk.start_session("bob", replaces=(await world.desk.start_session("eve")).token)
    for name in ("ada", "nobody"):
        with pytest.raises(InvalidCredentials):
            await world.log_in(name, WRONG, client=Client(ip="198.51.100.9"))
    await world.desk.disable("subject-of-bob")
    assert len((await world.desk.all_sessions())[0]) == 6

    world.clock.move(25 * 3600)
    purged = await world.desk.purge(batch=2)

    assert (await world.desk.all_sessions())[0] == []
    assert purged.sessions == 6
    assert purged.counters >= 4, "two names, a network and its hour"
    again = await world.desk.purge()
    assert (again.sessions, again.counters) == (0, 0)


async def test_rat_02_the_count_towards_a_lock_outlives_the_purge_after_a_day(world):
    """RAT-12 lets no counter live longer than a day; the one of each account that RAT-02 needs does."""
    await world.member()
    with pytest.raises(InvalidCredentials):
        await world.log_in(password=WRONG)
    world.clock.move(25 * 3600)
    await world.desk.purge()
    assert (await world.desk.purge()).counters == 0

    world.clock.move(3651 * DAY)

    assert (await world.desk.purge()).counters == 1
    assert await world.log_in(password=PASSWORD)
