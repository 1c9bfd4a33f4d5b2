"""The stories, told of bare WSGI."""

from __future__ import annotations

import pytest

from coatcheck.testing.stories import DoorStories
from tests.doors.houses.wsgi import WsgiHouse


class TestWsgi(DoorStories):
    @pytest.fixture
    def house(self) -> WsgiHouse:
        return WsgiHouse()
