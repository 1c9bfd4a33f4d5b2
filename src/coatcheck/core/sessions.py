"""The life of a session, as decisions: issue, authenticate, renew, rotate.

    anonymous --log in--> live --idle/absolute timeout--> dead
                           |--renew (same secret), rotate (new secret)--> live
                           `--log out, revoke, epoch raised, subject disabled--> dead

There is no way back from dead. A session is dead when *any* of the checks in `death_of` says so; stores are never
asked for their opinion, their TTLs and purges are housekeeping (TMO-08).
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from coatcheck.core import session_data
from coatcheck.core.policy import Policy
from coatcheck.core.records import EMPTY_DATA, SessionRecord, SubjectState

TOUCH_STEP = 60

# Why a session is no longer valid: stable codes, shown to users and kept with the ended record.
IDLE_TIMEOUT = "idle_timeout"
ABSOLUTE_TIMEOUT = "absolute_timeout"
LOGGED_OUT = "logged_out"
REVOKED = "revoked"
EVERYBODY_REVOKED = "everybody_revoked"
REPLACED = "replaced"
EVICTED = "too_many_sessions"
PASSWORD_CHANGED = "password_changed"
ACCOUNT_DISABLED = "account_disabled"


class Rotation(msgspec.Struct, frozen=True):
    """What changes when a live session gets a new secret: everything else, its data and id included, stays.

    `expires_at` and `auth_time` are given anew because a re-authentication moves them (TMO-05).
    """

    digest: bytes
    new_digest: bytes
    last_seen_at: int
    auth_time: int | None
    expires_at: int
    methods: str


def issue(
    *,
    digest: bytes,
    session_id: str,
    subject: str | None,
    methods: tuple[str, ...],
    remember: bool,
    ip: str | None,
    user_agent: str | None,
    policy: Policy,
    now: int,
) -> SessionRecord:
    """Make the record of a new session; its epoch is stamped by the store that creates it."""
    is_persistent = remember and policy.remember_allowed and subject is not None
    if subject is None:
        idle, absolute = policy.anonymous_idle_timeout, policy.anonymous_absolute_timeout
    elif is_persistent:
        idle, absolute = policy.remembered_idle_timeout, policy.remembered_absolute_timeout
    else:
        idle, absolute = policy.idle_timeout, policy.absolute_timeout
    return SessionRecord(
        digest=digest,
        id=session_id,
        subject=subject,
        epoch=0,
        created_at=now,
        auth_time=now if subject is not None else None,
        last_seen_at=now,
        idle_timeout=idle,
        expires_at=now + absolute,
        is_persistent=is_persistent,
        methods=" ".join(methods),
        ip=ip,
        user_agent=user_agent,
        data=EMPTY_DATA,
    )


def carried(old: SessionRecord, new: SessionRecord, keep_at_login: Collection[str] | None) -> bytes | None:
    """Give the data that a session leaves to the one that replaces it; None where it leaves nothing (FIX-02, SES-10).

    All of it where both are the same subject's, or nobody's. What was nobody's crosses a log-in as `crossing_login`
    says. Nothing is left by a session of another subject, or by one that time had ended when the new one began.
    """
    if old.subject not in (None, new.subject) or timeout_of(old, now=new.created_at) is not None:
        return None
    return old.data if old.subject == new.subject else session_data.crossing_login(old.data, keep_at_login)


def touch_step(idle_timeout: int) -> int:
    """Give the seconds for which "last seen" may stay unwritten.

    At most a minute and at most a twentieth of the idle timeout (TMO-04).
    """
    step = idle_timeout // 20
    return step if step < TOUCH_STEP else TOUCH_STEP


def idle_deadline(session: SessionRecord) -> int:
    """The instant at which disuse ends the session.

    "Last seen" may lag by one touch step, so the step is added: skipping a write must not shorten a life, and
    lengthens it by that step at most (TMO-04).
    """
    return session.last_seen_at + session.idle_timeout + touch_step(session.idle_timeout)


def standing_under(own: SubjectState, everybody: SubjectState) -> SubjectState:
    """The state that a subject's sessions are compared with: raised by everybody's epoch, told by the later reason."""
    if everybody.epoch == 0:
        return own
    is_later = everybody.epoch_at > own.epoch_at
    return msgspec.structs.replace(
        own,
        epoch=own.epoch + everybody.epoch,
        epoch_at=everybody.epoch_at if is_later else own.epoch_at,
        epoch_reason=everybody.epoch_reason if is_later else own.epoch_reason,
    )


def death_of(session: SessionRecord, state: SubjectState | None, *, now: int) -> str | None:
    """Say why the session is dead, or None while it lives.

    A decision is named before a timeout: who comes back two hours after somebody changed the password must not hear
    that the session was idle.
    """
    if session.ended_at is not None:
        return session.end_reason or REVOKED
    if state is None:
        return REVOKED
    if state.disabled_at is not None:
        return ACCOUNT_DISABLED
    if state.epoch != session.epoch:
        return state.epoch_reason or REVOKED
    return timeout_of(session, now=now)


def timeout_of(session: SessionRecord, *, now: int) -> str | None:
    """Say which limit of time has ended the session, if any. Expired means `now >= deadline` (TMO-03)."""
    if now >= session.expires_at:
        return ABSOLUTE_TIMEOUT
    # The deadline is later than what is compared first, by a step that seldom needs working out.
    if now >= session.last_seen_at + session.idle_timeout and now >= idle_deadline(session):
        return IDLE_TIMEOUT
    return None


def is_touch_due(session: SessionRecord, *, now: int) -> bool:
    """Say whether "last seen" should be written."""
    return now - session.last_seen_at >= touch_step(session.idle_timeout)


def is_fresh(session: SessionRecord, *, max_age: int, now: int) -> bool:
    """Say whether identity was proven in this session within `max_age` seconds (STP-01).

    A proof from the future (the clock was set back) is not fresh.
    """
    return session.auth_time is not None and 0 <= now - session.auth_time < max_age


def rotate(session: SessionRecord, *, new_digest: bytes, now: int) -> Rotation:
    """Give the session a new secret; the old one stops working at once. No limit moves but the idle one."""
    return Rotation(
        digest=session.digest,
        new_digest=new_digest,
        last_seen_at=max(session.last_seen_at, now),
        auth_time=session.auth_time,
        expires_at=session.expires_at,
        methods=session.methods,
    )


def reauthenticate(session: SessionRecord, *, new_digest: bytes, method: str, policy: Policy, now: int) -> Rotation:
    """Record a proof by all enrolled factors: both limits start again and the secret changes (TMO-05, STP-06)."""
    absolute = policy.remembered_absolute_timeout if session.is_persistent else policy.absolute_timeout
    methods = session.methods.split()
    return Rotation(
        digest=session.digest,
        new_digest=new_digest,
        last_seen_at=max(session.last_seen_at, now),
        auth_time=now,
        expires_at=now + absolute,
        methods=" ".join([*methods, *([] if method in methods else [method])]),
    )
