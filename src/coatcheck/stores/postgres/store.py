"""The PostgreSQL store: many machines, one truth.

A read is one prepared SELECT: one round trip. A change is one statement where one can do it, else one transaction of
two round trips: what it locks and reads, then what it writes. The colours share all of it; they differ in `driver`.
Partner modules: `database` (connecting, reading, transactions), `statements`, `steps` and `purge` (what is said),
`copying`, `schema`, `address` (the URL), `troubles` (errors), `texts`; `rows` makes records of rows as for SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, TypeVar

import msgspec

from coatcheck.colour import Colour
from coatcheck.core import session_data, throttle
from coatcheck.core.audit import one_for_each
from coatcheck.core.records import (
    EMPTY_DATA,
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.sessions import Rotation, carried
from coatcheck.core.throttle import Counter, Gate, Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores import copying, rows
from coatcheck.stores.postgres import schema, statements, steps, troubles
from coatcheck.stores.postgres.address import address_of
from coatcheck.stores.postgres.copying import BOOKMARK, COUNT, COUNTED, PLAN, WALKS, loading, planned
from coatcheck.stores.postgres.database import Database, Transaction
from coatcheck.stores.postgres.exchange import Statement
from coatcheck.stores.postgres.purge import next_batch
from coatcheck.stores.postgres.statements import encoded
from coatcheck.stores.postgres.texts import kept
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
from coatcheck.stores.rows import Row, is_text

R = TypeVar("R")
replace = msgspec.structs.replace


class PostgresStore:
    """Keeps the contract of `coatcheck.stores.protocols.Store` in a schema of a PostgreSQL database.

    The URL is libpq's, and may say `schema=`, `connections=` and `prepare=` besides (docs/postgres.md). The schema is
    created at first use; an older, newer or foreign one is refused. With `holds_accounts` False it is one for sessions
    whose accounts live in another store.
    """

    shelf_bits = 0
    schema_steps: ClassVar[Sequence[schema.Step]] = schema.STEPS

    def __init__(self, url: str, colour: Colour, *, holds_accounts: bool = True) -> None:
        self.holds_accounts = holds_accounts
        self._database = Database(address_of(url), colour, self.schema_steps)

    # Sessions

    async def find(self, digest: bytes) -> Found | None:
        found = await self._database.read(statements.FIND, (digest,))
        return _found_by(digest, found[0]) if found else None

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
        values = {
            **msgspec.structs.asdict(session),
            "data": _kept_data(session.data),
            "replaces": replaces,
            "version": credential_version,
            "most": most,
            "holds_accounts": self.holds_accounts,
        }
        is_owned = session.subject is not None
        said: dict[str, Statement] = {}
        if is_owned:
            said["admitted"] = (statements.ADMIT_SUBJECT, values)
        if replaces is not None:
            said["held"] = (statements.HOLD_REPLACED, values)
        said["inserted"] = (statements.INSERT_SESSION if is_owned else statements.INSERT_ANONYMOUS, values)
        if replaces is not None:
            said["replaced"] = (statements.END_REPLACED, values)
        if is_owned:
            said["evicted"] = (statements.EVICT, values)

        async def work(transaction: Transaction) -> Started | Answer:
            heard = await transaction.say(said | steps.reading([one.gate.key for one in settlements]))
            if not heard["inserted"]:
                return await transaction.undo(Answer.REFUSED)
            settled = steps.settled(settlements, heard)
            if settled is None:
                return await transaction.undo(Answer.LOCKED)
            ((epoch,),) = heard["inserted"]
            begun = replace(session, epoch=epoch)
            changes = settled.changes
            if heard.get("held") and replaces is not None:
                data = carried(_found_by(replaces, heard["held"][0]).session, begun, keep_at_login)
                if data is not None and data != begun.data:
                    begun = replace(begun, data=data)
                    changes |= {"carried": (statements.KEEP_DATA, (_kept_data(data), begun.digest))}
            evicted = tuple(public_id for _, public_id in sorted(heard.get("evicted", ())))
            await transaction.commit(changes | steps.appending((*events, *one_for_each(eviction, evicted))))
            return Started(begun, evicted)

        return await self._database.write(work)

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        return bool(await self._database.change(statements.TOUCH, (seen_at, digest)))

    async def patch(
        self, digest: bytes, *, namespace: str, puts: Mapping[str, bytes], removes: Collection[str], limit: int
    ) -> Answer | None:
        async def work(transaction: Transaction) -> Answer | None:
            heard = await transaction.say({"held": (statements.HOLD_SESSION, (digest,))})
            if not heard["held"]:
                return await transaction.leave(Answer.GONE)
            public_id, data = _id_and_data(heard["held"][0])
            with rows.decoding(public_id):
                patched = session_data.patched(data, namespace, puts, removes, limit=limit)
            if patched is None:
                return await transaction.leave(Answer.TOO_LARGE)
            if patched == data:
                return await transaction.leave(None)
            await transaction.commit({"kept": (statements.KEEP_DATA, (_kept_data(patched), digest))})
            return None

        return await self._database.write(work)

    async def increment(self, digest: bytes, *, namespace: str, key: str, by: int, limit: int) -> int | Answer:
        async def work(transaction: Transaction) -> int | Answer:
            heard = await transaction.say({"held": (statements.HOLD_SESSION, (digest,))})
            if not heard["held"]:
                return await transaction.leave(Answer.GONE)
            public_id, data = _id_and_data(heard["held"][0])
            with rows.decoding(public_id):
                total = session_data.integer_at(data, namespace, key)
                if total is None or abs(total + by) > session_data.INTEGER_MAX:
                    return await transaction.leave(Answer.NOT_AN_INTEGER)
                total += by
                patched = session_data.patched(data, namespace, {key: str(total).encode()}, (), limit=limit)
            if patched is None:
                return await transaction.leave(Answer.TOO_LARGE)
            await transaction.commit({"kept": (statements.KEEP_DATA, (_kept_data(patched), digest))})
            return total

        return await self._database.write(work)

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        values = {**msgspec.structs.asdict(rotation), "events": encoded(events)}
        return bool(await self._database.change(statements.ROTATE, values))

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        values = {"digest": digest, "at": at, "reason": reason, "events": encoded(events)}
        return bool(await self._database.change(statements.END, values))

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        if not (is_text(session_id) and is_text(subject)):
            return False
        values = {"id": session_id, "subject": subject, "at": at, "reason": reason, "events": encoded(events)}
        return bool(await self._database.change(statements.END_BY_ID, values))

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
        values = steps.raising(
            subject, at=at, reason=reason, keep=keep, credential_version=credential_version, disabled_at=disabled_at
        )
        if keep is None:
            await self._database.change(statements.RAISE_EPOCH, values | {"events": encoded(events)})
            return True

        async def work(transaction: Transaction) -> bool:
            heard = await transaction.say(steps.raised_but_kept(values) | steps.appending(events))
            if not steps.has_kept(heard):
                return await transaction.undo(False)
            await transaction.commit({})
            return True

        return await self._database.write(work)

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        await self._database.change(statements.RAISE_EVERYBODY, {"at": at, "reason": reason, "events": encoded(events)})

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        if not is_text(subject):
            return False
        return bool(await self._database.change(statements.ENABLE, {"subject": subject, "events": encoded(events)}))

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        found = rows.readable(_found_of, await self._database.read(statements.SESSIONS_OF, (subject,)))
        return tuple(sorted(found, key=lambda f: (f.session.created_at, f.session.id), reverse=True))

    async def find_by_id(self, session_id: str) -> Found | None:
        return await self._one(_found_of, statements.FIND_BY_ID, session_id)

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        return SessionPage(*await self._page(_found_of, statements.SCAN_SESSIONS, after or "", limit=limit, key=3))

    async def any_live(self, *, at: int) -> bool:
        return bool((await self._database.read(statements.ANY_LIVE, (at, at)))[0][0])

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        wanted = [kept(subject) for subject in subjects if is_text(subject)]
        states = rows.readable(rows.state_of, await self._database.read(statements.STATES_OF, (wanted,)))
        return {state.subject: state for state in states}

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        batch = next_batch(cutoffs, after=after, limit=limit)
        return batch.outcome((await self._database.change(batch.sql, batch.parameters))[0])

    # Attempts

    async def admit(self, gates: Sequence[Gate], *, subject: str | None, now: int) -> int | Answer:
        said: dict[str, Statement] = {}
        if subject is not None:
            said["disabled"] = (statements.DISABLED, (subject if is_text(subject) else "",))

        async def work(transaction: Transaction) -> int | Answer:
            heard = await transaction.say(said | steps.reading([gate.key for gate in gates]), durable=False)
            found = steps.counters_of(heard)
            counters = [(gate, found.get(gate.key, Counter())) for gate in gates if not gate.locks]
            wait = max((throttle.wait_of(counter, gate, now=now) for gate, counter in counters), default=0)
            if wait > 0:
                return await transaction.leave(wait)
            left = {gate.key: throttle.counted(counter, gate, now=now) for gate, counter in counters}
            await transaction.commit(steps.writing(left))
            if any(throttle.is_locked(found.get(gate.key), gate) for gate in gates):
                return Answer.LOCKED
            return Answer.REFUSED if heard.get("disabled") else 0

        return await self._database.write(work) if gates or said else 0

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        said: dict[str, Statement] = {}
        may_be_gone = account is not None and self.holds_accounts
        if may_be_gone:
            said["password"] = (statements.HOLD_PASSWORD, (account,))

        async def work(transaction: Transaction) -> Answer | None:
            heard = await transaction.say(said | steps.reading([one.gate.key for one in settlements]), durable=False)
            if may_be_gone and not heard["password"]:
                return await transaction.leave(Answer.GONE)
            settled = steps.settled(settlements, heard)
            if settled is None:
                return await transaction.leave(Answer.LOCKED)
            await transaction.commit(settled.changes | steps.appending(events))
            return Answer.LOCKED if settled.locks else None

        return await self._database.write(work) if settlements or events or may_be_gone else None

    # Accounts

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        values = {
            **msgspec.structs.asdict(account),
            "hash": credential.hash,
            "version": credential.version,
            "changed_at": credential.changed_at,
            "events": encoded(events),
        }
        try:
            await self._database.change(statements.CREATE_ACCOUNT, values)
        except StoreConflict as conflict:
            # The constraint has decided; this only finds the word for it.
            names = (account.username_key, account.email_key)
            username_taken, email_taken = (await self._database.read(statements.TAKEN, names))[0]
            if username_taken:
                return Answer.USERNAME_TAKEN
            if email_taken:
                return Answer.EMAIL_TAKEN
            raise StoreConflict("an account with this subject exists already") from conflict
        return None

    async def identify(self, key: str) -> Identified | None:
        return await self._one(rows.identified_of, statements.IDENTIFY, key, key)

    async def account(self, subject: str) -> AccountRecord | None:
        return await self._one(rows.account_of, statements.ACCOUNT, subject)

    async def credential(self, subject: str) -> PasswordCredential | None:
        return await self._one(rows.credential_of, statements.CREDENTIAL, subject)

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        values = {**msgspec.structs.asdict(credential), "was": was}
        return bool(await self._database.change(statements.REPLACE_PASSWORD, values))

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        return bool(await self._database.change(statements.REHASH, (new, subject, was)))

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        page = await self._page(rows.account_of, statements.SCAN_ACCOUNTS, after or "", limit=limit, key=0)
        return AccountPage(*page)

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        if events:
            await self._database.change(statements.APPEND_EVENTS, {"events": encoded(events)})

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        before = rows.BEYOND_EVENTS if after is None else rows.event_position(after)
        if subject is None:
            found = await self._database.read(statements.EVENTS, (before, limit + 1))
        else:
            found = await self._database.read(statements.EVENTS_OF, (subject, before, limit + 1))
        page = found[:limit]
        more = len(found) > limit and page
        return EventPage(rows.readable(rows.event_of, page), str(page[-1][0]) if more else None)

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
        raising = steps.raising(
            credential.subject,
            at=at,
            reason=reason,
            keep=keep,
            credential_version=credential.version,
            disabled_at=None,
        )
        replacing = {**msgspec.structs.asdict(credential), "was": credential.version - 1}

        async def work(transaction: Transaction) -> bool:
            changes = steps.raised_but_kept(raising) | {"replaced": (statements.REPLACE_PASSWORD, replacing)}
            heard = await transaction.say(changes | steps.appending(events))
            if not (steps.has_kept(heard) and heard["replaced"]):
                return await transaction.undo(False)
            await transaction.commit({})
            return True

        return await self._database.write(work)

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        if not is_text(subject):
            return False

        async def work(transaction: Transaction) -> bool:
            heard = await transaction.say({"held": (statements.HOLD_SUBJECT, (subject,))})
            key, has_account = heard["held"][0] if heard["held"] else (None, False)
            if self.holds_accounts and not has_account:
                return await transaction.leave(False)
            values = {"id": key, "subject": subject}
            forgetting: dict[str, Statement] = {
                str(place): (statement, values) for place, statement in enumerate(statements.FORGET_SUBJECT)
            }
            if counters:
                forgetting |= steps.locking(counters) | {"counters": (statements.FORGET_COUNTERS, (list(counters),))}
            await transaction.commit(forgetting | steps.appending(events))
            return True

        return await self._database.write(work)

    # Moving it all

    async def export(self, *, after: str | None, limit: int) -> Contents:
        page = copying.page_of(WALKS, after=after, limit=limit)
        try:
            sql, parameters = next(page)
            while True:
                sql, parameters = page.send(await self._database.read(sql.replace("?", "%s"), parameters))
        except StopIteration as done:
            contents: Contents = done.value
            return contents

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.commit(loading(contents, bookmark=bookmark, schema=self._database.schema))

        await self._database.write(work)

    async def extent(self) -> Extent:
        counts = list((await self._database.read(COUNT, ()))[0])
        for place, kind in enumerate(copying.KINDS):
            if counts[place] > COUNTED:
                counts[place] = planned((await self._database.read(f"{PLAN} {kind}", ()))[0])
        return Extent(*counts)

    async def bookmark(self) -> str | None:
        found = await self._database.read(BOOKMARK, ())
        return found[0][0] if found else None

    # The engine

    @property
    def location(self) -> str:
        return self._database.location

    async def ready(self) -> None:
        await self._database.read(statements.READY, ())

    async def advisories(self) -> tuple[str, ...]:
        kept_promises = (await self._database.read(statements.PROMISES, ()))[0]
        advisories = zip(kept_promises, troubles.ADVISORIES, strict=True)
        return tuple(f"{self.location} {words}" for is_kept, words in advisories if not is_kept)

    async def close(self) -> None:
        self._database.close()

    @property
    def schema_latest(self) -> int:
        return len(self.schema_steps)

    async def schema_version(self) -> int:
        """Read the version of the schema; 0 if nothing was kept yet. Changes and creates nothing.

        Raises SchemaMismatch if the schema is another program's.
        """
        return await self._database.version()

    async def upgrade_schema(self, progress: Progress | None = None) -> tuple[int, int]:
        """Bring the schema to the latest version, step by step, and give the versions before and after.

        `progress` is called with the statements done so far and their number. Programs that use the store may go on; a
        step that cannot have its locks within seconds gives up and leaves the schema at the step before.
        A schema from a newer Coatcheck is refused.
        """
        return await self._database.upgrade(progress)

    # Reading

    async def _one(self, make: Callable[[Row], R], sql: str, *names: object) -> R | None:
        found = await self._database.read(sql, names)
        return make(found[0]) if found else None

    async def _page(
        self, make: Callable[[Row], R], sql: str, after: str, *, limit: int, key: int
    ) -> tuple[tuple[R, ...], str | None]:
        found = await self._database.read(sql, (after, limit + 1))
        # From the rows, not from what could be made of them: a page of nothing but corrupt ones is not the last.
        page = found[:limit]
        return rows.readable(make, page), page[-1][key] if page and len(found) > limit else None


def _kept_data(data: bytes) -> bytes | None:
    return None if data == EMPTY_DATA else data


def _id_and_data(row: Row) -> tuple[str, bytes]:
    public_id, data = row
    return public_id, EMPTY_DATA if data is None else data


def _found_of(row: Row) -> Found:
    return _found_by(row[0], row[1:])


def _found_by(digest: bytes, row: Row) -> Found:
    return rows.found_of(row, digest=digest, user_agent=row[0])
