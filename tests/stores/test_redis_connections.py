"""Connections of the Redis store: lost, silent, cancelled, inherited."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest
import redis

from coatcheck import (
    AsyncCoatcheck,
    Client,
    Coatcheck,
    StoreUnavailable,
)
from coatcheck.colour import Blocking, HashingLane
from coatcheck.stores.redis import lines
from coatcheck.stores.redis.address import address_of
from coatcheck.stores.redis.store import RedisStore
from coatcheck.stores.redis.trouble import translated
from coatcheck.testing.driving import AsyncDriver, BlockingDriver, Driver
from coatcheck.testing.patience import eventually, stores_waiting
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    is_standing,
    started,
)
from coatcheck.testing.servers import ValkeyServer
from tests.stores.keyspace import disagreements
from tests.stores.redis_calls import (
    KEPT,
    READS,
    WRITES,
    answering,
    clients_at,
    lived_in,
    opened,
    own_server,
    told,
)

replace = msgspec.structs.replace


@pytest.fixture
def store(any_redis_url: str, driver: Driver) -> Iterator[RedisStore]:
    store = RedisStore(any_redis_url, driver.colour)
    yield store
    driver.run(store.close())


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A server of its own, for tests that change it."""
    with own_server() as server:
        yield server


# Connections


def test_a_killed_connection_is_replaced_without_a_word(any_redis_url: str, store: RedisStore, driver: Driver) -> None:
    driver.run(lived_in(store))

    for call in (READS | WRITES).values():
        told(any_redis_url, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        driver.run(call(store))


def test_a_server_that_was_restarted_is_found_again_at_the_next_call(driver: Driver) -> None:
    with own_server(**KEPT) as server, opened(server.url, driver) as store:
        driver.run(started(store, 1))
        for _ in range(2):
            server.stop()
            for call in (store.find(a_digest(1)), store.touch(a_digest(1), seen_at=NOW)):
                with pytest.raises(StoreUnavailable):
                    driver.run(call)

            server.start()

            assert driver.run(store.touch(a_digest(1), seen_at=NOW + 60))
            assert driver.run(is_standing(store, a_digest(1)))


def test_err_06_a_peer_that_says_nothing_is_an_outage_in_its_time(driver: Driver) -> None:
    with stores_waiting(0.2), answering(None) as port, opened(f"redis://127.0.0.1:{port}", driver) as store:
        for call in (store.find(a_digest(1)), store.touch(a_digest(1), seen_at=NOW)):
            with pytest.raises(StoreUnavailable):
                driver.run(call)


def test_err_06_one_patience_is_all_that_opening_looking_and_asking_have(driver: Driver) -> None:
    """Each answer of this peer is in time, both together are not. On a slow machine, time has to be longer for that."""
    looks_well = b"+OK\r\n$21\r\nredis_version:7.0.0\r\n\r\n*0\r\n$1\r\n1\r\n"
    for patience in (0.5, 2, 8, 32):
        asked: list[bytes] = []
        with stores_waiting(patience), answering(looks_well, after=0.6 * patience, heard=asked) as port:
            store = RedisStore(f"redis://127.0.0.1:{port}", driver.colour)
            with pytest.raises(StoreUnavailable):
                driver.run(store.find(a_digest(1)))
        if len(asked) > 1:
            break

    assert len(asked) == 2  # the second answer came too late, and there was no third try


def test_err_06_a_server_that_stops_answering_amid_use_is_an_outage_and_then_none(
    server: ValkeyServer, driver: Driver
) -> None:
    with opened(server.url, driver) as store:
        driver.run(started(store, 1))
        driver.crowd([store.find(a_digest(1)) for _ in range(8)])  # many connections lie idle now

        os.kill(server.pid, signal.SIGSTOP)
        try:
            for call in (store.find(a_digest(1)), store.touch(a_digest(1), seen_at=NOW + 60)):
                with stores_waiting(0.5), pytest.raises(StoreUnavailable):
                    driver.run(call)
        finally:
            os.kill(server.pid, signal.SIGCONT)

        assert driver.run(is_standing(store, a_digest(1)))
        assert driver.run(store.touch(a_digest(1), seen_at=NOW + 60))


def is_busy(url: str) -> bool:
    try:
        told(url, "PING")
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


def test_a_script_of_somebody_else_that_runs_for_ever_is_an_outage(server: ValkeyServer, driver: Driver) -> None:
    told(server.url, "CONFIG", "SET", "busy-reply-threshold", "1")
    with opened(server.url, driver) as store:
        driver.run(started(store, 1))

        def hang() -> None:
            with suppress(redis.RedisError):
                told(server.url, "EVAL", "while true do end", "0")

        other = threading.Thread(target=hang)
        other.start()
        try:
            eventually(lambda: is_busy(server.url), "the script never began")
            with pytest.raises(StoreUnavailable, match="BUSY"):
                driver.run(store.touch(a_digest(1), seen_at=NOW + 1))
            with pytest.raises(StoreUnavailable):
                driver.run(store.find(a_digest(1)))
        finally:
            told(server.url, "SCRIPT", "KILL")
            other.join()
        assert driver.run(is_standing(store, a_digest(1)))


@pytest.mark.parametrize(
    "said",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "CLUSTERDOWN The cluster is down",
        "ERR max number of clients reached",
        # Redis 6.2 tells of what happened inside a script in words of its own.
        "ERR Error running script (call to f_1): @user_script:7: @user_script: 7: -OOM command not allowed",
        "ERR Error running script (call to f_1): @user_script:7: @user_script: 7: -READONLY You can't write against",
    ],
)
def test_conditions_that_pass_are_outages(said: str) -> None:
    """As the driver reads them off the wire."""
    error = redis.connection.DefaultParser.parse_error(said)

    assert type(translated(error, address_of("redis://"))) is StoreUnavailable


def test_many_tasks_share_a_bounded_number_of_connections(server: ValkeyServer) -> None:
    driver = AsyncDriver()
    with opened(server.url, driver) as store:
        driver.run(started(store, 1))

        outcomes = driver.crowd([store.find(a_digest(1)) for _ in range(500)])

        assert all(getattr(outcome, "session", None) for outcome in outcomes)
        assert int(told(server.url, "INFO", "clients")["connected_clients"]) <= lines.MOST + 1
    driver.close()


def test_err_07_a_task_that_is_cancelled_leaves_no_answer_for_the_next(any_redis_url: str) -> None:
    async def story() -> None:
        async with AsyncCoatcheck(any_redis_url) as desk:
            login = await desk.start_session("ada", methods=("pwd",))
            others = await desk.start_session("bob", methods=("pwd",))
            for turn in range(60):
                asked = asyncio.ensure_future(desk.authenticate(others.token, touch=False))
                for _ in range(turn % 6):
                    await asyncio.sleep(0)
                asked.cancel()
                with suppress(asyncio.CancelledError):
                    await asked

                visit = await desk.authenticate(login.token, touch=False)

                assert visit
                assert visit.session.subject == "ada"

    asyncio.run(story())


def test_err_07_a_write_that_is_cancelled_is_committed_or_untouched(any_redis_url: str) -> None:
    async def story() -> None:
        async with AsyncCoatcheck(any_redis_url) as desk:
            for turn in range(40):
                client = Client(user_agent=f"turn {turn}")
                asked = asyncio.ensure_future(desk.start_session("ada", methods=("pwd",), client=client))
                for _ in range(turn % 8):
                    await asyncio.sleep(0)
                asked.cancel()
                with suppress(asyncio.CancelledError):
                    await asked
                    done.append(f"turn {turn}")

    done: list[str] = []
    asyncio.run(story())

    # Whether one happened is not known at once: the server reads it in its own time, all of it or nothing.
    eventually(lambda: clients_at(any_redis_url) == 0, "the server has not read to the end")
    assert disagreements(any_redis_url) == []
    with Coatcheck(any_redis_url) as desk:
        kept = [session.user_agent for session in desk.sessions(of="ada")]
    assert {*done} <= {*kept} <= {f"turn {turn}" for turn in range(40)}
    assert len(kept) == len({*kept}), "none of them twice"


def test_a_store_may_be_used_from_one_loop_after_the_other(any_redis_url: str) -> None:
    driver = AsyncDriver()
    store = RedisStore(any_redis_url, driver.colour)

    async def once(number: int) -> None:
        await started(store, number)
        assert await is_standing(store, a_digest(number))
        await store.close()

    for number in range(3):
        asyncio.run(once(number))
    driver.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_that_are_gone_leave_no_connections_behind(server: ValkeyServer) -> None:
    """As where a framework runs each request in a loop of its own, and nobody closes anything."""
    driver = AsyncDriver()
    store = RedisStore(server.url, driver.colour)

    for number in range(30):
        asyncio.run(started(store, number))
    gc.collect()

    eventually(lambda: clients_at(server.url) <= 1, "connections are left behind")
    driver.close()
    del store
    gc.collect()  # here, where its warnings are expected


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_opens_connections_of_its_own(any_redis_url: str) -> None:
    with Coatcheck(any_redis_url) as desk:
        token = desk.start_session("ada", methods=("pwd",)).token
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                try:
                    os._exit(0 if all(desk.authenticate(token) for _ in range(200)) else 1)
                finally:
                    os._exit(2)
            children.append(child)

        assert all(desk.authenticate(token) for _ in range(200))
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        assert desk.authenticate(token)


def test_nothing_is_opened_before_the_first_call(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    RedisStore("redis://127.0.0.1:1", driver.colour)


def test_blocking_threads_have_a_connection_each_and_no_more(server: ValkeyServer) -> None:
    driver = BlockingDriver()
    store = RedisStore(server.url, Blocking(HashingLane(queue=1, nice=0)))
    driver.run(started(store, 1))

    for _ in range(5):
        driver.crowd([store.find(a_digest(1)) for _ in range(20)])

    assert int(told(server.url, "INFO", "clients")["connected_clients"]) <= 21 + 1
    driver.run(store.close())
