"""Progress where nobody watches: plain lines, now and then. What a terminal shows is in `test_sessions.py`."""

from __future__ import annotations

import pytest

from coatcheck.cli.progress import progress


def test_a_line_comes_every_five_seconds_and_none_for_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 1.0, 5.0, 6.0, 9.9, 10.0])

    with progress("purging", quiet=False, clock=lambda: next(moments)) as tell:
        for done in range(1, 6):
            tell(f"{done} sessions")

    assert capsys.readouterr() == ("", "purging: 2 sessions\npurging: 5 sessions\n")


def test_nothing_is_told_to_whoever_wants_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 100.0])

    with progress("purging", quiet=True, clock=lambda: next(moments)) as tell:
        tell("1 session")

    assert capsys.readouterr() == ("", "")
