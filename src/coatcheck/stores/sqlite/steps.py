"""The steps that transactions of the SQLite store are made of: functions of a cursor inside one.

Each leaves the database consistent for the next; none begins, commits or rolls back.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from coatcheck.core import throttle
from coatcheck.core.records import EMPTY_DATA, AccountRecord, EventRecord, PasswordCredential, SessionRecord
from coatcheck.core.sessions import EVICTED, PASSWORD_CHANGED, Rotation
from coatcheck.core.throttle import Counter, Settlement
from coatcheck.errors import CorruptRecord
from coatcheck.stores.protocols import Answer
from coatcheck.stores.rows import (
    IDLE_DEADLINE,
    SELECT_FOUND_BY_DIGEST,
    SELECT_STATE,
    STANDING,
    counter_of,
    found_of,
    is_text,
    state_of,
)
from coatcheck.stores.sqlite.writes import Unchanged

NOBODY: Mapping[str | None, int | None] = {None: None}

_COUNTER = "SELECT key, failures, pending, counted_at, blocked_until, kept_until FROM counters WHERE key = ?"
_STATE = f"{SELECT_STATE} WHERE u.epoch IS NOT NULL AND u.subject = ?"
_STANDING_SESSION = f"{SELECT_FOUND_BY_DIGEST} WHERE s.digest = ? AND {STANDING}"
# All that decides whether a subject may have one more session.
_ADMITTED = """
    SELECT u.id, u.epoch, u.disabled_at, u.credential_version, p.account, e.epoch,
        (SELECT count(*) FROM sessions s WHERE s.subject = u.id AND s.epoch = u.epoch + e.epoch AND s.ended_at IS NULL)
    FROM subjects u
    LEFT JOIN everybody e ON e.id = 0
    LEFT JOIN passwords p ON p.account = u.id
    WHERE u.subject = ?
"""


def subject_key(cursor: sqlite3.Cursor, subject: str) -> int:
    """Give the integer that stands for a subject; a new subject gets one, without a state."""
    row = cursor.execute("SELECT id FROM subjects WHERE subject = ?", (subject,)).fetchone()
    if row is None:
        row = cursor.execute("INSERT INTO subjects (subject) VALUES (?) RETURNING id", (subject,)).fetchone()
    key: int = row[0]
    return key


def everybodys_epoch(cursor: sqlite3.Cursor) -> int:
    """Read the epoch that every session stands under."""
    row = cursor.execute("SELECT epoch FROM everybody").fetchone()
    if row is None or type(row[0]) is not int:
        raise CorruptRecord("everybody")
    return row[0]


class Admitted(NamedTuple):
    """A subject that may have one more session: its integer, the epoch for it, how many of that epoch it has.

    The count is made before the new one is there and what it replaces is ended.
    """

    key: int
    epoch: int
    sessions: int


def admit_subject(
    cursor: sqlite3.Cursor, subject: str, *, credential_version: int | None, at: int, holds_accounts: bool
) -> Admitted:
    """Let a subject have one more session. Undoes with `REFUSED` if it may not."""
    row = cursor.execute(_ADMITTED, (subject,)).fetchone()
    if row is None:
        subject_key(cursor, subject)
        row = cursor.execute(_ADMITTED, (subject,)).fetchone()
    key, epoch, disabled_at, known_version, password, everybodys, count = row
    if type(known_version) is not int or not (epoch is None or type(epoch) is int):
        raise CorruptRecord(f"subject {subject}")
    if type(everybodys) is not int:
        raise CorruptRecord("everybody")
    is_deleted = holds_accounts and credential_version is not None and password is None
    version = known_version if credential_version is None else credential_version
    if disabled_at is not None or is_deleted or version < known_version:
        raise Unchanged(Answer.REFUSED)
    if epoch is None:
        epoch = 0
        cursor.execute("UPDATE subjects SET epoch = 0 WHERE id = ?", (key,))
    if version > known_version:
        cursor.execute("UPDATE subjects SET credential_version = ? WHERE id = ?", (version, key))
    if version > max(known_version, 1):  # version 1 is an account's first password
        epoch += 1
        cursor.execute(
            "UPDATE subjects SET epoch = ?, epoch_at = ?, epoch_reason = ? WHERE id = ?",
            (epoch, at, PASSWORD_CHANGED, key),
        )
    return Admitted(key, epoch + everybodys, count)


def standing(cursor: sqlite3.Cursor, digest: bytes) -> tuple[str, bytes] | None:
    """Read public id and data of a standing session."""
    row = cursor.execute(f"SELECT s.id, s.data FROM sessions s WHERE s.digest = ? AND {STANDING}", (digest,)).fetchone()
    return None if row is None else (row[0], EMPTY_DATA if row[1] is None else row[1])


def standing_session(cursor: sqlite3.Cursor, digest: bytes) -> SessionRecord | None:
    """Read a standing session, all but its user agent."""
    row = cursor.execute(_STANDING_SESSION, (digest,)).fetchone()
    return None if row is None else found_of(row, digest=digest, user_agent=None).session


def is_disabled(cursor: sqlite3.Cursor, subject: str) -> bool:
    """Say whether a subject may have no sessions; what is no text is nobody."""
    row = cursor.execute(_STATE, (subject if is_text(subject) else "",)).fetchone()
    return row is not None and state_of(row).disabled_at is not None


def insert_session(
    cursor: sqlite3.Cursor, session: SessionRecord, owner: int | None, *, user_agent: int | None
) -> None:
    """Add a session. A digest or id that is there already is an IntegrityError, never an overwrite (TOK-04)."""
    cursor.execute(
        """
        INSERT INTO sessions (
            digest, id, subject, epoch, created_at, auth_time, last_seen_at, idle_timeout, expires_at, is_persistent,
            methods, ip, user_agent, ended_at, end_reason, data
        ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            session.digest, session.id, owner, session.epoch, session.created_at, session.auth_time,
            session.last_seen_at, session.idle_timeout, session.expires_at, session.is_persistent,
            session.methods, session.ip, user_agent, session.ended_at, session.end_reason, _kept(session.data),
        ),
    )  # fmt: skip


def keep_data(cursor: sqlite3.Cursor, digest: bytes, data: bytes) -> None:
    """Replace a session's data."""
    cursor.execute("UPDATE sessions SET data = ? WHERE digest = ?", (_kept(data), digest))


def mark_ended(cursor: sqlite3.Cursor, digest: bytes, *, at: int, reason: str) -> bool:
    """End a session that is not marked ended yet."""
    cursor.execute(
        "UPDATE sessions SET ended_at = ?, end_reason = ?, data = NULL WHERE digest = ? AND ended_at IS NULL",
        (at, reason, digest),
    )
    return cursor.rowcount > 0


def rotate(cursor: sqlite3.Cursor, rotation: Rotation, *, owner: int | None = None) -> bool:
    """Give a standing session its new digest; with `owner`, only if it is theirs."""
    cursor.execute(
        f"""
        UPDATE sessions AS s
        SET digest = ?, last_seen_at = max(last_seen_at, ?), auth_time = ?, expires_at = ?, methods = ?
        WHERE s.digest = ? AND {STANDING} {"" if owner is None else "AND s.subject = ?"}
        """,
        (
            rotation.new_digest, rotation.last_seen_at, rotation.auth_time, rotation.expires_at, rotation.methods,
            rotation.digest, *(() if owner is None else (owner,)),
        ),
    )  # fmt: skip
    return cursor.rowcount > 0


def raise_epoch(
    cursor: sqlite3.Cursor,
    subject: str,
    *,
    at: int,
    reason: str,
    keep: Rotation | None,
    credential_version: int | None,
    disabled_at: int | None,
) -> None:
    """End every session of a subject but `keep`; undoes everything if that one is not standing, or not theirs."""
    owner = subject_key(cursor, subject)
    # Rotated first, while it still stands; then lifted to the new epoch with its subject.
    if keep is not None and not rotate(cursor, keep, owner=owner):
        raise Unchanged(False)
    cursor.execute(
        """
        UPDATE subjects SET
            epoch = ifnull(epoch, 0) + 1, epoch_at = ?, epoch_reason = ?,
            disabled_at = ifnull(?, disabled_at), credential_version = max(credential_version, ?)
        WHERE id = ?
        """,
        (at, reason, disabled_at, credential_version or 0, owner),
    )
    if keep is not None:
        cursor.execute(
            """
            UPDATE sessions SET epoch = (SELECT u.epoch + e.epoch FROM subjects u JOIN everybody e WHERE u.id = ?)
            WHERE digest = ?
            """,
            (owner, keep.new_digest),
        )


def has_password(cursor: sqlite3.Cursor, subject: str) -> bool:
    """Say whether a subject is an account of ours with a password."""
    found = cursor.execute(
        "SELECT 1 FROM subjects u JOIN passwords p ON p.account = u.id WHERE u.subject = ?", (subject,)
    )
    return found.fetchone() is not None


def replace_password(cursor: sqlite3.Cursor, credential: PasswordCredential, *, was: int) -> bool:
    """Put a new password in place of version `was`."""
    cursor.execute(
        """
        UPDATE passwords SET hash = ?, version = ?, changed_at = ?
        WHERE account = (SELECT id FROM subjects WHERE subject = ?) AND version = ?
        """,
        (credential.hash, credential.version, credential.changed_at, credential.subject, was),
    )
    return cursor.rowcount > 0


def evict(cursor: sqlite3.Cursor, newcomer: SessionRecord, owner: int, *, most: int) -> tuple[str, ...]:
    """End the live sessions seen longest ago until at most `most` are left; the newcomer stays."""
    now = newcomer.created_at
    others = cursor.execute(
        f"""
        SELECT last_seen_at, id, digest FROM sessions
        WHERE subject = ? AND epoch = ? AND ended_at IS NULL AND digest <> ? AND expires_at > ? AND {IDLE_DEADLINE} > ?
        """,
        (owner, newcomer.epoch, newcomer.digest, now, now),
    ).fetchall()
    surplus = sorted(others)[: max(0, len(others) + 1 - most)]
    for _, _, digest in surplus:
        mark_ended(cursor, digest, at=newcomer.created_at, reason=EVICTED)
    return tuple(public_id for _, public_id, _ in surplus)


def insert_account(cursor: sqlite3.Cursor, key: int, account: AccountRecord) -> None:
    """Add an account. A name, address or subject that is there already is an IntegrityError (ACC-05)."""
    cursor.execute(
        """
        INSERT INTO accounts (id, username, username_key, email, email_key, created_at) VALUES (?, ?, ?, ?, ?, ?)
        """,
        (key, account.username, account.username_key, account.email, account.email_key, account.created_at),
    )


def insert_password(cursor: sqlite3.Cursor, key: int, credential: PasswordCredential) -> None:
    """Add an account's password."""
    cursor.execute(
        "INSERT INTO passwords (account, hash, version, changed_at) VALUES (?, ?, ?, ?)",
        (key, credential.hash, credential.version, credential.changed_at),
    )


def taken(cursor: sqlite3.Cursor, account: AccountRecord) -> Answer | None:
    """Say which of an account's names another one has."""
    if cursor.execute("SELECT 1 FROM accounts WHERE username_key = ?", (account.username_key,)).fetchone():
        return Answer.USERNAME_TAKEN
    if cursor.execute("SELECT 1 FROM accounts WHERE email_key = ?", (account.email_key,)).fetchone():
        return Answer.EMAIL_TAKEN
    return None


def read_counters(cursor: sqlite3.Cursor, keys: Sequence[bytes]) -> dict[bytes, Counter]:
    """Read attempt counters, those that are there."""
    if not keys:
        return {}
    # Not by an IN, whose list would be put into a table of its own first: a third of the work.
    found = cursor.execute(" UNION ALL ".join([_COUNTER] * len(keys)), keys)
    return {row[0]: counter_of(row[1:]) for row in found}


def write_counters(cursor: sqlite3.Cursor, counters: Iterable[tuple[bytes, Counter]]) -> None:
    """Keep attempt counters."""
    cursor.executemany(
        """
        INSERT OR REPLACE INTO counters (key, failures, pending, counted_at, blocked_until, kept_until)
        VALUES (?, ?, ?, ?, ?, ?)
        """,
        [(key, c.failures, c.pending, c.counted_at, c.blocked_until, c.kept_until) for key, c in counters],
    )


def settle(cursor: sqlite3.Cursor, settlements: Sequence[Settlement]) -> Answer | None:
    """Apply outcomes to their counters: `LOCKED` if one of them made a gate lock. Undoes all if a lock refuses one."""
    counters = read_counters(cursor, [settlement.gate.key for settlement in settlements])
    answer: Answer | None = None
    kept: list[tuple[bytes, Counter]] = []
    gone: list[bytes] = []
    for settlement in settlements:
        gate = settlement.gate
        counter = counters.get(gate.key)
        if throttle.refuses_success(counter, settlement):
            raise Unchanged(Answer.LOCKED)
        left = throttle.settled(counter, settlement)
        if left is not None:
            kept.append((gate.key, left))
        elif counter is not None:
            gone.append(gate.key)
        if throttle.locks_now(counter, left, gate):
            answer = Answer.LOCKED
    if kept:
        write_counters(cursor, kept)
    if gone:
        forget_counters(cursor, gone)
    return answer


def forget_counters(cursor: sqlite3.Cursor, keys: Iterable[bytes]) -> None:
    """Delete attempt counters."""
    cursor.executemany("DELETE FROM counters WHERE key = ?", [(key,) for key in keys])


def forget_subject(cursor: sqlite3.Cursor, subject: str, *, with_account: bool) -> bool:
    """Delete an account and all that names its subject; events keep their time and name. False if it has none.

    Without `with_account` the subject needs none, and one that is unknown is forgotten already.
    """
    row = cursor.execute(
        "SELECT u.id, a.id FROM subjects u LEFT JOIN accounts a ON a.id = u.id WHERE u.subject = ?", (subject,)
    ).fetchone()
    if row is None or (with_account and row[1] is None):
        return not with_account
    row = row[:1]
    named = cursor.execute("DELETE FROM sessions WHERE subject = ? RETURNING user_agent", row).fetchall()
    named += cursor.execute("SELECT user_agent FROM events WHERE subject = ?", row).fetchall()
    cursor.execute(
        """
        UPDATE events SET subject = NULL, session_id = NULL, ip = NULL, user_agent = NULL, request_id = NULL,
            details = NULL
        WHERE subject = ?
        """,
        row,
    )
    release_user_agents(cursor, (key for (key,) in named))
    cursor.execute("DELETE FROM accounts WHERE id = ?", row)  # the password goes with it
    cursor.execute("DELETE FROM subjects WHERE id = ?", row)
    return True


def append_events(
    cursor: sqlite3.Cursor,
    events: Sequence[EventRecord],
    *,
    subjects: Mapping[str | None, int | None] = NOBODY,
    user_agents: Mapping[str | None, int | None] | None = None,
) -> None:
    """Keep events, in their order. What is known of the integers that stand for names need not be looked up again."""
    known = dict(subjects)
    agents = user_agent_keys(cursor, [event.user_agent for event in events]) if user_agents is None else user_agents
    for event in events:
        if event.subject is not None and event.subject not in known:
            known[event.subject] = subject_key(cursor, event.subject)
        insert_event(cursor, event, subject=known[event.subject], user_agent=agents[event.user_agent])


def insert_event(
    cursor: sqlite3.Cursor,
    event: EventRecord,
    *,
    subject: int | None,
    user_agent: int | None,
    place: int | None = None,
) -> None:
    """Keep an event at its place, or after all others."""
    cursor.execute(
        """
        INSERT INTO events (id, at, name, subject, session_id, ip, user_agent, request_id, details)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            place,
            event.at,
            event.name,
            subject,
            event.session_id,
            event.ip,
            user_agent,
            event.request_id,
            msgspec.json.encode(event.details).decode() if event.details else None,
        ),
    )


def user_agent_keys(cursor: sqlite3.Cursor, texts: Sequence[str | None]) -> Mapping[str | None, int | None]:
    """Give the integers of user agents' texts and count one more use for each time that one is named."""
    keys: dict[str | None, int | None] = {None: None}
    for text in texts:
        if text not in keys:
            uses = texts.count(text)
            # Not by an INSERT that does this on a conflict: it would write the highest id anew, in a page of its own.
            # Nor with RETURNING, whose answer goes through a table of its own: these two are half its work.
            row = cursor.execute("SELECT id FROM user_agents WHERE text = ?", (text,)).fetchone()
            if row is None:
                cursor.execute("INSERT INTO user_agents (text, uses) VALUES (?, ?) RETURNING id", (text, uses))
                row = cursor.fetchone()
            else:
                cursor.execute("UPDATE user_agents SET uses = uses + ? WHERE id = ?", (uses, row[0]))
            keys[text] = row[0]
    return keys


def release_user_agents(cursor: sqlite3.Cursor, keys: Iterable[int | None]) -> None:
    """Count off the uses that went with deleted rows, and forget the texts nobody uses any more."""
    named = [(key,) for key in keys if key is not None]
    cursor.executemany("UPDATE user_agents SET uses = uses - 1 WHERE id = ?", named)
    cursor.executemany("DELETE FROM user_agents WHERE id = ? AND uses <= 0", set(named))


def _kept(data: bytes) -> bytes | None:
    return None if data == EMPTY_DATA else data
