"""Every setting with its default and its bounds, from the code that reads them.

Why a number is what it is stands in docs/settings.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coatcheck.core.policy import PROFILES, Policy
from coatcheck.server.config import Config
from coatcheck.server.durations import duration_text
from coatcheck.server.sample import default_of, policy_bounds, policy_groups
from coatcheck.server.settings import PREFIX, SETTINGS, is_duration
from docs.tables.markdown import code, table

WORDS = Path(__file__).parents[1] / "settings.toml"


def server_settings() -> str:
    """Give the settings of `coatcheck serve`, in the order of the program."""
    rows = (
        (f"{code(name)}<br>{code(PREFIX + name.upper())}", _default(name), _accepts(name), setting.about)
        for name, setting in SETTINGS.items()
    )
    return table(("setting, variable", "default", "accepts", "what it does"), rows)


def policy_settings() -> str:
    """Give the numbers that decisions obey, each with its default, bounds and reason."""
    rows = ((code(one), _shown(one, getattr(Policy(), one)), policy_bounds(one), words_of(one)) for one in names())
    return table(("setting", "default", "lowest to highest", "what it does, and why so"), rows)


def profiles() -> str:
    """Give what tells the profiles apart."""
    differing = [name for name in names() if len({getattr(profile, name) for profile in PROFILES.values()}) > 1]
    rows = ((code(name), *(_shown(name, getattr(one, name)) for one in PROFILES.values())) for name in differing)
    return table(("setting", *(code(profile) for profile in PROFILES)), rows)


def names() -> tuple[str, ...]:
    """Name the settings of the policy."""
    return Policy.__struct_fields__


def words_of(name: str) -> str:
    """Say what a number does: in the words of docs/settings.toml, else in those of the code."""
    own = words().get(name)
    return own or next(f"{about[:1].upper()}{about[1:]}" for group, about in policy_groups() if name in group)


def words() -> Mapping[str, str]:
    """Give the words of docs/settings.toml by setting."""
    return tomllib.loads(WORDS.read_text("utf-8"))


def _accepts(name: str) -> str:
    default = getattr(Config(), name, None)
    usual = "true or false" if isinstance(default, bool) else "a list" if isinstance(default, tuple) else "text"
    return SETTINGS[name].bounds or usual


def _default(name: str) -> str:
    default = default_of(name)
    return code(default) if default else "none"


def _shown(name: str, value: Any) -> str:
    """Write a value as it is typed, and a time also as people say it."""
    if isinstance(value, bool):
        return code(str(value).lower())
    return f"{code(value)} ({duration_text(value)})" if is_duration(name) and value >= 60 else code(value)
