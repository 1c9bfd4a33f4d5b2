"""The table of outages, as `docs/faults.md` holds it: one line for each, the slowest of all who asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

HEAD = (
    "| store | what befell it | reads meanwhile | writes meanwhile | slowest answer | right again after |",
    "|---|---|---|---|--:|--:|",
)
ENGINES = {"TestPostgres": "PostgreSQL", "TestValkey": "Valkey"}


def as_table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Make lines of what the witnesses of each outage told."""
    if not rows:
        return
    yield from HEAD
    for (engine, outage), told in groupby(sorted(rows, key=_engine), key=lambda row: (_engine(row), row["outage"])):
        all_told = list(told)
        reads, writes = (_together([row[kind] for row in all_told]) for kind in ("reads", "writes"))
        slowest = max(row["slowest"] for row in all_told)
        back = max(row["back_after"] for row in all_told)
        yield f"| {engine} | {outage} | {reads} | {writes} | {slowest:.1f} s | {back:.2f} s |"


def _engine(row: dict[str, Any]) -> str:
    return next(shown for prefix, shown in ENGINES.items() if row["engine"].startswith(prefix))


def _together(counts: list[list[int]]) -> str:
    right, refused = (sum(count[place] for count in counts) for place in (0, 1))
    if not refused:
        return "right"
    return f"{right} right, {refused} refused with 503" if right else "503"
