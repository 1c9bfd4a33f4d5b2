"""The stories, told of Flask through its own test client."""

from __future__ import annotations

import pytest

from coatcheck.testing.stories import DoorStories
from tests.doors.houses.flask import FlaskHouse


class TestFlask(DoorStories):
    @pytest.fixture
    def house(self) -> FlaskHouse:
        return FlaskHouse()
