"""The stores we bring: every pair of operations in every order of their steps, held to the published suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from coatcheck.testing.meetings import Prepared
from coatcheck.testing.servers import PostgresServer, ValkeyServer
from coatcheck.testing.suites.interleavings import ALLOWED, BY_NAME, PAIRS, THREES, InterleavingContract
from tests.interleavings.conftest import (
    copies_in_postgres,
    copies_in_redis,
    copies_of_a_file,
    copies_of_memory,
    copies_of_two_in_memory,
)

PASSWORD_OPERATIONS = {name for name in BY_NAME if name.startswith(("sign_up", "log_in", "reauth", "change_password"))}

AN_HOUR = 3600  # thousands of orders; over a server each takes some tens of milliseconds
CHANGE_ONE_SESSION = {"edit", "increment", "rotate", "start_session_replacing", "log_out", "revoke_all_but_here"}
FEW_PAIRS = [
    *[pair for pair in PAIRS if set(pair) <= CHANGE_ONE_SESSION],
    ("log_in", "change_password"),
    ("log_in", "delete_account"),
]


class TestMemory(InterleavingContract):
    @pytest.fixture
    def prepared_stores(self) -> Prepared:
        return copies_of_memory()


@pytest.mark.long
@pytest.mark.timeout(AN_HOUR)
class TestMemoryInAllOrders(TestMemory):
    is_reduced = False


@pytest.mark.long
@pytest.mark.timeout(AN_HOUR)
class TestApart(InterleavingContract):
    """Each step of the whole in every order; what happens between the two halves of one: tests/stores/test_apart.py."""

    @pytest.fixture
    def prepared_stores(self) -> Prepared:
        return copies_of_two_in_memory()


class OverSqlite(InterleavingContract):
    @pytest.fixture
    def prepared_stores(self) -> Iterator[Prepared]:
        # Nothing is asked here of what survives: in memory, where there is such a place, it takes a tenth of the time.
        in_memory = Path("/dev/shm")
        with TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:
            yield copies_of_a_file(Path(folder))


class TestSqlite(OverSqlite):
    """Only the pairs without a password, which have few orders each; the others are played in the long run."""

    test_dat_09_ses_05_ses_06_rev_05_three_that_meet_keep_their_promises = None

    @pytest.mark.parametrize("pair", [pair for pair in PAIRS if PASSWORD_OPERATIONS.isdisjoint(pair)], ids="-".join)
    def test_dat_09_ses_05_ses_06_rev_05_two_that_meet_act_as_one_after_the_other(
        self, pair, prepared_stores, record_property
    ):
        super().test_dat_09_ses_05_ses_06_rev_05_two_that_meet_act_as_one_after_the_other(
            pair, prepared_stores, record_property
        )


@pytest.mark.long
@pytest.mark.timeout(AN_HOUR)
class TestSqliteInAllOrders(OverSqlite):
    is_reduced = False


class OverServer(InterleavingContract):
    """Only pairs that change one session, and two with a password; the others are played in the long run."""

    test_dat_09_ses_05_ses_06_rev_05_three_that_meet_keep_their_promises = None

    @pytest.mark.parametrize("pair", FEW_PAIRS, ids="-".join)
    def test_dat_09_ses_05_ses_06_rev_05_two_that_meet_act_as_one_after_the_other(
        self, pair, prepared_stores, record_property
    ):
        super().test_dat_09_ses_05_ses_06_rev_05_two_that_meet_act_as_one_after_the_other(
            pair, prepared_stores, record_property
        )


class OverPostgres(InterleavingContract):
    @pytest.fixture
    def prepared_stores(self, postgres: PostgresServer) -> Iterator[Prepared]:
        with copies_in_postgres(postgres) as prepared:
            yield prepared


class OverRedis(InterleavingContract):
    @pytest.fixture
    def prepared_stores(self, valkey: ValkeyServer) -> Iterator[Prepared]:
        with copies_in_redis(valkey) as prepared:
            yield prepared


class TestPostgres(OverPostgres, OverServer):
    pass


class TestRedis(OverRedis, OverServer):
    pass


@pytest.mark.long
@pytest.mark.timeout(AN_HOUR)
class TestPostgresInAllPairs(OverPostgres):
    pass


@pytest.mark.long
@pytest.mark.timeout(AN_HOUR)
class TestRedisInAllPairs(OverRedis):
    pass


def test_every_operation_meets_every_other_and_itself() -> None:
    met = {frozenset(pair) for pair in PAIRS}

    assert len(BY_NAME) == 28
    assert len(PAIRS) == len(met) == 406
    assert met == {frozenset((one, other)) for one in BY_NAME for other in BY_NAME}
    assert len(THREES) == 11


def test_what_is_allowed_says_why_and_is_the_exception() -> None:
    excepted = {pair for allowance in ALLOWED.values() for pair in allowance.pairs}

    assert all(allowance.why and allowance.pairs for allowance in ALLOWED.values())
    assert excepted <= set(PAIRS)
    assert len(excepted) == 30
