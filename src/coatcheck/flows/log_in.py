"""Proving identity with a password: logging in, and again inside a session.

Order of a log-in, at most four steps: read the account, count the attempt (before the password is looked at, RAT-06),
hash in the lane, then start the session, which also ends the one that was shown and settles the counters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from coatcheck.core import passwords, throttle
from coatcheck.core import sessions as decisions
from coatcheck.core.audit import LogInFailed, Reauthenticated, ReauthenticationFailed
from coatcheck.core.identifiers import identifier_key
from coatcheck.core.networks import network_of
from coatcheck.core.records import AccountRecord, PasswordCredential
from coatcheck.core.throttle import Gate
from coatcheck.core.tokens import Token
from coatcheck.core.views import Account, Client, Login, Session
from coatcheck.errors import (
    Busy,
    FieldError,
    InvalidCredentials,
    InvalidInput,
    NotAuthenticated,
    SessionEnded,
    StoreError,
)
from coatcheck.flows.admission import admit
from coatcheck.flows.parts import Parts, origin_of, records
from coatcheck.flows.sessions import SessionFlows, rotated

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
        parts, origin = self._parts, origin_of(client)
        secret = presented_password(password, "/password", parts)
        key = identifier_key(identifier)
        identified = await self._store.identify(key)
        gates = await self.admit([key], origin)

        credential = None if identified is None else identified.credential
        matches = await self.matches(credential, secret, gates)
        if identified is None or credential is None or not matches:
            raise await self._failed(
                key, origin, gates, subject=None if identified is None else identified.account.subject
            )
        if identified.state is not None and identified.state.disabled_at is not None:
            raise await self._failed(key, origin, gates, subject=identified.account.subject, cause="account_disabled")

        try:
            login = await self._sessions.start(
                identified.account.subject,
                methods=(PASSWORD_METHOD,),
                client=origin,
                remember=remember,
                replaces=replaces,
                account=Account(identified.account),
                credential_version=credential.version,
                settlements=throttle.settlements_of(gates, "success", at=parts.clock()),
            )
        except InvalidCredentials:
            # Disabled, or given a new password, while the old one was being verified.
            cause = "refused_meanwhile"
            raise await self._failed(key, origin, gates, subject=identified.account.subject, cause=cause) from None
        await self._rehash(credential, secret)
        return login

    async def reauthenticate(self, session: Session, password: str, *, client: Client | None) -> Login:
        """Prove identity again inside a session: same account only, new secret, both limits start again (STP-05)."""
        parts, origin = self._parts, origin_of(client)
        if session.subject is None:
            raise NotAuthenticated
        secret = presented_password(password, "/password", parts)
        await self._sessions.check_time(session)
        account, _, gates = await self.prove(session, secret, "/password", origin)
        now = parts.clock()
        token, digest = parts.new_session_token(session.subject)
        rotation = decisions.reauthenticate(
            session.record, new_digest=digest, method=PASSWORD_METHOD, policy=parts.policy, now=now
        )
        event = Reauthenticated(
            at=now, subject=session.subject, session_id=session.id, ip=origin.ip, user_agent=origin.user_agent
        )
        settlements = throttle.settlements_of(gates, "success", at=now)
        if not await self._store.rotate(rotation, settlements=settlements, events=records(event)):
            raise SessionEnded
        await parts.announce(event)
        return Login(token, rotated(session, rotation), Account(account))

    async def prove(
        self, session: Session, secret: bytes, pointer: str, origin: Client
    ) -> tuple[AccountRecord, PasswordCredential, tuple[Gate, ...]]:
        """Check the password of the session's own account, counted and slowed down like a log-in (PWD-15)."""
        parts, subject = self._parts, session.subject or ""
        account = await self._store.account(subject)
        credential = await self._store.credential(subject)
        # The same counters as at the log-in page (STP-05): a stolen session is no second budget of guesses.
        names = [] if account is None else [key for key in (account.username_key, account.email_key) if key]
        gates = await self.admit(names, origin)
        if not await self.matches(credential, secret, gates) or credential is None or account is None:
            event = ReauthenticationFailed(
                at=parts.clock(), subject=subject, session_id=session.id, ip=origin.ip, user_agent=origin.user_agent
            )
            await self._store.settle(throttle.settlements_of(gates, "failure", at=event.at), events=records(event))
            await parts.announce(event)
            raise InvalidCredentials(errors=[FieldError(pointer, "invalid_password")])
        return account, credential, gates

    async def admit(self, name_keys: list[str], origin: Client) -> tuple[Gate, ...]:
        """Count an attempt at an account known by these names, or raise while it has to wait."""
        network = None if origin.ip is None else network_of(origin.ip)
        gates = throttle.gates_of(name_keys, network, self._parts.policy)
        await admit(self._parts, gates, named=" ".join(name_keys), origin=origin)
        return gates

    async def matches(self, credential: PasswordCredential | None, secret: bytes, gates: tuple[Gate, ...]) -> bool:
        """Verify in the lane; without a credential the same work is done on a decoy (ENU-02)."""
        hashed = None if credential is None else credential.hash
        return await self.hash_admitted(lambda: self._parts.hasher.verify(hashed, secret), gates)

    async def hash_admitted(self, work: Callable[[], T], gates: tuple[Gate, ...]) -> T:
        """Hash for an attempt that was counted. A full lane takes the count back: a crowd must lock nobody out."""
        try:
            return await self._parts.colour.hash(work)
        except Busy:
            await self._store.settle(throttle.settlements_of(gates, "unread", at=self._parts.clock()), events=())
            raise

    async def _failed(
        self, key: str, origin: Client, gates: tuple[Gate, ...], *, subject: str | None, cause: str | None = None
    ) -> InvalidCredentials:
        event = LogInFailed(
            at=self._parts.clock(),
            subject=subject,
            ip=origin.ip,
            user_agent=origin.user_agent,
            cause=cause or ("unknown_identifier" if subject is None else "wrong_password"),
            identifier_hash=self._parts.keys.identifier_hash(key),
        )
        await self._store.settle(throttle.settlements_of(gates, "failure", at=event.at), events=records(event))
        await self._parts.announce(event)
        return InvalidCredentials()

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
