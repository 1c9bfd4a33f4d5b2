"""What commands print: tables for people, plain columns where nobody watches, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

Row = Sequence[object]


def print_json(document: object) -> None:
    """Print one JSON document in ASCII: no encoding of a terminal or pipe can damage it."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=True))


def print_table(columns: Sequence[str], rows: Sequence[Row], *, empty: str) -> None:
    """Print rows: as a table on a terminal, otherwise in columns that no width cuts off."""
    shown = [[cell(value) for value in row] for row in rows]
    if not shown:
        click.echo(empty)
    elif is_terminal():
        _print_drawn(columns, shown)
    else:
        widths = [max(len(row[n]) for row in (columns, *shown)) for n in range(len(columns))]
        for row in ([name.upper() for name in columns], *shown):
            click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one to a line."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        click.echo(f"{name.ljust(width)}  {cell(value)}".rstrip())


def cell(value: object) -> str:
    """Give a value as text that cannot steer a terminal, whoever wrote it."""
    from coatcheck.server.logs import escaped

    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escaped(str(value))


def short_time(value: object) -> str:
    """Give an RFC 3339 time as a table shows it: to the minute, UTC."""
    return str(value)[:16].replace("T", " ")


def is_terminal() -> bool:
    """Say whether somebody watches the standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def _print_drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=number == 0)  # an id that is cut off cannot be copied
    for row in rows:
        table.add_row(*(Text(text) for text in row))  # Text: brackets in a user agent are no markup
    Console().print(table)
