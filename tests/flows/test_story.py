"""The sample of the documentation, told at both desks over both stores."""

from __future__ import annotations

from coatcheck import Client
from coatcheck.core.audit import LoggedIn, LoggedOut, SessionRevoked, SessionsRevoked, SignedUp


async def test_sign_up_log_in_edit_list_revoke_and_log_out(world):
    desk, phone = world.desk, Client(ip="198.51.100.9", user_agent="Phone")

    ada = await desk.sign_up(username="Ada", email="ada@example.org", password="a long enough passphrase")
    login = await desk.log_in("ada", "a long enough passphrase", client=phone, remember=True)
    assert login.account == ada
    assert login.session.is_persistent

    visit = await desk.authenticate(login.token.reveal())
    assert visit
    assert visit.account == ada
    assert visit.session.methods == ("pwd",)

    async with desk.edit(visit.session) as data:
        data["theme"] = "dark"
    assert await desk.increment(visit.session, "visits") == 1
    assert await desk.increment(visit.session, "visits") == 2
    visit = await desk.authenticate(login.token)
    assert visit.session.data() == {"theme": "dark", "visits": 2}

    own = await desk.start_session("subject-42", methods=("oidc",), client=phone)
    other = await desk.log_in("ADA@EXAMPLE.ORG", "a long enough passphrase")
    devices = await desk.sessions(of=ada.subject)
    assert {session.id for session in devices} == {login.session.id, other.session.id}
    assert (await desk.authenticate(own.token)).account is None

    await desk.revoke(other.session.id, of=ada.subject, note="lost phone")
    assert await world.absence(other.token) == "revoked"
    third = await desk.log_in("ada", "a long enough passphrase")
    assert await desk.revoke_all(of=ada.subject, keep=login.session.id) == 1
    assert await world.absence(third.token) == "revoked"
    assert await world.is_live(login.token)
    assert await world.is_live(own.token)

    assert await desk.log_out(login.token)
    assert not await desk.log_out(login.token)
    assert await world.absence(login.token) == "logged_out"

    told = [type(event) for event in world.events]
    assert told == [SignedUp, LoggedIn, LoggedIn, LoggedIn, SessionRevoked, LoggedIn, SessionsRevoked, LoggedOut]
    kept, _ = await desk.events(of=ada.subject)
    assert [event.name for event in reversed(kept)] == [e.name for e in world.events if e.subject == ada.subject]


async def test_what_acknowledged_calls_left_is_there_for_the_next_desk(world):
    if world.url == "memory://":
        return
    await world.member()
    login = await world.log_in()
    await world.desk.close()

    assert await world.is_live(login.token)  # opens anew
    kept, _ = await world.desk.all_events()
    assert [event.name for event in kept] == ["logged_in"]
