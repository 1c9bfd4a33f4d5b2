"""The stories of one door, told in every place there is (`table.py`): by every way, on every store.

A server is started once for all the houses that stand behind it one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coatcheck.testing.stories import DoorStories
from coatcheck.testing.visits.house import House
from coatcheck.testing.visits.telling import MakeStore
from tests.doors import servers
from tests.doors.apart import HouseApart, server_apart
from tests.doors.everywhere.table import APART, CLIENT, Where, why_not
from tests.doors.houses.asgi import AsgiHouse
from tests.doors.houses.fastapi import FastApiHouse
from tests.doors.houses.flask import FlaskHouse
from tests.doors.houses.http_server import HttpServerHouse
from tests.doors.houses.starlette import StarletteHouse
from tests.doors.houses.wsgi import WsgiHouse
from tests.doors.places import maker_of, places_of
from tests.doors.sites import AsgiSite, WsgiSite

HOUSES: dict[str, Any] = {
    "flask": FlaskHouse,
    "starlette": StarletteHouse,
    "fastapi": FastApiHouse,
    "wsgi": WsgiHouse,
    "asgi": AsgiHouse,
    "http_server": HttpServerHouse,
}
Build = Callable[[Sequence[str]], House]
"""Builds a house on an empty store, given by its URLs."""


@contextmanager
def way_to(door: str, way: str, folder: Path) -> Generator[Build]:
    """Start what leads to a door, if it has to be started."""
    house = HOUSES[door]
    if house in (FlaskHouse, WsgiHouse) and way in APART:
        with server_apart(way, folder) as process:
            yield lambda places: HouseApart(door, places, process)
    elif way == CLIENT or house is HttpServerHouse:
        yield lambda _places: house()
    else:
        site = WsgiSite() if house in (FlaskHouse, WsgiHouse) else AsgiSite()
        with servers.for_many(getattr(servers, way), site) as serve:
            yield lambda _places: house(serve)


class Everywhere(DoorStories):
    """A subclass says which door it is, and is parametrised with `way` and `store`."""

    door: str

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, way: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
        with way_to(cls.door, way, tmp_path_factory.mktemp(way)) as build:
            yield build

    @pytest.fixture
    def where(
        self, way: str, store: str, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
    ) -> Where:
        where = Where(self.door, way, store)
        record_property("told", list(where))
        variation = request.node.callspec.id.removesuffix(f"{way}-{store}").removesuffix("-")
        why = why_not(request.node.originalname, variation, where)
        if why is not None:
            pytest.skip(why)
        return where

    @pytest.fixture
    def places(self, where: Where, request: pytest.FixtureRequest) -> Iterator[Sequence[str]]:
        with places_of(where.store, request) as places:
            yield places

    @pytest.fixture
    def make_store(self, places: Sequence[str]) -> MakeStore:
        return maker_of(places)

    @pytest.fixture
    def house(self, build: Build, places: Sequence[str]) -> House:
        return build(places)
