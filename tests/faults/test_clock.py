"""A clock set back or ahead: what was seen dead stays so, no life outgrows the jump, nobody waits for ever (TMO-07)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coatcheck import Client, Coatcheck, InvalidCredentials, SessionEnded, StepUpRequired, TooManyAttempts
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.scene import the_hasher
from tests.conftest import APART, ENGINES

HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
PASSWORD = "a long enough passphrase"
JUMPS = [1, 59, HOUR, 2 * DAY, 20 * YEAR]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(params=[*ENGINES, *(pytest.param(store, marks=pytest.mark.long) for store in APART)])
def desk(
    request: pytest.FixtureRequest, urls_of: Callable[[str], tuple[str, ...]], clock: MovableClock
) -> Iterator[Coatcheck]:
    """A desk over each store. The clocks of the servers behind them go on, so that these jumps are theirs as well."""
    url, *beside = urls_of(request.param)
    sessions = beside[0] if beside else None
    with Coatcheck(url, sessions=sessions, clock=clock, settings={"sessions_per_subject": 5}) as desk:
        desk.flows.parts.hasher = the_hasher()
        yield desk


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("limit", ["idle_timeout", "absolute_timeout"])
def test_tmo_07_what_was_seen_expired_stays_so_when_the_clock_is_set_back(
    desk: Coatcheck, clock: MovableClock, limit: str, jump: int
) -> None:
    login = desk.start_session("ada")
    if limit == "absolute_timeout":
        for _ in range(DAY // 1800 - 1):
            clock.move(1800)
            assert desk.authenticate(login.token)
    clock.move(HOUR + 60)
    assert desk.authenticate(login.token).reason == limit

    clock.move(-jump)

    assert desk.authenticate(login.token).reason == limit
    with pytest.raises(SessionEnded):
        desk.rotate(login.session)
    with pytest.raises(SessionEnded), desk.edit(login.session) as data:
        data["a"] = 1
    assert desk.sessions(of="ada") == ()
    assert not desk.log_out(login.token)


@pytest.mark.parametrize("jump", JUMPS)
def test_tmo_07_a_clock_set_back_lengthens_no_life_by_more_than_the_jump(
    desk: Coatcheck, clock: MovableClock, jump: int
) -> None:
    login = desk.start_session("ada")
    begun = clock()
    clock.move(-jump)

    assert desk.authenticate(login.token), "it is not ended by it either"
    desk.renew(login.session)
    clock.now = begun + HOUR + 60 - 1
    assert desk.authenticate(login.token, touch=False)
    clock.now = begun + HOUR + 60
    assert desk.authenticate(login.token).reason == "idle_timeout"


@pytest.mark.parametrize("jump", JUMPS)
def test_tmo_07_a_clock_that_was_ahead_leaves_who_was_not_looked_at_alone(
    desk: Coatcheck, clock: MovableClock, jump: int
) -> None:
    quiet, busy = desk.start_session("ada"), desk.start_session("bob")

    clock.move(jump)
    seen = bool(desk.authenticate(busy.token))
    clock.move(-jump)

    assert desk.authenticate(quiet.token)
    assert bool(desk.authenticate(busy.token)) is seen
    if seen:  # "last seen" may lie ahead now, by the jump and no more
        clock.move(jump + HOUR + 60)
        assert desk.authenticate(busy.token).reason == "idle_timeout"


def test_stp_01_a_proof_from_the_future_is_no_fresh_one(desk: Coatcheck, clock: MovableClock) -> None:
    login = desk.start_session("ada")

    clock.move(-1)

    with pytest.raises(StepUpRequired):
        desk.require_fresh(login.session)


@pytest.mark.parametrize("jump", JUMPS)
def test_rev_01_an_end_is_an_end_under_any_clock(desk: Coatcheck, clock: MovableClock, jump: int) -> None:
    desk.sign_up(username="ada", password=PASSWORD)
    logins = [desk.log_in("ada", PASSWORD) for _ in range(4)]
    subject = logins[0].subject
    assert subject is not None

    clock.move(-jump)
    desk.log_out(logins[0].token)
    desk.revoke(logins[1].session.id, of=subject)
    kept = desk.change_password(logins[2].session, current_password=PASSWORD, new_password="another long passphrase")
    ends = [desk.authenticate(login.token).reason for login in (*logins[:2], logins[3])]
    desk.revoke_all(of=subject)
    last = desk.authenticate(kept.token).reason
    clock.move(2 * jump)

    assert ends == ["logged_out", "revoked", "password_changed"]
    assert last == "revoked"
    assert not any(desk.authenticate(login.token) for login in (*logins, kept))


@pytest.mark.parametrize("jump", JUMPS)
def test_the_newcomer_stays_and_the_bound_holds_under_a_clock_set_back(
    desk: Coatcheck, clock: MovableClock, jump: int
) -> None:
    for _ in range(5):
        desk.start_session("ada")

    clock.move(-jump)
    newest = desk.start_session("ada")

    assert desk.authenticate(newest.token)
    assert len(desk.sessions(of="ada")) == 5


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("sign", [1, -1])
def test_tmo_07_a_wait_after_failures_is_neither_lifted_nor_endless(
    desk: Coatcheck, clock: MovableClock, jump: int, sign: int
) -> None:
    desk.sign_up(username="ada", password=PASSWORD)
    here = Client("192.0.2.7")
    meant = max(_wait(desk, "no such passphrase", here) for _ in range(8))
    assert meant > 0

    clock.move(sign * jump)

    waited = 0
    while (wait := _wait(desk, PASSWORD, here)) > 0:
        clock.move(wait)
        waited += wait
        assert waited <= 2 * meant


@pytest.mark.parametrize("jump", JUMPS)
def test_dat_06_purging_under_a_clock_set_back_takes_nothing_that_lives(
    desk: Coatcheck, clock: MovableClock, jump: int
) -> None:
    logins = [desk.start_session("ada") for _ in range(3)]
    clock.move(-jump)

    gone = desk.purge()

    assert (gone.sessions, gone.events) == (0, 0)
    assert all(desk.authenticate(login.token) for login in logins)


def test_dat_06_what_was_purged_under_a_clock_ahead_is_unknown_and_never_somebody_elses(
    desk: Coatcheck, clock: MovableClock
) -> None:
    login = desk.start_session("ada")
    clock.move(YEAR)
    assert desk.purge().sessions == 1
    clock.move(-YEAR)

    assert desk.authenticate(login.token).reason == "unknown_session"
    assert desk.authenticate(desk.start_session("ada").token).subject == "ada"


def test_log_02_events_keep_their_order_under_a_clock_set_back(desk: Coatcheck, clock: MovableClock) -> None:
    first = desk.start_session("ada")
    clock.move(-DAY)
    second = desk.start_session("ada")

    events, _ = desk.events(of="ada")

    assert [event.session_id for event in events] == [second.session.id, first.session.id]


def _wait(desk: Coatcheck, password: str, client: Client) -> int:
    """Try to log in; give the seconds it wants to be left alone, 0 if the password was looked at."""
    try:
        desk.log_in("ada", password, client=client)
    except TooManyAttempts as refusal:
        return refusal.retry_after or 0
    except InvalidCredentials:
        return 0
    return 0
