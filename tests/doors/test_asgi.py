"""The stories, told of bare ASGI."""

from __future__ import annotations

import pytest

from coatcheck.testing.stories import DoorStories
from tests.doors.houses.asgi import AsgiHouse


class TestAsgi(DoorStories):
    @pytest.fixture
    def house(self) -> AsgiHouse:
        return AsgiHouse()
