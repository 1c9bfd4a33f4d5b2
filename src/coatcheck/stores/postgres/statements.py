"""What the PostgreSQL store says to the server: every statement but those of purging and of the schema.

A statement that runs alone is one round trip and one transaction. Those of longer transactions are sent in batches,
and locks are taken in one order: a subject, then sessions, then attempt counters. A subject that is updated
keeps its key, so rows that refer to it are never waited for.

Each statement of a transaction sees what was committed when it began (READ COMMITTED, PostgreSQL's default), so what
is read after a lock is what the lock protects. A guarded UPDATE that had to wait looks at its guard again.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from coatcheck.core.records import EventRecord
from coatcheck.core.sessions import EVICTED, PASSWORD_CHANGED, REPLACED
from coatcheck.stores import rows
from coatcheck.stores.postgres.texts import kept_parameters
from coatcheck.stores.rows import IDLE_DEADLINE, STANDING

TABLES: Final = (
    "accounts",
    "copying",
    "counters",
    "events",
    "everybody",
    "passwords",
    "schema_version",
    "sessions",
    "subjects",
)
_TABLE_NAMED = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE|TABLE|ON|REFERENCES) ({'|'.join(TABLES)})\b")
_TABLE_CREATED = re.compile(r"\bCREATE TABLE (\w+)")


@lru_cache(maxsize=256)
def within(schema: str, statement: str) -> str:
    """Name the schema before each table: the search path is a session's, and behind a pooler sessions are shared."""
    statement = _TABLE_CREATED.sub(rf'CREATE TABLE "{schema}".\1', statement)  # whatever its name: it is to be ours
    return _TABLE_NAMED.sub(rf'\1 "{schema}".\2', statement)


# Reading

FIND: Final = f"{rows.SELECT_FOUND_BY_DIGEST} WHERE s.digest = %s"
FIND_BY_ID: Final = f"{rows.SELECT_FOUND_WITH_TEXT} WHERE s.id = %s"
SESSIONS_OF: Final = f"""
    {rows.SELECT_FOUND_WITH_TEXT}
    WHERE s.subject = (SELECT id FROM subjects WHERE subject = %s) AND s.ended_at IS NULL
    AND s.epoch = u.epoch + e.epoch AND u.disabled_at IS NULL
"""
ANY_LIVE: Final = rows.ANY_LIVE.replace("?", "%s")
SCAN_SESSIONS: Final = f"{rows.SELECT_FOUND_WITH_TEXT} WHERE s.id > %s ORDER BY s.id LIMIT %s"
IDENTIFY: Final = f"{rows.SELECT_IDENTIFIED} WHERE a.username_key = %s OR a.email_key = %s"
ACCOUNT: Final = f"{rows.SELECT_ACCOUNT} WHERE u.subject = %s"
CREDENTIAL: Final = f"{rows.SELECT_CREDENTIAL} WHERE u.subject = %s"
SCAN_ACCOUNTS: Final = f"{rows.SELECT_ACCOUNT} WHERE u.subject > %s ORDER BY u.subject LIMIT %s"
STATES_OF: Final = f"{rows.SELECT_STATE} WHERE u.epoch IS NOT NULL AND u.subject = ANY(%s::text[])"
DISABLED: Final = "SELECT 1 FROM subjects u WHERE u.subject = %s AND u.disabled_at IS NOT NULL"
SELECT_EVENT: Final = """
    SELECT e.id, e.at, e.name, e.subject, e.session_id, e.ip, e.user_agent, e.request_id, e.details FROM events e
"""
EVENTS: Final = f"{SELECT_EVENT} WHERE e.id < %s ORDER BY e.id DESC LIMIT %s"
EVENTS_OF: Final = f"{SELECT_EVENT} WHERE e.subject = %s AND e.id < %s ORDER BY e.id DESC LIMIT %s"
READY: Final = "SELECT 1 FROM sessions LIMIT 1"
# What the server promises of its disk, and whether the way to it leaves this machine unencrypted.
PROMISES: Final = """
    SELECT
        current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
        current_setting('synchronous_commit') <> 'off',
        coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
            OR coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)
"""

# Changes of one statement. `events` is JSON, one parameter whatever its length.

APPEND_EVENTS: Final = """
    INSERT INTO events (at, name, subject, session_id, ip, user_agent, request_id, details)
    SELECT at, name, subject, session_id, ip, user_agent, request_id, details
    FROM json_to_recordset(%(events)s::json) AS given (
        at bigint, name text, subject text, session_id text, ip text, user_agent text, request_id text, details text
    )
"""


def _with_events(change: str) -> str:
    """Make a change (which must be RETURNING) keep its events if it happens; a row comes back if it did."""
    return f"""
        WITH changed AS ({change}),
        kept AS ({APPEND_EVENTS} WHERE EXISTS (SELECT 1 FROM changed))
        SELECT 1 FROM changed
    """


def event_values(event: EventRecord) -> dict[str, object]:
    """Give an event's columns, as JSON can hold them."""
    details = msgspec.json.encode(event.details).decode() if event.details else None
    return {**msgspec.structs.asdict(event), "details": details}


def encoded(events: Sequence[EventRecord]) -> str:
    """Write events as the parameter `events`."""
    return msgspec.json.encode([kept_parameters(event_values(event)) for event in events]).decode() if events else "[]"


# What may lose its last second: this transaction does not wait for the disk.
_HASTILY = "set_config('synchronous_commit', 'off', true) = 'off'"
TOUCH: Final = f"""
    UPDATE sessions AS s SET last_seen_at = greatest(s.last_seen_at, %s)
    WHERE s.digest = %s AND {STANDING} AND {_HASTILY} RETURNING 1
"""
_ROTATED = """
    digest = %(new_digest)s, last_seen_at = greatest(s.last_seen_at, %(last_seen_at)s), auth_time = %(auth_time)s,
    expires_at = %(expires_at)s, methods = %(methods)s
"""
ROTATE: Final = _with_events(
    f"UPDATE sessions AS s SET {_ROTATED} WHERE s.digest = %(digest)s AND {STANDING} RETURNING 1"
)
_ENDED = "ended_at = %(at)s, end_reason = %(reason)s, data = NULL"
END: Final = _with_events(
    f"UPDATE sessions AS s SET {_ENDED} WHERE s.digest = %(digest)s AND s.ended_at IS NULL RETURNING 1"
)
END_BY_ID: Final = _with_events(
    f"""
    UPDATE sessions AS s SET {_ENDED}
    WHERE s.id = %(id)s AND s.subject = (SELECT id FROM subjects WHERE subject = %(subject)s) AND {STANDING} RETURNING 1
    """
)
# With `keep_only` nothing happens to a subject that is disabled: the session to be kept does not stand then.
_RAISE = """
    INSERT INTO subjects AS u (subject, epoch, epoch_at, epoch_reason, disabled_at, credential_version)
    VALUES (%(subject)s, 1, %(at)s, %(reason)s, %(disabled_at)s, coalesce(%(credential_version)s, 0))
    ON CONFLICT (subject) DO UPDATE SET
        epoch = coalesce(u.epoch, 0) + 1, epoch_at = excluded.epoch_at, epoch_reason = excluded.epoch_reason,
        disabled_at = coalesce(excluded.disabled_at, u.disabled_at),
        credential_version = greatest(u.credential_version, excluded.credential_version)
    WHERE NOT %(keeps)s OR u.disabled_at IS NULL
    RETURNING 1
"""
RAISE_EPOCH: Final = _with_events(_RAISE)
RAISE_EVERYBODY: Final = _with_events(
    "UPDATE everybody SET epoch = epoch + 1, epoch_at = %(at)s, epoch_reason = %(reason)s RETURNING 1"
)
ENABLE: Final = _with_events(
    "UPDATE subjects SET disabled_at = NULL WHERE subject = %(subject)s AND disabled_at IS NOT NULL RETURNING 1"
)
CREATE_ACCOUNT: Final = f"""
    WITH owner AS (
        INSERT INTO subjects AS u (subject) VALUES (%(subject)s)
        ON CONFLICT (subject) DO UPDATE SET epoch_at = u.epoch_at RETURNING id
    ),
    opened AS (
        INSERT INTO accounts (id, username, username_key, email, email_key, created_at)
        SELECT id, %(username)s, %(username_key)s, %(email)s, %(email_key)s, %(created_at)s FROM owner RETURNING id
    ),
    secured AS (
        INSERT INTO passwords (account, hash, version, changed_at)
        SELECT id, %(hash)s, %(version)s, %(changed_at)s FROM opened
    )
    {APPEND_EVENTS}
"""
TAKEN: Final = """
    SELECT
        EXISTS (SELECT 1 FROM accounts WHERE username_key = %s), EXISTS (SELECT 1 FROM accounts WHERE email_key = %s)
"""
REPLACE_PASSWORD: Final = """
    UPDATE passwords SET hash = %(hash)s, version = %(version)s, changed_at = %(changed_at)s
    WHERE account = (SELECT id FROM subjects WHERE subject = %(subject)s) AND version = %(was)s RETURNING 1
"""
REHASH: Final = """
    UPDATE passwords SET hash = %s
    WHERE account = (SELECT id FROM subjects WHERE subject = %s) AND hash = %s RETURNING 1
"""

# The steps of longer transactions

# `start`: first the subject, which makes several starts of one subject take turns.
ADMIT_SUBJECT: Final = f"""
    INSERT INTO subjects AS u (subject, epoch, epoch_at, epoch_reason, credential_version)
    SELECT
        %(subject)s, newer::int, CASE WHEN newer THEN %(created_at)s ELSE 0 END,
        CASE WHEN newer THEN '{PASSWORD_CHANGED}' ELSE '' END, coalesce(%(version)s, 0)
    FROM (SELECT coalesce(%(version)s::bigint > 1, false) AS newer) AS given
    ON CONFLICT (subject) DO UPDATE SET
        epoch = coalesce(u.epoch, 0) + (excluded.credential_version > greatest(u.credential_version, 1))::int,
        epoch_at = CASE
            WHEN excluded.credential_version > greatest(u.credential_version, 1) THEN %(created_at)s ELSE u.epoch_at
        END,
        epoch_reason = CASE
            WHEN excluded.credential_version > greatest(u.credential_version, 1) THEN '{PASSWORD_CHANGED}'
            ELSE u.epoch_reason
        END,
        credential_version = greatest(u.credential_version, excluded.credential_version)
    WHERE u.disabled_at IS NULL AND coalesce(%(version)s, u.credential_version) >= u.credential_version
"""
HOLD_REPLACED: Final = f"""
    {rows.SELECT_FOUND_BY_DIGEST} WHERE s.digest = %(replaces)s AND {STANDING} FOR NO KEY UPDATE OF s
"""
_SESSION_COLUMNS = """
    digest, id, subject, epoch, created_at, auth_time, last_seen_at, idle_timeout, expires_at, is_persistent, methods,
    ip, user_agent, ended_at, end_reason, data
"""
_SESSION_VALUES = """
    %(created_at)s, %(auth_time)s, %(last_seen_at)s, %(idle_timeout)s, %(expires_at)s, %(is_persistent)s, %(methods)s,
    %(ip)s, %(user_agent)s, %(ended_at)s, %(end_reason)s, %(data)s
"""
# No row comes back if the subject may not have the session.
INSERT_SESSION: Final = f"""
    INSERT INTO sessions ({_SESSION_COLUMNS})
    SELECT %(digest)s, %(id)s, u.id, u.epoch + e.epoch, {_SESSION_VALUES}
    FROM subjects u LEFT JOIN everybody e ON e.id = 0
    WHERE u.subject = %(subject)s AND u.disabled_at IS NULL AND (
        %(version)s::bigint IS NULL OR (
            u.credential_version = %(version)s
            AND (NOT %(holds_accounts)s OR EXISTS (SELECT 1 FROM passwords p WHERE p.account = u.id))
        )
    )
    RETURNING epoch
"""
INSERT_ANONYMOUS: Final = f"""
    INSERT INTO sessions ({_SESSION_COLUMNS})
    SELECT %(digest)s, %(id)s, NULL, e.epoch, {_SESSION_VALUES}
    FROM (SELECT 0 AS id) AS one LEFT JOIN everybody e ON e.id = one.id
    RETURNING epoch
"""
END_REPLACED: Final = f"""
    UPDATE sessions AS s SET ended_at = %(created_at)s, end_reason = '{REPLACED}', data = NULL
    WHERE s.digest = %(replaces)s AND s.digest <> %(digest)s AND {STANDING}
"""
# All but the newcomer and the `most` - 1 that were seen last. Both looks name the subject, so that they go along its
# index whatever the server knows of the tables: a plan that was made when they were empty is kept for a while.
EVICT: Final = f"""
    WITH owner AS MATERIALIZED (
        SELECT u.id, u.epoch + e.epoch AS epoch FROM subjects u JOIN everybody e ON e.id = 0
        WHERE u.subject = %(subject)s
    )
    UPDATE sessions AS s SET ended_at = %(created_at)s, end_reason = '{EVICTED}', data = NULL
    WHERE s.subject = (SELECT id FROM owner) AND s.epoch = (SELECT epoch FROM owner) AND s.ended_at IS NULL
    AND s.digest = ANY (ARRAY(
        SELECT o.digest FROM sessions o
        WHERE o.subject = (SELECT id FROM owner) AND o.epoch = (SELECT epoch FROM owner) AND o.ended_at IS NULL
        AND o.digest <> %(digest)s AND o.expires_at > %(created_at)s AND {IDLE_DEADLINE} > %(created_at)s
        ORDER BY o.last_seen_at DESC, o.id DESC OFFSET greatest(%(most)s - 1, 0)
    ))
    RETURNING s.last_seen_at, s.id
"""

HOLD_SESSION: Final = f"""
    SELECT s.id, s.data FROM sessions s WHERE s.digest = %s AND {STANDING} FOR NO KEY UPDATE OF s
"""
KEEP_DATA: Final = "UPDATE sessions SET data = %s WHERE digest = %s"

RAISE_AND_KEEP: Final = _RAISE
# The session that survives, if it stood under the epoch before.
ROTATE_KEPT: Final = f"""
    UPDATE sessions AS s SET {_ROTATED}, epoch = u.epoch + e.epoch
    FROM subjects u JOIN everybody e ON e.id = 0
    WHERE s.digest = %(digest)s AND u.subject = %(subject)s AND s.subject = u.id AND s.ended_at IS NULL
    AND s.epoch = u.epoch - 1 + e.epoch
    RETURNING 1
"""

# Counters are locked by number, for one that does not exist yet has no row to lock. The caller sorts the numbers.
LOCK_COUNTERS: Final = "SELECT pg_advisory_xact_lock(place) FROM unnest(%s::bigint[]) AS place"
HASTEN: Final = f"SELECT {_HASTILY}"
READ_COUNTERS: Final = """
    SELECT key, failures, pending, counted_at, blocked_until, kept_until FROM counters WHERE key = ANY(%s::bytea[])
"""
WRITE_COUNTERS: Final = """
    INSERT INTO counters (key, failures, pending, counted_at, blocked_until, kept_until)
    SELECT decode(key, 'hex'), failures, pending, counted_at, blocked_until, kept_until
    FROM json_to_recordset(%s::json) AS given (
        key text, failures bigint, pending bigint, counted_at bigint, blocked_until bigint, kept_until bigint
    )
    ON CONFLICT (key) DO UPDATE SET
        failures = excluded.failures, pending = excluded.pending, counted_at = excluded.counted_at,
        blocked_until = excluded.blocked_until, kept_until = excluded.kept_until
"""
FORGET_COUNTERS: Final = "DELETE FROM counters WHERE key = ANY(%s::bytea[])"
# Whoever deletes the account waits until the outcome is settled, or it is settled after.
HOLD_PASSWORD: Final = """
    SELECT 1 FROM subjects u JOIN passwords p ON p.account = u.id WHERE u.subject = %s FOR KEY SHARE OF u
"""

HOLD_SUBJECT: Final = """
    SELECT u.id, EXISTS (SELECT 1 FROM accounts a WHERE a.id = u.id) FROM subjects u WHERE u.subject = %s FOR UPDATE
"""
FORGET_SUBJECT: Final = (
    "DELETE FROM sessions WHERE subject = %(id)s",
    "DELETE FROM accounts WHERE id = %(id)s",  # the password goes with it
    "DELETE FROM subjects WHERE id = %(id)s",
    """
    UPDATE events SET subject = NULL, session_id = NULL, ip = NULL, user_agent = NULL, request_id = NULL,
        details = NULL
    WHERE subject = %(subject)s
    """,
)
