"""The ground of the stories: a house that is opened for each, and closed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from coatcheck.colour import Async, Blocking, Colour, hashing_lane
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.scene import SECRET, the_hasher
from coatcheck.testing.visits.browsers import ORIGIN, Premises
from coatcheck.testing.visits.house import House, Stage
from coatcheck.web.mount import release_hosts_of

MakeStore = Callable[[Colour], Store]
OpenHouse = Callable[..., Premises]


class Stories:
    """A subclass brings the fixture `house`; and `make_store`, to be told on another store than SQLite."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        """Give a function from a colour to a store. All that it gives see the same records."""
        return lambda colour: open_store(f"sqlite:///{tmp_path / 'stories.db'}", colour)

    @pytest.fixture
    def open_house(self, house: House, make_store: MakeStore) -> Iterator[OpenHouse]:
        """Open the house: `open_house(policy={...}, prefix="/login")`; in production, unless told otherwise."""
        with ExitStack() as open_:

            def start(*, policy: dict[str, Any] | None = None, **settings: Any) -> Premises:
                stage = Stage()
                office = Coatcheck(
                    make_store(Blocking(hashing_lane(queue=16, nice=0))),
                    clock=stage.clock,
                    secret=SECRET,
                    settings=policy,
                )
                open_.callback(office.close)
                colour: Colour = (
                    Async(hashing_lane(queue=16, nice=0))
                    if issubclass(house.desk_type, AsyncCoatcheck)
                    else Blocking(hashing_lane(queue=16, nice=0))
                )
                open_.callback(colour.close)  # a desk ends the threads of its own only
                desk = house.desk_type(
                    stage.steps.of(stage.trouble.of(make_store(colour))),
                    clock=stage.clock,
                    secret=SECRET,
                    settings=policy,
                )
                desk.flows.parts.hasher = the_hasher()
                if isinstance(desk, Coatcheck):
                    open_.callback(desk.close)
                open_.callback(release_hosts_of, desk.flows)
                if "development" not in settings:
                    settings.setdefault("public_url", ORIGIN)
                send = open_.enter_context(house.open(desk, stage, **settings))
                stage.steps.clear()  # those of its start
                return Premises(send, stage, office)

            yield start

    @pytest.fixture
    def here(self, open_house: OpenHouse) -> Premises:
        """The house, open, where Ada and Bob have accounts."""
        here = open_house()
        here.account("ada")
        here.account("bob")
        return here
