"""Accounts: sign up, read, disable and enable."""

from __future__ import annotations

from coatcheck.core import passwords, throttle
from coatcheck.core.audit import AccountDeleted, AccountDisabled, AccountEnabled, AttemptsForgotten, SignedUp
from coatcheck.core.identifiers import email_key, identifier_key, username_key
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential
from coatcheck.core.sessions import ACCOUNT_DISABLED
from coatcheck.core.throttle import Gate
from coatcheck.core.views import Account, Client
from coatcheck.errors import EmailTaken, FieldError, InvalidInput, UsernameTaken
from coatcheck.flows.admission import admit
from coatcheck.flows.parts import Origin, Parts, check_count, records
from coatcheck.flows.sessions import check_subject
from coatcheck.stores.protocols import AccountPage, Answer, EventPage


class AccountFlows:
    """The flows of this module over one desk's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store

    async def sign_up(
        self, *, username: str | None, email: str | None, password: str, client: Client | None
    ) -> Account:
        """Open an account. All refused fields are told at once; nothing is hashed for what is refused anyway."""
        parts, origin = self._parts, self._parts.origin_of(client)
        named = username_key(username) if isinstance(username, str) and username else None
        addressed = email_key(email) if isinstance(email, str) and email else None
        problems = [
            *_problems_of_names(username, named, email, addressed),
            *problems_of_new_password(password, "/password", parts),
        ]
        if problems:
            raise InvalidInput(errors=problems)
        await self._admit(named or addressed or "", origin)
        if named is not None and await self._store.identify(named) is not None:
            raise UsernameTaken(errors=[FieldError("/username", "username_taken")])
        secret = passwords.normalised(password, parts.policy) or b""
        hashed = await parts.colour.hash(lambda: parts.hasher.hash(secret))
        now = parts.clock()
        account = AccountRecord(
            subject=parts.new_subject(),
            username=username or None,
            username_key=named,
            email=email or None,
            email_key=addressed,
            created_at=now,
        )
        credential = PasswordCredential(account.subject, hashed, version=1, changed_at=now)
        event = SignedUp(at=now, subject=account.subject, **origin.told)
        answer = await self._store.create_account(account, credential, events=records(event))
        if answer is Answer.USERNAME_TAKEN:
            raise UsernameTaken(errors=[FieldError("/username", "username_taken")])
        if answer is Answer.EMAIL_TAKEN:
            raise EmailTaken(errors=[FieldError("/email", "email_taken")])
        await parts.announce(event)
        return Account(account)

    async def _admit(self, name_key: str, origin: Origin) -> None:
        """Count a sign-up, or raise while its network has to wait: a flood would keep everybody from hashing."""
        if origin.network is None:
            return
        gate = throttle.sign_up_gate(origin.network, self._parts.policy)
        await admit(self._parts, [gate], subject=None, named=name_key, origin=origin)
        now = self._parts.clock()
        await self._store.settle(throttle.settlements_of([gate], "failure", at=now), account=None, events=())

    async def account(self, subject: str) -> Account | None:
        """Read an account by its subject."""
        record = await self._store.account(subject)
        return None if record is None else Account(record)

    async def find(self, identifier: str) -> Account | None:
        """Find an account by user name, e-mail address or subject."""
        # The subject first: as a name it would be lower-cased, and whoever signed up under that would be found instead.
        account = await self.account(identifier)
        if account is not None:
            return account
        identified = await self._store.identify(identifier_key(identifier))
        return None if identified is None else Account(identified.account)

    async def scan(self, *, after: str | None, limit: int) -> tuple[list[tuple[Account, bool]], str | None]:
        """Read one page of all accounts, each with whether it is disabled."""
        check_count("limit", limit)
        page: AccountPage = await self._store.scan_accounts(after=after, limit=limit)
        states = await self._store.states_of([record.subject for record in page.accounts])
        disabled = {subject for subject, state in states.items() if state.disabled_at is not None}
        return [(Account(record), record.subject in disabled) for record in page.accounts], page.next

    async def is_disabled(self, subject: str) -> bool:
        """Say whether a subject may have sessions."""
        state = (await self._store.states_of([subject])).get(subject)
        return state is not None and state.disabled_at is not None

    async def disable(self, subject: str) -> None:
        """End all sessions of a subject, which need not have an account of ours, and let it start no more."""
        check_subject(subject)
        now = self._parts.clock()
        event = AccountDisabled(at=now, subject=subject)
        await self._store.raise_epoch(
            subject,
            at=now,
            reason=ACCOUNT_DISABLED,
            keep=None,
            credential_version=None,
            disabled_at=now,
            events=records(event),
        )
        await self._parts.announce(event)

    async def enable(self, subject: str) -> bool:
        """Let a disabled subject log in again. Its old sessions stay dead. False if it was not disabled."""
        event = AccountEnabled(at=self._parts.clock(), subject=subject)
        if not await self._store.enable(subject, events=records(event)):
            return False
        await self._parts.announce(event)
        return True

    async def delete(self, subject: str) -> bool:
        """Delete an account with its sessions and all that names it; False if there is none (SES-07, DAT-07)."""
        check_subject(subject)
        parts = self._parts
        record = await self._store.account(subject)
        if record is None and self._store.holds_accounts:
            return False
        # Where sessions live apart, a deletion that died half way is completed: the account is gone, and they are not.
        event = AccountDeleted(at=parts.clock(), subject_hash=parts.keys.identifier_hash(subject))
        gates = [throttle.lock_of(subject, parts.policy)] if record is None else self._gates_of(record)
        counters = [gate.key for gate in gates]
        if not await self._store.delete_account(subject, counters=counters, events=records(event)):
            return False
        await parts.announce(event)
        return True

    async def unlock(self, subject: str) -> bool:
        """Forget all failures at an account's names and the lock of its password; False if there is no account.

        What one network has failed, at this account or others, stays counted.
        """
        check_subject(subject)
        record = await self._store.account(subject)
        if record is None:
            return False
        event = AttemptsForgotten(at=self._parts.clock(), subject=subject)
        lifted = throttle.settlements_of(self._gates_of(record), "lifted", at=event.at)
        if await self._store.settle(lifted, account=subject, events=records(event)) is Answer.GONE:
            return False
        await self._parts.announce(event)
        return True

    def _gates_of(self, record: AccountRecord) -> list[Gate]:
        policy = self._parts.policy
        names = [key for key in (record.username_key, record.email_key) if key]
        return [*throttle.gates_of(names, None, policy, now=0), throttle.lock_of(record.subject, policy)]

    async def events(
        self, subject: str, *, after: str | None, limit: int
    ) -> tuple[tuple[EventRecord, ...], str | None]:
        """Read a subject's security events, newest first."""
        # None would mean everybody's: an anonymous visit has none of its own (LOG-08).
        check_subject(subject)
        check_count("limit", limit)
        page: EventPage = await self._store.events_of(subject, after=after, limit=limit)
        return page.events, page.next

    async def all_events(self, *, after: str | None, limit: int) -> tuple[tuple[EventRecord, ...], str | None]:
        """Read everybody's security events, newest first."""
        check_count("limit", limit)
        page: EventPage = await self._store.events_of(None, after=after, limit=limit)
        return page.events, page.next


def problems_of_new_password(password: object, pointer: str, parts: Parts) -> list[FieldError]:
    """Say what keeps this from becoming somebody's password."""
    if not isinstance(password, str):
        return [FieldError(pointer, "not_text")]
    refusal = passwords.refusal_of_new(password, parts.policy)
    return [] if refusal is None else [FieldError(pointer, refusal)]


def _problems_of_names(
    username: str | None, named: str | None, email: str | None, addressed: str | None
) -> list[FieldError]:
    problems: list[FieldError] = []
    if not username and not email:
        problems.append(FieldError("/username", "username_or_email_missing"))
    if username and named is None:
        problems.append(FieldError("/username", "username_invalid"))
    if email and addressed is None:
        problems.append(FieldError("/email", "email_invalid"))
    return problems
