"""What follows from figures: ratios, verdicts, and who wins."""

from __future__ import annotations

from typing import Literal

import pytest

from bench.figures import Line, Table, Target, Unit, Who, summed


def line(name: str, value: float, *, who: Who = "peer", base: str | None = None) -> Line:
    return Line(name=name, who=who, best=value, low=value, middle=value, high=value, repetitions=1, base=base)


def table(
    unit: Unit,
    *lines: Line,
    limit: float = 1.0,
    of: Literal["ratio", "figure"] = "ratio",
    compares: Literal["ratio", "figure"] = "figure",
) -> Table:
    target = Target(line="ours", limit=limit, text="", of=of)
    return Table(title="", unit=unit, lines=lines, base=lines[0].name, targets=(target,), compares=compares)


def test_a_line_holds_the_median_the_best_and_the_middle_eight_tenths() -> None:
    found = summed("a", [float(n) for n in range(11)], unit="time", who="ours")

    assert (found.best, found.low, found.middle, found.high, found.repetitions) == (0, 1, 5, 9, 11)


def test_the_best_rate_is_the_highest() -> None:
    assert summed("a", [3.0, 1.0, 2.0], unit="rate", who="ours").best == 3.0


def test_a_single_figure_has_no_spread() -> None:
    found = summed("a", [7.0], unit="time", who="ours")

    assert found.low == found.middle == found.high == 7.0


def test_a_ratio_compares_medians_with_the_base_of_the_table_or_of_the_line() -> None:
    found = table("time", line("raw", 2.0), line("ours", 3.0, who="ours"), line("apart", 8.0, base="ours"))

    assert [round(found.ratio(each), 3) for each in found.lines] == [1.0, 1.5, 2.667]


@pytest.mark.parametrize(
    ("unit", "limit", "is_met"),
    [("time", 1.5, True), ("time", 1.49, False), ("bytes", 1.5, True), ("rate", 1.5, True), ("rate", 1.51, False)],
)
def test_a_target_is_met_at_its_limit_and_missed_beyond(unit: Unit, limit: float, is_met: bool) -> None:
    found = table(unit, line("raw", 2.0), line("ours", 3.0, who="ours"), limit=limit)

    assert found.is_met(found.targets[0]) is is_met


def test_none_served_is_met_by_none_only() -> None:
    verdicts = [
        found.is_met(found.targets[0])
        for served in (0.0, 1.0)
        for found in [table("count", line("ours", served, who="ours"), limit=0, of="figure")]
    ]

    assert verdicts == [True, False]


def test_a_peer_that_is_better_wins_raw_work_and_equals_do_not() -> None:
    found = table(
        "time", line("raw", 1.0, who="raw"), line("ours", 3.0, who="ours"), line("quick", 2.9), line("equal", 3.0)
    )

    assert [each.name for each in found.winners()] == ["quick"]


def test_the_higher_rate_wins() -> None:
    found = table("rate", line("ours", 3.0, who="ours"), line("slow", 2.0), line("quick", 4.0))

    assert [each.name for each in found.winners()] == ["quick"]


def test_where_shares_are_compared_the_better_share_wins_not_the_higher_rate() -> None:
    found = table(
        "rate",
        line("our bare", 100.0, who="raw"),
        line("ours", 90.0, who="ours", base="our bare"),
        line("their bare", 10.0, who="raw"),
        line("theirs", 9.5, base="their bare"),
        line("others' bare", 1000.0, who="raw"),
        line("others", 500.0, base="others' bare"),
        compares="ratio",
    )

    assert [each.name for each in found.winners()] == ["theirs"]


def test_where_there_is_no_target_the_table_may_name_the_line_that_peers_are_compared_with() -> None:
    lines = (line("raw", 1.0, who="raw"), line("ours", 3.0, who="ours"), line("quick", 2.0))

    winners = [Table(title="", unit="time", lines=lines, base="raw", ours=ours).winners() for ours in ("", "ours")]

    assert [[each.name for each in found] for found in winners] == [[], ["quick"]]
