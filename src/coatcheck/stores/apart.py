"""One store made of two: accounts and events in one, sessions in another that was opened for them alone.

With the sessions live the states of their subjects and the counters of attempts. No transaction spans the two: where
both must change, the order is such that dying in between leaves the safer state.

    sign up, rehash            accounts alone
    start, rotate, end, ...    sessions, then the event; one that cannot be kept is told to the log and undoes nothing
    start after a password     sessions, then the account is looked at; the session of a deleted one is forgotten
    a failed attempt           is the account there? its event, then the counters
    change a password          the password, then the epoch; `start` completes what died in between
    delete an account          no session may live or start any more, then the account, then what is left of it

What is known of a session's account is known by asking for it: `find` asks one of the two, `identify` the other.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import cast

import msgspec

from coatcheck.core.audit import one_for_each
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.sessions import REVOKED, Rotation
from coatcheck.core.throttle import Gate, Settlement
from coatcheck.errors import ConfigurationError, StoreError, StoreUnavailable
from coatcheck.stores.protocols import (
    AccountPage,
    AccountsHalf,
    Answer,
    Contents,
    CopyStore,
    Cutoffs,
    EventPage,
    Extent,
    Found,
    Identified,
    Purged,
    SessionPage,
    Started,
    Store,
)

replace = msgspec.structs.replace
DELETED = "account_deleted"  # why the epoch was raised of a subject whose account is being deleted
_ACCOUNTS, _SESSIONS = "accounts", "sessions"
_log = logging.getLogger("coatcheck")


class ApartStore:
    """Keeps the contract of `coatcheck.stores.protocols.Store` in two stores, but for what one step would take.

    Raises:
        ConfigurationError: both are the same place, or the one for sessions was opened for accounts too.
    """

    holds_accounts = False  # beside the sessions

    def __init__(self, accounts: AccountsHalf, sessions: Store) -> None:
        if accounts.location == sessions.location:
            raise ConfigurationError(
                "sessions: is the same place as store; leave it out, and everything is kept there in one step each"
            )
        if sessions.holds_accounts:
            raise ConfigurationError(
                "sessions: this store was opened to hold accounts too and would refuse whoever has none there; "
                "open it with holds_accounts=False"
            )
        self.accounts = accounts
        self.sessions = sessions

    # Sessions

    @property
    def shelf_bits(self) -> int:
        return self.sessions.shelf_bits

    async def find(self, digest: bytes) -> Found | None:
        return await self.sessions.find(digest)

    async def start(
        self,
        session: SessionRecord,
        *,
        replaces: bytes | None,
        keep_at_login: Collection[str] | None,
        credential_version: int | None,
        most: int,
        settlements: Sequence[Settlement],
        events: Sequence[EventRecord],
        eviction: EventRecord | None,
    ) -> Started | Answer:
        outcome = await self.sessions.start(
            session,
            replaces=replaces,
            keep_at_login=keep_at_login,
            credential_version=credential_version,
            most=most,
            settlements=settlements,
            events=(),
            eviction=None,
        )
        if isinstance(outcome, Answer):
            return outcome
        events = (*events, *one_for_each(eviction, outcome.evicted))
        if credential_version is None or session.subject is None:
            await self._note(events)
            return outcome
        # Looked at after the session is there: whoever deletes the account from now on finds it.
        try:
            is_gone = await self.accounts.settle((), account=session.subject, events=events) is Answer.GONE
        except StoreError:
            with suppress(StoreError):  # nobody will be given its token
                await self.sessions.end(session.digest, at=session.created_at, reason=REVOKED, events=())
            raise
        if is_gone:
            await self.sessions.delete_account(session.subject, counters=(), events=())
            return Answer.REFUSED
        return outcome

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        return await self.sessions.touch(digest, seen_at=seen_at)

    async def patch(
        self, digest: bytes, *, namespace: str, puts: Mapping[str, bytes], removes: Collection[str], limit: int
    ) -> Answer | None:
        return await self.sessions.patch(digest, namespace=namespace, puts=puts, removes=removes, limit=limit)

    async def increment(self, digest: bytes, *, namespace: str, key: str, by: int, limit: int) -> int | Answer:
        return await self.sessions.increment(digest, namespace=namespace, key=key, by=by, limit=limit)

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        return await self._noted(await self.sessions.rotate(rotation, events=()), events)

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        return await self._noted(await self.sessions.end(digest, at=at, reason=reason, events=()), events)

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        ended = await self.sessions.end_by_id(session_id, subject=subject, at=at, reason=reason, events=())
        return await self._noted(ended, events)

    async def raise_epoch(
        self,
        subject: str,
        *,
        at: int,
        reason: str,
        keep: Rotation | None,
        credential_version: int | None,
        disabled_at: int | None,
        events: Sequence[EventRecord],
    ) -> bool:
        raised = await self.sessions.raise_epoch(
            subject,
            at=at,
            reason=reason,
            keep=keep,
            credential_version=credential_version,
            disabled_at=disabled_at,
            events=(),
        )
        return await self._noted(raised, events)

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        await self.sessions.raise_everybody(at=at, reason=reason, events=())
        await self._note(events)

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        return await self._noted(await self.sessions.enable(subject, events=()), events)

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        return await self.sessions.sessions_of(subject)

    async def find_by_id(self, session_id: str) -> Found | None:
        return await self.sessions.find_by_id(session_id)

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        return await self.sessions.scan_sessions(after=after, limit=limit)

    async def any_live(self, *, at: int) -> bool:
        return await self.sessions.any_live(at=at)

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        return await self.sessions.states_of(subjects)

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        half, inner = _taken_apart(after, first=_SESSIONS)
        store = self.sessions if half == _SESSIONS else self.accounts
        purged = await store.purge(cutoffs, after=inner, limit=limit)
        return replace(purged, next=_put_together(half, purged.next, then=_ACCOUNTS))

    # Attempts

    async def admit(self, gates: Sequence[Gate], *, subject: str | None, now: int) -> int | Answer:
        return await self.sessions.admit(gates, subject=subject, now=now)

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        # A success may be refused, and then no event is kept; anything else is noted while the account is looked at.
        may_be_refused = any(settlement.outcome == "success" for settlement in settlements)
        early, late = ((), events) if may_be_refused else (events, ())
        if early:
            is_gone = await self.accounts.settle((), account=account, events=early) is Answer.GONE
        else:
            is_gone = account is not None and await self.accounts.credential(account) is None
        if is_gone:
            return Answer.GONE
        answer = await self.sessions.settle(settlements, account=None, events=()) if settlements else None
        if answer is not Answer.LOCKED:
            await self._note(late)
        return answer

    # Accounts

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        return await self.accounts.create_account(account, credential, events=events)

    async def identify(self, key: str) -> Identified | None:
        return await self.accounts.identify(key)

    async def account(self, subject: str) -> AccountRecord | None:
        return await self.accounts.account(subject)

    async def credential(self, subject: str) -> PasswordCredential | None:
        return await self.accounts.credential(subject)

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        return await self.accounts.replace_password(credential, was=was)

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        return await self.accounts.rehash(subject, was=was, new=new)

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        return await self.accounts.scan_accounts(after=after, limit=limit)

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        await self.accounts.record(events)

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        return await self.accounts.events_of(subject, after=after, limit=limit)

    # Accounts and sessions together

    async def change_password(
        self,
        credential: PasswordCredential,
        *,
        at: int,
        reason: str,
        keep: Rotation,
        events: Sequence[EventRecord],
    ) -> bool:
        subject = credential.subject
        session = _standing(await self.sessions.find(keep.digest), subject)
        if session is None:
            return False
        if not await self.accounts.replace_password(credential, was=credential.version - 1):
            return False

        async def end_all_but(kept: Rotation | None) -> bool:
            return await self.sessions.raise_epoch(
                subject,
                at=at,
                reason=reason,
                keep=kept,
                credential_version=credential.version,
                disabled_at=None,
                events=(),
            )

        # The password is another from here on: nobody is told that the old one still opens anything, and whatever
        # happened to the session since the look at it counts as right after the change.
        if not await end_all_but(keep) and await self.accounts.credential(subject) is not None:
            state = (await self.sessions.states_of([subject])).get(subject)
            # A log-in with the new password may have been faster, and completed this (`start`, promise 3).
            if state is None or state.credential_version < credential.version:
                moved = _standing(await self.sessions.find_by_id(session.id), subject)
                if moved is None or not await end_all_but(replace(keep, digest=moved.digest)):
                    await end_all_but(None)
        await self._note(events, account=subject)
        return True

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        account = await self.accounts.account(subject)
        if account is None:
            # One whose deletion died half way is still marked as such.
            state = (await self.sessions.states_of([subject])).get(subject)
            if state is not None and state.epoch_reason == DELETED:
                await self.sessions.delete_account(subject, counters=counters, events=())
            return False
        at = events[0].at if events else account.created_at
        await self.sessions.raise_epoch(
            subject, at=at, reason=DELETED, keep=None, credential_version=None, disabled_at=at, events=()
        )
        deleted = await self.accounts.delete_account(subject, counters=(), events=events)
        await self.sessions.delete_account(subject, counters=counters, events=())
        return deleted

    # Moving it all

    async def export(self, *, after: str | None, limit: int) -> Contents:
        half, inner = _taken_apart(after, first=_ACCOUNTS)
        page = await (self._copied_accounts if half == _ACCOUNTS else self.sessions).export(after=inner, limit=limit)
        if half == _ACCOUNTS:
            # Everybody's epoch stands with the sessions; beside the accounts it was never raised.
            page = replace(page, states=())
        return replace(page, next=_put_together(half, page.next, then=_SESSIONS))

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        with_accounts = Contents(accounts=contents.accounts, events=contents.events)
        with_sessions = Contents(states=contents.states, sessions=contents.sessions, counters=contents.counters)
        await self._copied_accounts.load(with_accounts, bookmark=bookmark)
        await self.sessions.load(with_sessions, bookmark=bookmark)

    async def extent(self) -> Extent:
        beside = await self._copied_accounts.extent()
        return replace(await self.sessions.extent(), accounts=beside.accounts, events=beside.events)

    async def bookmark(self) -> str | None:
        # The sessions' is written last: what it says was loaded is in both.
        return await self.sessions.bookmark() or await self._copied_accounts.bookmark()

    @property
    def _copied_accounts(self) -> CopyStore:
        if not hasattr(self.accounts, "export"):
            raise ConfigurationError("store: is one of your own that holds accounts alone, and cannot be copied")
        return cast(CopyStore, self.accounts)

    # The engines

    @property
    def location(self) -> str:
        return f"{self.accounts.location}, sessions in {self.sessions.location}"

    async def ready(self) -> None:
        await self.accounts.ready()
        with about("sessions"):
            await self.sessions.ready()

    async def advisories(self) -> tuple[str, ...]:
        return (*await self.accounts.advisories(), *await self.sessions.advisories())

    async def close(self) -> None:
        try:
            await self.accounts.close()
        finally:
            await self.sessions.close()

    async def _noted(self, happened: bool, events: Sequence[EventRecord]) -> bool:
        if happened:
            await self._note(events)
        return happened

    async def _note(self, events: Sequence[EventRecord], *, account: str | None = None) -> None:
        """Keep events of a change that has happened. It stands whatever becomes of them (LOG-07).

        Those of an account that was deleted meanwhile are not kept, if its subject is told.
        """
        if not events:
            return
        try:
            if account is None:
                await self.accounts.record(events)
            else:
                await self.accounts.settle((), account=account, events=events)
        except StoreError as error:
            names = ", ".join(event.name for event in events)
            _log.error("it happened, and its events (%s) could not be kept: %s", names, error)


@contextmanager
def about(setting: str) -> Generator[None]:
    """Have errors of the block name the setting they are about, `store` or `sessions`."""
    try:
        yield
    except ConfigurationError as error:
        problems = [problem.replace("store:", f"{setting}:", 1) for problem in error.problems]
        raise type(error)(*problems) from error
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{setting}: {error}") from error


def _standing(found: Found | None, subject: str) -> SessionRecord | None:
    """Give a session that was found if it is standing, and this subject's."""
    if found is None or found.state is None or found.state.disabled_at is not None:
        return None
    session = found.session
    is_standing = session.ended_at is None and session.subject == subject and session.epoch == found.state.epoch
    return session if is_standing else None


def _taken_apart(after: str | None, *, first: str) -> tuple[str, str | None]:
    if after is None:
        return first, None
    half, _, inner = after.partition("/")
    return half, inner or None


def _put_together(half: str, inner: str | None, *, then: str) -> str | None:
    if inner is not None:
        return f"{half}/{inner}"
    return None if half == then else f"{then}/"
