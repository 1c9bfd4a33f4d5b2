"""Proving identity with a password: logging in, and again inside a session.

Order of a log-in, three steps: read the account, count the attempt (before the password is looked at, RAT-06) and hear
whether its subject is disabled, hash in the lane, then start the session, which also ends the one that was shown and
settles the counters. Where accounts and sessions live apart, that the account is still there is a fourth.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec

from coatcheck.core import passwords, throttle
from coatcheck.core import sessions as decisions
from coatcheck.core.audit import Event, LogInFailed, PasswordLocked, Reauthenticated, ReauthenticationFailed
from coatcheck.core.identifiers import identifier_key
from coatcheck.core.records import AccountRecord, PasswordCredential
from coatcheck.core.throttle import Gate
from coatcheck.core.tokens import Token
from coatcheck.core.views import Account, Client, Login, Session
from coatcheck.crypto.known_devices import note_device, recognise_device
from coatcheck.errors import (
    Busy,
    FieldError,
    InvalidCredentials,
    InvalidInput,
    NotAuthenticated,
    SessionEnded,
    StoreError,
)
from coatcheck.flows.admission import Attempt, admit
from coatcheck.flows.parts import Origin, Parts, records
from coatcheck.flows.sessions import Refusal, SessionFlows, rotated
from coatcheck.stores.protocols import Answer

T = TypeVar("T")
IDENTIFIER_MAX = 1024
PASSWORD_METHOD = "pwd"  # RFC 8176


class LogInFlows:
    """The flows of this module over one desk's parts."""

    def __init__(self, parts: Parts, sessions: SessionFlows) -> None:
        self._parts = parts
        self._store = parts.store
        self._sessions = sessions

    async def log_in(
        self,
        identifier: str,
        password: str,
        *,
        client: Client | None,
        remember: bool,
        replaces: str | Token | Session | None,
    ) -> Login:
        """Start a session for whoever knows the password. Every refusal of a password looks the same (ENU-01)."""
        _check_typed(identifier, password)
        parts, origin = self._parts, self._parts.origin_of(client)
        secret = presented_password(password, "/password", parts)
        key = identifier_key(identifier)
        identified = await self._store.identify(key)
        credential = None if identified is None else identified.credential
        attempt = await self.admit([key], credential, origin)

        matches = await self.matches(credential, secret, attempt)
        if identified is None or credential is None or not matches:
            cause = "unknown_identifier" if identified is None else "wrong_password"
            raise await self._failed(key, origin, attempt, cause)
        if attempt.refusal is not None:
            cause = "password_locked" if attempt.refusal is Answer.LOCKED else "account_disabled"
            raise await self._failed(key, origin, attempt, cause)

        try:
            login = await self._sessions.start(
                credential.subject,
                methods=(PASSWORD_METHOD,),
                client=origin,
                remember=remember,
                replaces=replaces,
                account=Account(identified.account),
                credential_version=credential.version,
                settlements=attempt.settled("success", at=parts.clock()),
            )
        except InvalidCredentials as error:
            # Its password is locked; or it was disabled, deleted or given a new one while the old one was verified.
            is_locked = isinstance(error.__cause__, Refusal) and error.__cause__.answer is Answer.LOCKED
            cause = "password_locked" if is_locked else "refused_meanwhile"
            raise await self._failed(key, origin, attempt, cause) from None
        except StoreError:
            await self._take_back(attempt)
            raise
        await self._rehash(credential, secret)
        login.device = self.note_device(credential, attempt)
        return login

    async def reauthenticate(self, session: Session, password: str, *, client: Client | None) -> Login:
        """Prove identity again inside a session: same account only, new secret, both limits start again (STP-05)."""
        parts, origin = self._parts, self._parts.origin_of(client)
        if session.subject is None:
            raise NotAuthenticated
        secret = presented_password(password, "/password", parts)
        await self._sessions.check_time(session)
        account, credential, attempt = await self.prove(session, secret, "/password", origin)
        now = parts.clock()
        token, digest = parts.new_session_token(session.subject)
        rotation = decisions.reauthenticate(
            session.record, new_digest=digest, method=PASSWORD_METHOD, policy=parts.policy, now=now
        )
        event = Reauthenticated(at=now, subject=session.subject, session_id=session.id, **origin.told)
        if not await self._store.rotate(rotation, events=records(event)):
            raise SessionEnded
        await parts.announce(event)
        return Login(token, rotated(session, rotation), Account(account), device=self.note_device(credential, attempt))

    async def prove(
        self, session: Session, secret: bytes, pointer: str, origin: Origin
    ) -> tuple[AccountRecord, PasswordCredential, Attempt]:
        """Check the password of the session's own account, counted and slowed down like a log-in (PWD-15)."""
        parts, subject = self._parts, session.subject or ""
        account = await self._store.account(subject)
        credential = await self._store.credential(subject)
        # The same counters as at the log-in page (STP-05): a stolen session is no second budget of guesses.
        names = [] if account is None else [key for key in (account.username_key, account.email_key) if key]
        attempt = await self.admit(names, credential, origin)
        matches = await self.matches(credential, secret, attempt) and attempt.refusal is not Answer.LOCKED
        if matches and credential is not None and account is not None:
            success = attempt.settled("success", at=parts.clock())
            try:
                answer = await self._store.settle(success, account=subject, events=())
            except StoreError:
                await self._take_back(attempt)
                raise
            if answer is None:
                return account, credential, attempt
        event = ReauthenticationFailed(at=parts.clock(), subject=attempt.subject, session_id=session.id, **origin.told)
        await self._settle_failure(attempt, event)
        raise InvalidCredentials(errors=[FieldError(pointer, "invalid_password")])

    async def admit(self, name_keys: list[str], credential: PasswordCredential | None, origin: Origin) -> Attempt:
        """Count an attempt at an account known by these names, or raise while it has to wait."""
        parts, now = self._parts, self._parts.clock()
        device = None
        if credential is not None:
            device = recognise_device(
                parts.keys.device,
                origin.device,
                subject=credential.subject,
                version=credential.version,
                now=now,
                lifetime=parts.policy.known_device_lifetime,
            )
        if credential is not None and device is not None:
            gates: tuple[Gate, ...] = (throttle.known_device_gate(device.name, credential.subject, parts.policy),)
        else:
            gates = throttle.gates_of(name_keys, origin.network, parts.policy, now=now)
        lock = None if credential is None else throttle.lock_of(credential.subject, parts.policy)
        asked = gates if lock is None else (*gates, lock)
        named = " ".join(name_keys)
        # Somebody is asked for at unknown names too: what it costs must not tell who exists (ENU-02).
        subject = named if credential is None else credential.subject
        refusal = await admit(parts, asked, subject=subject, named=named, origin=origin)
        return Attempt(gates, credential, lock, refusal, device)

    def note_device(self, credential: PasswordCredential, attempt: Attempt) -> Token | None:
        """Make the note by which the browser is known to the account from now on; None while it has a young one."""
        parts, now = self._parts, self._parts.clock()
        lifetime = parts.policy.known_device_lifetime
        is_young = attempt.device is not None and now - attempt.device.made_at < lifetime // 2
        if lifetime == 0 or is_young:
            return None
        return note_device(
            parts.keys.device, parts.entropy, subject=credential.subject, version=credential.version, now=now
        )

    async def matches(self, credential: PasswordCredential | None, secret: bytes, attempt: Attempt) -> bool:
        """Verify in the lane; without a credential the same work is done on a decoy (ENU-02)."""
        hashed = None if credential is None else credential.hash
        return await self.hash_admitted(lambda: self._parts.hasher.verify(hashed, secret), attempt)

    async def hash_admitted(self, work: Callable[[], T], attempt: Attempt) -> T:
        """Hash for an attempt that was counted. A full lane takes the count back: a crowd must lock nobody out."""
        try:
            return await self._parts.colour.hash(work)
        except Busy:
            await self._store.settle(attempt.settled("unread", at=self._parts.clock()), account=None, events=())
            raise

    async def _take_back(self, attempt: Attempt) -> None:
        # The password was right, and the store failed after it was looked at: who comes again for as long as that lasts
        # has failed in nothing, and must be let in by the first call after it. Whoever guesses never gets here.
        with suppress(StoreError):
            await self._store.settle(attempt.settled("unread", at=self._parts.clock()), account=None, events=())

    async def _failed(self, key: str, origin: Origin, attempt: Attempt, cause: str) -> InvalidCredentials:
        event = LogInFailed(
            at=self._parts.clock(),
            subject=attempt.subject,
            **origin.told,
            cause=cause,
            identifier_hash=self._parts.keys.identifier_hash(key),
        )
        await self._settle_failure(attempt, event)
        return InvalidCredentials()

    async def _settle_failure(self, attempt: Attempt, event: Event) -> None:
        store, subject = self._store, attempt.subject
        settlements = attempt.settled("failure", at=event.at)
        answer = await store.settle(settlements, account=subject, events=records(event))
        if answer is Answer.GONE:
            # Deleted while the password was looked at: count and tell as if there had never been such an account.
            attempt = msgspec.structs.replace(attempt, credential=None, lock=None)
            event = msgspec.structs.replace(event, subject=None, session_id=None)
            settlements = attempt.settled("failure", at=event.at)
            await store.settle(settlements, account=None, events=records(event))
        await self._parts.announce(event)
        if answer is Answer.LOCKED:
            failures = self._parts.policy.password_lock_failures
            locked = PasswordLocked(at=event.at, subject=subject, failures=failures)
            await store.settle((), account=subject, events=records(locked))
            await self._parts.announce(locked)

    async def _rehash(self, credential: PasswordCredential, secret: bytes) -> None:
        # PWD-11: a log-in is the only moment at which an old hash can be replaced. It stands if that fails.
        parts = self._parts
        if not parts.hasher.needs_rehash(credential.hash):
            return
        try:
            new = await parts.colour.hash(lambda: parts.hasher.hash(secret))
            await self._store.rehash(credential.subject, was=credential.hash, new=new)
        except (Busy, StoreError):
            return


def presented_password(password: object, pointer: str, parts: Parts) -> bytes:
    """Give the bytes to verify. What can be nobody's password is refused before any hashing, for every name alike."""
    if not isinstance(password, str):
        raise InvalidInput(errors=[FieldError(pointer, "not_text")])
    secret = passwords.normalised(password, parts.policy)
    if secret is None:
        reason = passwords.refusal_of_new(password, parts.policy) or "password_not_text"
        raise InvalidInput(errors=[FieldError(pointer, reason)])
    return secret


def _check_typed(identifier: object, password: object) -> None:
    problems = [
        FieldError(pointer, "not_text")
        for pointer, value in (("/identifier", identifier), ("/password", password))
        if not isinstance(value, str)
    ]
    if isinstance(identifier, str) and not identifier.strip():
        problems.append(FieldError("/identifier", "missing"))
    elif isinstance(identifier, str) and len(identifier) > IDENTIFIER_MAX:
        problems.append(FieldError("/identifier", "identifier_too_long"))
    if problems:
        raise InvalidInput(errors=problems)
