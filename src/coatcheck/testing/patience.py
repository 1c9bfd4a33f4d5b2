"""Waiting for what comes by itself, on a machine however busy: nothing is timed by it."""

from __future__ import annotations

import time
from collections.abc import Callable

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
        time.sleep(0.005)
