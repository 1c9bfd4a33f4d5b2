"""How much was asked and lived, told at the end of a run."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

PROMISE = re.compile(r"test_contract\.py::Test(\w+)::\w+\[(?:(.+)-)?(blocking|async)\b")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in getattr(report, "user_properties", ())
        if name == "steps"
    ]
    if counts:
        terminalreporter.write_line(f"random lives: {sum(counts)} steps in {len(counts)} tests")
    kept = Counter(
        f"{found[1]}{f' ({found[2]})' if found[2] else ''} {found[3]}"
        for report in terminalreporter.getreports("passed")
        if report.when == "call" and (found := PROMISE.search(report.nodeid))
    )
    if kept:
        told = ", ".join(f"{store} {count}" for store, count in sorted(kept.items()))
        terminalreporter.write_line(f"conformance, tests passed by store and colour: {told}")
