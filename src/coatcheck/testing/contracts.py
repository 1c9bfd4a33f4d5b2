"""The conformance suite: every promise of `coatcheck.stores.protocols`, for whoever writes a store.

In a test module of yours (it needs pytest):

    from coatcheck.testing.contracts import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self):
            return lambda colour: MyStore(..., colour)

`make_store` gives a function from a `Colour` to an *empty* store; each test runs once in each colour and closes its
store. A store of one kind takes the part that speaks of it: `SessionContract`, `AccountContract`, `AttemptContract`,
`EventContract`, and `RaceContract` for what fifty workers do at once. `CopyContract` is what `coatcheck store copy`
asks for; `SessionsHalfContract` is for a store opened with `holds_accounts=False`, to hold the sessions of accounts
that live elsewhere. A promise your store cannot keep is a test you override with `pytest.skip` and the reason in
words.
"""

from __future__ import annotations

import pytest

# Assertions in installed packages explain themselves only if pytest is told before they are imported: E402 below.
pytest.register_assert_rewrite("coatcheck.testing.races", "coatcheck.testing.samples", "coatcheck.testing.suites")

from coatcheck.testing.suites.accounts import AccountContract  # noqa: E402
from coatcheck.testing.suites.attempts import AttemptContract  # noqa: E402
from coatcheck.testing.suites.copying import CopyContract, SessionsHalfContract  # noqa: E402
from coatcheck.testing.suites.ending import EndContract, EpochContract  # noqa: E402
from coatcheck.testing.suites.engine import EngineContract  # noqa: E402
from coatcheck.testing.suites.events import EventContract  # noqa: E402
from coatcheck.testing.suites.interleavings import InterleavingContract  # noqa: E402
from coatcheck.testing.suites.purging import PurgeContract  # noqa: E402
from coatcheck.testing.suites.racing import RaceContract  # noqa: E402
from coatcheck.testing.suites.reading import FindContract  # noqa: E402
from coatcheck.testing.suites.starting import StartContract  # noqa: E402
from coatcheck.testing.suites.using import DataContract, RotateContract, TouchContract  # noqa: E402

__all__ = [
    "AccountContract",
    "AttemptContract",
    "CopyContract",
    "EngineContract",
    "EventContract",
    "InterleavingContract",
    "RaceContract",
    "SessionContract",
    "SessionsHalfContract",
    "StoreContract",
]


class SessionContract(
    FindContract,
    StartContract,
    TouchContract,
    DataContract,
    RotateContract,
    EndContract,
    EpochContract,
    PurgeContract,
):
    """Everything `SessionStore` promises."""


class StoreContract(
    SessionContract, AttemptContract, AccountContract, EventContract, CopyContract, EngineContract, RaceContract
):
    """All of it, for a store that keeps the whole `Store` protocol."""
