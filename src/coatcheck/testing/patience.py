"""Waiting for what comes by itself, on a machine however busy: nothing is timed by it.

Stores wait two seconds for an engine, and then call it an outage. A test that is not about that gives them as long as
it would wait itself, in each process that has stores:

    stores_wait()                   # from now on
    with stores_waiting(0.5): ...   # for a while, where giving up is what the test is about
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

PATIENCE = 120.0  # seconds until a wait counts as failed; pytest's own limit is more than twice that


def eventually(is_so: Callable[[], object], otherwise: str | Callable[[], str]) -> None:
    """Return once `is_so()` holds.

    It is asked again and again, and may itself raise where waiting has become pointless, because a server has ended
    for example. After `PATIENCE` an AssertionError says `otherwise`.
    """
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.005)  # or the asking would take the processor from what is waited for


def stores_wait(seconds: float = PATIENCE) -> None:
    """Have the stores of this process wait so long for their engines: for answers, connections, locks and turns.

    What a connection was told when it was opened stays with it.
    """
    for module, name, second in _waits():
        setattr(module, name, type(getattr(module, name))(seconds * second))


@contextmanager
def stores_waiting(seconds: float) -> Generator[None]:
    """Have them wait so long until the block ends, and then as long as before."""
    before = [(module, name, getattr(module, name)) for module, name, _ in _waits()]
    stores_wait(seconds)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _waits() -> Iterator[tuple[ModuleType, str, float]]:
    """Give where stores keep how long they wait, and how much of it is a second."""
    from coatcheck.stores.sqlite import file
    from coatcheck.stores.sqlite import store as sqlite

    yield from ((module, "PATIENCE", 1.0) for module in (file, sqlite))
    with suppress(ImportError):  # no driver
        from coatcheck.stores.redis import lines
        from coatcheck.stores.redis import store as redis

        yield from ((module, "PATIENCE", 1.0) for module in (lines, redis))
    with suppress(ImportError):
        from coatcheck.stores.postgres import database

        # PostgreSQL is told to give up a little earlier.
        yield from ((database, "PATIENCE", 1.0), (database, "SERVER_PATIENCE", 950), (database, "DESERTED", 1000))
