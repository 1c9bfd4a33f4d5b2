"""Timing by turns, and the records that hold what was measured."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter


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
    contestants: Mapping[str, Callable[[], int]], *, rounds: int, before: Callable[[], None] | None = None
) -> dict[str, list[float]]:
    """Run every contestant once a round, each round beginning with another; give seconds per operation.

    A contestant does its operations and says how many they were. The first round warms up and does not count.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            if before is not None:
                before()
            gc.collect()
            began = perf_counter()
            count = contestants[name]()
            spent = perf_counter() - began
            if turn:
                seconds[name].append(spent / count)
    return seconds


def lines_of(seconds: Mapping[str, Sequence[float]], notes: Mapping[str, str] | None = None) -> list[Line]:
    """The least and the median of each contestant's repetitions."""
    return [Line(name, min(each), median(each), (notes or {}).get(name, "")) for name, each in seconds.items()]
