"""The figures as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bench.figures import Line, Row, Table, Taken, Target, Unit
from bench.machine import SAME

HEAD = """\
# Figures

Written by `./dev bench`; do not edit. Contestants take turns in the same run, at the same durability, with the same
checks as far as they can make them; what one leaves out is said beside it. Each figure is a **median**; "spread" are
the middle eight tenths of the repetitions, "best" is the least time or the highest rate: what it costs when nobody
disturbs. Ratios compare medians. Compare ratios, never microseconds of two machines. No test asserts a figure.
"""

Reasons = Mapping[str, Mapping[str, str]]


def as_markdown(taken: Sequence[Taken], reasons: Reasons) -> str:
    """Everything there is to say of these rows."""
    shared = _shared([one.machine for one in taken])
    parts = [HEAD, "".join(f"- {name}: {text}\n" for name, text in shared.items())]
    parts.append(_summary([one.row for one in taken]))
    parts += [_section(one, reasons.get(one.row.key, {}), shared) for one in taken]
    return "\n".join(parts)


def as_json(taken: Sequence[Taken]) -> str:
    """The same for programs: figures, with what follows from them."""
    return msgspec.json.format(msgspec.json.encode([_for_programs(one) for one in taken]), indent=2).decode()


def figure(unit: Unit, value: float) -> str:
    """A figure in the unit that reads best."""
    if unit == "rate":
        return f"{value:,.0f}/s".replace(",", " ") if value >= 100 else f"{value:.1f}/s"
    if unit == "bytes":
        return f"{value:.0f} B"
    if unit == "count":
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.2f} µs"


def ratio(unit: Unit, value: float) -> str:
    """A ratio: rates as shares, everything else as so many times."""
    return f"{value:.0%}" if unit == "rate" else f"{value:.2f}x" if value < 10 else f"{value:.0f}x"


def reached(table: Table, target: Target) -> str:
    """What the line reached of which a target speaks."""
    value = table.reached(target)
    return figure(table.unit, value) if target.of == "figure" else ratio(table.unit, value)


def alternative(row: Row) -> str:
    """What a plot shows, for whoever does not see it."""
    told = [
        f"{plain(target.line)} {reached(table, target)}, target {target.text}"
        for table in row.tables
        for target in table.targets
    ]
    return f"Bar charts of the tables above. {'; '.join(told)}."


def plain(text: str) -> str:
    """Without Markdown."""
    return text.replace("`", "").replace("**", "")


def _shared(machines: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all rows were measured on; the rest stands with each row."""
    return {name: machines[0][name] for name in SAME if machines and len({machine[name] for machine in machines}) == 1}


def _summary(rows: Sequence[Row]) -> str:
    text = "| what | target | measured | | a peer wins |\n|---|---|--:|---|---|\n"
    for row in rows:
        for table in row.tables:
            winners = ", ".join(plain(line.name) for line in table.winners())
            for target in table.targets:
                verdict = "met" if table.is_met(target) else "**missed**"
                what = f"{_title(row)}: {_decapitalised(table.title)} ({target.line})"
                text += f"| {what} | {target.text} | {reached(table, target)} | {verdict} | {winners} |\n"
    return text


def _section(taken: Taken, reasons: Mapping[str, str], shared: Mapping[str, str]) -> str:
    row = taken.row
    text = f"## {row.title}\n\n"
    text += "; ".join(f"{name}: {value}" for name, value in taken.machine.items() if name not in shared) + ".\n"
    text += "".join(_table(table) for table in row.tables)
    text += _verdicts(row, reasons)
    text += "".join(f"\n{remark}\n" for remark in row.remarks)
    if row.settings:
        text += "\nSettings:\n\n" + "".join(f"- {setting}\n" for setting in row.settings)
    if row.pieces:
        base = row.tables[0].line(row.tables[0].base).middle
        text += "\nWhere the time goes, each piece alone (the figures include the loop around it):\n\n"
        text += "| | median | part of 1x |\n|---|--:|--:|\n"
        for piece in row.pieces:
            text += f"| {piece.name} | {figure('time', piece.seconds)} | {piece.seconds / base:.2f}x |\n"
    return text + f"\n![{alternative(row)}](plots/{row.key}.svg)\n"


def _table(table: Table) -> str:
    text = f"\n**{table.title}**\n\n"
    ratios = any(line.name != table.base_of(line).name for line in table.lines)
    head, rule = ("| ratio ", "|--:") if ratios else ("", "")
    text += f"| | median | spread | best {head}| |\n|---|--:|--:|--:{rule}|---|\n"
    for line in table.lines:
        compared = f"| {ratio(table.unit, table.ratio(line))} " if ratios else ""
        spread = f"{figure(table.unit, line.low)} - {figure(table.unit, line.high)}" if line.repetitions > 1 else ""
        text += (
            f"| {line.name} | {figure(table.unit, line.middle)} | {spread} | {figure(table.unit, line.best)} {compared}"
            f"| {line.note} |\n"
        )
    return text


def _verdicts(row: Row, reasons: Mapping[str, str]) -> str:
    """A line for each target, one for each table in which a peer wins, and why."""
    text, missed, beaten = "\n", False, False
    for table in row.tables:
        for target in table.targets:
            is_met = table.is_met(target)
            missed = missed or not is_met
            verdict = "met" if is_met else "**missed**"
            text += f"- Target {target.text}, {target.line}: {reached(table, target)}, {verdict}.\n"
    for table in row.tables:
        if winners := table.winners():
            beaten = True
            names = "; ".join(f"{line.name} ({_compared(table, line)}{_but(line)})" for line in winners)
            text += f"- **A peer wins**, {_decapitalised(table.title)}: {names}.\n"
    if not beaten:
        text += "- No peer wins.\n"
    if missed:
        text += f"\nWhy missed: {reasons.get('missed', 'nobody has said yet').strip()}\n"
    if beaten and "beaten" in reasons:
        text += f"\n{reasons['beaten'].strip()}\n"
    return text


def _compared(table: Table, line: Line) -> str:
    return ratio(table.unit, table.ratio(line)) if table.compares == "ratio" else figure(table.unit, line.middle)


def _but(line: Line) -> str:
    return f"; {line.note}" if line.note else ""


def _title(row: Row) -> str:
    return row.title.partition(":")[0]


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]


def _for_programs(taken: Taken) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(taken)
    for table, shown in zip(taken.row.tables, found["row"]["tables"], strict=True):
        for line, one in zip(table.lines, shown["lines"], strict=True):
            one["ratio"] = table.ratio(line)
        for target, one in zip(table.targets, shown["targets"], strict=True):
            one["reached"], one["is_met"] = table.reached(target), table.is_met(target)
        shown["winners"] = [line.name for line in table.winners()]
    return found
