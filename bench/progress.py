"""How far a run is, on stderr: a bar on a terminal, a line for each part elsewhere."""

from __future__ import annotations

import sys
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from bench.measure import Tick

SHOWN_EVERY = 0.5  # seconds; drawing takes time from what is measured, so it happens between turns and seldom


class Progress:
    """Shows one part of one row at a time. Nothing is drawn by a thread of its own."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._row = ""
        self._place = 0
        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        self._bars = Bars(*columns, console=self._console, auto_refresh=False, transient=True)

    def row(self, key: str) -> None:
        """Begin a row."""
        self._place += 1
        self._row = f"{key} ({self._place} of {self._rows})"

    def part(self, text: str, total: int = 1) -> Tick:
        """Begin a part of so many steps; call what is given back after each of them."""
        if not self._console.is_terminal:
            self.say(f"{self._row}: {text}")
            return _nothing
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        task = self._bars.add_task(f"{self._row}: {text}", total=total)
        self._bars.start()
        self._bars.refresh()
        shown = monotonic()

        def tick() -> None:
            nonlocal shown
            self._bars.advance(task)
            if monotonic() - shown > SHOWN_EVERY:
                self._bars.refresh()
                shown = monotonic()

        return tick

    def say(self, text: str) -> None:
        """Leave a line that stays."""
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the bar away."""
        self._bars.stop()


def _nothing() -> None:
    return None
