"""PostgreSQL stopped, killed, stalled, cut off, slow, locked, full: 503 meanwhile, right answers right after."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.faults.disk import small_disk
from tests.faults.engines import FULL_POSTGRES, POSTGRES, Outage, PostgresGround
from tests.faults.outages import OutageContract

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stops processes that it finds in /proc")


class TestPostgres(OutageContract):
    @pytest.fixture(scope="class")
    @classmethod
    def ground(cls) -> Iterator[PostgresGround]:
        with PostgresGround() as ground:
            yield ground

    @pytest.fixture(scope="class", params=POSTGRES, ids=lambda outage: outage.name)
    @classmethod
    def outage(cls, request: pytest.FixtureRequest) -> Outage:
        return request.param


class TestPostgresOnASmallDisk(OutageContract):
    @pytest.fixture(scope="class")
    @classmethod
    def ground(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresGround]:
        with small_disk(tmp_path_factory.mktemp("small") / "disk", "80m") as disk, PostgresGround(disk) as ground:
            yield ground

    @pytest.fixture(scope="class", params=[FULL_POSTGRES], ids=lambda outage: outage.name)
    @classmethod
    def outage(cls, request: pytest.FixtureRequest) -> Outage:
        return request.param
