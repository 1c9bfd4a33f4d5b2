"""The records that hold what was measured. They are kept in `results.json`, so that rows can be measured singly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Literal

from msgspec import Struct

Unit = Literal["time", "rate", "bytes", "count"]
"""Seconds, per second, bytes, things. More is better for `rate`, less for the others."""
Who = Literal["raw", "ours", "peer"]


class Line(Struct, frozen=True, kw_only=True):
    """One contestant's figures over all repetitions: the best, the median, and the middle eight tenths between."""

    name: str
    who: Who
    best: float
    low: float
    middle: float
    high: float
    repetitions: int
    note: str = ""
    base: str | None = None  # the line it is compared with, where that is not the table's


class Target(Struct, frozen=True, kw_only=True):
    """What one line shall reach: its median, or the ratio of its median to the one it is compared with."""

    line: str
    limit: float
    text: str
    of: Literal["ratio", "figure"]


class Table(Struct, frozen=True, kw_only=True):
    """Lines that are compared with one of them."""

    title: str
    unit: Unit
    lines: tuple[Line, ...]
    base: str
    targets: tuple[Target, ...] = ()
    compares: Literal["ratio", "figure"] = "figure"  # by what a peer wins
    ours: str = ""  # the line that peers are compared with, where no target names it

    def line(self, name: str) -> Line:
        return next(line for line in self.lines if line.name == name)

    def base_of(self, line: Line) -> Line:
        return self.line(line.base or self.base)

    def ratio(self, line: Line) -> float:
        return _ratio(line.middle, self.base_of(line).middle)

    def best_ratio(self, line: Line) -> float:
        return _ratio(line.best, self.base_of(line).best)

    def reached(self, target: Target) -> float:
        line = self.line(target.line)
        return line.middle if target.of == "figure" else self.ratio(line)

    def is_met(self, target: Target) -> bool:
        reached = self.reached(target)
        return reached >= target.limit if self.unit == "rate" else reached <= target.limit

    def winners(self) -> list[Line]:
        """The peers' lines that are better than ours, which `ours` or the first target names."""
        name = self.ours or (self.targets[0].line if self.targets else "")
        if not name:
            return []
        ours = self._compared(self.line(name))
        peers = [line for line in self.lines if line.who == "peer"]
        return [p for p in peers if (self._compared(p) > ours if self.unit == "rate" else self._compared(p) < ours)]

    def _compared(self, line: Line) -> float:
        return line.middle if self.compares == "figure" else self.ratio(line)


class Piece(Struct, frozen=True):
    """A part of the work, measured alone."""

    name: str
    seconds: float


class Row(Struct, frozen=True, kw_only=True):
    """One question with its answer: tables, what was set for whom, what must be known to read them."""

    key: str
    title: str
    tables: tuple[Table, ...]
    settings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()


class Taken(Struct, frozen=True):
    """A row with the circumstances under which it was measured."""

    row: Row
    machine: dict[str, str]


def summed(
    name: str, values: Sequence[float], *, unit: Unit, who: Who, note: str = "", base: str | None = None
) -> Line:
    """Make a line of a contestant's repetitions."""
    low, *_, high = quantiles(values, n=10, method="inclusive") if len(values) > 1 else (values[0], values[0])
    best = max(values) if unit == "rate" else min(values)
    return Line(
        name=name,
        who=who,
        best=best,
        low=low,
        middle=median(values),
        high=high,
        repetitions=len(values),
        note=note,
        base=base,
    )


def lines_of(
    values: Mapping[str, Sequence[float]],
    *,
    unit: Unit,
    who: Mapping[str, Who],
    notes: Mapping[str, str] | None = None,
) -> tuple[Line, ...]:
    """Make a line of each contestant; whoever is not named in `who` is ours."""
    return tuple(
        summed(name, each, unit=unit, who=who.get(name, "ours"), note=(notes or {}).get(name, ""))
        for name, each in values.items()
    )


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("inf") if one else 1.0
