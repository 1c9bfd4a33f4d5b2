"""The stories over real sockets: some, of each door behind a server of its kind, which is started anew for each.

All of them are told in `everywhere`, by all servers.
"""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.testing.stories import AnswerStories, CookieStories, MeetingStories
from tests.doors import servers
from tests.doors.houses.asgi import AsgiHouse
from tests.doors.houses.fastapi import FastApiHouse
from tests.doors.houses.flask import FlaskHouse
from tests.doors.houses.starlette import StarletteHouse
from tests.doors.houses.wsgi import WsgiHouse

SOME = [
    (WsgiHouse, servers.waitress),
    (FlaskHouse, servers.waitress),
    (AsgiHouse, servers.hypercorn),
    (StarletteHouse, servers.uvicorn),
    (FastApiHouse, servers.granian),
]


def named(pairs: list[tuple[Any, Any]]) -> list[Any]:
    return [
        pytest.param(pair, id=f"{pair[0].__name__.removesuffix('House').lower()}-{pair[1].__name__}") for pair in pairs
    ]


class OverSockets:
    @pytest.fixture
    def house(self, door_and_server: Any) -> Any:
        door, serve = door_and_server
        return door(serve)


class TestAnswersOverSockets(OverSockets, MeetingStories, AnswerStories):
    """What a server has a part in: many at once, heads and bodies."""

    @pytest.fixture(params=named(SOME))
    def door_and_server(self, request: pytest.FixtureRequest) -> Any:
        return request.param


class TestCookiesOverSockets(OverSockets, CookieStories):
    """Odd octets, which come to the bare protocols as they come to the frameworks above them."""

    @pytest.fixture(params=named([pair for pair in SOME if pair[0] in (WsgiHouse, AsgiHouse)]))
    def door_and_server(self, request: pytest.FixtureRequest) -> Any:
        return request.param
