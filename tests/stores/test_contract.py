"""The stores we bring, held to the published suite."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coatcheck.colour import Colour
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.contracts import SessionsHalfContract, StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def make_store(self) -> Callable[[Colour], Store]:
        return lambda _colour: MemoryStore()


class TestSqlite(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[Colour], Store]:
        return lambda colour: SqliteStore(str(tmp_path / "store.db"), colour)


class TestMemoryForSessions(SessionsHalfContract):
    @pytest.fixture
    def make_store(self) -> Callable[[Colour], Store]:
        return lambda _colour: MemoryStore(holds_accounts=False)


class TestSqliteForSessions(SessionsHalfContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[Colour], Store]:
        return lambda colour: SqliteStore(str(tmp_path / "store.db"), colour, holds_accounts=False)


class TestPostgres(StoreContract):
    """Over every PostgreSQL there is."""

    @pytest.fixture
    def make_store(self, any_postgres_url: str) -> Callable[[Colour], Store]:
        return lambda colour: open_store(any_postgres_url, colour)


class TestPostgresForSessions(SessionsHalfContract):
    @pytest.fixture
    def make_store(self, postgres_url: str) -> Callable[[Colour], Store]:
        return lambda colour: open_store(postgres_url, colour, holds_accounts=False)


class TestRedis(StoreContract):
    """Over every Valkey and Redis there is."""

    @pytest.fixture
    def make_store(self, any_redis_url: str) -> Callable[[Colour], Store]:
        return lambda colour: open_store(any_redis_url, colour)


class TestRedisForSessions(SessionsHalfContract):
    @pytest.fixture
    def make_store(self, redis_url: str) -> Callable[[Colour], Store]:
        return lambda colour: open_store(redis_url, colour, holds_accounts=False)
