"""Timing by turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
Tick = Callable[[], None]
Contestant = Callable[[int], int]
"""Does its operations, given the number of the turn, and says how many they were."""


@dataclass(frozen=True)
class Effort:
    """How much is done: enough for figures, or just enough to see that everything runs."""

    is_quick: bool

    def of(self, full: int, *, quick: int) -> int:
        return quick if self.is_quick else full


def by_turns(
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    tick: Tick,
    before: Callable[[], None] | None = None,
    warm: bool = False,
) -> dict[str, list[float]]:
    """Run every contestant once a round, each round beginning with another; give seconds per operation.

    Keep a turn to a millisecond or two: then many turns pass without the scheduler giving the core to somebody else.
    With `warm` every turn is done twice and counted once, so that nobody pays for finding the processor's caches full
    of the one before. The first round does not count. `tick` is called after each round, outside of what is timed.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    # What the others have imported shall not make anybody's garbage collection slower.
    gc.collect()
    gc.freeze()
    for turn in range(rounds + 1):
        shift = turn % len(names)
        gc.collect()
        for name in names[shift:] + names[:shift]:
            if before is not None:
                before()
            if warm:
                contestants[name](turn)
            began = perf_counter()
            count = contestants[name](turn)
            spent = perf_counter() - began
            if turn:
                seconds[name].append(spent / count)
        tick()
    gc.unfreeze()
    return seconds


def in_turns(things: Sequence[T], most: int) -> Callable[[int], Sequence[T]]:
    """Cut things into parts of `most`; give the part for a turn, beginning again after the last."""
    parts = [things[at : at + most] for at in range(0, len(things) - most + 1, most)]
    return lambda turn: parts[turn % len(parts)]


class Crowd:
    """Threads that work at the same time and stay for the next turn."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size)

    def do(self, work: Callable[[T], int], shares: Sequence[T]) -> int:
        """Give every thread its share, wait for all, say how many operations they did together."""
        return sum(self._pool.map(work, shares))

    def leave(self) -> None:
        self._pool.shutdown()
