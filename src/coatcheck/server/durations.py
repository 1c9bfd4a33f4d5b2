"""Lengths of time as people write them: `3600`, `1h`, `30 d`, `1h 30m`."""

from __future__ import annotations

import re

UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:([0-9]{1,9}) ?([dhms]) ?)+")
_PART = re.compile(r"([0-9]+) ?([dhms])")
_SECONDS = re.compile(r"[0-9]{1,10}")


def seconds_of(text: str) -> int:
    """Read a duration: plain seconds, or numbers with the units `d`, `h`, `m`, `s`, added up.

    Raises ValueError for anything else; there are no fractions, signs or months.
    """
    if _SECONDS.fullmatch(text):
        return int(text)
    if not _FORM.fullmatch(text + " "):
        raise ValueError(text)
    return sum(int(number) * UNITS[unit] for number, unit in _PART.findall(text))


def duration_text(seconds: int) -> str:
    """Write a duration in the largest units that give it exactly: `1h`, `30d`, `1h 30m`."""
    parts: list[str] = []
    for unit, size in UNITS.items():
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"
