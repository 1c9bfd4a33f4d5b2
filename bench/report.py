"""The figures as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.measure import Line, Row

HEAD = """\
# Figures

Written by `./dev bench`; do not edit. Ratios compare with the first line of each table, measured in the same run by
turns. "Best" is the least time (or the highest rate) of all repetitions: what the code costs when nobody disturbs it;
the median shows how much somebody did. Compare ratios, never microseconds of two machines. What a line that wins does
not do is said beside it. No test asserts a figure.
"""


def as_markdown(rows: Sequence[Row], machine: Mapping[str, str], *, plots: bool) -> str:
    parts = [HEAD, "".join(f"- {name}: {text}\n" for name, text in machine.items())]
    parts.append(_summary(rows))
    parts.extend(_section(row, plots=plots) for row in rows)
    return "\n".join(parts)


def as_json(rows: Sequence[Row], machine: Mapping[str, str]) -> dict[str, Any]:
    return {"machine": dict(machine), "rows": [_row_as_json(row) for row in rows]}


def figure(row: Row, line: Line) -> str:
    """A figure in the unit that reads best."""
    return _shown(row.unit, line.best)


def ratio(row: Row, line: Line) -> str:
    return _ratio(row.unit, row.ratio(line))


def _summary(rows: Sequence[Row]) -> str:
    lines = ["| what | target | measured | |\n|---|---|--:|---|\n"]
    for row in rows:
        measured = figure(row, row.judged_line) if row.is_absolute else ratio(row, row.judged_line)
        lines.append(f"| {row.title} | {row.target} | {measured} | {'met' if row.is_met else '**missed**'} |\n")
    return "".join(lines)


def _section(row: Row, *, plots: bool) -> str:
    text = f"## {row.title}\n\n"
    text += "| | best | median | ratio of best | ratio of medians | |\n|---|--:|--:|--:|--:|---|\n"
    for line in row.lines:
        text += (
            f"| {line.name} | {_shown(row.unit, line.best)} | {_shown(row.unit, line.middle)} "
            f"| {ratio(row, line)} | {_ratio(row.unit, row.middle_ratio(line))} | {line.note} |\n"
        )
    text += "".join(f"\n{remark}\n" for remark in row.remarks)
    if row.pieces:
        text += "\nWhere the time goes, each piece alone (the figures include the loop around it):\n\n"
        text += "| | best | part of 1x |\n|---|--:|--:|\n"
        for piece in row.pieces:
            text += f"| {piece.name} | {_shown('time', piece.best)} | {piece.best / row.lines[0].best:.2f}x |\n"
    if plots:
        text += f"\n![{row.title}](plots/{row.key}.svg)\n"
    return text


def _shown(unit: str, value: float) -> str:
    if unit == "rate":
        return f"{value:,.0f}/s".replace(",", " ")
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.2f} µs"


def _ratio(unit: str, value: float) -> str:
    return f"{value:.0%}" if unit == "rate" else f"{value:.2f}x" if value < 10 else f"{value:.0f}x"


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "title": row.title,
        "unit": "seconds" if row.unit == "time" else "per second",
        "target": row.target,
        "is_met": row.is_met,
        "judged": row.judged,
        "lines": [
            {**_line_as_json(line), "ratio": row.ratio(line), "median_ratio": row.middle_ratio(line)}
            for line in row.lines
        ],
        "pieces": [_line_as_json(piece) for piece in row.pieces],
        "remarks": list(row.remarks),
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    return {"name": line.name, "best": line.best, "median": line.middle, "note": line.note}
