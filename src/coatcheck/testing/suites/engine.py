# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""The engine behind a store: `ready`, `close`, `shelf_bits`."""

from __future__ import annotations

import msgspec

from coatcheck.stores.protocols import Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    started,
)

replace = msgspec.structs.replace


class EngineContract(Suite):
    """`ready`, `close`, and general promises."""

    async def test_a_new_store_is_ready(self, store: Store) -> None:
        await store.ready()

    async def test_an_advisory_says_what_is_weak_and_how_to_mend_it(self, store: Store) -> None:
        assert all("; " in advisory for advisory in await store.advisories())

    async def test_a_closed_store_opens_again(self, store: Store) -> None:
        session = await started(store)
        await store.close()
        await store.close()

        found = await store.find(session.digest)

        assert found is not None
        assert found.session == session

    async def test_a_store_announces_at_most_eight_shelf_bits(self, store: Store) -> None:
        assert 0 <= store.shelf_bits <= 8
