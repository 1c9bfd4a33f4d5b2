"""The stories, told of FastAPI through its own test client."""

from __future__ import annotations

import pytest

from coatcheck.testing.stories import DoorStories
from tests.doors.houses.fastapi import FastApiHouse


class TestFastApi(DoorStories):
    @pytest.fixture
    def house(self) -> FastApiHouse:
        return FastApiHouse()
