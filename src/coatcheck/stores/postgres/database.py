"""One schema of a PostgreSQL database as one process sees it: connected to, greeted, read and changed.

A call has `PATIENCE` seconds in all. What the server says when it lets nobody in is a mistake of the setting as long as
it has never let us in, and an outage after. Partner modules: `driver` (links and pools), `schema`, `troubles`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar

from psycopg import Error, errors

from coatcheck.colour import Async, Colour, run_blocking
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores.postgres import schema, statements, troubles
from coatcheck.stores.postgres.address import Address
from coatcheck.stores.postgres.driver import AsyncPool, BlockingLink, BlockingPool, Link, Pool
from coatcheck.stores.postgres.exchange import Parameters, Statement
from coatcheck.stores.postgres.statements import within
from coatcheck.stores.postgres.texts import given_row, kept_parameters
from coatcheck.stores.protocols import Progress
from coatcheck.stores.rows import Row

T = TypeVar("T")

PATIENCE = 2.0  # seconds a call may take in all: for a connection and for the server's answers (ERR-06)
SERVER_PATIENCE = 1900  # milliseconds for which the server tries: its refusal comes before we give up
DESERTED = 2000  # milliseconds after which the server ends a transaction whose process says nothing more

_HELLO = """
    SELECT v.coatcheck, pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', pg_backend_pid() = %s
    FROM schema_version v
"""
# For the session (false) or the transaction (true), whatever the server's defaults are: what is acknowledged is on the
# disk, and each statement sees what was committed before it.
_SETTLE_IN = """
    SELECT
        set_config('statement_timeout', %(patience)s, %(locally)s),
        set_config('idle_in_transaction_session_timeout', %(deserted)s, %(locally)s),
        set_config('default_transaction_isolation', 'read committed', %(locally)s),
        CASE current_setting('synchronous_commit')
            WHEN 'off' THEN set_config('synchronous_commit', 'on', %(locally)s)
        END
"""


class Database:
    """The schema at an address. `steps` are what it must be made of."""

    def __init__(self, address: Address, colour: Colour, steps: Sequence[schema.Step]) -> None:
        self._address = address
        self._colour = colour
        self._steps = steps
        # The server has let us in once, or the process whose place we take: what fails later is an outage.
        self._has_met = address.must_exist
        kind = AsyncPool if isinstance(colour, Async) else BlockingPool
        self._pool: Pool = kind(address, self._greet)

    @property
    def location(self) -> str:
        """Where it is; no secret is in it."""
        return self._address.location

    @property
    def schema(self) -> str:
        """The schema's name."""
        return self._address.schema

    def close(self) -> None:
        """Let go of all connections; the next call opens new ones."""
        self._pool.close()

    async def read(self, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement that changes nothing. What is no text names nothing: no rows then."""
        try:
            return await self._run(sql, parameters, again=True)
        except UnicodeEncodeError:
            return []

    async def change(self, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement that is a transaction of its own, and give what it is RETURNING."""
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

    async def write(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
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

    async def version(self) -> int:
        """Read the version of the schema, changing and creating nothing; 0 if nothing was kept yet."""
        return await self._alone(lambda link: schema.version_of(link, self._address))

    async def upgrade(self, progress: Progress | None = None) -> tuple[int, int]:
        """Bring the schema to the latest version and give the versions before and after."""
        latest = len(self._steps)

        async def upgrade(link: Link) -> int:
            version = await schema.version_of(link, self._address)
            if version > latest:
                schema.check(version, self._address, latest=latest)
            return await schema.apply_steps(link, self._address, self._steps, only_if_empty=False, progress=progress)

        return await self._alone(upgrade), latest

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
            raise self._unless_met(troubles.read_only(self.location))
        latest = len(self._steps)
        # Steps only add: a process that runs already may go on beside a newer schema.
        if version < latest or not self._has_met:
            schema.check(version, self._address, latest=latest)
        if link.is_direct:
            await link.rows(_SETTLE_IN, _settled_in(locally=False))
        # Behind a pooler the next statement may meet another server process, which knows no names of ours.
        prepares = self._address.prepares
        link.prepare(named=link.is_direct if prepares is None else prepares)
        self._has_met = True

    async def _create(self) -> None:
        async def create(link: Link) -> None:
            await schema.apply_steps(link, self._address, self._steps, only_if_empty=True)

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
        except errors.ReadOnlySqlTransaction as error:
            raise self._unless_met(troubles.read_only(self.location)) from error
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


def _settled_in(*, locally: bool) -> Mapping[str, object]:
    return {"locally": locally, "patience": str(SERVER_PATIENCE), "deserted": str(DESERTED)}


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
            opening["begun"] = ("BEGIN ISOLATION LEVEL READ COMMITTED", ())
            if not self.link.is_direct:
                opening["settled in"] = (_SETTLE_IN, _settled_in(locally=True))
            if not durable:
                opening["hastened"] = (statements.HASTEN, ())
        return opening

    async def leave(self, answer: T) -> T:
        """End a transaction that has changed nothing."""
        await self._batch({"left": ("COMMIT", ())})
        return answer

    async def undo(self, answer: T) -> T:
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
