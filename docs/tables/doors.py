"""The settings of every door, in the words of the class that names them."""

from __future__ import annotations

import inspect
import re

from coatcheck.web.door import DoorSettings
from docs.tables.markdown import code, table

_SETTING = re.compile(r"^([a-z_]+(?:, [a-z_]+)*): (.+?)(?=^[a-z_]|\Z)", re.MULTILINE | re.DOTALL)


def door_settings() -> str:
    """Give the settings in the order of the class; some are told of together."""
    return table(("setting", "means"), ((", ".join(map(code, names)), words) for names, words in told()))


def told() -> list[tuple[list[str], str]]:
    """Give what the class says of its settings."""
    text = inspect.cleandoc(DoorSettings.__doc__ or "").partition("\n\n")[2]
    return [(names.split(", "), words) for names, words in _SETTING.findall(text)]
