"""The life of a session: start, authenticate, renew, rotate, log out. It knows a subject and nothing else of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from coatcheck.core import sessions as decisions
from coatcheck.core.audit import (
    Event,
    LoggedIn,
    LoggedOut,
    SessionEvicted,
    SessionExpired,
    SessionRotated,
    record_of,
)
from coatcheck.core.records import SessionRecord
from coatcheck.core.sessions import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT, LOGGED_OUT, Rotation
from coatcheck.core.throttle import Settlement
from coatcheck.core.tokens import Token, session_digest
from coatcheck.core.views import Absent, Account, Client, Login, Session, Visit
from coatcheck.errors import (
    InvalidCredentials,
    InvalidInput,
    SessionEnded,
    StepUpRequired,
)
from coatcheck.flows.parts import Parts, Whence, records
from coatcheck.stores.protocols import Answer

SUBJECT_MAX = 255
NO_SESSION = Absent("no_session")
UNKNOWN_SESSION = Absent("unknown_session")


class Refusal(Exception):
    """Why the store would not start a session, as the cause of an answer that does not say it (ENU-01)."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.value)


class SessionFlows:
    """The flows of this module over one desk's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._fits = parts.token_format.fits
        self._store = parts.store
        self._clock = parts.clock

    async def start(
        self,
        subject: str | None,
        *,
        methods: tuple[str, ...],
        client: Whence,
        remember: bool,
        replaces: str | Token | Session | None,
        account: Account | None = None,
        credential_version: int | None = None,
        settlements: Sequence[Settlement] = (),
    ) -> Login:
        """Start a session; what `replaces` held (a token shown with the request) ends with it (FIX-01, SES-10).

        One step. One that time has ended already is ended for good too: the clock may be set back (TMO-07).
        """
        if subject is not None:
            check_subject(subject)
        _check_methods(methods)
        parts, now, origin = self._parts, self._clock(), self._parts.origin_of(client)
        token, digest = parts.new_session_token(subject)
        session = decisions.issue(
            digest=digest,
            session_id=parts.new_handle(),
            subject=subject,
            methods=methods,
            remember=remember,
            ip=origin.ip,
            user_agent=origin.user_agent,
            policy=parts.policy,
            now=now,
        )
        events: list[Event] = []
        if subject is not None:
            events.append(
                LoggedIn(
                    at=now,
                    subject=subject,
                    session_id=session.id,
                    **origin.told,
                    methods=session.methods,
                    is_persistent=session.is_persistent,
                )
            )
        eviction = SessionEvicted(at=now, subject=subject)  # whose turn it is only the store can say
        answer = await self._store.start(
            session,
            replaces=self._digest_of(replaces),
            keep_at_login=parts.policy.keep_at_login,
            credential_version=credential_version,
            most=parts.policy.sessions_per_subject,
            settlements=settlements,
            events=records(*events),
            eviction=record_of(eviction),
        )
        if isinstance(answer, Answer):
            raise InvalidCredentials from Refusal(answer)
        evictions = [msgspec.structs.replace(eviction, session_id=session_id) for session_id in answer.evicted]
        await parts.announce(*events, *evictions)
        return Login(token, Session(answer.session), account)

    async def authenticate(
        self, token: object, *, touch: bool, with_account: bool = False, client: Whence = None
    ) -> Visit | Absent:
        """Find out who presents a token. One step; a due "last seen" or an observed expiry costs one more.

        So does, `with_account`, the account where it lives apart from the session; it is None there otherwise.
        """
        text = token.reveal() if isinstance(token, Token) else token
        if not self._fits(text):
            return UNKNOWN_SESSION if text else NO_SESSION
        found = await self._store.find(session_digest(text))
        if found is None:
            return UNKNOWN_SESSION
        now = self._clock()
        session = found.session
        death = decisions.death_of(session, found.state, now=now)
        if death is not None:
            await self._note_expiry(session, death, now=now, client=client)
            return Absent(death)
        is_touch_due = decisions.is_touch_due(session, now=now)
        if is_touch_due and touch:
            await self._store.touch(session.digest, seen_at=now)
        account = found.account
        if account is None and with_account and session.subject is not None and not self._store.holds_accounts:
            account = await self._store.account(session.subject)
        return Visit(Session(session), None if account is None else Account(account), is_touch_due=is_touch_due)

    async def check_time(self, session: Session) -> int:
        """Give the instant of this look; raise `SessionEnded` if time has ended a session that was read earlier.

        Stores never look at the time: without this, a slow request could renew, rotate or write to a session that
        expired meanwhile and so bring it back (SES-05). Free while the record in hand is within its limits; it is read
        again only if it looks expired, for other requests may have used the session since.
        """
        now = self._clock()
        if decisions.timeout_of(session.record, now=now) is None:
            return now
        found = await self._store.find(session.record.digest)
        death = decisions.REVOKED if found is None else decisions.death_of(found.session, found.state, now=now)
        if death is None:
            return now
        if found is not None:
            await self._note_expiry(found.session, death, now=now)
        raise SessionEnded

    async def renew(self, session: Session) -> None:
        """Write that the session was used now."""
        now = await self.check_time(session)  # at one instant: a machine may sleep between two
        if not await self._store.touch(session.record.digest, seen_at=now):
            raise SessionEnded

    async def rotate(self, session: Session, account: Account | None = None, *, client: Whence = None) -> Login:
        """Give the session a new secret; the old one is dead when this returns."""
        now = await self.check_time(session)
        token, digest = self._parts.new_session_token(session.subject)
        rotation = decisions.rotate(session.record, new_digest=digest, now=now)
        told = self._parts.origin_of(client).told
        event = SessionRotated(at=now, subject=session.subject, session_id=session.id, **told)
        if not await self._store.rotate(rotation, events=records(event)):
            raise SessionEnded
        await self._parts.announce(event)
        return Login(token, rotated(session, rotation), account)

    async def log_out(self, token: object, *, client: Client | None) -> bool:
        """End the session behind a token. False if there was none to end."""
        text = token.reveal() if isinstance(token, Token) else token
        if not self._fits(text):
            return False
        found = await self._store.find(session_digest(text))
        if found is None:
            return False
        now, origin, session = self._clock(), self._parts.origin_of(client), found.session
        death = decisions.death_of(session, found.state, now=now)
        if death is not None:
            await self._note_expiry(session, death, now=now, client=origin)
            return False
        event = LoggedOut(at=now, subject=session.subject, session_id=session.id, **origin.told)
        ended = await self._store.end(session.digest, at=now, reason=LOGGED_OUT, events=records(event))
        if not ended and session.subject is not None:
            # Another request may have rotated the secret since the read: it is still the session that was to end.
            ended = await self._store.end_by_id(
                session.id, subject=session.subject, at=now, reason=LOGGED_OUT, events=records(event)
            )
        if not ended:
            return False
        await self._parts.announce(event)
        return True

    def require_fresh(self, session: Session) -> None:
        """Raise unless identity was proven in this session within the policy's step-up lifetime (STP-01)."""
        max_age = self._parts.policy.step_up_lifetime
        if not decisions.is_fresh(session.record, max_age=max_age, now=self._clock()):
            raise StepUpRequired(max_age=max_age)

    def _digest_of(self, shown: str | Token | Session | None) -> bytes | None:
        if isinstance(shown, Session):
            return shown.record.digest
        text = shown.reveal() if isinstance(shown, Token) else shown
        return session_digest(text) if self._fits(text) else None

    async def _note_expiry(self, session: SessionRecord, death: str, *, now: int, client: Whence = None) -> None:
        # What was seen expired stays so even if the clock is set back (TMO-07).
        if session.ended_at is None and death in (IDLE_TIMEOUT, ABSOLUTE_TIMEOUT):
            told = self._parts.origin_of(client).told
            event = SessionExpired(at=now, subject=session.subject, session_id=session.id, **told, cause=death)
            if await self._store.end(session.digest, at=now, reason=death, events=records(event)):
                await self._parts.announce(event)


def rotated(session: Session, rotation: Rotation) -> Session:
    """The session as it is after a rotation that the store has confirmed."""
    return Session(
        msgspec.structs.replace(
            session.record,
            digest=rotation.new_digest,
            last_seen_at=rotation.last_seen_at,
            auth_time=rotation.auth_time,
            expires_at=rotation.expires_at,
            methods=rotation.methods,
        )
    )


def check_subject(subject: object) -> None:
    """Raise `InvalidInput` for what can be nobody's id."""
    # None would mean every anonymous session there is: never a subject.
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_MAX or not subject.isprintable():
        raise InvalidInput("subject_invalid")


def _check_methods(methods: object) -> None:
    # They are kept separated by spaces; a bare "oidc" would become four methods of one letter.
    if not isinstance(methods, (tuple, list)) or not all(
        isinstance(method, str) and method.isascii() and method.isprintable() and method and " " not in method
        for method in cast("tuple[object, ...]", methods)
    ):
        raise InvalidInput("methods_invalid")
