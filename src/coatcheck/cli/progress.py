"""Progress of long work, on the standard error: a bar on a terminal, plain lines elsewhere, nothing for programs.

The result itself goes to the standard output, so that progress never stands in what another program reads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

import click

from coatcheck.cli.output import can_draw

LINE_EVERY = 5.0  # seconds between two plain lines; work that is done sooner needs none


class Tell(Protocol):
    """Says how far the work is."""

    def __call__(self, told: str, *, share: float | None = None, title: str | None = None) -> None:
        """Say it in words; with the share that is done, if that is known, and the title of the part under way."""
        ...


@contextmanager
def progress(title: str, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> Generator[Tell]:
    """Show how far a piece of work is, as long as the block runs."""
    if quiet:
        yield _say_nothing
    elif can_draw(sys.stderr):
        with _bar(title) as tell:
            yield tell
    else:
        yield _Lines(title, clock)


def _say_nothing(told: str, *, share: float | None = None, title: str | None = None) -> None:
    """Keep silent."""


class _Lines:
    def __init__(self, title: str, clock: Callable[[], float]) -> None:
        self._title = title
        self._clock = clock
        self._told_at = clock()

    def __call__(self, told: str, *, share: float | None = None, title: str | None = None) -> None:
        now = self._clock()
        if now - self._told_at >= LINE_EVERY:
            self._told_at = now
            percent = "" if share is None else f"{_percent(share)}, "
            click.echo(f"{title or self._title}: {percent}{told}", err=True)


def _percent(share: float) -> str:
    return f"{int(100 * share)} %"


@contextmanager
def _bar(title: str) -> Generator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[told]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, told="")

        def tell(told: str, *, share: float | None = None, title: str | None = None) -> None:
            if share is not None:
                bar.update(task, total=1.0, completed=share)
                told = f"{_percent(share)}, {told}"
            bar.update(task, told=told, description=title)

        yield tell
