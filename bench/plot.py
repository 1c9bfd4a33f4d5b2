"""Bar charts as SVG: linear, from zero, every figure written beside its bar, light and dark."""

from __future__ import annotations

from html import escape

from bench.figures import Line, Row, Table, Target
from bench.report import alternative, figure, plain, ratio

WIDTH, LEFT, RIGHT, STEP, TOP, FOOT = 960, 440, 170, 34, 70, 44
STYLE = """
    .paper { fill: #fff }
    text { font: 13px system-ui, sans-serif; fill: #1c2733 } .title { font-weight: 600; font-size: 15px }
    .head { font-weight: 600 }
    .quiet { fill: #5c6b7a; font-size: 12px } .peer { fill: #9aa9b8 } .raw { fill: #5c6b7a } .ours { fill: #1f7a5c }
    .spread, .target { stroke: #1c2733; stroke-width: 1.5 } .target { stroke: #b3432b; stroke-dasharray: 4 3 }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3 } .quiet { fill: #9aa9b8 } .peer { fill: #5c6b7a } .raw { fill: #9aa9b8 }
        .ours { fill: #3fae87 } .spread { stroke: #e6edf3 } .target { stroke: #ef8468 } .paper { fill: #10161d }
    }
"""


def svg(row: Row) -> str:
    """Draw a row, its tables one below the other: a bar is the median, the thin line on it the spread."""
    y, panels = 30, ""
    for table in row.tables:
        panels += _panel(table, y)
        y += TOP + STEP * len(table.lines) + FOOT
    title, told = plain(row.title), escape(alternative(row))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-labelledby="title desc">
<title id="title">{escape(title)}</title>
<desc id="desc">{told}</desc>
<style>{STYLE}</style>
<rect class="paper" width="{WIDTH}" height="{y}"/>
<text class="title" x="16" y="28">{escape(title)}</text>
{panels}</svg>
"""


def _panel(table: Table, y: int) -> str:
    top, bottom = y + TOP, y + TOP + STEP * len(table.lines)
    limits = [_limit(table, target) for target in table.targets]
    most = max([*limits, *(line.high for line in table.lines), *(line.middle for line in table.lines), 1e-12])
    scale = (WIDTH - LEFT - RIGHT) / most
    better = "longer is better" if table.unit == "rate" else "shorter is better"
    text = f'<text class="head" x="16" y="{y + 32}">{escape(plain(table.title))}</text>\n'
    text += f'<text class="quiet" x="16" y="{y + 51}">{better}; bar: median, line: middle eight tenths</text>\n'
    text += "".join(_bar(table, line, top + STEP * place, scale) for place, line in enumerate(table.lines))
    for limit, target in list(zip(limits, table.targets, strict=True))[:1]:
        x = LEFT + limit * scale
        text += f'<line class="target" x1="{x:.1f}" y1="{top - 4}" x2="{x:.1f}" y2="{bottom}"/>'
        text += (
            f'<text class="quiet" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"target: {escape(target.text)}</text>\n"
        )
    return text


def _limit(table: Table, target: Target) -> float:
    return target.limit if target.of == "figure" else target.limit * table.base_of(table.line(target.line)).middle


def _bar(table: Table, line: Line, y: int, scale: float) -> str:
    start, end = LEFT + line.low * scale, LEFT + line.high * scale
    spread = f'<line class="spread" x1="{start:.1f}" y1="{y + 14}" x2="{end:.1f}" y2="{y + 14}"/>'
    compared = "" if table.base_of(line).name == line.name else ratio(table.unit, table.ratio(line))
    return (
        f'<text x="{LEFT - 10}" y="{y + 18}" text-anchor="end">{escape(plain(line.name))}</text>'
        f'<rect class="{line.who}" x="{LEFT}" y="{y + 4}" width="{max(line.middle * scale, 1):.1f}" height="20"/>'
        f"{spread if line.repetitions > 1 else ''}"
        f'<text x="{WIDTH - RIGHT + 14}" y="{y + 18}">{compared} '
        f'<tspan class="quiet">{figure(table.unit, line.middle)}</tspan></text>\n'
    )
