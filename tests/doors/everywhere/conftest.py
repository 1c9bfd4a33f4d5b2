"""Counts the stories that were told, and says at the end how many were told where."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from tests.doors.everywhere.table import Where, as_table


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show how many stories were told in each place and came out as they should, as the table of `docs/stories.md`."""
    told: defaultdict[Where, set[str]] = defaultdict(set)
    failed: defaultdict[Where, set[str]] = defaultdict(set)
    reasons: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            for name, where in getattr(report, "user_properties", ()):
                if name != "told":
                    continue
                if outcome == "skipped":
                    reasons[str(report.longrepr[2])] += 1
                    continue
                told[Where(*where)].add(report.nodeid)
                if outcome != "passed":  # also in its end
                    failed[Where(*where)].add(report.nodeid)
    if not told:
        return
    shown = {where: _words(len(names), len(failed[where])) for where, names in told.items()}
    terminalreporter.section("stories")
    for line in as_table(shown):
        terminalreporter.write_line(line)
    terminalreporter.write_line("")
    terminalreporter.write_line(f"told: {_words(_total(told), _total(failed))}")
    for reason, number in reasons.items():
        terminalreporter.write_line(f"not told: {number}, {reason.removeprefix('Skipped: ')}")


def _words(told: int, failed: int) -> str:
    return f"{told - failed} of {told}" if failed else str(told)


def _total(counted: Mapping[Where, Collection[str]]) -> int:
    return sum(map(len, counted.values()))
