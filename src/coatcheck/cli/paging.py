"""Lists that match a filter, read page by page: what one command shows, and where the next one goes on.

The store's pages know no filters. Reading goes on until enough is found, so an answer may have read far more than it
shows; it reads in chunks, and others can write in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import click

from coatcheck.cli.output import Row, print_json, print_json_line, print_table

T = TypeVar("T")
Described = dict[str, object]
"""A thing as the JSON of all commands has it."""
Fetch = Callable[[str | None, int], tuple[list[T], str | None]]
"""Reads one page: takes where it starts and how much is read at most, gives it and where the next one starts."""

CHUNK = 500


class Listing(NamedTuple, Generic[T]):
    """What is listed, and how it looks.

    `name` is what the JSON document calls the things in it, `row` gives the row of the table for one of them, `empty`
    is said instead of an empty table.
    """

    name: str
    describe: Callable[[T], Described]
    columns: Sequence[str]
    row: Callable[[Described], Row]
    empty: str


def print_list(
    listing: Listing[T],
    fetch: Fetch[T],
    matches: Callable[[T], bool],
    *,
    limit: int,
    cursor: str | None,
    is_whole: bool,
    as_json: bool,
) -> None:
    """Print what matches: `limit` from `cursor` on, and where it goes on; or, if it `is_whole`, all as it is read.

    As JSON the first is a document `{name: [...], "next": ...}`, the other one object on each line.
    """
    if is_whole:
        chunks, following = walk(fetch, matches, after=cursor), None
    else:
        page, following = select(fetch, matches, after=cursor, limit=limit)
        chunks = iter([page] if page else [])
    described = ([listing.describe(one) for one in chunk] for chunk in chunks)
    if as_json and is_whole:
        for chunk in described:
            for one in chunk:
                print_json_line(one)
    elif as_json:
        print_json({listing.name: [one for chunk in described for one in chunk], "next": following})
    else:
        _print_tables(listing, described)
        if following is not None:
            click.echo(f"There are more: --cursor {following}, or --all")


def _print_tables(listing: Listing[T], chunks: Iterator[list[Described]]) -> None:
    is_empty = True
    for chunk in chunks:
        print_table(listing.columns, [listing.row(one) for one in chunk])
        is_empty = False
    if is_empty:
        click.echo(listing.empty)


def select(
    fetch: Fetch[T], matches: Callable[[T], bool], *, after: str | None, limit: int
) -> tuple[list[T], str | None]:
    """Give the first `limit` that match, and the cursor of the next that does; None if there is none."""
    found: list[T] = []
    while True:
        page, following = fetch(after, CHUNK)
        places = [place for place, one in enumerate(page) if matches(one)]
        room = limit - len(found)
        if len(places) > room:
            if room:
                # Read again only as far as the last that fits: cursors are the store's own, and it gives one per page.
                page, after = fetch(after, places[room - 1] + 1)
                found.extend(filter(matches, page))
            return found, after
        found.extend(page[place] for place in places)
        if following is None:
            return found, None
        after = following


def walk(fetch: Fetch[T], matches: Callable[[T], bool], *, after: str | None) -> Iterator[list[T]]:
    """Give everything that matches, in chunks that are never empty."""
    while True:
        page, after = fetch(after, CHUNK)
        if found := list(filter(matches, page)):
            yield found
        if after is None:
            return
