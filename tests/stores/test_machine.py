"""The stores we bring, living random lives: held to the published suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from coatcheck.colour import Colour
from coatcheck.facade import Coatcheck
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.counting import NO_STEPS, READS
from coatcheck.testing.machine import DeskLife, DeskLifeContract, LifeContract, StoreLife
from tests.conftest import fresh
from tests.engines.found import Engine

OpenStore = Callable[[Colour], Store]

# A counterexample is made as short as it gets, which may take minutes.
pytestmark = pytest.mark.timeout(900)


class TestMemory(DeskLifeContract):
    @pytest.fixture
    def make_stores(self) -> Callable[[], OpenStore]:
        def make() -> OpenStore:
            store = MemoryStore()
            return lambda _colour: store

        return make


class TestSqlite(LifeContract):
    @pytest.fixture
    def make_stores(self, tmp_path: Path) -> Callable[[], OpenStore]:
        numbers = count()

        def make() -> OpenStore:
            for file in tmp_path.glob("store*"):
                file.unlink(missing_ok=True)
            path = str(tmp_path / f"store{next(numbers)}.db")
            return lambda colour: SqliteStore(path, colour)

        return make


class TestApart(LifeContract):
    """Over two files, accounts in one and sessions in the other."""

    lives = 5

    @pytest.fixture
    def make_stores(self, tmp_path: Path) -> Callable[[], OpenStore]:
        numbers = count()

        def make() -> OpenStore:
            for file in tmp_path.glob("*.db*"):
                file.unlink(missing_ok=True)
            number = next(numbers)
            accounts, sessions = str(tmp_path / f"accounts{number}.db"), str(tmp_path / f"sessions{number}.db")
            return lambda colour: ApartStore(
                SqliteStore(accounts, colour), SqliteStore(sessions, colour, holds_accounts=False)
            )

        return make


class OverServer(LifeContract):
    """Over a new database of a server for each life. Reading everything after each step takes a hundred round trips, so
    the lives are few here and many in the long run.
    """

    lives = 5

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def make_stores(self, engine: Engine) -> Iterator[Callable[[], OpenStore]]:
        with ExitStack() as databases:

            def make() -> OpenStore:
                databases.close()
                url = databases.enter_context(fresh(engine))
                return lambda colour: open_store(url, colour)

            yield make


class TestPostgres(OverServer):
    @pytest.fixture
    def engine(self, stocked_postgres: Engine) -> Engine:
        return stocked_postgres


class TestRedis(OverServer):
    @pytest.fixture
    def engine(self, valkey: Engine) -> Engine:
        return valkey


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestMemoryAtLength(TestMemory):
    lives = 1000
    steps = 50


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestSqliteAtLength(TestSqlite):
    lives = 400
    steps = 50


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestApartAtLength(TestApart):
    lives = 400
    steps = 50


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestPostgresAndValkeyAtLength(LifeContract):
    """Over a database of each for every life."""

    lives = 100
    steps = 50

    @pytest.fixture
    def make_stores(self, stocked_postgres: Engine, valkey: Engine) -> Iterator[Callable[[], OpenStore]]:
        with ExitStack() as databases:

            def make() -> OpenStore:
                databases.close()
                accounts, sessions = (databases.enter_context(fresh(engine)) for engine in (stocked_postgres, valkey))
                return lambda colour: ApartStore(
                    open_store(accounts, colour), open_store(sessions, colour, holds_accounts=False)
                )

            yield make


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestPostgresAtLength(TestPostgres):
    lives = 100
    steps = 50


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestRedisAtLength(TestRedis):
    lives = 100
    steps = 50


def test_every_method_of_the_store_that_writes_is_called_by_a_rule_of_its_name() -> None:
    methods = {name for name in dir(Store) if not name.startswith("_") and callable(getattr(Store, name))}

    assert methods - READS - NO_STEPS <= {rule.function.__name__ for rule in StoreLife.setup_state().rules}


def test_every_method_of_the_desk_is_called_by_a_rule_of_its_name_or_looked_at() -> None:
    methods = {name for name in dir(Coatcheck) if not name.startswith("_")}
    looked_at = {"session", "sessions", "all_sessions", "all_accounts", "is_disabled", "events", "all_events"}
    left_to_others = {"account", "find_account", "on", "ready", "authenticate"}

    rules = {rule.function.__name__ for rule in DeskLife.setup_state().rules}
    assert methods - looked_at - left_to_others <= rules
