"""The stories on every store: of one door in each colour, and of all doors in the long run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from coatcheck.colour import Colour
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.stories import DoorStories, IdentityStories, MeetingStories, TimeStories
from tests.doors.houses.asgi import AsgiHouse
from tests.doors.houses.fastapi import FastApiHouse
from tests.doors.houses.flask import FlaskHouse
from tests.doors.houses.http_server import HttpServerHouse
from tests.doors.houses.starlette import StarletteHouse
from tests.doors.houses.wsgi import WsgiHouse

STORES = ("memory", "postgres", "valkey")
DOORS = (WsgiHouse, FlaskHouse, AsgiHouse, StarletteHouse, FastApiHouse, HttpServerHouse)


def named(pairs: Any) -> list[Any]:
    return [pytest.param(pair, id=f"{pair[0].__name__.removesuffix('House').lower()}-{pair[1]}") for pair in pairs]


def store_maker(name: str, request: pytest.FixtureRequest) -> Callable[[Colour], Store]:
    """Make what opens one empty store of a kind, as often as it is asked."""
    if name == "memory":
        the_store = cache(MemoryStore)
        return lambda _colour: the_store()
    fixtures = {"postgres": "postgres_url", "valkey": "redis_url"}
    url = (
        f"sqlite:///{Path(request.getfixturevalue('tmp_path')) / 'stories.db'}"
        if name == "sqlite"
        else request.getfixturevalue(fixtures[name])
    )
    return lambda colour: open_store(url, colour)


class OnStores:
    """Takes door and store from `house_and_store`."""

    @pytest.fixture
    def house(self, house_and_store: Any) -> Any:
        return house_and_store[0]()

    @pytest.fixture
    def make_store(self, house_and_store: Any, request: pytest.FixtureRequest) -> Callable[[Colour], Store]:
        return store_maker(house_and_store[1], request)


class TestSomeOnStores(OnStores, MeetingStories, IdentityStories, TimeStories):
    """What a store has a part in: many at once, who is logged in, what ends."""

    @pytest.fixture(params=named([*product([FlaskHouse], STORES), *product([StarletteHouse], STORES[1:])]))
    def house_and_store(self, request: pytest.FixtureRequest) -> Any:
        return request.param


@pytest.mark.long
class TestAllOnStores(OnStores, DoorStories):
    @pytest.fixture(params=named(product(DOORS, STORES)))
    def house_and_store(self, request: pytest.FixtureRequest) -> Any:
        return request.param
