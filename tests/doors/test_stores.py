"""The stories on other stores than SQLite: of one door in each colour. Of all doors they are told in `everywhere`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from coatcheck.testing.stories import IdentityStories, MeetingStories, TimeStories
from coatcheck.testing.visits.telling import MakeStore
from tests.doors.houses.flask import FlaskHouse
from tests.doors.houses.starlette import StarletteHouse
from tests.doors.places import maker_of, places_of


def named(pairs: list[tuple[Any, str]]) -> list[Any]:
    return [pytest.param(*pair, id=f"{pair[0].__name__.removesuffix('House').lower()}-{pair[1]}") for pair in pairs]


@pytest.mark.parametrize(
    ("door", "store"),
    named(
        [*product([FlaskHouse], ["memory", "postgres", "valkey"]), *product([StarletteHouse], ["postgres", "apart"])]
    ),
)
class TestSomeOnStores(MeetingStories, IdentityStories, TimeStories):
    """What a store has a part in: many at once, who is logged in, what ends."""

    @pytest.fixture
    def house(self, door: Any) -> Any:
        return door()

    @pytest.fixture
    def make_store(self, store: str, request: pytest.FixtureRequest) -> Iterator[MakeStore]:
        with places_of(store, request) as places:
            yield maker_of(places)
