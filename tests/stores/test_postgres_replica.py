"""A PostgreSQL store and a real streaming replica: refused as a store, and what is there once it was promoted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.testing.driving import Driver
from coatcheck.testing.patience import eventually, stores_waiting
from coatcheck.testing.samples import NOW, a_digest, a_handle, is_standing, put, started
from tests.e2e.serving import Server, Visitor
from tests.engines.replicas import Pair, pair, told
from tests.faults.wire import Wire
from tests.patience import PATIENT

CROWD = 6  # who log in at the same time
FAR = 10_000  # between the numbers of their sessions


@pytest.fixture(scope="module")
def lasting() -> Iterator[Pair]:
    """Two that stay what they are, for tests that only look."""
    with pair() as two:
        yield two


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Two with which anything may be done."""
    with pair() as two:
        yield two


# A replica is no store


def a_store_in_use(url: str, driver: Driver) -> None:
    store = PostgresStore(url, driver.colour)
    driver.run(started(store, 1))
    driver.run(store.close())


@pytest.mark.parametrize("options", ["", "?target_session_attrs=read-write", "?target_session_attrs=primary"])
def test_err_03_a_replica_is_refused_at_the_start_with_setting_and_mend(
    lasting: Pair, driver: Driver, options: str
) -> None:
    database = lasting.primary.fresh()
    a_store_in_use(database, driver)
    lasting.catch_up()
    store = PostgresStore(lasting.at_replica(database) + options, driver.colour)

    with pytest.raises(ConfigurationError, match=r"^store: .* is read-only: a replica.*; name the primary") as caught:
        driver.run(store.ready())
    assert str(lasting.replica.port) in str(caught.value)
    assert lasting.replica.password not in str(caught.value)


def test_err_03_a_replica_of_a_database_in_which_nothing_is_kept_is_refused_alike(
    lasting: Pair, driver: Driver
) -> None:
    database = lasting.primary.fresh()
    lasting.catch_up()
    store = PostgresStore(lasting.at_replica(database), driver.colour)

    with pytest.raises(ConfigurationError, match=r"^store: .* is read-only: a replica"):
        driver.run(store.ready())


def test_of_several_hosts_the_primary_is_found_whichever_stands_first(lasting: Pair, driver: Driver) -> None:
    database = lasting.primary.fresh()
    a_store_in_use(database, driver)
    lasting.catch_up()

    for first in lasting:
        store = PostgresStore(lasting.url(database, first=first), driver.colour)
        assert driver.run(put(store, a_digest(1), key=b"1")) is None
        assert driver.run(store.schema_version()) == store.schema_latest
        driver.run(store.close())


# A promoted one is


class Crowd:
    """Many who log in and out at once, until something happens to the server; and what they were told was done."""

    def __init__(self, store: PostgresStore, driver: Driver) -> None:
        self._store = store
        self._driver = driver
        self._is_over = threading.Event()
        self._begun = set[int]()
        self._ended = set[int]()

    def until(self, happens: Callable[[], None]) -> None:
        """Let them come and go, `happens` happen amid it, and everybody be refused in the end."""
        disturbing = threading.Thread(target=self._disturb, args=(happens,))
        disturbing.start()
        outcomes = self._driver.crowd([self._log_in_and_out(place) for place in range(CROWD)])
        disturbing.join()
        assert outcomes == [None] * CROWD

    def is_known_to(self, store: PostgresStore) -> bool:
        """Say whether everything they were told was done is there."""
        found = {number: self._driver.run(store.find(a_digest(number))) for number in self._begun}
        # A session whose end was under way may have ended as well.
        return all(
            one is not None and (number not in self._ended or one.session.end_reason == LOGGED_OUT)
            for number, one in found.items()
        )

    async def _log_in_and_out(self, place: int) -> None:
        number = place * FAR
        while True:
            number += 1
            try:
                await started(self._store, number, subject=f"subject {place}")
                self._begun.add(number)
                if number % 2:
                    assert await self._store.end(a_digest(number), at=NOW, reason=LOGGED_OUT, events=())
                    self._ended.add(number)
            except StoreUnavailable:
                if self._is_over.is_set():
                    return

    def _disturb(self, happens: Callable[[], None]) -> None:
        eventually(lambda: len(self._ended) >= 5 * CROWD, "nobody comes and goes")
        happens()
        self._is_over.set()


def is_ready(store: PostgresStore, driver: Driver) -> bool:
    try:
        driver.run(store.ready())
    except StoreUnavailable:
        return False
    return True


def test_g2_what_was_acknowledged_under_synchronous_replication_is_there_after_the_primary_died(
    servers: Pair, driver: Driver
) -> None:
    database = servers.primary.fresh()
    store = PostgresStore(servers.url(database, options="?connections=4"), driver.colour)
    driver.run(store.ready())
    servers.be_synchronous()

    crowd = Crowd(store, driver)
    crowd.until(servers.primary.crash)
    with pytest.raises(StoreUnavailable, match="read-only"):
        driver.run(store.find(a_digest(1)))

    servers.promote()

    driver.run(store.ready())
    assert crowd.is_known_to(store)
    assert driver.run(started(store, 9 * FAR))
    driver.run(store.close())


def test_g2_what_was_acknowledged_is_there_when_the_primary_went_on_beyond_a_partition(
    servers: Pair, driver: Driver
) -> None:
    """It still lives, behind a network that carries nothing: nobody hears a refusal from there."""
    database = servers.primary.fresh()
    with Wire(servers.primary.port) as wire:
        url = servers.url(database, options="?connections=4").replace(f":{servers.primary.port},", f":{wire.port},")
        store = PostgresStore(url, driver.colour)
        driver.run(store.ready())
        servers.be_synchronous()

        crowd = Crowd(store, driver)
        with stores_waiting(2):
            crowd.until(wire.hold)
            servers.promote()
            eventually(lambda: is_ready(store, driver), "the new primary is not used")

        assert crowd.is_known_to(store)
        wire.release()
        driver.run(store.close())
        assert driver.run(started(store, 9 * FAR)), "asked first is who let us in last, not the old primary"
        assert told(servers.at_replica(database), f"SELECT 1 FROM coatcheck.sessions WHERE id = '{a_handle(9 * FAR)}'")
        driver.run(store.close())


def test_without_synchronous_replication_a_replica_that_lagged_has_forgotten(servers: Pair, driver: Driver) -> None:
    """What the documentation warns of; and why the tests above can fail."""
    database = servers.primary.fresh()
    store = PostgresStore(servers.url(database), driver.colour)
    driver.run(started(store, 1))
    servers.catch_up()
    servers.replica.stop()
    driver.run(started(store, 2))
    servers.primary.crash()

    servers.replica.start()
    servers.promote()

    assert driver.run(is_standing(store, a_digest(1)))
    assert driver.run(store.find(a_digest(2))) is None
    driver.run(store.close())


def test_with_synchronous_replication_nothing_is_acknowledged_while_no_replica_confirms(
    servers: Pair, driver: Driver
) -> None:
    database = servers.primary.fresh()
    store = PostgresStore(servers.url(database), driver.colour)
    driver.run(started(store, 1))
    servers.be_synchronous()
    servers.replica.stop()

    for durable in (started(store, 2), store.end(a_digest(1), at=NOW, reason=LOGGED_OUT, events=())):
        with stores_waiting(0.5), pytest.raises(StoreUnavailable):
            driver.run(durable)
    servers.primary.crash()
    servers.replica.start()
    servers.promote()

    assert driver.run(is_standing(store, a_digest(1)))
    assert driver.run(store.find(a_digest(2))) is None
    driver.run(store.close())


def test_a_server_goes_on_with_the_promoted_replica_and_whoever_is_logged_in_stays_so(
    servers: Pair, tmp_path: Path
) -> None:
    env = {**PATIENT, "COATCHECK_STORE": servers.url(servers.primary.fresh())}
    server = Server(tmp_path, "--workers", "1", env=env, is_elsewhere=True)
    server.start()
    try:
        ada, gone = Visitor(server), Visitor(server)
        assert ada.sign_up("ada").status == 201
        assert (ada.log_in("ada").status, gone.log_in("ada").status) == (200, 200)
        thief = gone.copy()
        servers.be_synchronous()
        assert gone.call("POST", "/api/logout").status == 204
        servers.primary.crash()
        refused = ada.get("/api/me").status

        servers.promote()

        eventually(lambda: ada.get("/api/me").status != 503, "the new primary is not used")
        back = ada.get("/api/me")
        assert (refused, back.status, back.json["account"]["username"]) == (503, 200, "ada")
        assert thief.get("/api/me").status == 401
        assert ada.log_in("ada").status == 200
        server.stop()
    finally:
        server.end()
