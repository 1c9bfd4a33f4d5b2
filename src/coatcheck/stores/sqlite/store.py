"""The SQLite store: one file, several processes, durable.

Reads run where they are asked for, on a connection of the thread: a primary-key read takes microseconds, a hop to
another thread costs several times that. Writes are functions of a cursor that run in one transaction of the writer.
Partner modules: `file` (connections, transactions), `steps`, `purge` and `copying` (what transactions are
made of), `rows` (SELECTs and records), `schema`.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import ClassVar, TypeVar

import msgspec

from coatcheck.colour import Colour
from coatcheck.core import session_data, throttle
from coatcheck.core.audit import one_for_each
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.sessions import REPLACED, Rotation, carried
from coatcheck.core.throttle import Counter, Gate, Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores import rows
from coatcheck.stores.protocols import (
    AccountPage,
    Answer,
    Contents,
    Cutoffs,
    EventPage,
    Extent,
    Found,
    Identified,
    Progress,
    Purged,
    SessionPage,
    Started,
)
from coatcheck.stores.rows import STANDING, Row, found_of, is_text
from coatcheck.stores.sqlite import copying, schema, steps
from coatcheck.stores.sqlite.file import PATIENCE, Link, SqliteFile
from coatcheck.stores.sqlite.purge import purge_batch
from coatcheck.stores.sqlite.writes import Unchanged, translated

T = TypeVar("T")
R = TypeVar("R")
replace = msgspec.structs.replace

_FIND = f"{rows.SELECT_FOUND_BY_DIGEST} WHERE s.digest = ?"
_FIND_WHOLE = f"{rows.SELECT_FOUND} WHERE s.digest = ?"
_FIND_BY_ID = f"{rows.SELECT_FOUND} WHERE s.id = ?"
_SESSIONS_OF = f"""
    {rows.SELECT_FOUND}
    WHERE s.subject = (SELECT id FROM subjects WHERE subject = ?) AND s.ended_at IS NULL
    AND s.epoch = u.epoch + e.epoch AND u.disabled_at IS NULL
"""
_SCAN_SESSIONS = f"{rows.SELECT_FOUND} WHERE s.id > ? ORDER BY s.id LIMIT ?"
_IDENTIFY = f"{rows.SELECT_IDENTIFIED} WHERE a.username_key = ? OR a.email_key = ?"
_ACCOUNT = f"{rows.SELECT_ACCOUNT} WHERE u.subject = ?"
_CREDENTIAL = f"{rows.SELECT_CREDENTIAL} WHERE u.subject = ?"
_SCAN_ACCOUNTS = f"{rows.SELECT_ACCOUNT} WHERE u.subject > ? ORDER BY u.subject LIMIT ?"
_STATES_OF = f"{rows.SELECT_STATE} WHERE u.epoch IS NOT NULL AND u.subject IN"
_EVENTS = f"{rows.SELECT_EVENT} WHERE e.id < ? ORDER BY e.id DESC LIMIT ?"
_EVENTS_OF = f"""
    {rows.SELECT_EVENT}
    WHERE e.subject = (SELECT id FROM subjects WHERE subject = ?) AND e.id < ? ORDER BY e.id DESC LIMIT ?
"""


class SqliteStore:
    """Keeps the contract of `coatcheck.stores.protocols.Store` in one SQLite file, whose path is given.

    The file is created at first use, readable by its owner only, unless `creates` is False: then it has to be there.
    An older, newer or foreign schema is refused. With `holds_accounts` False it is one for sessions whose accounts
    live in another store.
    """

    shelf_bits = 0
    schema_steps: ClassVar[Sequence[schema.Step]] = schema.STEPS

    def __init__(self, path: str, colour: Colour, *, holds_accounts: bool = True, creates: bool = True) -> None:
        self.holds_accounts = holds_accounts
        self._file = SqliteFile(path, self.schema_steps, creates=creates)
        self._colour = colour

    # Sessions

    async def find(self, digest: bytes) -> Found | None:
        link = self._file.reader()
        try:
            with link.lock:
                row = link.cursor.execute(_FIND, (digest,)).fetchone()
        except sqlite3.Error:
            return self._find_whole(link, digest)  # which says what the trouble is, and with which record
        if row is None:
            return None
        user_agent = None
        if row[0] is not None:
            user_agent = link.user_agents.get(row[0])
            if user_agent is None:
                return self._find_whole(link, digest)
        return found_of(row, digest=digest, user_agent=user_agent)

    async def start(
        self,
        session: SessionRecord,
        *,
        replaces: bytes | None,
        keep_at_login: Collection[str] | None,
        credential_version: int | None,
        most: int,
        settlements: Sequence[Settlement],
        events: Sequence[EventRecord],
        eviction: EventRecord | None,
    ) -> Started | Answer:
        def work(cursor: sqlite3.Cursor) -> Started:
            admitted = None
            if session.subject is not None:
                admitted = steps.admit_subject(
                    cursor,
                    session.subject,
                    credential_version=credential_version,
                    at=session.created_at,
                    holds_accounts=self.holds_accounts,
                )
            owner = None if admitted is None else admitted.key
            epoch = steps.everybodys_epoch(cursor) if admitted is None else admitted.epoch
            kept = replace(session, epoch=epoch)
            old = None if replaces is None else steps.standing_session(cursor, replaces)
            if old is not None:
                data = carried(old, kept, keep_at_login)
                kept = kept if data is None else replace(kept, data=data)
                steps.mark_ended(cursor, old.digest, at=kept.created_at, reason=REPLACED)
            agents = steps.user_agent_keys(cursor, [kept.user_agent, *(event.user_agent for event in events)])
            steps.insert_session(cursor, kept, owner, user_agent=agents[kept.user_agent])
            evicted: tuple[str, ...] = ()
            if admitted is not None and admitted.sessions >= most:
                evicted = steps.evict(cursor, kept, admitted.key, most=most)
            if settlements:
                steps.settle(cursor, settlements)
            owners = {None: None, kept.subject: owner}
            steps.append_events(cursor, events, subjects=owners, user_agents=agents)
            steps.append_events(cursor, one_for_each(eviction, evicted), subjects=owners)
            return Started(kept, evicted)

        return await self._write(work)

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            cursor.execute(
                f"UPDATE sessions AS s SET last_seen_at = max(last_seen_at, ?) WHERE s.digest = ? AND {STANDING}",
                (seen_at, digest),
            )
            return cursor.rowcount > 0

        return await self._write(work, durable=False)

    async def patch(
        self, digest: bytes, *, namespace: str, puts: Mapping[str, bytes], removes: Collection[str], limit: int
    ) -> Answer | None:
        def work(cursor: sqlite3.Cursor) -> None:
            public_id, data = _standing(cursor, digest)
            with rows.decoding(public_id):
                patched = session_data.patched(data, namespace, puts, removes, limit=limit)
            if patched is None:
                raise Unchanged(Answer.TOO_LARGE)
            if patched == data:
                raise Unchanged(None)
            steps.keep_data(cursor, digest, patched)

        return await self._write(work)

    async def increment(self, digest: bytes, *, namespace: str, key: str, by: int, limit: int) -> int | Answer:
        def work(cursor: sqlite3.Cursor) -> int:
            public_id, data = _standing(cursor, digest)
            with rows.decoding(public_id):
                total = session_data.integer_at(data, namespace, key)
                if total is None or abs(total + by) > session_data.INTEGER_MAX:
                    raise Unchanged(Answer.NOT_AN_INTEGER)
                total += by
                patched = session_data.patched(data, namespace, {key: str(total).encode()}, (), limit=limit)
            if patched is None:
                raise Unchanged(Answer.TOO_LARGE)
            steps.keep_data(cursor, digest, patched)
            return total

        return await self._write(work)

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            if not steps.rotate(cursor, rotation):
                raise Unchanged(False)
            steps.append_events(cursor, events)
            return True

        return await self._write(work)

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            if not steps.mark_ended(cursor, digest, at=at, reason=reason):
                raise Unchanged(False)
            steps.append_events(cursor, events)
            return True

        return await self._write(work)

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        if not (is_text(session_id) and is_text(subject)):
            return False

        def work(cursor: sqlite3.Cursor) -> bool:
            cursor.execute(
                f"""
                UPDATE sessions AS s SET ended_at = ?, end_reason = ?, data = NULL
                WHERE s.id = ? AND s.subject = (SELECT id FROM subjects WHERE subject = ?) AND {STANDING}
                """,
                (at, reason, session_id, subject),
            )
            if cursor.rowcount == 0:
                raise Unchanged(False)
            steps.append_events(cursor, events)
            return True

        return await self._write(work)

    async def raise_epoch(
        self,
        subject: str,
        *,
        at: int,
        reason: str,
        keep: Rotation | None,
        credential_version: int | None,
        disabled_at: int | None,
        events: Sequence[EventRecord],
    ) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            steps.raise_epoch(
                cursor,
                subject,
                at=at,
                reason=reason,
                keep=keep,
                credential_version=credential_version,
                disabled_at=disabled_at,
            )
            steps.append_events(cursor, events)
            return True

        return await self._write(work)

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        def work(cursor: sqlite3.Cursor) -> None:
            cursor.execute(
                "UPDATE everybody SET epoch = epoch + 1, epoch_at = ?, epoch_reason = ?",
                (at, reason),
            )
            steps.append_events(cursor, events)

        await self._write(work)

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        if not is_text(subject):
            return False

        def work(cursor: sqlite3.Cursor) -> bool:
            cursor.execute(
                "UPDATE subjects SET disabled_at = NULL WHERE subject = ? AND disabled_at IS NOT NULL", (subject,)
            )
            if cursor.rowcount == 0:
                raise Unchanged(False)
            steps.append_events(cursor, events)
            return True

        return await self._write(work)

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        found = rows.readable(rows.found_with_user_agent, self._rows(_SESSIONS_OF, subject))
        return tuple(sorted(found, key=lambda f: (f.session.created_at, f.session.id), reverse=True))

    async def find_by_id(self, session_id: str) -> Found | None:
        return self._one(rows.found_with_user_agent, _FIND_BY_ID, session_id)

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        return SessionPage(*self._page(rows.found_with_user_agent, _SCAN_SESSIONS, after or "", limit=limit, key=3))

    async def any_live(self, *, at: int) -> bool:
        return bool(self._rows(rows.ANY_LIVE, at, at)[0][0])

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        wanted = [subject for subject in subjects if is_text(subject)]
        places = ", ".join("?" * len(wanted))
        states = rows.readable(rows.state_of, self._rows(f"{_STATES_OF} ({places})", *wanted))
        return {state.subject: state for state in states}

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        purged = await self._write(lambda cursor: purge_batch(cursor, cutoffs, after=after, limit=limit))
        await self._colour.offload(self._file.shorten_log)
        return purged

    # Attempts

    async def admit(self, gates: Sequence[Gate], *, subject: str | None, now: int) -> int | Answer:
        def work(cursor: sqlite3.Cursor) -> int | Answer:
            counted = steps.read_counters(cursor, [gate.key for gate in gates])
            found = [(gate, counted.get(gate.key)) for gate in gates]
            counters = [(gate, counter or Counter()) for gate, counter in found if not gate.locks]
            wait = max((throttle.wait_of(counter, gate, now=now) for gate, counter in counters), default=0)
            if wait > 0:
                raise Unchanged(wait)
            steps.write_counters(
                cursor, [(gate.key, throttle.counted(counter, gate, now=now)) for gate, counter in counters]
            )
            if any(throttle.is_locked(counter, gate) for gate, counter in found):
                return Answer.LOCKED
            return Answer.REFUSED if subject is not None and steps.is_disabled(cursor, subject) else 0

        return await self._write(work, durable=False)

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        def work(cursor: sqlite3.Cursor) -> Answer | None:
            if account is not None and self.holds_accounts and not steps.has_password(cursor, account):
                raise Unchanged(Answer.GONE)
            answer = steps.settle(cursor, settlements)
            steps.append_events(cursor, events)
            return answer

        is_needed = bool(settlements or events or account is not None)
        return await self._write(work, durable=False) if is_needed else None

    # Accounts

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        def work(cursor: sqlite3.Cursor) -> None:
            key = steps.subject_key(cursor, account.subject)
            try:
                steps.insert_account(cursor, key, account)
            except sqlite3.IntegrityError as error:
                # The constraint has decided; this only finds the word for it.
                taken = steps.taken(cursor, account)
                if taken is None:
                    raise StoreConflict("an account with this subject exists already") from error
                raise Unchanged(taken) from None
            steps.insert_password(cursor, key, credential)
            steps.append_events(cursor, events)

        return await self._write(work)

    async def identify(self, key: str) -> Identified | None:
        return self._one(rows.identified_of, _IDENTIFY, key, key)

    async def account(self, subject: str) -> AccountRecord | None:
        return self._one(rows.account_of, _ACCOUNT, subject)

    async def credential(self, subject: str) -> PasswordCredential | None:
        return self._one(rows.credential_of, _CREDENTIAL, subject)

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        return await self._write(lambda cursor: steps.replace_password(cursor, credential, was=was))

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            cursor.execute(
                """
                UPDATE passwords SET hash = ?
                WHERE account = (SELECT id FROM subjects WHERE subject = ?) AND hash = ?
                """,
                (new, subject, was),
            )
            return cursor.rowcount > 0

        return await self._write(work)

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        return AccountPage(*self._page(rows.account_of, _SCAN_ACCOUNTS, after or "", limit=limit, key=0))

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        if events:
            await self._write(lambda cursor: steps.append_events(cursor, events))

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        before = rows.BEYOND_EVENTS if after is None else rows.event_position(after)
        sql, named = (_EVENTS, ()) if subject is None else (_EVENTS_OF, (subject,))
        found = self._rows(sql, *named, before, limit + 1)
        more = len(found) > limit
        page = found[:limit]
        return EventPage(rows.readable(rows.event_of, page), str(page[-1][0]) if more and page else None)

    # Accounts and sessions together

    async def change_password(
        self,
        credential: PasswordCredential,
        *,
        at: int,
        reason: str,
        keep: Rotation,
        events: Sequence[EventRecord],
    ) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            if not steps.replace_password(cursor, credential, was=credential.version - 1):
                raise Unchanged(False)
            steps.raise_epoch(
                cursor,
                credential.subject,
                at=at,
                reason=reason,
                keep=keep,
                credential_version=credential.version,
                disabled_at=None,
            )
            steps.append_events(cursor, events)
            return True

        return await self._write(work)

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        def work(cursor: sqlite3.Cursor) -> bool:
            if not steps.forget_subject(cursor, subject, with_account=self.holds_accounts):
                raise Unchanged(False)
            steps.forget_counters(cursor, counters)
            steps.append_events(cursor, events)
            return True

        is_deleted = await self._write(work) if is_text(subject) else False
        if is_deleted:
            # The log holds pages as they were before, and would until it is written over.
            await self._colour.offload(self._file.empty_log)
        return is_deleted

    # Moving it all

    async def export(self, *, after: str | None, limit: int) -> Contents:
        return copying.page_of(self._rows, after=after, limit=limit)

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        await self._write(lambda cursor: copying.load(cursor, contents, bookmark=bookmark))

    async def extent(self) -> Extent:
        return copying.extent(self._rows)

    async def bookmark(self) -> str | None:
        return copying.bookmark(self._rows)

    # The engine

    @property
    def location(self) -> str:
        return f"sqlite {self._file.path}"

    async def ready(self) -> None:
        self._rows("SELECT 1 FROM sessions LIMIT 1")

    async def advisories(self) -> tuple[str, ...]:
        return ()  # what could be weaker is set with each connection

    async def close(self) -> None:
        await self._colour.offload(self._file.close)

    @property
    def schema_latest(self) -> int:
        return len(self.schema_steps)

    async def schema_version(self) -> int:
        """Read the version of the file's schema; 0 if nothing was kept yet. Changes and creates nothing.

        Raises SchemaMismatch if the file is another program's.
        """
        return await self._colour.offload(self._file.version)

    async def upgrade_schema(self, progress: Progress | None = None) -> tuple[int, int]:
        """Bring the file to the latest schema, all or nothing, and give the versions before and after.

        `progress` is called with the statements done so far and their number.
        A schema from a newer Coatcheck is refused. Stop the programs that use the file before, or they will fail.
        """
        return await self._colour.offload(lambda: self._file.upgrade(progress))

    # Reading and writing

    async def _write(self, work: Callable[[sqlite3.Cursor], T], *, durable: bool = True) -> T:
        deadline = monotonic() + PATIENCE  # from now: the wait for the writer's thread counts too
        write = self._file.queue(work, durable=durable, deadline=deadline)
        return await self._colour.offload(lambda: self._file.carry_out(write))

    def _find_whole(self, link: Link, digest: bytes) -> Found | None:
        found = self._rows(_FIND_WHOLE, digest)
        if not found:
            return None
        record = rows.found_with_user_agent(found[0])
        if record.session.user_agent is not None:
            link.remember_user_agent(found[0][1], record.session.user_agent)
        return record

    def _rows(self, sql: str, *parameters: object) -> list[Row]:
        while True:
            link = self._file.reader()
            with link.lock:
                if not link.closed:  # else there was a fork meanwhile
                    return _read(link, self._file.path, sql, parameters)

    def _one(self, make: Callable[[Row], R], sql: str, *names: object) -> R | None:
        found = self._rows(sql, *names)
        return make(found[0]) if found else None

    def _page(
        self, make: Callable[[Row], R], sql: str, after: str, *, limit: int, key: int
    ) -> tuple[tuple[R, ...], str | None]:
        found = self._rows(sql, after, limit + 1)
        # From the rows, not from what could be made of them: a page of nothing but corrupt ones is not the last.
        keys = [row[key] for row in found[:limit] if isinstance(row[key], str)]
        return rows.readable(make, found[:limit]), keys[-1] if keys and len(found) > limit else None


def _read(link: Link, path: str, sql: str, parameters: tuple[object, ...]) -> list[Row]:
    try:
        return link.cursor.execute(sql, parameters).fetchall()
    except UnicodeEncodeError:
        return []  # what is no text names nothing
    except sqlite3.Error as error:
        if hasattr(error, "sqlite_errorcode"):
            raise translated(error, path) from error
        return _read_marked(link, path, sql, parameters)  # Python's own complaint, about a text that is none


def _read_marked(link: Link, path: str, sql: str, parameters: tuple[object, ...]) -> list[Row]:
    link.connection.text_factory = rows.text_or_unreadable
    try:
        return link.cursor.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        link.connection.text_factory = str


def _standing(cursor: sqlite3.Cursor, digest: bytes) -> tuple[str, bytes]:
    found = steps.standing(cursor, digest)
    if found is None:
        raise Unchanged(Answer.GONE)
    return found
