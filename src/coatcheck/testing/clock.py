"""A clock you move: time in tests is an argument, never waited for."""

from __future__ import annotations

START = 1_800_000_000  # 2027-01-15 08:00 UTC


class MovableClock:
    """Gives the same instant, in integer seconds UTC, until it is moved: hand it to a desk as `clock`.

    It may be moved backwards too, as real clocks are. Threads may read it while it is moved.
    """

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """Give the time."""
        return self.now

    def move(self, seconds: int) -> int:
        """Go on by some seconds (back, if negative) and give the new time."""
        self.now += seconds
        return self.now
