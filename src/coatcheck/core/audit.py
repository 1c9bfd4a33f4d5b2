"""The security events worth keeping, as typed data: what an application can listen to and an operator can read.

An event is announced after the change it tells of is committed. It carries public ids only (LOG-02, LOG-03).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Literal

import msgspec

from coatcheck.core.records import EventRecord


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What every event tells: when (integer seconds UTC), whose, in which session, from where, by which request.

    `name` and `outcome` belong to the kind and are stable (LOG-02).
    """

    name: ClassVar[str] = "event"
    outcome: ClassVar[Literal["success", "failure"]] = "success"

    at: int
    subject: str | None = None
    session_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


class SignedUp(Event, frozen=True):
    """An account was opened."""

    name: ClassVar[str] = "signed_up"


class LoggedIn(Event, frozen=True):
    """A session began by proof of identity; `methods` says how (`amr` values, separated by spaces)."""

    name: ClassVar[str] = "logged_in"

    methods: str
    is_persistent: bool


class LogInFailed(Event, frozen=True):
    """A log-in was refused. The visitor was not told why; this is (`cause`).

    `identifier_hash` is a keyed hash of what was typed: people type passwords there (LOG-04).
    """

    name: ClassVar[str] = "log_in_failed"
    outcome = "failure"

    cause: str
    identifier_hash: str


class Throttled(Event, frozen=True):
    """A try was turned away unread because too many failed before it."""

    name: ClassVar[str] = "throttled"
    outcome = "failure"

    identifier_hash: str
    retry_after: int


class LoggedOut(Event, frozen=True):
    """A session was ended by its own holder."""

    name: ClassVar[str] = "logged_out"


class SessionRevoked(Event, frozen=True):
    """One session was ended from elsewhere; `session_id` is the one that ended."""

    name: ClassVar[str] = "session_revoked"

    note: str


class SessionEvicted(Event, frozen=True):
    """A session was ended because its subject opened more than the policy keeps."""

    name: ClassVar[str] = "session_evicted"


class SessionsRevoked(Event, frozen=True):
    """All sessions of a subject were ended, but for the one in which it was asked, if `kept_current`."""

    name: ClassVar[str] = "sessions_revoked"

    kept_current: bool
    note: str


class SessionExpired(Event, frozen=True):
    """A session was presented after its time; `cause` says which limit."""

    name: ClassVar[str] = "session_expired"

    cause: str


class Reauthenticated(Event, frozen=True):
    """Identity was proven again inside a session."""

    name: ClassVar[str] = "reauthenticated"


class ReauthenticationFailed(Event, frozen=True):
    """A proof of identity inside a session was refused."""

    name: ClassVar[str] = "reauthentication_failed"
    outcome = "failure"


class PasswordChanged(Event, frozen=True):
    """The password was changed; all other sessions ended with it."""

    name: ClassVar[str] = "password_changed"


class AccountDisabled(Event, frozen=True):
    """An operator disabled the subject; its sessions ended."""

    name: ClassVar[str] = "account_disabled"


class AccountEnabled(Event, frozen=True):
    """An operator lets the subject log in again."""

    name: ClassVar[str] = "account_enabled"


class AccountDeleted(Event, frozen=True):
    """An account is gone with all that named it; `subject_hash` is a keyed hash of its id (DAT-07)."""

    name: ClassVar[str] = "account_deleted"

    subject_hash: str


class PasswordLocked(Event, frozen=True):
    """So many tries in a row failed that the password opens nothing any more until an operator lifts that (RAT-02)."""

    name: ClassVar[str] = "password_locked"
    outcome = "failure"

    failures: int


class AttemptsForgotten(Event, frozen=True):
    """An operator lifted the waits and the lock of an account."""

    name: ClassVar[str] = "attempts_forgotten"


class EverybodyRevoked(Event, frozen=True):
    """An operator ended every session there was."""

    name: ClassVar[str] = "everybody_revoked"

    note: str


class CrossSiteRefused(Event, frozen=True):
    """A request lacked the evidence of coming from our own pages; `cause` says what was missing."""

    name: ClassVar[str] = "cross_site_refused"
    outcome = "failure"

    cause: str
    path: str


class DuplicateCookie(Event, frozen=True):
    """A request carried the session cookie twice and was treated as anonymous (CKY-10)."""

    name: ClassVar[str] = "duplicate_cookie"
    outcome = "failure"


class SessionRotated(Event, frozen=True):
    """A session got a new secret without a new proof of identity."""

    name: ClassVar[str] = "session_rotated"


_COMMON = frozenset(Event.__struct_fields__)


def record_of(event: Event) -> EventRecord:
    """Give the form in which an event is kept: what it adds to the common fields becomes its details."""
    details = {field: getattr(event, field) for field in type(event).__struct_fields__ if field not in _COMMON}
    return EventRecord(
        at=event.at,
        name=event.name,
        subject=event.subject,
        session_id=event.session_id,
        ip=event.ip,
        user_agent=event.user_agent,
        request_id=event.request_id,
        details=details,
    )


def one_for_each(event: EventRecord | None, session_ids: Iterable[str]) -> tuple[EventRecord, ...]:
    """Give an event once for each of these sessions, in their order; none where there is no event."""
    if event is None:
        return ()
    return tuple(msgspec.structs.replace(event, session_id=session_id) for session_id in session_ids)


_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


def safe_label(text: str | None, *, limit: int = 256) -> str | None:
    """Make a header's text safe to keep and list: no controls, escapes, bidi marks; at most `limit` characters.

    Strips what could forge a log line or a page (REV-08, LOG-05); escaping for HTML is the page's own business.
    """
    if text is None:
        return None
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text.strip() or None  # nothing of ASCII that prints is unsafe
    return _UNSAFE.sub(" ", text[: 4 * limit]).strip()[:limit].rstrip() or None
