"""What commands print: tables for people, plain columns where nobody watches, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any, cast

import click

Row = Sequence[object]

# Columns whose values are short and of one length; what stands in them is copied, so it is never broken into lines.
WHOLE = frozenset({"id", "subject", "session", "at (UTC)", "created", "last seen (UTC)"})


def print_json(document: object) -> None:
    """Print one JSON document in ASCII: no encoding of a terminal or pipe can damage it."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=True))


def print_json_line(document: object) -> None:
    """Print one JSON document on one line."""
    click.echo(json.dumps(document, ensure_ascii=True))


def print_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows: as a table on a terminal, otherwise in columns that no width cuts off."""
    shown = [[cell(value) for value in row] for row in rows]
    if is_terminal(sys.stdout):
        _print_drawn(columns, shown)
    else:
        widths = [max(len(row[n]) for row in (columns, *shown)) for n in range(len(columns))]
        for row in ([name.upper() for name in columns], *shown):
            click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one to a line."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        click.echo(f"{name.replace('_', ' ').ljust(width)}  {cell(value)}")


def cell(value: object) -> str:
    """Give a value as text that cannot steer a terminal, whoever wrote it."""
    from coatcheck.server.logs import escaped

    if isinstance(value, list | tuple):
        value = ", ".join(map(str, cast("Sequence[object]", value)))
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escaped(str(value))


def short_time(value: object) -> str:
    """Give an RFC 3339 time as a table shows it: to the minute, UTC."""
    return str(value)[:16].replace("T", " ")


def counted(number: int, thing: str) -> str:
    """Give a number with its noun: `1 session`, `2 sessions`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def is_terminal(stream: IO[Any] | None) -> bool:
    """Say whether somebody watches a stream."""
    return stream is not None and stream.isatty()


def can_draw(stream: IO[Any] | None) -> bool:
    """Say whether lines on a stream can be written over: somebody watches, on more than a dumb terminal."""
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def styled(text: str, **style: Any) -> str:
    """Give text in colour where the standard output shows it and nobody has asked for none (https://no-color.org)."""
    return click.style(text, **style) if can_draw(sys.stdout) and not os.environ.get("NO_COLOR") else text


def _print_drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name in WHOLE)
    for row in rows:
        table.add_row(*(Text(text) for text in row))  # Text: brackets in a user agent are no markup
    Console().print(table)
