"""What stores read back: rows of the SQL stores and the keys of Redis, as a failing disk may have left them (ERR-05).

Whatever stands there, a record comes of it or `CorruptRecord`, which names the record and nothing of what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from coatcheck.core.records import (
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.sessions import death_of, idle_deadline
from coatcheck.core.throttle import Counter
from coatcheck.core.views import Account, Session
from coatcheck.errors import CorruptRecord
from coatcheck.stores import rows
from coatcheck.stores.protocols import Found, Identified
from coatcheck.stores.redis import kept
from coatcheck.testing.samples import NOW, a_digest, a_password, a_session, an_account, an_event
from coatcheck.web.answers import account_answer, event_answer, session_answer
from tests.fuzz.targets.target import Target

Record = Found | Identified | AccountRecord | PasswordCredential | SubjectState | Counter | EventRecord | None
Answer = tuple[str, Record | CorruptRecord]
T = TypeVar("T")
Readers = Mapping[bytes, tuple[str, Callable[[Any], Record]]]

# Rows

BETWEEN = b"\x1e"  # columns
LAST_INTEGER = 2**63


def _column(octets: bytes) -> object:
    """A letter for the type, and then the value: `i5`, `tAda`, `b...`, `f1.5`, and anything else for null."""
    kind, value = octets[:1], octets[1:]
    try:
        if kind == b"i":
            number = int(value)
            return number if -LAST_INTEGER <= number < LAST_INTEGER else None
        if kind == b"f":
            return float(value)
        if kind == b"t":
            return value.decode()
    except ValueError:
        return rows.text_or_unreadable(b"\xff")  # what the driver makes of a text that is none
    return value if kind == b"b" else None


def _columns(row: tuple[object, ...]) -> bytes:
    letters = {int: b"i", str: b"t", bytes: b"b", type(None): b"-"}
    return BETWEEN.join(
        letters[type(value)] + (value if isinstance(value, bytes) else b"" if value is None else str(value).encode())
        for value in row
    )


def _by_digest(row: tuple[Any, ...]) -> Found:
    return rows.found_of(row, digest=a_digest(1), user_agent=None)


ROWS: Readers = {
    b"F": ("session", rows.found_with_user_agent),
    b"H": ("session", _by_digest),
    b"A": ("account", rows.account_of),
    b"P": ("password", rows.credential_of),
    b"I": ("account", rows.identified_of),
    b"S": ("subject", rows.state_of),
    b"C": ("counter", rows.counter_of),
    b"E": ("event", rows.event_of),
}
WIDTHS = {b"F": 31, b"H": 29, b"A": 6, b"P": 4, b"I": 9, b"S": 9, b"C": 5, b"E": 9}


def _row(octets: bytes) -> Answer:
    """The first octet says which SELECT it is of. It gives so many columns, whatever is in them."""
    letter = octets[:1] if octets[:1] in ROWS else b"F"
    kind, read = ROWS[letter]
    columns = [_column(part) for part in octets[1:].split(BETWEEN)]
    columns = (columns + [None] * WIDTHS[letter])[: WIDTHS[letter]]
    return kind, _refusal_or(read, tuple(columns))


def _refusal_or(read: Callable[[Any], T], given: object) -> T | CorruptRecord:
    try:
        return read(given)
    except CorruptRecord as refused:
        return refused


def _judge(_: bytes, answer: Answer) -> None:
    """What is a record can be decided on, shown and listed; what is none is named by its kind."""
    kind, record = answer
    if isinstance(record, CorruptRecord):
        assert record.record.split()[0] in (kind, "everybody", "subject", "password", "account")
    elif isinstance(record, Found):
        _judge_session(record.session, record.state)
        if record.account is not None:
            account_answer(Account(record.account))
    elif isinstance(record, Identified):
        account_answer(Account(record.account))
    elif isinstance(record, AccountRecord):
        account_answer(Account(record))
    elif isinstance(record, EventRecord):
        msgspec.json.encode(event_answer(record))
    elif isinstance(record, Counter):
        assert all(type(number) is int for number in msgspec.structs.astuple(record))


def _judge_session(record: SessionRecord, state: SubjectState | None) -> None:
    assert type(death_of(record, state, now=NOW)) in (str, type(None))
    assert type(idle_deadline(record)) is int
    msgspec.json.encode(session_answer(Session(record), current=None))
    data = _refusal_or(lambda session: session.data(), Session(record))
    assert not isinstance(data, CorruptRecord) or data.record == f"session {record.id}"


SESSION, ACCOUNT, PASSWORD, EVENT = a_session(), an_account(email="ada@example.org"), a_password(), an_event()
STATE, EVERYBODY = (0, 0, "", None, 1), (3, NOW, "everybody_revoked")
FOUND_ROW = (
    SESSION.digest, 1, 1, SESSION.id, "ada", 3, NOW, NOW, NOW, 3600, NOW + 86_400, 0, "pwd", "192.0.2.7", None, None,
    b'{"app":{"theme":"dark"}}', *STATE, *EVERYBODY, *msgspec.structs.astuple(ACCOUNT)[1:], "Browser/1.0",
)  # fmt: skip
ANONYMOUS_ROW = (
    *(SESSION.digest, None, None, SESSION.id, None), *FOUND_ROW[5:17], *(None,) * 5, *FOUND_ROW[22:25], *(None,) * 6,
)  # fmt: skip
WHOLE_ROWS = (
    b"F" + _columns(FOUND_ROW),
    b"F" + _columns(ANONYMOUS_ROW),
    b"H" + _columns(FOUND_ROW[1:-1]),
    b"A" + _columns(msgspec.structs.astuple(ACCOUNT)),
    b"P" + _columns(msgspec.structs.astuple(PASSWORD)),
    b"I" + _columns((*msgspec.structs.astuple(ACCOUNT), *msgspec.structs.astuple(PASSWORD)[1:])),
    b"S" + _columns(("ada", *STATE, *EVERYBODY)),
    b"C" + _columns((3, 1, NOW, NOW + 30, NOW + 86_400)),
    b"E" + _columns((7, NOW, "logged_in", "ada", SESSION.id, "192.0.2.7", "Browser/1.0", "r1", '{"methods":"pwd"}')),
)  # fmt: skip

# Redis


def _data(octets: bytes) -> list[bytes]:
    return octets.split(BETWEEN)


REDIS: Readers = {
    b"F": ("session", lambda octets: kept.found_of(a_digest(1), octets, None, None)),
    b"D": (
        "session",
        lambda octets: kept.found_of(a_digest(1), KEPT_SESSION, _paired(_data(octets)), None, b"0 0 - 1 ", None),
    ),
    b"S": ("subject", lambda octets: kept.state_of("ada", octets)),
    b"V": ("everybody", kept.everybody_of),
    b"A": ("account", kept.account_of),
    b"P": ("password", lambda octets: kept.credential_of("ada", (_data(octets) + [b""] * 3)[:3])),
    b"I": ("account", lambda octets: kept.identified_of((_data(octets) + [b""] * 4)[:4])),
    b"C": ("counter", kept.counter_of),
    b"E": ("event", kept.event_of),
}


def _paired(fields: list[bytes]) -> list[bytes]:
    return fields[: len(fields) // 2 * 2]  # the server answers with pairs


def _key(octets: bytes) -> Answer:
    """The first octet says which kind of key it is."""
    kind, read = REDIS.get(octets[:1], REDIS[b"F"])
    return kind, _refusal_or(read, octets[1:])


KEPT_SESSION = b"3" + kept.kept_session(SESSION)
KEPT_STATE = kept.kept_state(SubjectState("ada", epoch=1, epoch_at=NOW, epoch_reason="revoked"))
KEPT_DATA = BETWEEN.join((kept.field_of("app", "theme"), b'"dark"', kept.field_of("other", "n"), b"1"))
WHOLE_KEYS = (
    b"F" + KEPT_SESSION,
    b"F0" + kept.kept_session(a_session(subject=None)),
    b"D" + KEPT_DATA,
    b"S" + KEPT_STATE,
    b"V" + kept.kept_state(SubjectState("", epoch=1, epoch_at=NOW, epoch_reason="everybody_revoked")),
    b"A" + kept.kept_account(ACCOUNT),
    b"P" + BETWEEN.join((b"$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA", b"1", str(NOW).encode())),
    b"I" + BETWEEN.join((kept.kept_account(ACCOUNT), b"$argon2id$", b"1", str(NOW).encode())),
    b"C" + kept.kept_counter(Counter(3, 1, NOW, NOW + 30, NOW + 86_400)).encode(),
    b"E7 " + kept.kept_event(EVENT)[1],
)

NUMBERS = (b"0", b"1", b"-1", b"9223372036854775807", b"-9223372036854775808", b"9" * 25, b"+1", b"1_0", b"\xd9\xa3")

TARGETS = (
    Target(
        "row of an SQL store",
        _row,
        _judge,
        (
            *ROWS, BETWEEN, BETWEEN + b"-", BETWEEN + b"i0", BETWEEN + b"i1", BETWEEN + b"t", BETWEEN + b"b",
            BETWEEN + b"f1.5", BETWEEN + b"tx", b"i", b"t", b"b", b"f", b"-", *NUMBERS, b"{}", b'{"app":{"a":1}}',
            b'{"app":', b"[" * 40, b"\xff", b"\x00", b"\xed\xa0\x80", b'{"a":null}', b'{"a":"b"}', b"nan", b"inf",
        ),
        16_384,
        WHOLE_ROWS,
    ),
    Target(
        "key of Redis",
        _key,
        _judge,
        (
            *REDIS, BETWEEN, b" ", b"\n", b":", b"-", *NUMBERS, b"3:app", b"0:", b"3:", b"99:", b"-1:", b'"dark"',
            b"\x90", b"\x95", b"\xa3ada", b"\xc0", b"\xc2", b"\xc3", b"\xc4", b"\xd9\xff", b"\xdf", b"\xcb", b"\xff",
            b"\x80", b"\x81", b"\xce\x68\x4e\xe1\x80", b"\xed\xa0\x80", b"\x00", b"[" * 40, b"{}",
        ),
        16_384,
        WHOLE_KEYS,
    ),
)  # fmt: skip
