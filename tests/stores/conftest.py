"""How much was lived, told at the end of a run."""

from __future__ import annotations

from typing import Any


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
