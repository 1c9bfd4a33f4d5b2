"""Records to what is kept, and back.

What can be wrong with something kept: it is no longer as we wrote it. Each becomes `CorruptRecord`, for that record
alone. Scripts take the heads of records apart (`scripts/shared/sessions.lua`); what is packed they do not look into.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from coatcheck.core.records import (
    EMPTY_DATA,
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.session_data import FLASHES, decode
from coatcheck.core.sessions import Rotation, standing_under
from coatcheck.core.throttle import Counter, Gate, Settlement
from coatcheck.core.tokens import subject_digest
from coatcheck.errors import CorruptRecord
from coatcheck.stores.protocols import Found, Identified
from coatcheck.stores.redis.keys import place_of_subject

Reply = Any  # what the server answers: bytes, integers, None, and lists of them
Argument = str | bytes | int
NO_EPOCH = SubjectState("")
# What decoding something kept may raise, IndexError where a reply or a record is too short.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError, IndexError)


class _Proof(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a rotation replaces."""

    auth_time: int | None
    methods: str


class _Rest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What never changes in a session's life."""

    subject: str | None
    created_at: int
    is_persistent: bool
    ip: str | None
    user_agent: str | None


class _Account(msgspec.Struct, frozen=True, array_like=True, gc=False):
    subject: str
    username: str | None
    username_key: str | None
    email: str | None
    email_key: str | None
    created_at: int


class _EventRest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a deleted account takes out of its events."""

    subject: str | None
    session_id: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, str | int | bool]


_ARRAY_OF_SIX = b"\x96"  # what an `_EventRest` begins with
_pack = msgspec.msgpack.Encoder().encode
_proof = msgspec.msgpack.Decoder(_Proof).decode
_rest = msgspec.msgpack.Decoder(_Rest).decode
_account = msgspec.msgpack.Decoder(_Account).decode
_event_rest = msgspec.msgpack.Decoder(_EventRest).decode


# Sessions


def proof_of(auth_time: int | None, methods: str) -> bytes:
    """Pack what a rotation replaces."""
    return _pack(_Proof(auth_time, methods))


def kept_session(session: SessionRecord) -> bytes:
    """Write a session, all but its epoch, with which it begins, and its data."""
    public_id, reason = session.id.encode(), (session.end_reason or "").encode()
    proof = proof_of(session.auth_time, session.methods)
    rest = _Rest(session.subject, session.created_at, session.is_persistent, session.ip, session.user_agent)
    owner = "-" if session.subject is None else place_of_subject(session.subject)
    ended = "-" if session.ended_at is None else session.ended_at
    head = (
        f" {session.last_seen_at} {session.expires_at} {session.idle_timeout} {ended} {owner}"
        f" {len(public_id)} {len(proof)} {len(reason)}\n"
    )
    return b"".join((head.encode(), public_id, proof, reason, _pack(rest)))


def kept_data(data: bytes) -> list[Argument]:
    """Take session data apart into fields and values, one after the other."""
    pairs: list[Argument] = []
    for namespace, values in decode(data).items():
        for key, value in values.items():
            pairs += (field_of(namespace, key), bytes(value))
    return pairs


def crossing_arguments(keep_at_login: Collection[str] | None) -> list[Argument]:
    """Write which keys of nobody's data cross a log-in: what never does, and what alone does, if not all."""
    return [FLASHES, "-"] if keep_at_login is None else [FLASHES, len(keep_at_login), *keep_at_login]


def field_of(namespace: str, key: str) -> bytes:
    """Give the field of a key of session data."""
    name = namespace.encode()
    return b"%d:%b%b" % (len(name), name, key.encode())


def data_of(kept: Reply) -> bytes:
    """Put session data together from its fields and values."""
    if not kept:
        return EMPTY_DATA
    namespaces: dict[str, dict[str, msgspec.Raw]] = {}
    for field, value in zip(kept[::2], kept[1::2], strict=True):
        length, _, names = field.partition(b":")
        name, key = names[: int(length)].decode(), names[int(length) :].decode()
        namespaces.setdefault(name, {})[key] = msgspec.Raw(value)
    return msgspec.json.encode(namespaces)


def found_of(
    digest: bytes, kept: bytes, data: Reply, everybody: bytes | None, state: Reply = None, account: Reply = None
) -> Found:
    """Make a session, its subject's state and its account from what is kept of them."""
    public_id = None
    try:
        head, _, body = kept.partition(b"\n")
        epoch, seen, expires, idle, ended, owner, id_size, proof_size, reason_size = head.split(b" ")
        proof_at = int(id_size)
        reason_at = proof_at + int(proof_size)
        rest_at = reason_at + int(reason_size)
        public_id = body[:proof_at].decode()
        proof, rest = _proof(body[proof_at:reason_at]), _rest(body[rest_at:])
        if (owner == b"-") is not (rest.subject is None):
            raise ValueError  # never to be taken for an anonymous one
        is_live = ended == b"-"
        session = SessionRecord(
            digest, public_id, rest.subject, int(epoch), rest.created_at, proof.auth_time, int(seen), int(idle),
            int(expires), rest.is_persistent, proof.methods, rest.ip, rest.user_agent,
            None if is_live else int(ended), None if is_live else body[reason_at:rest_at].decode(), data_of(data),
        )  # fmt: skip
    except UNREADABLE:
        raise CorruptRecord("session" if public_id is None else f"session {public_id}") from None
    everybodys = everybody_of(everybody)
    if rest.subject is None:
        return Found(session, everybodys, None)
    own = None if state is None else state_of(rest.subject, state)
    return Found(
        session,
        own if own is None or not everybodys.epoch else standing_under(own, everybodys),
        None if account is None else account_of(account),
    )


# Subjects


def everybody_of(kept: Reply) -> SubjectState:
    """Read everybody's epoch."""
    if kept is None:
        return NO_EPOCH
    try:
        epoch, at, reason = kept.split(b" ", 2)
        return SubjectState("", int(epoch), int(at), reason.decode())
    except UNREADABLE:
        raise CorruptRecord("everybody") from None  # whose epoch all sessions stand under


def state_of(subject: str, kept: Reply) -> SubjectState:
    """Read a subject's own state."""
    try:
        epoch, at, disabled, version, reason = kept.split(b" ", 4)
        return SubjectState(
            subject, int(epoch), int(at), reason.decode(), None if disabled == b"-" else int(disabled), int(version)
        )
    except UNREADABLE:
        raise CorruptRecord(f"subject {subject}") from None


def kept_state(state: SubjectState) -> bytes:
    """Write a subject's own state, or everybody's, whose subject is empty."""
    if not state.subject:
        return f"{state.epoch} {state.epoch_at} {state.epoch_reason}".encode()
    disabled = "-" if state.disabled_at is None else state.disabled_at
    return f"{state.epoch} {state.epoch_at} {disabled} {state.credential_version} {state.epoch_reason}".encode()


# Accounts


def kept_account(account: AccountRecord) -> bytes:
    """Pack an account."""
    return _pack(_Account(*msgspec.structs.astuple(account)))


def account_of(kept: Reply) -> AccountRecord:
    """Unpack an account."""
    try:
        return AccountRecord(*msgspec.structs.astuple(_account(kept)))
    except UNREADABLE:
        raise CorruptRecord("account") from None


def credential_of(subject: str, kept: Sequence[Reply]) -> PasswordCredential | None:
    """Read a password: hash, version and when it was changed."""
    if kept[0] is None:
        return None
    try:
        return PasswordCredential(subject, kept[0].decode(), int(kept[1]), int(kept[2]))
    except UNREADABLE:
        raise CorruptRecord(f"password of account {subject}") from None


def identified_of(kept: Sequence[Reply]) -> Identified | None:
    """Make what a log-in needs; None if the name leads to no account."""
    if kept[0] is None:
        return None
    account = account_of(kept[0])
    return Identified(account, credential_of(account.subject, kept[1:]))


# Attempts


def gate_arguments(gate: Gate) -> list[Argument]:
    """Write a gate for `take_gate` of `scripts/shared/counters.lua`."""
    numbers = (gate.free, gate.delay, gate.delay_max, gate.is_cleared, gate.starts_over, gate.crowd, gate.locks)
    return [gate.key.hex(), " ".join(f"{number:d}" for number in numbers)]


def settlement_arguments(settlements: Sequence[Settlement]) -> list[Argument]:
    """Write settlements for `take_settlements`."""
    written: list[Argument] = [len(settlements)]
    for settlement in settlements:
        written += (*gate_arguments(settlement.gate), settlement.outcome, settlement.at)
    return written


def kept_counter(counter: Counter) -> str:
    """Write a counter."""
    return " ".join(str(number) for number in msgspec.structs.astuple(counter))


def counter_of(kept: Reply) -> Counter:
    """Read a counter."""
    try:
        failures, pending, counted_at, blocked_until, kept_until = map(int, kept.split(b" "))
    except UNREADABLE:
        raise CorruptRecord("counter") from None
    return Counter(failures, pending, counted_at, blocked_until, kept_until)


# Events


def event_arguments(events: Sequence[EventRecord]) -> list[Argument]:
    """Write events for `take_events`."""
    written: list[Argument] = [len(events)]
    for event in events:
        written += kept_event(event)
    return written


def kept_event(event: EventRecord) -> tuple[str, bytes]:
    """Write an event, all but its number, with which it begins, and say whose it is."""
    subject, head = _event_head(event)
    rest = _EventRest(event.subject, event.session_id, event.ip, event.user_agent, event.request_id, event.details)
    return subject, head + _pack(rest)


def template_arguments(event: EventRecord | None) -> list[Argument]:
    """Write an event for `take_template`: whose it is, and what stands before and after the id of its session."""
    if event is None:
        return [0]
    subject, head = _event_head(event)
    before = _ARRAY_OF_SIX + _pack(event.subject)
    after = (event.ip, event.user_agent, event.request_id, event.details)
    return [1, subject, head + before, b"".join(map(_pack, after))]


def _event_head(event: EventRecord) -> tuple[str, bytes]:
    subject = "-" if event.subject is None else subject_digest(event.subject).hex()
    name = event.name.encode()
    return subject, f"{event.at} {subject} {len(name)}:".encode() + name


def number_of(kept: bytes) -> int:
    """Give the number of an event, with which it begins. Raises CorruptRecord for what was never one of ours."""
    numeral = kept.partition(b" ")[0]
    if not numeral.isdigit():
        raise CorruptRecord("event")
    return int(numeral)


def event_of(kept: bytes) -> EventRecord:
    """Read an event."""
    try:
        _, at, _, tail = kept.split(b" ", 3)
        length, _, tail = tail.partition(b":")
        name, packed = tail[: int(length)].decode(), tail[int(length) :]
        if not packed:  # its account was deleted
            return EventRecord(int(at), name, None, None, None, None, None, {})
        rest = _event_rest(packed)
        return EventRecord(
            int(at), name, rest.subject, rest.session_id, rest.ip, rest.user_agent, rest.request_id, rest.details
        )
    except UNREADABLE:
        raise CorruptRecord("event") from None


def turn_arguments(rotation: Rotation, place: str, ttl: int) -> list[Argument]:
    """Write a rotation for `take_turn`."""
    return [place, rotation.last_seen_at, rotation.expires_at, proof_of(rotation.auth_time, rotation.methods), ttl]


def put_arguments(namespace: str, puts: Mapping[str, bytes]) -> list[Argument]:
    """Write what a patch sets."""
    written: list[Argument] = [len(puts)]
    for key, value in puts.items():
        written += (field_of(namespace, key), value)
    return written
