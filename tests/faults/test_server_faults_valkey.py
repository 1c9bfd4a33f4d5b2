"""Valkey stopped, killed, stalled, cut off, slow, busy, full: 503 meanwhile, right answers right after."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.faults.disk import small_disk
from tests.faults.engines import FULL_VALKEY, VALKEY, Outage, ValkeyGround
from tests.faults.outages import OutageContract

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stops processes that it finds in /proc")


class TestValkey(OutageContract):
    @pytest.fixture(scope="class")
    @classmethod
    def ground(cls) -> Iterator[ValkeyGround]:
        with ValkeyGround() as ground:
            yield ground

    @pytest.fixture(scope="class", params=VALKEY, ids=lambda outage: outage.name)
    @classmethod
    def outage(cls, request: pytest.FixtureRequest) -> Outage:
        return request.param


class TestValkeyOnASmallDisk(OutageContract):
    @pytest.fixture(scope="class")
    @classmethod
    def ground(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyGround]:
        with (
            small_disk(tmp_path_factory.mktemp("small") / "disk", "16m") as disk,
            ValkeyGround(disk, appendfsync="everysec") as ground,
        ):
            yield ground

    @pytest.fixture(scope="class", params=[FULL_VALKEY], ids=lambda outage: outage.name)
    @classmethod
    def outage(cls, request: pytest.FixtureRequest) -> Outage:
        return request.param
