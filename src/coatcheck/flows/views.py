"""Accounts as the application sees them: as `Account`, or as objects of its own type, which its own store reads.

Our pages, limits and events know `Account` alone. What desks and doors give to the application passes through here on
its way, and takes no step by that but where the store is an `OwnAccounts`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeAlias, TypeVar, cast

from coatcheck.core.tokens import Token
from coatcheck.core.views import A, Absent, Account, Client, Login, Visit
from coatcheck.errors import StoreConflict
from coatcheck.flows.accounts import AccountFlows
from coatcheck.flows.sessions import SessionFlows
from coatcheck.stores.protocols import OwnAccounts

T = TypeVar("T")
Work: TypeAlias = Coroutine[Any, Any, T]


class ViewFlows(Generic[A]):
    """The flows of this module over one desk's parts; `own` is its store of accounts if that has objects of its own."""

    def __init__(self, accounts: AccountFlows, sessions: SessionFlows, own: OwnAccounts[A] | None) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._own = own

    @property
    def are_own(self) -> bool:
        """Whether accounts are of a type of the application's own."""
        return self._own is not None

    def authenticate(
        self, token: str | Token | None, *, touch: bool, with_account: bool, client: Client | None
    ) -> Work[Visit[A] | Absent]:
        """Find out who presents a token. Where it lives apart, the application's object is read in place of ours."""
        if self._own is None:
            ours = self._sessions.authenticate(token, touch=touch, with_account=with_account, client=client)
            return cast("Work[Visit[A] | Absent]", ours)
        return self._authenticate(token, touch=touch, with_account=with_account, client=client)

    async def _authenticate(
        self, token: str | Token | None, *, touch: bool, with_account: bool, client: Client | None
    ) -> Visit[A] | Absent:
        visit = await self._sessions.authenticate(token, touch=touch, client=client)
        if not visit:
            return visit
        account = None
        if with_account and visit.subject is not None:
            account = await self.account(visit.subject)
        return Visit(visit.session, account, is_touch_due=visit.is_touch_due)

    async def login(self, work: Work[Login]) -> Login[A]:
        """Do what gives a `Login`, and show the account in it."""
        return await self.shown(await work)

    async def shown(self, login: Login) -> Login[A]:
        """Give a login with the account in it as the application sees it."""
        if self._own is None:
            return cast("Login[A]", login)
        account = None if login.account is None else await self.account(login.account.subject, read=login.account)
        return Login(login.token, login.session, account, device=login.device)

    async def account(self, subject: str, *, read: Account | None = None) -> A | None:
        """Read an account by its subject. No step where it was `read` already, and is shown as it is."""
        if self._own is None:
            return cast("A | None", read or await self._accounts.account(subject))
        return (await self._own.own_accounts([subject])).get(subject)

    async def opened(self, work: Work[Account]) -> A:
        """Do what opens an account, and show it."""
        account = await work
        shown = await self.account(account.subject, read=account)
        if shown is None:
            raise StoreConflict("own_accounts: has nothing for an account that was opened a moment ago")
        return shown

    async def find(self, identifier: str) -> A | None:
        """Find an account by user name, e-mail address or subject."""
        found = await self._accounts.find(identifier)
        return None if found is None else await self.account(found.subject, read=found)

    async def scan(self, *, after: str | None, limit: int) -> tuple[list[tuple[A, bool]], str | None]:
        """Read one page of all accounts, each with whether it is disabled."""
        page, following = await self._accounts.scan(after=after, limit=limit)
        if self._own is None:
            return cast("list[tuple[A, bool]]", page), following
        shown = await self._own.own_accounts([account.subject for account, _ in page])
        return [
            (shown[account.subject], is_disabled) for account, is_disabled in page if account.subject in shown
        ], following
