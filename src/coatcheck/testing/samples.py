# ruff: noqa: S101 - a sample that cannot be made is a failed test
"""Records for tests, plain and numbered, and the calls tests make most, with what they rarely vary filled in."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection, Sequence
from hashlib import sha256

from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.session_data import decode
from coatcheck.core.sessions import PASSWORD_CHANGED, Rotation
from coatcheck.core.throttle import Gate, Settlement
from coatcheck.stores.protocols import Answer, AttemptStore, Cutoffs, Purged, SessionStore, Started, Store

NOW = 1_750_000_000
HOUR = 3600
DAY = 86_400
NEVER = Cutoffs(ended_before=0, counters_before=0, events_before=0)


def a_digest(number: int) -> bytes:
    """Give the digest of a token that nobody has."""
    return sha256(f"digest {number}".encode()).digest()


def a_handle(number: int) -> str:
    """Give a public session id."""
    return urlsafe_b64encode(sha256(f"handle {number}".encode()).digest()[:9]).decode()


def a_session(
    number: int = 1,
    *,
    subject: str | None = "ada",
    at: int = NOW,
    idle_timeout: int = HOUR,
    lifetime: int = DAY,
    user_agent: str | None = "Browser/1.0",
) -> SessionRecord:
    """Make a session as `coatcheck.core.sessions.issue` would."""
    return SessionRecord(
        digest=a_digest(number),
        id=a_handle(number),
        subject=subject,
        epoch=0,
        created_at=at,
        auth_time=None if subject is None else at,
        last_seen_at=at,
        idle_timeout=idle_timeout,
        expires_at=at + lifetime,
        is_persistent=False,
        methods="" if subject is None else "pwd",
        ip="192.0.2.7",
        user_agent=user_agent,
    )


def an_account(subject: str = "ada", *, username: str | None = "Ada", email: str | None = None) -> AccountRecord:
    """Make an account whose keys are the lower-case names."""
    return AccountRecord(
        subject=subject,
        username=username,
        username_key=None if username is None else username.lower(),
        email=email,
        email_key=None if email is None else email.lower(),
        created_at=NOW,
    )


def a_password(subject: str = "ada", *, version: int = 1) -> PasswordCredential:
    """Make a credential; its hash is none."""
    return PasswordCredential(subject=subject, hash=f"$hash${version}", version=version, changed_at=NOW)


def an_event(name: str = "something", *, subject: str | None = "ada", at: int = NOW) -> EventRecord:
    """Make an event."""
    return EventRecord(
        at, name, subject, a_handle(1), "192.0.2.7", "Browser/1.0", "request-1", {"count": 3, "note": "n", "is": True}
    )


def a_rotation(session: SessionRecord, number: int) -> Rotation:
    """Give a session the digest of that number and change nothing else."""
    return Rotation(
        digest=session.digest,
        new_digest=a_digest(number),
        last_seen_at=session.last_seen_at,
        auth_time=session.auth_time,
        expires_at=session.expires_at,
        methods=session.methods,
    )


def a_gate(
    name: str = "gate", *, free: int = 3, is_cleared: bool = True, starts_over: bool = False, crowd: int = 0
) -> Gate:
    """Make a gate that closes for 30 seconds after `free` failures."""
    key = sha256(name.encode()).digest()
    return Gate(key, free=free, delay=30, delay_max=HOUR, is_cleared=is_cleared, starts_over=starts_over, crowd=crowd)


def a_lock(name: str = "lock", *, free: int = 3) -> Gate:
    """Make a gate that locks at the `free`-th failure."""
    key = sha256(name.encode()).digest()
    return Gate(key, free=free, delay=0, delay_max=0, is_cleared=True, starts_over=False, crowd=0, locks=True)


async def change_password(store: Store, *, keep: Rotation, version: int = 2) -> bool:
    """Change ada's password to a version, from the session that `keep` rotates."""
    return await store.change_password(
        a_password(version=version),
        at=NOW,
        reason=PASSWORD_CHANGED,
        keep=keep,
        events=[an_event("password_changed")],
    )


async def admit(
    store: AttemptStore, gates: Sequence[Gate], *, subject: str | None = None, at: int = NOW
) -> int | Answer:
    """Call `admit` with what a test does not speak of left out."""
    return await store.admit(gates, subject=subject, now=at)


async def fail(store: AttemptStore, gate: Gate, *, at: int = NOW) -> int | Answer:
    """Try and fail at a gate, if it admits that; give the seconds it wants to be left alone, 0 if it was open."""
    wait = await admit(store, [gate], at=at)
    if wait == 0:
        await store.settle([Settlement(gate, "failure", at)], account=None, events=())
    return wait


async def start(
    store: SessionStore,
    session: SessionRecord,
    *,
    replaces: bytes | None = None,
    keep_at_login: Collection[str] | None = None,
    credential_version: int | None = None,
    most: int = 100,
    settlements: Sequence[Settlement] = (),
    events: Sequence[EventRecord] = (),
    eviction: EventRecord | None = None,
) -> Started | Answer:
    """Call `start` with what a test does not speak of left out."""
    return await store.start(
        session,
        replaces=replaces,
        keep_at_login=keep_at_login,
        credential_version=credential_version,
        most=most,
        settlements=settlements,
        events=events,
        eviction=eviction,
    )


async def started(store: SessionStore, number: int = 1, *, subject: str | None = "ada") -> SessionRecord:
    """Start a session that must succeed, and give it as kept."""
    outcome = await start(store, a_session(number, subject=subject))
    assert isinstance(outcome, Started)
    return outcome.session


async def raise_epoch(
    store: SessionStore,
    subject: str = "ada",
    *,
    at: int = NOW,
    reason: str = "revoked",
    keep: Rotation | None = None,
    credential_version: int | None = None,
    disabled_at: int | None = None,
    events: Sequence[EventRecord] = (),
) -> bool:
    """Call `raise_epoch` with what a test does not speak of left out."""
    return await store.raise_epoch(
        subject,
        at=at,
        reason=reason,
        keep=keep,
        credential_version=credential_version,
        disabled_at=disabled_at,
        events=events,
    )


async def is_standing(store: SessionStore, digest: bytes) -> bool:
    """Say whether a session is standing, by reading it."""
    found = await store.find(digest)
    if found is None or found.session.ended_at is not None:
        return False
    state: SubjectState | None = found.state
    return state is None or (state.disabled_at is None and state.epoch == found.session.epoch)


async def put(store: SessionStore, digest: bytes, *, limit: int = 1000, **values: bytes) -> Answer | None:
    """Set keys of the namespace `app`."""
    return await store.patch(digest, namespace="app", puts=values, removes=(), limit=limit)


async def data_of(store: SessionStore, digest: bytes) -> dict[str, dict[str, bytes]]:
    """Read a session's data, values as the JSON text they are kept as."""
    found = await store.find(digest)
    assert found is not None
    return {
        name: {key: bytes(raw) for key, raw in values.items()} for name, values in decode(found.session.data).items()
    }


async def purge_round(store: SessionStore, cutoffs: Cutoffs, *, limit: int = 3) -> Purged:
    """Purge from the beginning to the end and give the sums."""
    sums = [0, 0, 0]
    after: str | None = None
    while True:
        batch = await store.purge(cutoffs, after=after, limit=limit)
        sums = [sums[0] + batch.sessions, sums[1] + batch.counters, sums[2] + batch.events]
        after = batch.next
        if after is None:
            return Purged(sums[0], sums[1], sums[2], None)
