"""The PostgreSQL store: many machines, one truth.

A read is one prepared SELECT: one round trip. A change is one statement where one can do it, else one transaction of
two round trips: what it locks and reads, then what it writes. The colours share all of it; they differ in `driver`.
Partner modules: `statements` and `purge` (what is said), `driver` (links and pools), `schema`, `address` (the URL),
`troubles` (errors), `texts`; `rows` makes records of rows as for SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any, ClassVar, TypeVar

import msgspec
from psycopg import Error, errors

from coatcheck.colour import Async, Colour, run_blocking
from coatcheck.core import session_data, throttle
from coatcheck.core.records import (
    EMPTY_DATA,
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.sessions import Rotation
from coatcheck.core.throttle import Counter, Gate, Settlement
from coatcheck.errors import ConfigurationError, StoreConflict, StoreUnavailable
from coatcheck.stores import copying, rows
from coatcheck.stores.postgres import schema, statements, troubles
from coatcheck.stores.postgres.address import address_of
from coatcheck.stores.postgres.copying import BOOKMARK, WALKS, loading
from coatcheck.stores.postgres.driver import AsyncPool, BlockingLink, BlockingPool, Link, Parameters, Pool, Statement
from coatcheck.stores.postgres.purge import next_batch
from coatcheck.stores.postgres.statements import encoded, within
from coatcheck.stores.postgres.texts import given_row, kept, kept_parameters
from coatcheck.stores.protocols import (
    AccountPage,
    Answer,
    Contents,
    Cutoffs,
    EventPage,
    Found,
    Identified,
    Purged,
    SessionPage,
    Started,
)
from coatcheck.stores.rows import Row, is_text
from coatcheck.stores.schema import Progress

T = TypeVar("T")
R = TypeVar("R")
replace = msgspec.structs.replace

PATIENCE = 2.0  # seconds a call may take in all: for a connection and for the server's answers (ERR-06)
SERVER_PATIENCE = 1900  # milliseconds for which the server tries: its refusal comes before we give up
DESERTED = 2000  # milliseconds after which the server ends a transaction whose process says nothing more

_HELLO = """
    SELECT v.coatcheck, pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', pg_backend_pid() = %s
    FROM schema_version v
"""
# For the session (false) or the transaction (true). What is acknowledged is on the disk, whatever the server's default.
_SETTLE_IN = f"""
    SELECT
        set_config('statement_timeout', '{SERVER_PATIENCE}', %(locally)s),
        set_config('idle_in_transaction_session_timeout', '{DESERTED}', %(locally)s),
        CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', %(locally)s)
        END
"""


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
        self._address = address_of(url)
        self._colour = colour
        self._has_met = False  # the server has let us in once: what fails later is an outage
        kind = AsyncPool if isinstance(colour, Async) else BlockingPool
        self._pool: Pool = kind(self._address, self._greet)

    # Sessions

    async def find(self, digest: bytes) -> Found | None:
        found = await self._read(statements.FIND, (digest,))
        return rows.found_of(found[0], digest=digest, user_agent=found[0][0]) if found else None

    async def start(
        self,
        session: SessionRecord,
        *,
        replaces: bytes | None,
        carry: bool,
        credential_version: int | None,
        most: int,
        settlements: Sequence[Settlement],
        events: Sequence[EventRecord],
    ) -> Started | Answer:
        values = {
            **msgspec.structs.asdict(session),
            "data": _kept_data(session.data),
            "replaces": replaces,
            "carries": carry and replaces is not None,
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
            heard = await transaction.say(said | _reading([one.gate.key for one in settlements]))
            if not heard["inserted"]:
                return await transaction.undo(Answer.REFUSED)
            settled = _settled(settlements, heard)
            if settled is None:
                return await transaction.undo(Answer.LOCKED)
            await transaction.commit(settled.changes | _appending(events))
            epoch, data = heard["inserted"][0]
            evicted = sorted(heard.get("evicted", ()))
            kept_session = replace(session, epoch=epoch, data=EMPTY_DATA if data is None else data)
            return Started(kept_session, tuple(public_id for _, public_id in evicted))

        return await self._write(work)

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        return bool(await self._change(statements.TOUCH, (seen_at, digest)))

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

        return await self._write(work)

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

        return await self._write(work)

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        values = {**msgspec.structs.asdict(rotation), "events": encoded(events)}
        return bool(await self._change(statements.ROTATE, values))

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        values = {"digest": digest, "at": at, "reason": reason, "events": encoded(events)}
        return bool(await self._change(statements.END, values))

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        if not (is_text(session_id) and is_text(subject)):
            return False
        values = {"id": session_id, "subject": subject, "at": at, "reason": reason, "events": encoded(events)}
        return bool(await self._change(statements.END_BY_ID, values))

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
        values = _raising(
            subject, at=at, reason=reason, keep=keep, credential_version=credential_version, disabled_at=disabled_at
        )
        if keep is None:
            await self._change(statements.RAISE_EPOCH, values | {"events": encoded(events)})
            return True

        async def work(transaction: Transaction) -> bool:
            heard = await transaction.say(_raised_but_kept(values) | _appending(events))
            if not heard["kept"]:
                return await transaction.undo(False)
            await transaction.commit({})
            return True

        return await self._write(work)

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        await self._change(statements.RAISE_EVERYBODY, {"at": at, "reason": reason, "events": encoded(events)})

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        if not is_text(subject):
            return False
        return bool(await self._change(statements.ENABLE, {"subject": subject, "events": encoded(events)}))

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        found = rows.readable(_found_of, await self._read(statements.SESSIONS_OF, (subject,)))
        return tuple(sorted(found, key=lambda f: (f.session.created_at, f.session.id), reverse=True))

    async def find_by_id(self, session_id: str) -> Found | None:
        return await self._one(_found_of, statements.FIND_BY_ID, session_id)

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        return SessionPage(*await self._page(_found_of, statements.SCAN_SESSIONS, after or "", limit=limit, key=3))

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        wanted = [kept(subject) for subject in subjects if is_text(subject)]
        states = rows.readable(rows.state_of, await self._read(statements.STATES_OF, (wanted,)))
        return {state.subject: state for state in states}

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        batch = next_batch(cutoffs, after=after, limit=limit)
        return batch.outcome((await self._change(batch.sql, batch.parameters))[0])

    # Attempts

    async def admit(self, gates: Sequence[Gate], *, now: int) -> int | Answer:
        async def work(transaction: Transaction) -> int | Answer:
            heard = await transaction.say(_reading([gate.key for gate in gates]), durable=False)
            found = _counters(heard)
            counters = [(gate, found.get(gate.key, Counter())) for gate in gates if not gate.locks]
            wait = max((throttle.wait_of(counter, gate, now=now) for gate, counter in counters), default=0)
            if wait > 0:
                return await transaction.leave(wait)
            left = {gate.key: throttle.counted(counter, gate, now=now) for gate, counter in counters}
            await transaction.commit(_writing(left))
            return Answer.LOCKED if any(throttle.is_locked(found.get(gate.key), gate) for gate in gates) else 0

        return await self._write(work) if gates else 0

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        said: dict[str, Statement] = {}
        may_be_gone = account is not None and self.holds_accounts
        if may_be_gone:
            said["password"] = (statements.HOLD_PASSWORD, (account,))

        async def work(transaction: Transaction) -> Answer | None:
            heard = await transaction.say(said | _reading([one.gate.key for one in settlements]), durable=False)
            if may_be_gone and not heard["password"]:
                return await transaction.leave(Answer.GONE)
            settled = _settled(settlements, heard)
            if settled is None:
                return await transaction.leave(Answer.LOCKED)
            await transaction.commit(settled.changes | _appending(events))
            return Answer.LOCKED if settled.locks else None

        return await self._write(work) if settlements or events or may_be_gone else None

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
            await self._change(statements.CREATE_ACCOUNT, values)
        except StoreConflict as conflict:
            # The constraint has decided; this only finds the word for it.
            names = (account.username_key, account.email_key)
            username_taken, email_taken = (await self._read(statements.TAKEN, names))[0]
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
        return bool(await self._change(statements.REPLACE_PASSWORD, values))

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        return bool(await self._change(statements.REHASH, (new, subject, was)))

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        page = await self._page(rows.account_of, statements.SCAN_ACCOUNTS, after or "", limit=limit, key=0)
        return AccountPage(*page)

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        if events:
            await self._change(statements.APPEND_EVENTS, {"events": encoded(events)})

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        before = rows.BEYOND_EVENTS if after is None else rows.event_position(after)
        if subject is None:
            found = await self._read(statements.EVENTS, (before, limit + 1))
        else:
            found = await self._read(statements.EVENTS_OF, (subject, before, limit + 1))
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
        raising = _raising(
            credential.subject,
            at=at,
            reason=reason,
            keep=keep,
            credential_version=credential.version,
            disabled_at=None,
        )
        replacing = {**msgspec.structs.asdict(credential), "was": credential.version - 1}

        async def work(transaction: Transaction) -> bool:
            changes = _raised_but_kept(raising) | {"replaced": (statements.REPLACE_PASSWORD, replacing)}
            heard = await transaction.say(changes | _appending(events))
            if not (heard["kept"] and heard["replaced"]):
                return await transaction.undo(False)
            await transaction.commit({})
            return True

        return await self._write(work)

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
                forgetting |= _locking(counters) | {"counters": (statements.FORGET_COUNTERS, (list(counters),))}
            await transaction.commit(forgetting | _appending(events))
            return True

        return await self._write(work)

    # Moving it all

    async def export(self, *, after: str | None, limit: int) -> Contents:
        page = copying.page_of(WALKS, after=after, limit=limit)
        try:
            sql, parameters = next(page)
            while True:
                sql, parameters = page.send(await self._read(sql.replace("?", "%s"), parameters))
        except StopIteration as done:
            contents: Contents = done.value
            return contents

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.commit(loading(contents, bookmark=bookmark, schema=self._address.schema))

        await self._write(work)

    async def bookmark(self) -> str | None:
        found = await self._read(BOOKMARK, ())
        return found[0][0] if found else None

    # The engine

    @property
    def location(self) -> str:
        return self._address.location

    async def ready(self) -> None:
        await self._read(statements.READY, ())

    async def advisories(self) -> tuple[str, ...]:
        kept_promises = (await self._read(statements.PROMISES, ()))[0]
        advisories = zip(kept_promises, troubles.ADVISORIES, strict=True)
        return tuple(f"{self.location} {words}" for is_kept, words in advisories if not is_kept)

    async def close(self) -> None:
        self._pool.close()

    @property
    def schema_latest(self) -> int:
        return len(self.schema_steps)

    async def schema_version(self) -> int:
        """Read the version of the schema; 0 if nothing was kept yet. Changes and creates nothing.

        Raises SchemaMismatch if the schema is another program's.
        """
        return await self._alone(lambda link: schema.version_of(link, self._address))

    async def upgrade_schema(self, progress: Progress | None = None) -> tuple[int, int]:
        """Bring the schema to the latest version, step by step, and give the versions before and after.

        `progress` is called with the statements done so far and their number. Programs that use the store may go on; a
        step that cannot have its locks within seconds gives up and leaves the schema at the step before.
        A schema from a newer Coatcheck is refused.
        """
        latest = len(self.schema_steps)

        async def upgrade(link: Link) -> int:
            version = await schema.version_of(link, self._address)
            if version > latest:
                schema.check(version, self._address, latest=latest)
            return await schema.apply_steps(
                link, self._address, self.schema_steps, only_if_empty=False, progress=progress
            )

        return await self._alone(upgrade), latest

    # Reading and writing

    async def _read(self, sql: str, parameters: Parameters) -> list[Row]:
        try:
            return await self._run(sql, parameters, again=True)
        except UnicodeEncodeError:
            return []  # what is no text names nothing

    async def _change(self, sql: str, parameters: Parameters) -> list[Row]:
        return await self._run(sql, parameters, again=False)

    async def _run(self, sql: str, parameters: Parameters, *, again: bool) -> list[Row]:
        """Run one statement. What only reads may be tried `again` when the server went away under it."""
        deadline = monotonic() + PATIENCE
        while True:
            link = await self._take(deadline)
            try:
                found = await link.rows(within(self._address.schema, sql), kept_parameters(parameters))
                return [given_row(row) for row in found]
            except Error as error:
                if not (again and link.is_lost() and monotonic() < deadline):
                    raise troubles.translated(error, self.location) from error
                again = False
            finally:
                self._pool.give(link)

    async def _write(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        """Do work in one transaction; once more if the server undid it because it and another waited in a circle."""
        deadline = monotonic() + PATIENCE
        again = True
        while True:
            transaction = Transaction(await self._take(deadline), self._address.schema)
            try:
                return await work(transaction)
            except (errors.DeadlockDetected, errors.SerializationFailure) as error:
                if not again:
                    raise troubles.translated(error, self.location) from error
                again = False
            except Error as error:
                raise troubles.translated(error, self.location) from error
            finally:
                try:
                    await transaction.end()
                finally:
                    self._pool.give(transaction.link)

    async def _one(self, make: Callable[[Row], R], sql: str, *names: object) -> R | None:
        found = await self._read(sql, names)
        return make(found[0]) if found else None

    async def _page(
        self, make: Callable[[Row], R], sql: str, after: str, *, limit: int, key: int
    ) -> tuple[tuple[R, ...], str | None]:
        found = await self._read(sql, (after, limit + 1))
        # From the rows, not from what could be made of them: a page of nothing but corrupt ones is not the last.
        page = found[:limit]
        return rows.readable(make, page), page[-1][key] if page and len(found) > limit else None

    # Connecting

    async def _take(self, deadline: float) -> Link:
        try:
            return await self._pool.take(deadline)
        except Error as error:
            raise self._not_let_in(error) from error.with_traceback(None)  # whose frames hold the password (ERR-08)

    def _not_let_in(self, error: Error) -> ConfigurationError | StoreUnavailable:
        refused = troubles.refused(error, self.location)
        if refused is not None:
            return self._unless_met(refused)
        return troubles.unreachable(error, self.location)

    async def _greet(self, link: Link) -> None:
        """Look who the server is, before anything is asked of it, and make ourselves at home."""
        try:
            greeting = await link.rows(within(self._address.schema, _HELLO), (link.backend,))
        except (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn, errors.InsufficientPrivilege):
            greeting = []
        if not greeting:
            if self._has_met:
                raise StoreUnavailable(
                    f"the schema {self._address.schema} in {self.location} is gone or may not be read; restore it, or "
                    "start again to begin with an empty store"
                )
            await self._create()
            greeting = await link.rows(within(self._address.schema, _HELLO), (link.backend,))
        version, is_read_only, link.is_direct = greeting[0]
        if (encoding := link.setting("server_encoding")) != "UTF8":
            raise self._unless_met(
                ConfigurationError(
                    f"store: the database {self.location} keeps text as {encoding}, which cannot hold all; create "
                    "it with ENCODING 'UTF8' TEMPLATE template0"
                )
            )
        if is_read_only:
            raise self._unless_met(
                ConfigurationError(
                    f"store: {self.location} is read-only: a replica, or default_transaction_read_only is on; name "
                    "the primary"
                )
            )
        latest = len(self.schema_steps)
        # Steps only add: a process that runs already may go on beside a newer schema.
        if version < latest or not self._has_met:
            schema.check(version, self._address, latest=latest)
        if link.is_direct:
            await link.rows(_SETTLE_IN, {"locally": False})
        # Behind a pooler the next statement may meet another server process, which knows no names of ours.
        prepares = self._address.prepares
        link.prepare(named=link.is_direct if prepares is None else prepares)
        self._has_met = True

    async def _create(self) -> None:
        async def create(link: Link) -> None:
            await schema.apply_steps(link, self._address, self.schema_steps, only_if_empty=True)

        await self._alone(create, deadline=monotonic() + PATIENCE)

    async def _alone(self, work: Callable[[Link], Coroutine[Any, Any, T]], *, deadline: float = float("inf")) -> T:
        """Do work that may take long on a blocking connection of its own, off an event loop."""

        async def alone() -> T:
            try:
                link = await BlockingLink.open(self._address, monotonic() + PATIENCE)
            except Error as error:
                raise self._not_let_in(error) from error.with_traceback(None)
            link.until(deadline)
            try:
                return await work(link)
            finally:
                link.drop()

        try:
            return await self._colour.offload(lambda: run_blocking(alone()))
        except errors.InsufficientPrivilege as error:
            raise self._unless_met(
                ConfigurationError(
                    f"store: the user of {self.location} lacks rights ({troubles.words(error)}); run as the database's "
                    f"owner: CREATE SCHEMA {self._address.schema} AUTHORIZATION the_user, or make it the owner of the "
                    "schema that is there and of its tables (docs/postgres.md)"
                )
            ) from error
        except Error as error:
            raise troubles.translated(error, self.location) from error

    def _unless_met(self, problem: ConfigurationError) -> ConfigurationError | StoreUnavailable:
        """Found at the start it is a mistake; found later, an outage."""
        return StoreUnavailable(str(problem).removeprefix("store: ")) if self._has_met else problem


class Transaction:
    """One transaction on a link: it begins with the first `say` and ends with `commit`, `undo` or `leave`."""

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self._schema = name
        self._has_begun = False

    async def say(self, said: Mapping[str, Statement], *, durable: bool = True) -> dict[str, list[Row]]:
        """Run statements in one round trip and give their rows by their names."""
        return await self._batch({**self._opening(durable=durable), **said})

    async def commit(self, said: Mapping[str, Statement]) -> None:
        """Run statements and commit, in one round trip."""
        await self._batch({**self._opening(durable=True), **said, "committed": ("COMMIT", ())})

    def _opening(self, *, durable: bool) -> dict[str, Statement]:
        opening: dict[str, Statement] = {}
        if not self._has_begun:
            self._has_begun = True
            opening["begun"] = ("BEGIN", ())
            if not self.link.is_direct:
                opening["settled in"] = (_SETTLE_IN, {"locally": True})
            if not durable:
                opening["hastened"] = (statements.HASTEN, ())
        return opening

    async def leave(self, answer: R) -> R:
        """End a transaction that has changed nothing."""
        await self._batch({"left": ("COMMIT", ())})
        return answer

    async def undo(self, answer: R) -> R:
        """Take back what the transaction has done."""
        await self.link.rows("ROLLBACK", ())
        return answer

    async def end(self) -> None:
        """Take back what is neither committed nor undone, if the server still listens."""
        if not self.link.is_lost() and not self.link.is_idle():
            try:
                await self.link.rows("ROLLBACK", ())
            except Error:
                self.link.drop()

    async def _batch(self, said: Mapping[str, Statement]) -> dict[str, list[Row]]:
        heard = await self.link.batch(
            [(within(self._schema, sql), kept_parameters(parameters)) for sql, parameters in said.values()]
        )
        return {name: [given_row(row) for row in found] for name, found in zip(said, heard, strict=True)}


class _Settled(msgspec.Struct, frozen=True):
    changes: dict[str, Statement]
    locks: bool


def _settled(settlements: Sequence[Settlement], heard: Mapping[str, list[Row]]) -> _Settled | None:
    """Say what outcomes change of the counters that were read; None if a lock refuses one."""
    counters = _counters(heard)
    if any(throttle.refuses_success(counters.get(one.gate.key), one) for one in settlements):
        return None
    left: dict[bytes, Counter | None] = {}
    locks = False
    for one in settlements:
        before = left[one.gate.key] if one.gate.key in left else counters.get(one.gate.key)
        after = left[one.gate.key] = throttle.settled(before, one)
        locks = locks or throttle.locks_now(before, after, one.gate)
    gone = [key for key, counter in left.items() if counter is None and key in counters]
    changes = _writing({key: counter for key, counter in left.items() if counter is not None})
    if gone:
        changes["counters forgotten"] = (statements.FORGET_COUNTERS, (gone,))
    return _Settled(changes, locks)


def _locking(keys: Sequence[bytes]) -> dict[str, Statement]:
    # In one order, whoever asks for them.
    places = sorted({int.from_bytes(key[:8], "big", signed=True) for key in keys})
    return {"counters locked": (statements.LOCK_COUNTERS, (places,))}


def _reading(keys: Sequence[bytes]) -> dict[str, Statement]:
    return _locking(keys) | {"counters": (statements.READ_COUNTERS, (list(keys),))} if keys else {}


def _counters(heard: Mapping[str, list[Row]]) -> dict[bytes, Counter]:
    return {row[0]: rows.counter_of(row[1:]) for row in heard.get("counters", ())}


def _writing(counters: Mapping[bytes, Counter]) -> dict[str, Statement]:
    if not counters:
        return {}
    written = [{"key": key.hex(), **msgspec.structs.asdict(counter)} for key, counter in counters.items()]
    return {"counters written": (statements.WRITE_COUNTERS, (msgspec.json.encode(written).decode(),))}


def _raising(
    subject: str,
    *,
    at: int,
    reason: str,
    keep: Rotation | None,
    credential_version: int | None,
    disabled_at: int | None,
) -> dict[str, object]:
    return {
        "subject": subject,
        "at": at,
        "reason": reason,
        "credential_version": credential_version,
        "disabled_at": disabled_at,
        "keeps": keep is not None,
        **({} if keep is None else msgspec.structs.asdict(keep)),
    }


def _raised_but_kept(values: Mapping[str, object]) -> dict[str, Statement]:
    return {"raised": (statements.RAISE_AND_KEEP, values), "kept": (statements.ROTATE_KEPT, values)}


def _appending(events: Sequence[EventRecord]) -> dict[str, Statement]:
    return {"events": (statements.APPEND_EVENTS, {"events": encoded(events)})} if events else {}


def _kept_data(data: bytes) -> bytes | None:
    return None if data == EMPTY_DATA else data


def _id_and_data(row: Row) -> tuple[str, bytes]:
    public_id, data = row
    return public_id, EMPTY_DATA if data is None else data


def _found_of(row: Row) -> Found:
    return rows.found_of(row[1:], digest=row[0], user_agent=row[1])
