"""The stories, told of `http.server`: its own server is its only way in."""

from __future__ import annotations

import pytest

from coatcheck.testing.stories import DoorStories
from tests.doors.houses.http_server import HttpServerHouse


class TestHttpServer(DoorStories):
    @pytest.fixture
    def house(self) -> HttpServerHouse:
        return HttpServerHouse()
