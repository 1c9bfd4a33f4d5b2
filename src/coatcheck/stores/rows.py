"""Rows to records: the SELECTs of the SQL stores and what is made of their rows.

Columns stand in the order of the records' fields. What can be wrong with a row: another type than the table's (tables
are strict, disks are not), text that is no text, JSON that is no JSON, or a reference to nothing.
Each becomes `CorruptRecord` with the public id.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, Final, TypeVar

import msgspec

from coatcheck.core import session_data
from coatcheck.core.records import (
    EMPTY_DATA,
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.sessions import TOUCH_STEP, standing_under
from coatcheck.core.throttle import Counter
from coatcheck.errors import CorruptRecord
from coatcheck.stores.protocols import Found, Identified

Row = tuple[Any, ...]
R = TypeVar("R")

NO_EPOCH = SubjectState("")
COUNTED_AT_MOST = 2**32  # failures or pending attempts: nobody counts that far
BEYOND_EVENTS = 2**63 - 1  # the position of a first page of events

_SESSION = """
    s.user_agent, s.subject, s.id, u.subject, s.epoch, s.created_at, s.auth_time, s.last_seen_at, s.idle_timeout,
    s.expires_at, s.is_persistent, s.methods, s.ip, s.ended_at, s.end_reason, s.data
"""
_STATE = "u.epoch, u.epoch_at, u.epoch_reason, u.disabled_at, u.credential_version"
_EVERYBODY = "e.epoch, e.epoch_at, e.epoch_reason"
_ACCOUNT = "a.username, a.username_key, a.email, a.email_key, a.created_at"

# One statement reads everything a request needs (one step). A touch, patch or rotation that commits meanwhile is seen
# whole or not at all.
_FROM = """
    FROM sessions s
    LEFT JOIN everybody e ON e.id = 0
    LEFT JOIN subjects u ON u.id = s.subject
    LEFT JOIN accounts a ON a.id = s.subject
"""
SELECT_FOUND: Final = f"""
    SELECT s.digest, {_SESSION}, {_STATE}, {_EVERYBODY}, {_ACCOUNT}, g.text
    {_FROM} LEFT JOIN user_agents g ON g.id = s.user_agent
"""
# The same where the user agent's text stands in the row itself.
SELECT_FOUND_WITH_TEXT: Final = f"SELECT s.digest, {_SESSION}, {_STATE}, {_EVERYBODY}, {_ACCOUNT} {_FROM}"
# The same for who knows digest and user agent's text already: a sixth less work.
SELECT_FOUND_BY_DIGEST: Final = f"SELECT {_SESSION}, {_STATE}, {_EVERYBODY}, {_ACCOUNT} {_FROM}"
# `idle_deadline` of `coatcheck.core.sessions`, for statements that look at many sessions at once.
IDLE_DEADLINE: Final = f"""
    (last_seen_at + idle_timeout
    + CASE WHEN idle_timeout / 20 < {TOUCH_STEP} THEN idle_timeout / 20 ELSE {TOUCH_STEP} END)
"""
SELECT_ACCOUNT: Final = f"SELECT u.subject, {_ACCOUNT} FROM accounts a JOIN subjects u ON u.id = a.id"
SELECT_IDENTIFIED: Final = f"""
    SELECT u.subject, {_ACCOUNT}, p.hash, p.version, p.changed_at
    FROM accounts a
    JOIN subjects u ON u.id = a.id
    LEFT JOIN passwords p ON p.account = a.id
"""
SELECT_CREDENTIAL: Final = """
    SELECT u.subject, p.hash, p.version, p.changed_at FROM passwords p JOIN subjects u ON u.id = p.account
"""
SELECT_STATE: Final = f"SELECT u.subject, {_STATE}, {_EVERYBODY} FROM subjects u JOIN everybody e ON e.id = 0"
SELECT_EVENT: Final = """
    SELECT e.id, e.at, e.name, u.subject, e.session_id, e.ip, g.text, e.request_id, e.details
    FROM events e
    LEFT JOIN subjects u ON u.id = e.subject
    LEFT JOIN user_agents g ON g.id = e.user_agent
"""

# A session that is not ended, of the present epoch, of a subject that is not disabled (`protocols`).
STANDING: Final = """
    s.ended_at IS NULL AND EXISTS (
        SELECT 1 FROM everybody e LEFT JOIN subjects u ON u.id = s.subject
        WHERE s.epoch = e.epoch + CASE WHEN s.subject IS NULL THEN 0 ELSE u.epoch END AND u.disabled_at IS NULL
    )
"""
ANY_LIVE: Final = f"""
    SELECT EXISTS (SELECT 1 FROM sessions s WHERE s.expires_at > ? AND {IDLE_DEADLINE} > ? AND {STANDING})
"""


class _Unreadable:
    def __repr__(self) -> str:
        return "unreadable"


_UNREADABLE = _Unreadable()


def text_or_unreadable(raw: bytes) -> str | _Unreadable:
    """Decode a text column (`sqlite3.Connection.text_factory`), marking what is no UTF-8 instead of failing."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _UNREADABLE


class _Form:
    """The types that a row's columns may have: a letter for each, `i`nteger, `t`ext or `b`ytes, in upper case or null.

    Forms of rows are few, so those found sound are kept, and the next row of that form costs one look.
    """

    _TYPES: Final = {"i": int, "t": str, "b": bytes}

    def __init__(self, letters: str) -> None:
        self._allowed = [
            {self._TYPES[letter.lower()], *([NoneType] if letter.isupper() else [])}
            for letter in letters
            if letter != " "
        ]
        self._sound: set[tuple[type, ...]] = set()

    def fits(self, row: Row) -> bool:
        """Say whether a row is of this form."""
        form = tuple(map(type, row))
        if form in self._sound:
            return True
        if not all(found in allowed for found, allowed in zip(form, self._allowed, strict=True)):
            return False
        self._sound.add(form)
        return True


# In the order of the SELECTs above. What the first of them joins only if it is there may be null.
_FOUND_FORM = _Form("b IItTiiIiiiitTITB IITII Iit TTTTI T")
_ACCOUNT_FORM = _Form("t TTTTi")
_CREDENTIAL_FORM = _Form("t tii")
_IDENTIFIED_FORM = _Form("t TTTTi TII")
_STATE_FORM = _Form("t iitIi iit")
_EVENT_FORM = _Form("iit TTTTTT")
_COUNTER_FORM = _Form("iiiii")
_TEXTS: Final[set[type]] = {str, NoneType}
_NUMBERS: Final[set[type]] = {int, NoneType}
_DATA: Final[set[type]] = {bytes, NoneType}


def found_of(row: Row, *, digest: bytes, user_agent: str | None) -> Found:
    """Make a session, its subject's state and its account from a row of `SELECT_FOUND_BY_DIGEST`."""
    (
        _, owner, public_id, subject, epoch, created_at, auth_time, last_seen_at, idle_timeout, expires_at,
        is_persistent, methods, ip, ended_at, end_reason, data,
        own_epoch, epoch_at, epoch_reason, disabled_at, credential_version,
        everybodys_epoch, everybodys_at, everybodys_reason,
        username, username_key, email, email_key, opened_at,
    ) = row  # fmt: skip
    # On the hot path only what would lead astray or fail further on: half the cost of a `_Form`.
    numbers: set[type] = {type(auth_time), type(own_epoch), type(epoch_at), type(opened_at)}
    texts: set[type] = {type(subject), type(ip), type(end_reason), type(epoch_reason), type(username), type(email)}
    if not (
        type(created_at) is type(last_seen_at) is type(idle_timeout) is type(expires_at) is int
        and type(public_id) is type(methods) is str
        and type(data) in _DATA
        and numbers <= _NUMBERS
        and texts <= _TEXTS
    ):
        raise CorruptRecord(f"session {public_id}" if type(public_id) is str else "session")
    session = SessionRecord(
        digest, public_id, subject, epoch, created_at, auth_time, last_seen_at, idle_timeout, expires_at,
        is_persistent == 1, methods, ip, user_agent, ended_at, end_reason, EMPTY_DATA if data is None else data,
    )  # fmt: skip
    everybody = _everybody_of(everybodys_epoch, everybodys_at, everybodys_reason) if everybodys_epoch != 0 else NO_EPOCH
    if owner is None:
        return Found(session, everybody, None)
    if subject is None or own_epoch is None or epoch_at is None:
        raise CorruptRecord(f"session {public_id}")  # never to be taken for an anonymous one
    state = SubjectState(subject, own_epoch, epoch_at, epoch_reason, disabled_at, credential_version)
    return Found(
        session,
        standing_under(state, everybody) if everybodys_epoch else state,
        None if opened_at is None else AccountRecord(subject, username, username_key, email, email_key, opened_at),
    )


def found_with_user_agent(row: Row) -> Found:
    """The same from a row of `SELECT_FOUND`, read with `text_or_unreadable`."""
    if not _FOUND_FORM.fits(row):
        raise CorruptRecord(f"session {row[3]}" if type(row[3]) is str else "session")
    return found_of(row[1:-1], digest=row[0], user_agent=row[-1])


def account_of(row: Row) -> AccountRecord:
    """Make an account from a row of `SELECT_ACCOUNT`."""
    _check(row, _ACCOUNT_FORM, "account")
    return AccountRecord(*row)


def credential_of(row: Row) -> PasswordCredential:
    """Make a password from a row of `SELECT_CREDENTIAL`."""
    _check(row, _CREDENTIAL_FORM, "password of account")
    return PasswordCredential(*row)


def identified_of(row: Row) -> Identified:
    """Make what a log-in needs from a row of `SELECT_IDENTIFIED`."""
    _check(row, _IDENTIFIED_FORM, "account")
    account, password = row[:6], row[6:]
    if password[0] is not None and None in password:
        raise CorruptRecord(f"password of account {account[0]}")
    return Identified(
        AccountRecord(*account), None if password[0] is None else PasswordCredential(account[0], *password)
    )


def state_of(row: Row) -> SubjectState:
    """Make a subject's state from a row of `SELECT_STATE`."""
    _check(row, _STATE_FORM, "subject")
    return standing_under(SubjectState(*row[:6]), SubjectState("", *row[6:]))


def counter_of(row: Row) -> Counter:
    """Make an attempt counter from its numbers, in the order of the record's fields."""
    if not _COUNTER_FORM.fits(row) or max(row[:2]) >= COUNTED_AT_MOST:
        raise CorruptRecord("counter")
    return Counter(*row)


def event_of(row: Row) -> EventRecord:
    """Make an event from a row of `SELECT_EVENT`."""
    _check(row, _EVENT_FORM, "event")
    _, at, name, subject, session_id, ip, user_agent, request_id, details = row
    try:
        decoded = {} if details is None else _details.decode(details)
    except msgspec.DecodeError:
        raise CorruptRecord(f"event {row[0]}") from None
    return EventRecord(at, name, subject, session_id, ip, user_agent, request_id, decoded)


def readable(make: Callable[[Row], R], rows: Iterable[Row]) -> tuple[R, ...]:
    """Make the records of a list, leaving out those that cannot be read: they shall not hide the others."""
    made: list[R] = []
    for row in rows:
        try:
            made.append(make(row))
        except CorruptRecord:
            continue
    return tuple(made)


def event_position(after: str) -> int:
    """Take a cursor of `events_of` apart: the id of the event that its page ended with.

    A cursor that no page has given stands at the end: what comes after it is an empty page.
    """
    return int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else 0


def is_text(value: str) -> bool:
    """Say whether a value is text that a database can hold; half of a surrogate pair names nothing."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class decoding:  # noqa: N801 - used as a statement
    """Turns session data that cannot be decoded into the error that says whose it is."""

    def __init__(self, public_id: str) -> None:
        self._public_id = public_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, session_data.UNREADABLE):
            raise CorruptRecord(f"session {self._public_id}") from None


_details = msgspec.json.Decoder(dict[str, str | int | bool])


def _everybody_of(epoch: object, at: object, reason: object) -> SubjectState:
    if type(epoch) is not int or type(at) is not int or type(reason) is not str:
        raise CorruptRecord("everybody")  # whose epoch all sessions stand under
    return SubjectState("", epoch, at, reason)


def _check(row: Row, form: _Form, kind: str) -> None:
    if not form.fits(row):
        raise CorruptRecord(f"{kind} {row[0]}" if type(row[0]) in (str, int) else kind)
