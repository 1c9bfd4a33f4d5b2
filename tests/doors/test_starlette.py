"""The stories, told of Starlette through its own test client."""

from __future__ import annotations

import pytest

from coatcheck.testing.stories import DoorStories
from tests.doors.houses.starlette import StarletteHouse


class TestStarlette(DoorStories):
    @pytest.fixture
    def house(self) -> StarletteHouse:
        return StarletteHouse()
