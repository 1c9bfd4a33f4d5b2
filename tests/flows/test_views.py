"""Accounts of the application's own type: what a desk over its own store gives, and what that costs in steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from coatcheck import StoreUnavailable, Visit
from coatcheck.errors import StoreConflict
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.scene import the_hasher
from tests.flows.conftest import PASSWORD, World
from tests.own_users import User, Users


@pytest.fixture(params=["blocking", "async"])
def apart(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    """The application's users, and sessions somewhere else."""
    sessions = MemoryStore(holds_accounts=False)
    world = make_world(is_async=request.param == "async", wrap=Users, sessions=sessions)
    world.desk.desk.flows.parts.hasher = the_hasher()
    return world


@pytest.fixture
def together(make_world: Callable[..., World]) -> World:
    """A store of the application's own that holds everything."""
    return make_world(wrap=Users)


async def test_every_method_gives_the_application_s_own_type(apart):
    desk = apart.desk
    user = await desk.sign_up(username="ada", password=PASSWORD)
    login = await desk.log_in("ada", PASSWORD)
    visit = await desk.authenticate(login.token)

    assert user == User(user.key)
    assert login.account == visit.account == user
    assert (login.subject, visit.subject) == (user.key, user.key)
    assert await desk.account(user.key) == await desk.find_account("ada") == await desk.find_account(user.key) == user
    assert await desk.all_accounts() == ([(user, False)], None)
    again = await desk.reauthenticate(visit.session, PASSWORD)
    assert again.account == user
    changed = await desk.change_password(
        again.session, current_password=PASSWORD, new_password="another long passphrase"
    )
    assert changed.account == user
    assert (await desk.rotate(changed.session)).account is None


async def test_who_has_no_account_has_none_of_that_type_either(apart):
    login = await apart.desk.start_session("oidc|7", methods=("oidc",))
    visit = await apart.desk.authenticate(login.token)
    anonymous = await apart.desk.start_session(None)

    assert (login.account, visit.account, visit.subject) == (None, None, "oidc|7")
    assert (await apart.desk.authenticate(anonymous.token)).account is None
    assert await apart.desk.account("nobody") is None
    assert await apart.desk.find_account("nobody") is None
    assert not await apart.desk.authenticate("x" * 43)


async def test_to_authenticate_reads_the_application_s_object_in_place_of_ours(apart):
    await apart.member()
    login = await apart.log_in()
    apart.steps.clear()

    with_account = await apart.desk.authenticate(login.token)
    assert (with_account.account, apart.steps) == (User("subject-of-ada"), ["own_accounts"])
    apart.steps.clear()
    without = await apart.desk.authenticate(login.token, with_account=False)
    assert (without.account, apart.steps) == (None, [])
    assert isinstance(without, Visit)
    await apart.desk.account("subject-of-ada")
    assert apart.steps == ["own_accounts"]


async def test_a_page_of_accounts_costs_one_step_more_however_long_it_is(apart):
    for name in ("ada", "bob", "carol"):
        await apart.member(name)

    page, following = await apart.desk.all_accounts(limit=2)

    assert ([user.key for user, _ in page], following is None) == (["subject-of-ada", "subject-of-bob"], False)
    assert apart.steps == ["scan_accounts", "own_accounts"]


async def test_a_store_that_holds_sessions_too_may_have_its_own_type(together):
    await together.member()
    login = await together.log_in()
    together.steps.clear()

    assert (await together.desk.authenticate(login.token)).account == User("subject-of-ada")
    assert together.steps == ["find", "own_accounts"]


async def test_err_01_without_the_application_s_object_nobody_is_taken_for_a_stranger(apart, monkeypatch):
    await apart.member()
    login = await apart.log_in()

    async def broken(_subjects: Sequence[str]) -> dict[str, User]:
        raise StoreUnavailable("the users' database is down")

    monkeypatch.setattr(apart.inner, "own_accounts", broken)
    with pytest.raises(StoreUnavailable):
        await apart.desk.authenticate(login.token)


async def test_a_store_that_has_nothing_for_a_new_account_breaks_its_promise(apart):
    apart.inner.forgets = True

    with pytest.raises(StoreConflict, match="own_accounts"):
        await apart.desk.sign_up(username="ada", password=PASSWORD)
