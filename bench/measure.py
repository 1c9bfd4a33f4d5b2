"""Timing by turns, and the records that hold what was measured."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")


Contestant = Callable[[int], int]
"""Does its operations, given the number of the turn, and says how many they were."""


@dataclass(frozen=True)
class Line:
    """One contestant's figure. `best` and `middle` are seconds per operation, or requests per second."""

    name: str
    best: float
    middle: float
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One question with its answer: `lines[0]` is what the others are compared with."""

    key: str
    title: str
    unit: str  # "time": less is better; "rate": more is better
    lines: Sequence[Line]
    target: str
    judged: str  # the name of the line that the target speaks of
    limit: float  # of the ratio; with `is_absolute` of the figure itself
    is_absolute: bool = False
    remarks: Sequence[str] = ()
    pieces: Sequence[Line] = ()

    def ratio(self, line: Line) -> float:
        return line.best / self.lines[0].best

    def middle_ratio(self, line: Line) -> float:
        return line.middle / self.lines[0].middle

    @property
    def judged_line(self) -> Line:
        return next(line for line in self.lines if line.name == self.judged)

    @property
    def is_met(self) -> bool:
        figure = self.judged_line.best if self.is_absolute else self.ratio(self.judged_line)
        return figure <= self.limit if self.unit == "time" else figure >= self.limit


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def by_turns(
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    before: Callable[[], None] | None = None,
    warm: bool = False,
) -> dict[str, list[float]]:
    """Run every contestant once a round, each round beginning with another; give seconds per operation.

    Keep a turn to a millisecond or two: then many turns pass without the scheduler giving the core to somebody else,
    and the least of them is what the code costs. With `warm` every turn is done twice and counted once, so that nobody
    pays for finding the processor's caches full of the one before. The first round does not count.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
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
    return seconds


def in_turns(things: Sequence[T], most: int) -> Callable[[int], Sequence[T]]:
    """Cut things into parts of `most`; give the part for a turn, beginning again after the last."""
    parts = [things[at : at + most] for at in range(0, len(things) - most + 1, most)]
    return lambda turn: parts[turn % len(parts)]


def lines_of(seconds: Mapping[str, Sequence[float]], notes: Mapping[str, str] | None = None) -> list[Line]:
    """The least and the median of each contestant's repetitions."""
    return [Line(name, min(each), median(each), (notes or {}).get(name, "")) for name, each in seconds.items()]
