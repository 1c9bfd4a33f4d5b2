"""The PostgreSQL store's connections: deadlines, recovery, forks, cancelled tasks, PgBouncer."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from coatcheck.colour import run_blocking
from coatcheck.errors import StoreError, StoreUnavailable
from coatcheck.stores.postgres import database
from coatcheck.stores.postgres.driver import Link
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.testing.driving import AsyncDriver, BlockingDriver, Driver
from coatcheck.testing.patience import PATIENCE, eventually, stores_waiting
from coatcheck.testing.samples import NOW, a_digest, a_gate, admit, data_of, put, raise_epoch, started
from coatcheck.testing.servers import PostgresServer
from tests.conftest import missing
from tests.engines.relay import Relay
from tests.ports import free_port
from tests.stores.waiting import somebody_waits

# From Python 3.12 on, fork() warns when threads exist; here it is the point of the test.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.fixture
def postgres_url(stocked_postgres_url: str) -> str:
    """How a store makes its tables is asked in `test_postgres_schema.py`."""
    return stocked_postgres_url


@pytest.fixture
def relay(postgres_url: str) -> Iterator[Relay]:
    with Relay(postgres_url) as relay:
        yield relay


@pytest.fixture
def store(relay: Relay, driver: Driver) -> Iterator[PostgresStore]:
    store = PostgresStore(f"{relay.url}?connections=5", driver.colour)
    driver.run(started(store, 1))
    yield store
    driver.run(store.close())


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that may be stopped."""
    with PostgresServer() as server:
        yield server


def execute(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def answers(store: PostgresStore, driver: Driver) -> bool:
    """Read and write once, and say whether both went well."""
    try:
        found = driver.run(store.find(a_digest(1)))
        return found is not None and driver.run(store.touch(a_digest(1), seen_at=NOW))
    except StoreUnavailable:
        return False


# Deadlines and recovery


def test_err_06_a_peer_that_says_nothing_is_given_up_by_everybody_who_waits(
    store: PostgresStore, driver: Driver, relay: Relay
) -> None:
    """Its lines stay open and take what is said. Twelve callers share five connections."""
    relay.fall_silent()

    with stores_waiting(0.5):
        reads = driver.crowd([store.find(a_digest(1)) for _ in range(12)])
        writes = driver.crowd([put(store, a_digest(1), key=b"1") for _ in range(12)])

    assert {type(outcome) for outcome in [*reads, *writes]} == {StoreUnavailable}


def test_the_first_call_after_a_silence_is_answered(store: PostgresStore, driver: Driver, relay: Relay) -> None:
    relay.fall_silent()
    with stores_waiting(0.5):
        assert not answers(store, driver)

    relay.speak_again()

    assert answers(store, driver)


def test_a_write_that_was_given_up_is_done_or_not_and_never_half(
    store: PostgresStore, driver: Driver, relay: Relay
) -> None:
    relay.fall_silent()
    with stores_waiting(0.5), pytest.raises(StoreUnavailable):
        driver.run(put(store, a_digest(1), a=b"1", b=b"2"))
    relay.speak_again()

    assert driver.run(data_of(store, a_digest(1))) in ({}, {"app": {"a": b"1", "b": b"2"}})
    assert driver.run(put(store, a_digest(1), a=b"3", b=b"3")) is None  # nothing is left locked


def test_lines_that_were_cut_while_nobody_used_them_cost_no_call(
    store: PostgresStore, driver: Driver, relay: Relay
) -> None:
    driver.crowd([store.find(a_digest(1)) for _ in range(5)])
    relay.cut()
    eventually(lambda: not any(link.is_quiet() for link in idle_links(store)), "the cut does not come through")

    outcomes = driver.crowd([put(store, a_digest(1), key=b"1") for _ in range(5)])

    assert outcomes == [None] * 5


def idle_links(store: PostgresStore) -> list[Link]:
    seats = store._database._pool._seats  # type: ignore[attr-defined]
    return [link for one in ([seats] if hasattr(seats, "idle") else seats.values()) for link in one.idle]


def test_a_read_whose_line_is_cut_under_it_is_read_again(
    store: PostgresStore, driver: Driver, relay: Relay, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("BEGIN; LOCK TABLE coatcheck.sessions")
        cut = threading.Thread(target=lambda: (wait_for_waiting(postgres_url), relay.cut(), other.execute("COMMIT")))
        cut.start()

        found = driver.run(store.find(a_digest(1)))

        cut.join()
    assert found is not None


def wait_for_waiting(url: str) -> None:
    eventually(lambda: somebody_waits(url), "nobody waits for the lock")


def test_a_server_that_stops_and_starts_is_used_again_at_once(server: PostgresServer, driver: Driver) -> None:
    store = PostgresStore(server.fresh(), driver.colour)
    driver.run(started(store, 1))
    for end in (server.stop, server.crash):
        driver.crowd([store.find(a_digest(1)) for _ in range(5)])
        end()

        outcomes = driver.crowd([store.find(a_digest(1)), put(store, a_digest(1), key=b"1"), store.ready()])

        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        server.start()
        assert answers(store, driver)
    driver.run(store.close())


def test_g3_a_row_that_somebody_else_holds_is_unavailable_and_then_fine_again(
    store: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM coatcheck.sessions FOR UPDATE")

        with servers_giving_up_soon(store, driver), pytest.raises(StoreUnavailable):
            driver.run(put(store, a_digest(1), key=b"1"))
        assert driver.run(store.find(a_digest(1))) is not None
    assert driver.run(data_of(store, a_digest(1))) == {}  # it was the server that gave up, and nothing comes later
    assert driver.run(put(store, a_digest(1), key=b"1")) is None


@contextmanager
def servers_giving_up_soon(store: PostgresStore, driver: Driver) -> Iterator[None]:
    """Have the server try each statement for a moment, on connections that are opened meanwhile."""
    driver.run(store.close())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "SERVER_PATIENCE", 300)
        yield
    driver.run(store.close())


def test_a_database_that_lets_nobody_in_for_a_while_is_unavailable_meanwhile(
    server: PostgresServer, driver: Driver
) -> None:
    url = server.fresh()
    store = PostgresStore(f"{url}?connections=2", driver.colour)
    driver.run(started(store, 1))
    driver.run(store.close())
    database = url.rpartition("/")[2]
    execute(server.url, f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS false')

    with pytest.raises(StoreUnavailable):
        driver.run(store.find(a_digest(1)))
    execute(server.url, f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS true')
    assert answers(store, driver)
    driver.run(store.close())


def test_no_more_connections_are_opened_than_the_url_allows(
    store: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    driver.crowd([store.increment(a_digest(1), namespace="app", key="n", by=1, limit=99) for _ in range(40)])

    found = execute(
        postgres_url,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coatcheck' AND datname = current_database()",
    )
    assert 1 <= found[0][0] <= 5
    assert driver.run(data_of(store, a_digest(1))) == {"app": {"n": b"40"}}


def test_g4_a_store_serves_one_event_loop_after_another(postgres_url: str) -> None:
    first, second = AsyncDriver(), AsyncDriver()
    store = PostgresStore(postgres_url, first.colour)
    first.run(started(store, 1))
    first.close()

    assert second.run(store.find(a_digest(1))) is not None
    second.run(store.close())
    second.close()


def test_nothing_is_opened_before_first_use(driver: Driver) -> None:
    PostgresStore("postgresql://nobody@127.0.0.1:1/nothing", driver.colour)


# Cancelled tasks (ERR-07)


def test_err_07_a_cancelled_task_leaves_its_change_done_or_undone_and_the_store_usable(
    relay: Relay,
) -> None:
    """Cancelled at each moment of its life."""

    async def story() -> None:
        store = PostgresStore(f"{relay.url}?connections=2", AsyncDriver().colour)
        await started(store, 1)
        done = 0
        for moment in range(12):
            task = asyncio.ensure_future(put(store, a_digest(1), a=b"%d" % moment, b=b"%d" % moment))
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
                done += 1
            except asyncio.CancelledError:
                pass
            kept = await data_of(store, a_digest(1))
            assert kept == {} or kept["app"]["a"] == kept["app"]["b"]
        assert done < 12
        assert await store.increment(a_digest(1), namespace="app", key="n", by=1, limit=99) == 1
        await store.close()

    asyncio.run(story())


@pytest.mark.parametrize("answered", [0, 1], ids=["before the locks are there", "before the commit is known"])
@pytest.mark.parametrize("ends", ["cancelled", "out of time"])
def test_err_07_a_change_whose_answer_is_lost_is_whole_or_absent_and_locks_nothing(
    relay: Relay, answered: int, ends: str
) -> None:
    """The server has heard the question, and its answer never comes: to the first half of a change, or the second."""

    async def story() -> None:
        store = PostgresStore(f"{relay.url}?connections=1", AsyncDriver().colour)
        await started(store, 1)
        await put(store, a_digest(1), a=b"0", b=b"0")  # and its statements are prepared
        before = relay.round_trips
        relay.lose_answers_after(answered)
        # A second is enough but on a slow machine, where time may be over before the question is asked.
        with stores_waiting(1 if ends == "out of time" else PATIENCE):
            task = asyncio.ensure_future(put(store, a_digest(1), a=b"1", b=b"1"))
            await asyncio.sleep(0)  # and it has looked how long it may take
        while relay.round_trips < before + answered + 1 and not task.done():  # noqa: ASYNC110 - a thread counts them
            await asyncio.sleep(0)
        if ends == "cancelled":
            task.cancel()
        with pytest.raises((asyncio.CancelledError, StoreUnavailable)):
            await task
        relay.speak_again()

        kept = (await data_of(store, a_digest(1)))["app"]
        assert kept["a"] == kept["b"]
        if answered == 0:
            assert kept["a"] == b"0"
        assert await put(store, a_digest(1), a=b"2", b=b"2") is None
        await store.close()

    asyncio.run(story())


def test_err_07_who_is_cancelled_while_waiting_for_a_connection_takes_none_along(postgres_url: str) -> None:
    async def story() -> None:
        store = PostgresStore(f"{postgres_url}?connections=1", AsyncDriver().colour)
        await started(store, 1)
        tasks = [asyncio.ensure_future(put(store, a_digest(1), n=b"1")) for _ in range(9)]
        await asyncio.sleep(0)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert await store.find(a_digest(1)) is not None
        await store.close()

    asyncio.run(story())


# Forks


def in_child(work: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        satisfied = False
        try:
            satisfied = work()
        finally:
            os._exit(0 if satisfied else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def forking(postgres_url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(postgres_url, BlockingDriver().colour)
    run_blocking(started(store, 1))
    yield store
    run_blocking(store.close())


def backend(store: PostgresStore) -> int:
    """Give the server's process behind the connection that the store uses next."""
    link = store._database._pool._seats.idle[-1]  # type: ignore[attr-defined]
    pid: int = link.backend
    return pid


def test_g4_a_forked_child_and_its_parent_go_on_side_by_side(forking: PostgresStore) -> None:
    before = backend(forking)

    def work() -> bool:
        ended = run_blocking(forking.end(a_digest(1), at=NOW, reason="in child", events=()))
        return ended and backend(forking) != before

    satisfied = in_child(work)

    found = run_blocking(forking.find(a_digest(1)))
    assert satisfied
    assert found is not None
    assert found.session.end_reason == "in child"
    assert backend(forking) == before  # the child took nothing away


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_g4_a_child_inherits_no_connection(forking: PostgresStore) -> None:
    inode = os.fstat(forking._database._pool._seats.idle[-1]._connection.pgconn.socket).st_ino  # type: ignore[attr-defined]

    def work() -> bool:
        return not any(f"socket:[{inode}]" == os.path.realpath(fd).rpartition("/")[2] for fd in descriptors())

    assert in_child(work)


def descriptors() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


def test_g4_a_fork_amid_the_work_of_other_threads_disturbs_nobody(forking: PostgresStore) -> None:
    ended = threading.Event()
    errors: list[StoreError] = []

    def work(number: int) -> None:
        try:
            while not ended.is_set():
                run_blocking(forking.find(a_digest(1)))
                run_blocking(forking.increment(a_digest(1), namespace="app", key=f"n{number}", by=1, limit=999))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    satisfied = [in_child(lambda n=n: run_blocking(started(forking, n)) is not None) for n in range(2, 6)]  # type: ignore[misc]
    ended.set()
    for thread in threads:
        thread.join()

    assert satisfied == [True] * 4
    assert errors == []
    assert len(run_blocking(forking.sessions_of("ada"))) == 5


# PgBouncer


@pytest.fixture
def bouncer_url(postgres_url: str) -> Iterator[str]:
    """The way to the database through PgBouncer, in transaction mode, with three connections of its own."""
    program = shutil.which("pgbouncer")
    if program is None:
        missing("no pgbouncer on PATH: install it")
    assert program is not None
    server = urlsplit(postgres_url)
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        users, settings = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{server.username}" "{server.password}"\n')
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 3\n"
        )
        options: dict[str, Any] = {}
        if os.geteuid() == 0:  # for whom it refuses to run
            nobody = pwd.getpwnam("nobody")
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            for path in (folder, users, settings):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        process = subprocess.Popen([program, "-q", str(settings)], stderr=subprocess.DEVNULL, **options)
        try:
            url = postgres_url.replace(f":{server.port}/", f":{port}/")
            eventually(lambda: _lets_in(url, process), "pgbouncer lets nobody in")
            yield url
        finally:
            process.terminate()
            process.wait()


def _lets_in(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "pgbouncer has ended"
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_pgbouncer_in_transaction_mode_is_noticed_and_nothing_of_a_session_is_relied_on(
    bouncer_url: str, driver: Driver
) -> None:
    """Twenty connections of ours take turns on three of its own, so none finds again what it left behind."""
    store = PostgresStore(f"{bouncer_url}?connections=20", driver.colour)
    driver.run(started(store, 1))

    outcomes = driver.crowd(
        [
            *(store.increment(a_digest(1), namespace="app", key="n", by=1, limit=99) for _ in range(40)),
            *(started(store, number) for number in range(2, 22)),
            *(admit(store, [a_gate(free=100)]) for _ in range(20)),
            *(raise_epoch(store, f"subject {number}") for number in range(20)),
        ]
    )

    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert driver.run(data_of(store, a_digest(1))) == {"app": {"n": b"40"}}
    assert len(driver.run(store.sessions_of("ada"))) == 21
    driver.run(store.close())


def test_behind_pgbouncer_a_transaction_ends_when_its_server_has_waited_long_enough(
    bouncer_url: str, postgres_url: str, driver: Driver
) -> None:
    store = PostgresStore(bouncer_url, driver.colour)
    driver.run(started(store, 1))
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM coatcheck.sessions FOR UPDATE")

        with servers_giving_up_soon(store, driver), pytest.raises(StoreUnavailable, match="statement timeout"):
            driver.run(put(store, a_digest(1), key=b"1"))
    assert driver.run(put(store, a_digest(1), key=b"1")) is None
    assert execute(postgres_url, "SHOW statement_timeout") == [("0",)]
    driver.run(store.close())


def test_direct_connections_use_named_statements_and_those_of_pgbouncer_none(
    bouncer_url: str, postgres_url: str, driver: Driver
) -> None:
    def named(url: str) -> int:
        store = PostgresStore(f"{url}{'&' if '?' in url else '?'}connections=1", driver.colour)

        async def ask() -> int:
            await store.ready()
            await store.find(a_digest(1))
            link = await store._database._pool.take(time.monotonic() + PATIENCE)
            try:
                return int((await link.rows("SELECT count(*) FROM pg_prepared_statements", ()))[0][0])
            finally:
                store._database._pool.give(link)

        count = driver.run(ask())
        driver.run(store.close())
        return count

    assert named(postgres_url) >= 2
    assert named(bouncer_url) == 0
    assert named(f"{postgres_url}?prepare=never") == 0
