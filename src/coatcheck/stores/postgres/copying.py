"""Everything a database holds, page by page, and how a page comes into another one (`CopyStore`).

The walk is `coatcheck.stores.copying`'s. A page comes in as JSON, one parameter for each kind of record.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from coatcheck.core.records import EMPTY_DATA, AccountRecord, PasswordCredential, SessionRecord
from coatcheck.stores import copying, rows
from coatcheck.stores.postgres import statements
from coatcheck.stores.postgres.exchange import Statement
from coatcheck.stores.postgres.texts import kept_parameters
from coatcheck.stores.protocols import Contents
from coatcheck.stores.rows import Row

R = TypeVar("R")


def session_of(row: Row) -> SessionRecord:
    """Make a session from a row of `rows.SELECT_FOUND_WITH_TEXT`."""
    return rows.found_of(row[1:], digest=row[0], user_agent=row[1]).session


WALKS: Final = copying.walks(
    sessions=rows.SELECT_FOUND_WITH_TEXT, session_of=session_of, events=statements.SELECT_EVENT
)
# Counting a hundred million takes longer than a call may. Beyond so many the planner's estimate will do, which knows
# how large the table is.
COUNTED: Final = 100_000
COUNT: Final = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM (SELECT 1 FROM {kind} LIMIT {COUNTED + 1}) AS found)" for kind in copying.KINDS
)
PLAN: Final = "EXPLAIN (FORMAT JSON) SELECT 1 FROM"
BOOKMARK: Final = "SELECT bookmark FROM copying"

_MEET_SUBJECTS = """
    INSERT INTO subjects (subject)
    SELECT DISTINCT subject FROM json_to_recordset(%s::json) AS given (subject text) WHERE subject IS NOT NULL
    ORDER BY subject
    ON CONFLICT (subject) DO NOTHING
"""
_ACCOUNTS = (
    _MEET_SUBJECTS,
    """
    DELETE FROM accounts WHERE id IN (
        SELECT u.id FROM subjects u JOIN json_to_recordset(%s::json) AS given (subject text) USING (subject)
    )
    """,  # the password goes with it
    """
    INSERT INTO accounts (id, username, username_key, email, email_key, created_at)
    SELECT u.id, username, username_key, email, email_key, created_at
    FROM json_to_recordset(%s::json) AS given (
        subject text, username text, username_key text, email text, email_key text, created_at bigint
    )
    JOIN subjects u USING (subject)
    """,
    """
    INSERT INTO passwords (account, hash, version, changed_at)
    SELECT u.id, hash, version, changed_at
    FROM json_to_recordset(%s::json) AS given (subject text, hash text, version bigint, changed_at bigint)
    JOIN subjects u USING (subject)
    WHERE hash IS NOT NULL
    """,
)
_STATES = (
    """
    INSERT INTO subjects (subject, epoch, epoch_at, epoch_reason, disabled_at, credential_version)
    SELECT subject, epoch, epoch_at, epoch_reason, disabled_at, credential_version
    FROM json_to_recordset(%s::json) AS given (
        subject text, epoch bigint, epoch_at bigint, epoch_reason text, disabled_at bigint, credential_version bigint
    )
    WHERE subject <> ''
    ON CONFLICT (subject) DO UPDATE SET
        epoch = excluded.epoch, epoch_at = excluded.epoch_at, epoch_reason = excluded.epoch_reason,
        disabled_at = excluded.disabled_at, credential_version = excluded.credential_version
    """,
    """
    UPDATE everybody AS e SET epoch = given.epoch, epoch_at = given.epoch_at, epoch_reason = given.epoch_reason
    FROM json_to_recordset(%s::json) AS given (subject text, epoch bigint, epoch_at bigint, epoch_reason text)
    WHERE given.subject = ''
    """,
)
_SESSIONS = (
    _MEET_SUBJECTS,
    """
    DELETE FROM sessions WHERE digest IN (
        SELECT decode(digest, 'hex') FROM json_to_recordset(%s::json) AS given (digest text)
    )
    """,
    """
    INSERT INTO sessions (
        digest, id, subject, epoch, created_at, auth_time, last_seen_at, idle_timeout, expires_at, is_persistent,
        methods, ip, user_agent, ended_at, end_reason, data
    )
    SELECT
        decode(digest, 'hex'), given.id, u.id, given.epoch, created_at, auth_time, last_seen_at, idle_timeout,
        expires_at, is_persistent, methods, ip, user_agent, ended_at, end_reason, decode(data, 'hex')
    FROM json_to_recordset(%s::json) AS given (
        digest text, id text, subject text, epoch bigint, created_at bigint, auth_time bigint, last_seen_at bigint,
        idle_timeout bigint, expires_at bigint, is_persistent boolean, methods text, ip text, user_agent text,
        ended_at bigint, end_reason text, data text
    )
    LEFT JOIN subjects u ON u.subject = given.subject
    """,
)
_EVENTS = (
    "DELETE FROM events WHERE id IN (SELECT id FROM json_to_recordset(%s::json) AS given (id bigint))",
    """
    INSERT INTO events (id, at, name, subject, session_id, ip, user_agent, request_id, details)
    OVERRIDING SYSTEM VALUE
    SELECT id, at, name, subject, session_id, ip, user_agent, request_id, details
    FROM json_to_recordset(%s::json) AS given (
        id bigint, at bigint, name text, subject text, session_id text, ip text, user_agent text, request_id text,
        details text
    )
    """,
)
_COUNT_EVENTS_ON = """
    SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT max(id) FROM events))
    WHERE (SELECT max(id) FROM events) > 0
"""
_KEEP_BOOKMARK = """
    INSERT INTO copying (id, bookmark) VALUES (0, %s) ON CONFLICT (id) DO UPDATE SET bookmark = excluded.bookmark
"""


def loading(contents: Contents, *, bookmark: str | None, schema: str) -> dict[str, Statement]:
    """Give the statements that take in a page, in place of what is there under the same keys, and keep the bookmark."""
    said: dict[str, Statement] = {}
    said |= _all("accounts", _ACCOUNTS, contents.accounts, lambda one: _account(*one))
    said |= _all("states", _STATES, contents.states, msgspec.structs.asdict)
    said |= _all("sessions", _SESSIONS, contents.sessions, _session)
    said |= _all(
        "counters",
        (statements.WRITE_COUNTERS,),
        contents.counters,
        lambda one: {"key": one[0].hex(), **msgspec.structs.asdict(one[1])},
    )
    said |= _all("events", _EVENTS, contents.events, lambda one: {"id": one[0], **statements.event_values(one[1])})
    if contents.events:
        said["events counted on"] = (_COUNT_EVENTS_ON, (f'"{schema}".events',))
    if bookmark is None:
        said["bookmark"] = ("DELETE FROM copying", ())
    else:
        said["bookmark"] = (_KEEP_BOOKMARK, (bookmark,))
    return said


def planned(row: Row) -> int:
    """Give the number of rows that a plan expects."""
    number: int = row[0][0]["Plan"]["Plan Rows"]
    return number


def _all(
    name: str, wanted: Iterable[str], records: Iterable[R], values: Callable[[R], dict[str, object]]
) -> dict[str, Statement]:
    given = [kept_parameters(values(record)) for record in records]
    if not given:
        return {}
    written = msgspec.json.encode(given).decode()
    return {f"{name} {place}": (sql, (written,)) for place, sql in enumerate(wanted)}


def _account(account: AccountRecord, credential: PasswordCredential | None) -> dict[str, object]:
    secret = {} if credential is None else msgspec.structs.asdict(credential)
    return {**msgspec.structs.asdict(account), **secret}


def _session(session: SessionRecord) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(session),
        "digest": session.digest.hex(),
        "data": None if session.data == EMPTY_DATA else session.data.hex(),
    }
