"""The shapes of JSON answers: promises of the API (only additions within 1.x). OpenAPI is written from them."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from coatcheck.core.records import EventRecord
from coatcheck.core.views import Account, Session, instant
from coatcheck.web.devices import device_name


class AccountAnswer(Struct):
    """An account, as its owner sees it."""

    subject: str
    username: str | None
    email: str | None
    created_at: str


class SessionAnswer(Struct):
    """A session in the device list. `id` is public: it names the session and opens nothing."""

    id: str
    current: bool
    created_at: str
    last_seen_at: str
    expires_at: str
    ip: str | None
    device: str
    user_agent: str | None
    methods: list[str]
    remembered: bool


class EventAnswer(Struct):
    """A security event of the account."""

    name: str
    at: str
    session_id: str | None
    ip: str | None
    device: str


class SignedUpAnswer(Struct):
    """The account that was opened."""

    account: AccountAnswer


class LogInAnswer(Struct):
    """Who is logged in, and in which session."""

    account: AccountAnswer | None
    session: SessionAnswer


class SessionsAnswer(Struct):
    """One page of the live sessions, newest first; `next` is the `cursor` of the following page."""

    sessions: list[SessionAnswer]
    next: str | None


class EventsAnswer(Struct):
    """One page of events, newest first; `next` is the `cursor` of the following page."""

    events: list[EventAnswer]
    next: str | None


class RevokedAnswer(Struct):
    """How many sessions were ended."""

    revoked: int


class CsrfAnswer(Struct):
    """A token for the header `X-CSRF-Token`, good for this session (or pre-session) only."""

    csrf_token: str


class FieldProblem(Struct):
    """One field that was refused."""

    pointer: str
    reason: str


class Problem(Struct):
    """Why a request was refused (RFC 9457). `reason` is stable; texts are not."""

    type: str
    title: str
    status: int
    reason: str
    errors: list[FieldProblem]


def rfc3339(moment: datetime) -> str:
    """Write an instant as RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def account_answer(account: Account) -> AccountAnswer:
    """Show an account."""
    return AccountAnswer(account.subject, account.username, account.email, rfc3339(account.created_at))


def session_answer(session: Session, *, current: str | None) -> SessionAnswer:
    """Show a session; `current` is the id of the one in which it is asked."""
    return SessionAnswer(
        id=session.id,
        current=session.id == current,
        created_at=rfc3339(session.created_at),
        last_seen_at=rfc3339(session.last_seen_at),
        expires_at=rfc3339(session.expires_at),
        ip=session.ip,
        device=device_name(session.user_agent),
        user_agent=session.user_agent,
        methods=list(session.methods),
        remembered=session.is_persistent,
    )


def event_answer(event: EventRecord) -> EventAnswer:
    """Show an event."""
    return EventAnswer(
        event.name, rfc3339(instant(event.at)), event.session_id, event.ip, device_name(event.user_agent)
    )
