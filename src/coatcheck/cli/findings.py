"""What the checks of `coatcheck doctor` say."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "info", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """What a check found: how bad it is, about what, in words, and how to mend it."""

    level: Level
    check: str
    message: str
    mend: str = ""
