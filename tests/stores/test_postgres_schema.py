"""The schema of the PostgreSQL store: created once, upgraded under load, refused when it is not ours."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
import pytest

from coatcheck.colour import run_blocking
from coatcheck.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from coatcheck.stores.postgres import schema
from coatcheck.stores.postgres.schema import STEPS, Concurrently, Step, problem_of
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.testing.driving import AsyncDriver, BlockingDriver, Driver
from coatcheck.testing.patience import eventually
from coatcheck.testing.samples import a_digest, put, started
from tests.stores.waiting import somebody_waits

LATEST = len(STEPS)
run = run_blocking
COLOUR = BlockingDriver().colour


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(postgres_url, COLOUR)
    yield store
    run(store.close())


def execute(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


def tables(url: str) -> set[str]:
    found = execute(
        url, "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
    )
    return {name for (name,) in found}


class NextVersion(PostgresStore):
    schema_steps: ClassVar[tuple[Step, ...]] = (
        *STEPS,
        (
            "ALTER TABLE sessions ADD COLUMN extra bigint DEFAULT 0 NOT NULL",
            Concurrently("sessions_by_expiry", "ON sessions (expires_at)"),
            "CREATE TABLE further (a bigint)",
        ),
    )


class BrokenVersion(PostgresStore):
    schema_steps: ClassVar[tuple[Step, ...]] = (*STEPS, ("CREATE TABLE further (a bigint)", "INSERT INTO nothing"))


class UnsafeVersion(PostgresStore):
    schema_steps: ClassVar[tuple[Step, ...]] = (*STEPS, ("CREATE INDEX another ON sessions (ip)",))


# Created at first use


def test_an_empty_database_has_no_version_and_asking_creates_nothing(store: PostgresStore, postgres_url: str) -> None:
    assert run(store.schema_version()) == 0
    assert tables(postgres_url) == set()


@pytest.mark.parametrize("kind", [BlockingDriver, AsyncDriver])
def test_the_schema_is_created_at_first_use(postgres_url: str, kind: type[Driver]) -> None:
    driver = kind()
    store = PostgresStore(postgres_url, driver.colour)

    driver.run(store.ready())

    assert driver.run(store.schema_version()) == LATEST
    assert {name.partition(".")[0] for name in tables(postgres_url)} == {"coatcheck"}
    driver.run(store.close())
    driver.close()


def test_many_that_start_at_once_on_an_empty_database_all_find_one_store(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url, COLOUR) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        sessions = list(pool.map(lambda pair: run(started(pair[1], pair[0])), enumerate(stores)))

    assert len(run(stores[0].sessions_of("ada"))) == len(sessions)
    for store in stores:
        run(store.close())


def test_processes_that_start_at_once_on_an_empty_database_all_find_one_store(postgres_url: str) -> None:
    starting = [subprocess.Popen([sys.executable, "-c", READY, postgres_url]) for _ in range(5)]

    assert [process.wait() for process in starting] == [0] * 5


READY = """
import sys
from coatcheck.colour import Blocking, hashing_lane, run_blocking
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.testing.patience import stores_wait

stores_wait()
run_blocking(PostgresStore(sys.argv[1], Blocking(hashing_lane(queue=1, nice=0))).ready())
"""


def test_schemas_of_two_names_are_two_stores_in_one_database(store: PostgresStore, postgres_url: str) -> None:
    other = PostgresStore(f"{postgres_url}?schema=other_one", COLOUR)
    run(started(store, 1))

    assert run(other.find(a_digest(1))) is None
    assert other.location != store.location
    run(other.close())


def test_a_schema_prepared_by_the_owner_of_the_database_is_enough(postgres_url: str) -> None:
    name = urlsplit(postgres_url).path[1:]
    execute(postgres_url, f"CREATE ROLE lodger_{name} LOGIN PASSWORD 'secret\"%/'")
    url = with_user(postgres_url, f"lodger_{name}")
    try:
        with pytest.raises(ConfigurationError, match="CREATE SCHEMA coatcheck AUTHORIZATION") as caught:
            run(PostgresStore(url, COLOUR).ready())
        assert "secret" not in str(caught.value)

        execute(postgres_url, f"CREATE SCHEMA coatcheck AUTHORIZATION lodger_{name}")

        lodger = PostgresStore(url, COLOUR)
        run(started(lodger, 1))
        run(lodger.close())
    finally:
        execute(postgres_url, f"DROP OWNED BY lodger_{name}; DROP ROLE lodger_{name}")


def with_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:secret%22%25%2F@{parts.hostname}:{parts.port}").geturl()


def test_a_user_without_rights_on_the_tables_is_told_so(store: PostgresStore, postgres_url: str) -> None:
    name = urlsplit(postgres_url).path[1:]
    run(store.ready())
    execute(postgres_url, f"CREATE ROLE guest_{name} LOGIN PASSWORD 'secret\"%/'")
    guest = PostgresStore(with_user(postgres_url, f"guest_{name}"), COLOUR)
    try:
        with pytest.raises(ConfigurationError, match=r"store: .*schema coatcheck"):
            run(guest.ready())
        execute(postgres_url, f"GRANT USAGE ON SCHEMA coatcheck TO guest_{name}")
        with pytest.raises(ConfigurationError, match=r"store: .*rights"):
            run(guest.ready())
    finally:
        execute(postgres_url, f"DROP OWNED BY guest_{name}; DROP ROLE guest_{name}")


# Refused


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE SCHEMA coatcheck; CREATE TABLE coatcheck.sessions (sid text)",
        "CREATE SCHEMA coatcheck; CREATE TABLE coatcheck.schema_version (version text)",
        "CREATE SCHEMA coatcheck; CREATE VIEW coatcheck.schema_version AS SELECT 1 AS id, 1 AS version",
    ],
)
def test_dat_08_another_programs_schema_is_refused_and_left_alone(
    store: PostgresStore, postgres_url: str, sql: str
) -> None:
    execute(postgres_url, sql)
    before = tables(postgres_url)

    for call in (store.ready, store.schema_version, store.upgrade_schema):
        with pytest.raises(SchemaMismatch, match=r"store: .*another program's.*schema="):
            run(call())  # type: ignore[operator]
    assert tables(postgres_url) == before


def test_dat_08_an_older_schema_is_refused_with_the_command_that_upgrades_it(
    store: PostgresStore, postgres_url: str
) -> None:
    run(started(store, 1))

    with pytest.raises(SchemaMismatch, match=r"older than the 2 .*coatcheck schema upgrade"):
        run(NextVersion(postgres_url, COLOUR).ready())


def test_dat_08_a_newer_schema_is_refused_and_left_alone(store: PostgresStore, postgres_url: str) -> None:
    run(store.ready())
    execute(postgres_url, "UPDATE coatcheck.schema_version SET coatcheck = 999")
    late = PostgresStore(postgres_url, COLOUR)

    for call in (late.ready, late.upgrade_schema):
        with pytest.raises(SchemaMismatch, match="version 999, newer"):
            run(call())  # type: ignore[operator]
    assert run(late.schema_version()) == 999


# Upgraded


def test_dat_08_an_upgrade_keeps_what_is_stored_and_those_who_run_go_on(
    store: PostgresStore, postgres_url: str
) -> None:
    run(started(store, 1))
    told: list[tuple[int, int]] = []
    upgraded = NextVersion(postgres_url, COLOUR)

    versions = run(upgraded.upgrade_schema(lambda done, of: told.append((done, of))))

    assert versions == (LATEST, LATEST + 1)
    assert told == [(3, 3)]
    assert "coatcheck.further" in tables(postgres_url)
    assert run(upgraded.find(a_digest(1))) is not None
    assert index_on(postgres_url) == [(True, False)]
    # The process that was there before knows nothing of it, also on connections it opens now.
    execute(
        postgres_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert run(store.find(a_digest(1))) is not None
    assert run(started(store, 2)) is not None
    assert run(upgraded.upgrade_schema()) == (LATEST + 1, LATEST + 1)
    run(upgraded.close())


def test_an_upgrade_creates_a_store_where_there_is_none(postgres_url: str) -> None:
    assert run(NextVersion(postgres_url, COLOUR).upgrade_schema()) == (0, 2)
    assert index_on(postgres_url) == [(True, False)]


def test_a_store_of_several_steps_is_created_at_first_use(postgres_url: str) -> None:
    later = NextVersion(postgres_url, COLOUR)

    run(started(later, 1))

    assert run(later.schema_version()) == LATEST + 1
    assert index_on(postgres_url) == [(True, False)]
    run(later.close())


def test_dat_08_an_upgrade_that_fails_leaves_the_old_schema_whole(store: PostgresStore, postgres_url: str) -> None:
    run(started(store, 1))

    with pytest.raises(psycopg.errors.SyntaxError):  # a mistake of ours
        run(BrokenVersion(postgres_url, COLOUR).upgrade_schema())

    assert run(store.schema_version()) == LATEST
    assert "coatcheck.further" not in tables(postgres_url)
    assert run(store.find(a_digest(1))) is not None


def test_of_many_upgrades_at_once_one_does_it(store: PostgresStore, postgres_url: str) -> None:
    run(store.ready())
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: run(NextVersion(postgres_url, COLOUR).upgrade_schema()), range(6)))

    assert {after for _, after in done} == {LATEST + 1}
    assert run(NextVersion(postgres_url, COLOUR).schema_version()) == LATEST + 1


def test_an_upgrade_that_cannot_have_its_lock_gives_up_and_holds_nobody_up_meanwhile(
    store: PostgresStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a table's lock makes all others wait behind; so it waits a moment and lets them pass."""
    monkeypatch.setattr(schema, "LOCK_PATIENCE", 300)
    monkeypatch.setattr(schema, "UPGRADE_PATIENCE", 1.0)
    run(started(store, 1))
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT count(*) FROM coatcheck.sessions")  # and its transaction stays open
        outcome: list[BaseException] = []

        def upgrade() -> None:
            try:
                run(AddsColumn(postgres_url, COLOUR).upgrade_schema())
            except BaseException as error:  # noqa: BLE001 - looked at below
                outcome.append(error)

        upgrading = threading.Thread(target=upgrade)
        upgrading.start()
        while upgrading.is_alive():
            assert run(store.find(a_digest(1))) is not None
            assert run(put(store, a_digest(1), key=b"1")) is None
        upgrading.join()

    assert [type(error) for error in outcome] == [StoreUnavailable]
    assert "pg_stat_activity" in str(outcome[0])
    assert run(store.schema_version()) == LATEST
    assert run(AddsColumn(postgres_url, COLOUR).upgrade_schema()) == (LATEST, LATEST + 1)


def test_dat_08_a_kill_in_the_middle_of_an_upgrade_leaves_the_old_schema_whole(
    store: PostgresStore, postgres_url: str
) -> None:
    """Killed in its transaction, with a table made and waiting for the lock of another."""
    run(started(store, 1))
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT count(*) FROM coatcheck.sessions")
        upgrading = subprocess.Popen([sys.executable, "-c", UPGRADE, postgres_url])
        eventually(lambda: upgrading.poll() is not None or somebody_waits(postgres_url), "it waits for no lock")
        assert upgrading.poll() is None
        upgrading.kill()
        upgrading.wait()

    assert run(store.schema_version()) == LATEST
    assert "coatcheck.further" not in tables(postgres_url)
    assert run(put(store, a_digest(1), key=b"1")) is None
    assert run(NextVersion(postgres_url, COLOUR).upgrade_schema()) == (LATEST, LATEST + 1)


UPGRADE = """
import sys
from coatcheck.colour import Blocking, hashing_lane, run_blocking
from coatcheck.stores.postgres.schema import STEPS
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.testing.patience import stores_wait

class Next(PostgresStore):
    schema_steps = (*STEPS, ("CREATE TABLE further (a bigint)", "ALTER TABLE sessions ADD COLUMN extra bigint"))

stores_wait()
run_blocking(Next(sys.argv[1], Blocking(hashing_lane(queue=1, nice=0))).upgrade_schema())
"""


class AddsColumn(PostgresStore):
    schema_steps: ClassVar[tuple[Step, ...]] = (*STEPS, ("ALTER TABLE sessions ADD COLUMN extra bigint",))


def test_an_index_whose_builder_died_is_built_again(store: PostgresStore, postgres_url: str) -> None:
    for number in (1, 2):
        run(started(store, number))
    with pytest.raises(psycopg.errors.UniqueViolation):  # leaves an index that is there and holds for nothing
        execute(postgres_url, "CREATE UNIQUE INDEX CONCURRENTLY sessions_by_expiry ON coatcheck.sessions (expires_at)")

    run(NextVersion(postgres_url, COLOUR).upgrade_schema())

    assert index_on(postgres_url) == [(True, False)]


def index_on(url: str) -> list[tuple[Any, ...]]:
    """Say whether the index of the next version is valid, and whether it is unique."""
    index = "'coatcheck.sessions_by_expiry'::regclass"
    return execute(url, f"SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = {index}")


# Safe on a live system


def test_our_own_steps_hold_nobody_up() -> None:
    assert [problem_of(step) for step in STEPS] == [None] * LATEST


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX another ON sessions (ip)",
        "ALTER TABLE sessions ADD COLUMN extra uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE sessions ADD COLUMN extra text NOT NULL",
        "ALTER TABLE sessions ALTER COLUMN ip TYPE varchar(9)",
        "ALTER TABLE sessions ALTER COLUMN ip SET NOT NULL",
        "ALTER TABLE sessions ADD CONSTRAINT c CHECK (ip <> '')",
        "ALTER TABLE sessions RENAME COLUMN ip TO address",
        "ALTER TABLE sessions DROP COLUMN ip",
        "UPDATE sessions SET ip = NULL",
        "DELETE FROM events",
        "DROP TABLE events",
        "VACUUM FULL sessions",
        "CLUSTER sessions",
        "LOCK TABLE sessions",
    ],
)
def test_steps_that_would_hold_up_the_others_or_break_those_who_run_are_refused(statement: str) -> None:
    assert problem_of((statement,)) is not None


def test_an_unsafe_step_is_refused_before_anything_is_done(store: PostgresStore, postgres_url: str) -> None:
    run(store.ready())

    with pytest.raises(ConfigurationError, match="unsafe on a live system"):
        run(UnsafeVersion(postgres_url, COLOUR).upgrade_schema())
    assert run(store.schema_version()) == LATEST


def test_a_schema_that_is_dropped_under_a_running_process_is_not_made_anew(
    store: PostgresStore, postgres_url: str
) -> None:
    """An empty store in the place of a full one would log everybody out and let every name be taken."""
    run(started(store, 1))
    execute(postgres_url, "DROP SCHEMA coatcheck CASCADE")

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="schema"):
            run(store.find(a_digest(1)))
        run(store.close())
    assert tables(postgres_url) == set()


def test_a_process_that_takes_the_place_of_another_begins_no_new_store(postgres_url: str) -> None:
    late = PostgresStore(f"{postgres_url}?mode=rw", COLOUR)

    with pytest.raises(StoreUnavailable, match="schema coatcheck"):
        run(late.ready())
    assert tables(postgres_url) == set()


def test_a_process_that_takes_the_place_of_another_goes_on_beside_a_newer_schema(
    store: PostgresStore, postgres_url: str
) -> None:
    """Workers are exchanged while the old version serves on."""
    run(started(store, 1))
    run(NextVersion(postgres_url, COLOUR).upgrade_schema())
    late = PostgresStore(f"{postgres_url}?mode=rw", COLOUR)

    assert run(late.find(a_digest(1))) is not None
    run(late.close())
    with pytest.raises(SchemaMismatch, match="newer"):
        run(PostgresStore(postgres_url, COLOUR).ready())
