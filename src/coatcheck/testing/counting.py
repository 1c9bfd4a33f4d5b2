"""Counting the steps of an operation: how many there are, and how many of them may write.

A step is one awaited store method: one round trip or one transaction (promise G1 of `coatcheck.stores.protocols`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from coatcheck.stores.protocols import Store

READS = frozenset(
    {
        "account",
        "advisories",
        "any_live",
        "bookmark",
        "credential",
        "events_of",
        "export",
        "extent",
        "find",
        "find_by_id",
        "identify",
        "own_accounts",
        "ready",
        "scan_accounts",
        "scan_sessions",
        "sessions_of",
        "states_of",
    }
)
NO_STEPS = frozenset({"close", "holds_accounts", "location", "shelf_bits"})


class Steps(list[str]):
    """The names of the store methods called, in order. Wrap a store with `of`; `clear()` starts a new count."""

    def of(self, store: Store, half: str = "") -> Store:
        """Give a store that does what `store` does and notes each step here.

        The steps of two that make one (`coatcheck.stores.apart`) are told apart by the names of their halves: those of
        `accounts` are `accounts.identify` and the like.
        """
        return cast(Store, _Counting(store, self, f"{half}." if half else ""))

    @property
    def writes(self) -> list[str]:
        """Those among the steps that may change something."""
        return [step for step in self if step.rpartition(".")[2] not in READS]


class _Counting:
    def __init__(self, inner: Store, steps: Steps, prefix: str) -> None:
        self._inner = inner
        self._steps = steps
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        attribute: Any = getattr(self._inner, name)
        if name in NO_STEPS or not callable(attribute):
            return attribute

        async def step(*args: Any, **kwargs: Any) -> Any:
            self._steps.append(self._prefix + name)
            return await cast("Callable[..., Awaitable[Any]]", attribute)(*args, **kwargs)

        return step
