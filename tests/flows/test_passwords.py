"""Proving identity again, and changing a password."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from coatcheck import (
    Client,
    Coatcheck,
    InvalidCredentials,
    InvalidInput,
    NotAuthenticated,
    SessionEnded,
    StepUpRequired,
    StoreUnavailable,
    TooManyAttempts,
)
from coatcheck.core.audit import PasswordChanged, Reauthenticated, ReauthenticationFailed, Throttled
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.stores.memory import MemoryStore
from tests.flows.conftest import HERE, NEW_PASSWORD, PASSWORD, SECRET, WRONG, World

DAY = 86_400


async def member_with_session(world: World, name: str = "ada"):
    await world.member(name)
    login = await world.log_in(name)
    world.steps.clear()
    world.events.clear()
    return login


async def change(world: World, session, *, current: str = PASSWORD, new: str = NEW_PASSWORD, client=HERE):
    return await world.desk.change_password(session, current_password=current, new_password=new, client=client)


# Re-authentication


async def test_stp_06_tmo_05_fix_01_reauthentication_rotates_the_token_and_starts_both_limits_again(world):
    login = await member_with_session(world)
    world.clock.move(3000)
    assert await world.is_live(login.token)
    with pytest.raises(StepUpRequired):
        await world.desk.require_fresh(login.session)

    again = await world.desk.reauthenticate(login.session, PASSWORD, client=HERE)

    assert await world.absence(login.token) == "unknown_session"
    visit = await world.desk.authenticate(again.token)
    assert visit.session.id == login.session.id
    assert visit.session.record.expires_at == world.clock() + DAY
    await world.desk.require_fresh(visit.session)
    assert isinstance(world.events[-1], Reauthenticated)


async def test_stp_01_fresh_in_one_session_is_not_fresh_in_another(world):
    fresh = await member_with_session(world)
    other = await world.log_in()
    world.clock.move(301)

    await world.desk.reauthenticate(fresh.session, PASSWORD)

    with pytest.raises(StepUpRequired):
        await world.desk.require_fresh((await world.desk.authenticate(other.token)).session)


async def test_stp_05_another_accounts_password_is_refused_and_counted(world):
    login = await member_with_session(world)
    hashed = PasswordHasher(world.desk.policy).hash(b"the password of bob")
    await world.member("bob", hashed=hashed)

    with pytest.raises(InvalidCredentials):
        await world.desk.reauthenticate(login.session, "the password of bob")

    assert world.steps == ["account", "credential", "admit", "settle"]
    assert isinstance(world.events[-1], ReauthenticationFailed)
    assert await world.is_live(login.token)


async def test_stp_05_pwd_15_guesses_inside_a_session_share_the_limits_of_log_in(quick):
    login = await member_with_session(quick)
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await quick.desk.reauthenticate(login.session, WRONG)

    with pytest.raises(TooManyAttempts):
        await quick.desk.reauthenticate(login.session, PASSWORD)
    with pytest.raises(TooManyAttempts):
        await quick.log_in("ada", PASSWORD, client=None)
    with pytest.raises(TooManyAttempts):
        await quick.log_in("ada@example.org", PASSWORD, client=None)

    assert isinstance(quick.events[-1], Throttled)


@pytest.mark.parametrize("end", ["log out", "idle", "absolute", "revoke all"])
async def test_ses_05_dead_session_cannot_reauthenticate_or_change_the_password(quick, end):
    login = await member_with_session(quick)
    if end == "log out":
        await quick.desk.log_out(login.token)
    elif end == "revoke all":
        await quick.desk.revoke_all(of=login.subject)
    else:
        quick.clock.move(3660 if end == "idle" else DAY)

    with pytest.raises(SessionEnded):
        await quick.desk.reauthenticate(login.session, PASSWORD)

    assert await quick.desk.sessions(of=login.subject) == ()


async def test_session_without_account_or_subject_has_no_password_to_prove(quick):
    anonymous = await quick.desk.start_session(None)
    foreign = await quick.desk.start_session("subject-42", methods=("oidc",))

    with pytest.raises(NotAuthenticated):
        await quick.desk.reauthenticate(anonymous.session, PASSWORD)
    with pytest.raises(NotAuthenticated):
        await change(quick, anonymous.session)
    with pytest.raises(InvalidCredentials):
        await quick.desk.reauthenticate(foreign.session, PASSWORD)


# Changing it


async def test_rev_05_fix_01_change_ends_all_other_sessions_and_rotates_this_one(world):
    login = await member_with_session(world)
    others = [await world.log_in() for _ in range(3)]
    world.steps.clear()
    world.events.clear()

    changed = await change(world, login.session)

    assert world.steps == ["account", "credential", "admit", "settle", "change_password"]
    for dead in others:
        assert await world.absence(dead.token) == "password_changed"
    assert await world.absence(login.token) == "unknown_session"
    assert (await world.desk.authenticate(changed.token)).session.id == login.session.id
    assert [type(event) for event in world.events] == [PasswordChanged]


async def test_only_the_new_password_logs_in_after_a_change(world):
    login = await member_with_session(world)

    await change(world, login.session)

    with pytest.raises(InvalidCredentials):
        await world.log_in(password=PASSWORD)
    assert await world.log_in(password=NEW_PASSWORD)


async def test_pwd_15_wrong_current_password_changes_nothing(world):
    login = await member_with_session(world)

    with pytest.raises(InvalidCredentials) as refusal:
        await change(world, login.session, current=WRONG)

    assert refusal.value.errors == (("/current_password", "invalid_password"),)
    assert await world.is_live(login.token)
    assert await world.log_in(password=PASSWORD)


NEW = [
    ("short", "password_too_short"),
    ("x" * 1025, "password_too_long"),
    ("\ud800" * 20, "password_not_text"),
    (None, "not_text"),
    (["a" * 15], "not_text"),
]


@pytest.mark.parametrize(("new", "reason"), NEW)
async def test_pwd_01_new_password_against_the_rules_is_refused_before_the_old_is_tried(quick, new, reason):
    login = await member_with_session(quick)

    with pytest.raises(InvalidInput) as refusal:
        await change(quick, login.session, new=new)

    assert refusal.value.errors == (("/new_password", reason),)
    assert quick.steps == []


async def test_acc_01_change_keeps_subject_and_session_id(quick):
    login = await member_with_session(quick)

    changed = await change(quick, login.session)

    assert (changed.subject, changed.session.id) == (login.subject, login.session.id)


async def test_dat_09_of_ten_changes_at_once_one_wins_and_its_password_logs_in(make_world):
    world = make_world("sqlite")
    login = await member_with_session(world)
    candidates = [f"candidate number {n} of ten" for n in range(4)]

    def attempt(new: str) -> str | None:
        try:
            world.desk.desk.change_password(login.session, current_password=PASSWORD, new_password=new)
        except (SessionEnded, InvalidCredentials, TooManyAttempts):
            return None
        return new

    with ThreadPoolExecutor(4) as pool:
        winners = [won for won in pool.map(attempt, candidates) if won]

    assert len(winners) == 1
    world.clock.move(3600)
    assert await world.log_in(password=winners[0])


class Dying(MemoryStore):
    """A store that cannot be reached when it comes to changing a password."""

    dies = False

    async def change_password(self, *args, **kwargs):
        if self.dies:
            raise StoreUnavailable("killed")
        return await super().change_password(*args, **kwargs)


def test_err_07_change_that_failed_left_everything_as_it_was():
    store = Dying()
    desk = Coatcheck(store, secret=SECRET)
    desk.sign_up(username="ada", password=PASSWORD)
    other, owner = desk.log_in("ada", PASSWORD), desk.log_in("ada", PASSWORD)
    store.dies = True
    with pytest.raises(StoreUnavailable):
        desk.change_password(owner.session, current_password=PASSWORD, new_password=NEW_PASSWORD)
    store.dies = False

    with pytest.raises(InvalidCredentials):
        desk.log_in("ada", NEW_PASSWORD)
    assert desk.log_in("ada", PASSWORD)
    assert desk.authenticate(other.token)
    assert desk.change_password(owner.session, current_password=PASSWORD, new_password=NEW_PASSWORD)


async def test_session_that_ended_while_it_changed_the_password_changes_nothing(quick):
    login = await member_with_session(quick)
    other = await quick.log_in()
    parts = quick.desk.flows.parts

    class EndsMeanwhile(PasswordHasher):
        def hash(self, password):
            quick.desk.desk.log_out(login.token)
            return super().hash(password)

    parts.hasher = EndsMeanwhile(quick.desk.policy)

    with pytest.raises(SessionEnded):
        await change(quick, login.session)

    assert await quick.is_live(other.token)
    with pytest.raises(InvalidCredentials):
        await quick.log_in(password=NEW_PASSWORD)
    assert await quick.log_in(password=PASSWORD)


async def test_attempts_that_succeed_leave_no_failure_behind(quick):
    login = await member_with_session(quick)
    session = login.session
    for _ in range(12):
        session = (await quick.desk.reauthenticate(session, PASSWORD, client=Client(ip="192.0.2.9"))).session

    assert await quick.log_in()
