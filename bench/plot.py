"""Bar charts as SVG: linear, from zero, every figure written beside its bar, light and dark."""

from __future__ import annotations

from html import escape

from bench.measure import Line, Row
from bench.report import figure, ratio

WIDTH, LEFT, RIGHT, STEP, TOP = 860, 400, 150, 34, 58
STYLE = """
    .paper { fill: #fff }
    text { font: 13px system-ui, sans-serif; fill: #1c2733 } .title { font-weight: 600; font-size: 15px }
    .quiet { fill: #5c6b7a; font-size: 12px } .bar { fill: #9aa9b8 } .first { fill: #5c6b7a } .judged { fill: #1f7a5c }
    .middle, .target { stroke: #1c2733; stroke-width: 1.5 } .target { stroke: #b3432b; stroke-dasharray: 4 3 }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3 } .quiet { fill: #9aa9b8 } .bar { fill: #5c6b7a } .first { fill: #9aa9b8 }
        .judged { fill: #3fae87 } .middle { stroke: #e6edf3 } .target { stroke: #ef8468 } .paper { fill: #10161d }
    }
"""


def svg(row: Row) -> str:
    """Draw a row: a bar is the best figure, the thin mark on it the median, the broken line the target."""
    limit = row.limit if row.is_absolute else row.limit * row.lines[0].best
    scale = (WIDTH - LEFT - RIGHT) / max(limit, *(max(line.best, line.middle) for line in row.lines))
    height = TOP + STEP * len(row.lines) + 34
    bars = "".join(_bar(row, line, TOP + STEP * place, scale) for place, line in enumerate(row.lines))
    x, bottom = LEFT + limit * scale, TOP + STEP * len(row.lines)
    better = "shorter is better" if row.unit == "time" else "longer is better"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_plain(row.title)}">
<style>{STYLE}</style>
<rect class="paper" width="{WIDTH}" height="{height}"/>
<text class="title" x="16" y="26">{_plain(row.title)}</text>
<text class="quiet" x="16" y="45">{better}; bar: best of the repetitions, mark: median</text>
{bars}<line class="target" x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}"/>
<text class="quiet" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">target: {escape(row.target)}</text>
</svg>
"""


def _bar(row: Row, line: Line, y: int, scale: float) -> str:
    kind = "judged" if line.name == row.judged else "first" if line is row.lines[0] else "bar"
    long, middle = line.best * scale, LEFT + line.middle * scale
    return (
        f'<text x="{LEFT - 10}" y="{y + 18}" text-anchor="end">{_plain(line.name)}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{y + 4}" width="{max(long, 1):.1f}" height="20"/>'
        f'<line class="middle" x1="{middle:.1f}" y1="{y + 2}" x2="{middle:.1f}" y2="{y + 26}"/>'
        f'<text x="{WIDTH - RIGHT + 14}" y="{y + 18}">{ratio(row, line)} '
        f'<tspan class="quiet">{figure(row, line)}</tspan></text>\n'
    )


def _plain(text: str) -> str:
    return escape(text.replace("`", "").replace("**", ""), quote=True)
