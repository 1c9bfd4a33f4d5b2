"""What a random life did, for those who want to know whether it got anywhere."""

from __future__ import annotations

from collections import Counter


class Tally:
    """Counts steps, by what was done and what came of it (`steps`), and what happened beside them (`events`)."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def __str__(self) -> str:
        lines = [f"{count:7} {what}" for what, count in sorted(self.steps.items())]
        lines += [f"{count:7} event {what}" for what, count in sorted(self.events.items())]
        return "\n".join(lines)
