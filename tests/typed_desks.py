"""What a user's checker sees of the desks: read by mypy and pyright in `./dev check`, never run.

A line that must be refused says so with an ignore; where it is not refused, the ignore is unused, and that is refused.
"""

from __future__ import annotations

from typing import assert_type

from coatcheck import Absent, Account, AsyncCoatcheck, Coatcheck, LoggedIn, Login, Session, Visit
from coatcheck.stores.protocols import AccountsHalf

desk = Coatcheck("sqlite:///app.db")
assert_type(desk, Coatcheck)
assert_type(desk, Coatcheck[Account])
assert_type(AsyncCoatcheck("postgresql://db", sessions="redis://cache"), AsyncCoatcheck[Account])


def over_plain_accounts(store: AccountsHalf) -> None:
    assert_type(Coatcheck(store, sessions="memory://"), Coatcheck[Account])


def blocking(desk: Coatcheck, session: Session) -> None:
    with desk as opened:
        assert_type(opened, Coatcheck[Account])
    assert_type(desk.sign_up(username="ada", password="a passphrase"), Account)
    assert_type(desk.log_in("ada", "a passphrase"), Login)
    assert_type(desk.log_in("ada", "a passphrase").account, Account | None)
    assert_type(desk.start_session("ada"), Login[Account])
    assert_type(desk.authenticate("token"), Visit | Absent)
    visit = desk.authenticate("token")
    if visit:
        assert_type(visit, Visit[Account])
        assert_type(visit.account, Account | None)
    else:
        assert_type(visit.reason, str)
    assert_type(desk.account("ada"), Account | None)
    assert_type(desk.find_account("ada"), Account | None)
    assert_type(desk.all_accounts(), tuple[list[tuple[Account, bool]], str | None])
    assert_type(desk.rotate(session), Login)
    with desk.edit(session) as data:
        assert_type(data, dict[str, object])
    desk.on(LoggedIn, lambda event: print(event.session_id))


async def awaited(desk: AsyncCoatcheck, session: Session) -> None:
    async with desk as opened:
        assert_type(opened, AsyncCoatcheck[Account])
    assert_type(await desk.sign_up(username="ada", password="a passphrase"), Account)
    assert_type(await desk.log_in("ada", "a passphrase"), Login)
    assert_type(await desk.authenticate("token"), Visit | Absent)
    assert_type(await desk.account("ada"), Account | None)
    assert_type(await desk.all_accounts(), tuple[list[tuple[Account, bool]], str | None])
    assert_type(await desk.reauthenticate(session, "a passphrase"), Login[Account])
    async with desk.edit(session) as data:
        assert_type(data, dict[str, object])


def greet(visit: Visit) -> str:
    """Without a parameter it is one of our accounts."""
    return (visit.account.username if visit.account else None) or "stranger"


Coatcheck(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
Coatcheck("memory://", colour="red")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
desk.log_in("ada")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
desk.sign_up("ada", "a passphrase")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
