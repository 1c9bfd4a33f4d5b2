"""The schema of a PostgreSQL store: numbered steps, creation at first use, upgrades while others work.

Everything lies in a schema (a namespace) of its own, with one row in `schema_version` that says whose it is. Steps are
never edited once released. They only add: programs of the version before go on working with the newer schema, and only
when they start again they are told to be newer (DAT-08).

A step runs in one transaction that waits for no lock longer than `LOCK_PATIENCE`, since everybody else queues up
behind it, and is tried again when the others have gone on. An index on a table that is in use is built beside it
(`Concurrently`), before the transaction. What would hold up the others for long has no form here: `problem_of` refuses
it, in a test of our steps and again before they run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from psycopg import errors

from coatcheck.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from coatcheck.stores.postgres.statements import within

if TYPE_CHECKING:
    from coatcheck.stores.postgres.address import Address
    from coatcheck.stores.postgres.driver import Link
    from coatcheck.stores.protocols import Progress


class Concurrently(NamedTuple):
    """An index that is built while others write: a name, and what it is on."""

    name: str
    on: str


Step: TypeAlias = tuple[str | Concurrently, ...]

LOCK_PATIENCE = 1000  # milliseconds for which everybody else may have to queue up behind a step
UPGRADE_PATIENCE = 30.0  # seconds for which a step is tried again

STEPS: tuple[Step, ...] = (
    (
        "CREATE TABLE schema_version (id smallint PRIMARY KEY CHECK (id = 0), coatcheck integer NOT NULL)",
        # One row, whose epoch ends every session when it is raised.
        """
        CREATE TABLE everybody (
            id smallint PRIMARY KEY CHECK (id = 0),
            epoch bigint NOT NULL DEFAULT 0,
            epoch_at bigint NOT NULL DEFAULT 0,
            epoch_reason text NOT NULL DEFAULT ''
        )
        """,
        "INSERT INTO everybody (id) VALUES (0)",
        # A subject has a row as soon as a session or an account speaks of it; `epoch` is NULL until it has a state.
        # Text compares byte by byte, whatever the database's locale. What changes often leaves room on its page, and
        # no index holds it, so that a new version of a row lies beside the old one and no index is touched (HOT).
        """
        CREATE TABLE subjects (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            subject text COLLATE "C" NOT NULL UNIQUE,
            epoch bigint,
            epoch_at bigint NOT NULL DEFAULT 0,
            epoch_reason text NOT NULL DEFAULT '',
            disabled_at bigint,
            credential_version bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 80)
        """,
        """
        CREATE TABLE accounts (
            id bigint PRIMARY KEY REFERENCES subjects (id),
            username text,
            username_key text COLLATE "C" UNIQUE,
            email text,
            email_key text COLLATE "C" UNIQUE,
            created_at bigint NOT NULL
        )
        """,
        """
        CREATE TABLE passwords (
            account bigint PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
            hash text NOT NULL,
            version bigint NOT NULL,
            changed_at bigint NOT NULL
        )
        """,
        # `data` is NULL while there is none.
        """
        CREATE TABLE sessions (
            digest bytea PRIMARY KEY,
            id text COLLATE "C" NOT NULL UNIQUE,
            subject bigint REFERENCES subjects (id),
            epoch bigint NOT NULL,
            created_at bigint NOT NULL,
            auth_time bigint,
            last_seen_at bigint NOT NULL,
            idle_timeout bigint NOT NULL,
            expires_at bigint NOT NULL,
            is_persistent boolean NOT NULL,
            methods text NOT NULL,
            ip text,
            user_agent text,
            ended_at bigint,
            end_reason text,
            data bytea
        ) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05)
        """,
        # Finds and counts a subject's standing sessions without a look at those that ended.
        "CREATE INDEX sessions_of_subject ON sessions (subject, epoch, ended_at) WHERE subject IS NOT NULL",
        """
        CREATE TABLE counters (
            key bytea PRIMARY KEY,
            failures bigint NOT NULL,
            pending bigint NOT NULL,
            counted_at bigint NOT NULL,
            blocked_until bigint NOT NULL,
            kept_until bigint NOT NULL
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)
        """,
        # Without a reference to `subjects`: an event that is written must not wait for what goes on there.
        """
        CREATE TABLE events (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at bigint NOT NULL,
            name text NOT NULL,
            subject text COLLATE "C",
            session_id text,
            ip text,
            user_agent text,
            request_id text,
            details text
        )
        """,
        "CREATE INDEX events_of_subject ON events (subject, id) WHERE subject IS NOT NULL",
        # One row while a copy into this store is under way.
        "CREATE TABLE copying (id smallint PRIMARY KEY CHECK (id = 0), bookmark text NOT NULL)",
    ),
)
_CREATED = re.compile(r"\s*CREATE TABLE (\w+)")
_INDEXED = re.compile(r"\s*CREATE (?:UNIQUE )?INDEX \w+ ON (\w+)")
_QUICK = (
    re.compile(r"\s*(INSERT|CREATE TABLE|DROP INDEX|COMMENT)\b"),
    # A new column costs nothing, unless its default has to be computed for each row or is missing where it must not be.
    re.compile(
        r"""\s*ALTER TABLE \w+ ADD COLUMN \w+ \w+( COLLATE "C")?"""
        r"""( DEFAULT ('[^']*'|-?\d+|true|false)( NOT NULL)?)?\s*$"""
    ),
    re.compile(r"\s*ALTER TABLE \w+ ADD CONSTRAINT .* NOT VALID\s*$", re.DOTALL),
    re.compile(r"\s*ALTER TABLE \w+ (SET|RESET) \((fillfactor|autovacuum_\w+)\b"),
)


def problem_of(step: Step) -> str | None:
    """Say which statement of a step would hold up those who use the store; None if none would."""
    own = {found[1] for one in step if isinstance(one, str) and (found := _CREATED.match(one))}
    for one in step:
        if isinstance(one, Concurrently):
            continue
        indexed = _INDEXED.match(one)
        if indexed and indexed[1] not in own:
            return f"{one.strip()} (build it concurrently)"
        if not indexed and not any(form.match(one) for form in _QUICK):
            return one.strip()
    return None


LOOK: Final = """
    SELECT
        to_regnamespace(%(schema)s) IS NOT NULL,
        EXISTS (
            SELECT 1 FROM pg_attribute
            WHERE attrelid = to_regclass(%(marker)s) AND attname = 'coatcheck' AND NOT attisdropped
        ),
        (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s)),
        coalesce(has_schema_privilege(to_regnamespace(%(schema)s)::oid, 'USAGE'), true)
"""
VERSION: Final = "SELECT coatcheck FROM schema_version"


async def version_of(link: Link, address: Address) -> int:
    """Read the version of the schema; 0 where nobody has kept anything yet.

    Raises:
        SchemaMismatch: the schema belongs to another program.
        ConfigurationError: its owner has not let us in.
    """
    schema = address.schema
    look = {"schema": f'"{schema}"', "marker": f'"{schema}".schema_version'}
    ((exists, is_ours, objects, may_use),) = await link.rows(LOOK, look)
    if exists and not may_use:
        raise ConfigurationError(
            f"store: the user of {address.location} may not use the schema {schema}; run as its owner: "
            f"GRANT USAGE ON SCHEMA {schema} TO ..."
        )
    if is_ours:
        found = await link.rows(within(schema, VERSION), ())
        if found:
            version: int = found[0][0]
            return version
    if objects == 0:
        return 0
    raise SchemaMismatch(
        f"store: the schema {schema} in {address.location} is another program's; name another with schema=... in the "
        "URL, or another database"
    )


def check(version: int, address: Address, *, latest: int) -> None:
    """Accept the latest version and no other. Raises SchemaMismatch, which says what to do (DAT-08)."""
    if version > latest:
        raise SchemaMismatch(
            f"store: {address.location} has schema version {version}, newer than the {latest} this Coatcheck knows; "
            "run the newer Coatcheck that wrote it"
        )
    if version < latest:
        raise SchemaMismatch(
            f"store: {address.location} has schema version {version}, older than the {latest} this Coatcheck needs; "
            "run: coatcheck schema upgrade"
        )


async def apply_steps(
    link: Link,
    address: Address,
    steps: Sequence[Step],
    *,
    only_if_empty: bool,
    progress: Progress | None = None,
) -> int:
    """Bring the schema to the latest version, step by step, and give the version it had.

    With `only_if_empty` a schema that is there is left as it is: another process may have created it meanwhile. Of
    several that upgrade at once, one does each step.
    """
    for step in steps:
        if (problem := problem_of(step)) is not None:
            raise ConfigurationError(f"store: a step of the schema is unsafe on a live system: {problem}")
    before = await version_of(link, address)
    version = before
    if only_if_empty and version > 0:
        return before
    done, total = 0, sum(len(step) for step in steps[version:])
    while version < len(steps):
        # In a schema that is being created nobody has anything yet that an index could take long for.
        step = _at_once(steps[version]) if before == 0 else steps[version]
        if await _do(link, address, version, step):
            done += len(step)
            if progress is not None:
                progress(done, total)
        version += 1
    return before


def _at_once(step: Step) -> Step:
    return tuple(f'CREATE INDEX "{one.name}" {one.on}' if isinstance(one, Concurrently) else one for one in step)


async def _do(link: Link, address: Address, version: int, step: Step) -> bool:
    """Do the step that follows a version. False if somebody else has done it."""
    indexes = [one for one in step if isinstance(one, Concurrently)]
    statements = [one for one in step if isinstance(one, str)]
    if not indexes:
        return await _patiently(link, address, version, statements)
    if not (await link.rows("SELECT pg_backend_pid() = %s", (link.backend,)))[0][0]:
        raise ConfigurationError(
            f"store: {address.location} is reached through a pooler; name PostgreSQL itself for this upgrade"
        )
    # Asked for again and again, for an index is not done while anybody waits inside a statement, for a lock say.
    while not (await link.rows("SELECT pg_try_advisory_lock(hashtextextended(%s, 1))", (_turn(address),)))[0][0]:
        sleep(0.2)  # noqa: ASYNC251 - on a blocking link, off the event loop
    try:
        if await version_of(link, address) != version:
            return False
        for index in indexes:
            await _build(link, address.schema, index)
        return await _patiently(link, address, version, statements)
    finally:
        if not link.is_lost():
            await link.rows("SELECT pg_advisory_unlock_all()", ())


def _turn(address: Address) -> str:
    return f"coatcheck schema {address.schema}"


async def _patiently(link: Link, address: Address, version: int, statements: Sequence[str]) -> bool:
    # A lock that does not come at once is asked for again later, so that others get their turn in between.
    deadline = monotonic() + UPGRADE_PATIENCE
    while True:
        try:
            return await _advance(link, address, version, statements)
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            await link.rows("ROLLBACK", ())
            if monotonic() > deadline:
                raise StoreUnavailable(
                    f"the schema of {address.location} was not upgraded, for somebody holds its tables; find the long "
                    "transaction (pg_stat_activity) and run it again"
                ) from error
            sleep(0.2)  # noqa: ASYNC251 - on a blocking link, off the event loop
        except BaseException:
            if not link.is_lost() and not link.is_idle():
                await link.rows("ROLLBACK", ())
            raise


async def _advance(link: Link, address: Address, version: int, statements: Sequence[str]) -> bool:
    """Do one step in one transaction. False if somebody else has done it."""
    schema = address.schema
    await link.rows("BEGIN", ())
    # Whoever else creates or upgrades waits here, and finds it done.
    await link.rows(
        "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true), "
        "pg_advisory_xact_lock(hashtextextended(%s, 0))",
        (_turn(address),),
    )
    if await version_of(link, address) != version:
        await link.rows("ROLLBACK", ())
        return False
    await link.rows("SELECT set_config('lock_timeout', %s, true)", (str(LOCK_PATIENCE),))
    if version == 0 and not (await link.rows("SELECT to_regnamespace(%s) IS NOT NULL", (f'"{schema}"',)))[0][0]:
        await link.rows(f'CREATE SCHEMA "{schema}"', ())
    for statement in statements:
        await link.rows(within(schema, statement), ())
    await link.rows(
        within(
            schema,
            "INSERT INTO schema_version (id, coatcheck) VALUES (0, %s) "
            "ON CONFLICT (id) DO UPDATE SET coatcheck = excluded.coatcheck",
        ),
        (version + 1,),
    )
    await link.rows("COMMIT", ())
    return True


async def _build(link: Link, schema: str, index: Concurrently) -> None:
    await link.rows("SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)", ())
    # One that was being built when its builder died is there and invalid.
    broken = await link.rows(
        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid", (f'"{schema}"."{index.name}"',)
    )
    if broken:
        await link.rows(f'DROP INDEX CONCURRENTLY "{schema}"."{index.name}"', ())
    await link.rows(within(schema, f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{index.name}" {index.on}'), ())
