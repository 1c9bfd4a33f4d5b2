"""The stores that stories are told on, each by its URLs: one, or one for accounts and one for sessions."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache

import pytest

from coatcheck.colour import Colour
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.servers import in_memory
from coatcheck.testing.visits.telling import MakeStore

STORES = {
    "memory": "memory",
    "sqlite": "SQLite",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
    "apart": "PostgreSQL and Valkey",
}
"""Names, and what they are called."""


@contextmanager
def places_of(store: str, request: pytest.FixtureRequest) -> Generator[Sequence[str]]:
    """Give the URLs of an empty store. What it holds need not outlive the machine: it is in memory if that can be."""
    match store:
        case "memory":
            yield ["memory://"]
        case "sqlite":
            with tempfile.TemporaryDirectory(prefix="coatcheck-stories-", dir=in_memory()) as folder:
                yield [f"sqlite:///{folder}/stories.db"]
        case "postgres":
            yield [request.getfixturevalue("stocked_postgres_url")]
        case "valkey":
            yield [request.getfixturevalue("redis_url")]
        case _:
            yield [request.getfixturevalue("stocked_postgres_url"), request.getfixturevalue("redis_url")]


def store_at(places: Sequence[str], colour: Colour) -> Store:
    """Open the store at these places."""
    if len(places) == 1:
        return open_store(places[0], colour)
    accounts, sessions = places
    return ApartStore(open_store(accounts, colour), open_store(sessions, colour, holds_accounts=False))


def maker_of(places: Sequence[str]) -> MakeStore:
    """Give what opens the store at these places, as often as it is asked. There is but one in memory."""
    if places == ["memory://"]:
        the_store = cache(MemoryStore)
        return lambda _colour: the_store()
    return lambda colour: store_at(places, colour)
