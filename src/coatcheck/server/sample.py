"""The commented `coatcheck.toml` that `coatcheck init` writes: every setting there is, with default and bounds.

It is made from the table of settings and from the policy, so it cannot lag behind them.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from inspect import cleandoc
from typing import Literal, get_args, get_origin, get_type_hints

from coatcheck.core.policy import BOUNDS, NAMES, STANDARD, STRICT, Policy
from coatcheck.server.config import Config
from coatcheck.server.durations import duration_text
from coatcheck.server.settings import SETTINGS, Setting, is_duration

WIDTH = 100
HEAD = """\
# Settings of Coatcheck. A command-line option or a variable COATCHECK_... (COATCHECK_PORT) wins over what stands here.
# This file holds a secret: keep it readable by its owner only (mode 0600) and out of version control.
# A line that begins with "#" and a name shows a default, or an example where it says so; remove the "#" to change it.
"""
SETTINGS_HEAD = """\
# Single numbers of the profile. Durations are seconds, or texts like "90s", "15m", "1h", "30 d", "1h 30m".
#[settings]
"""
WRITTEN = ("secret", "store")  # what the file sets and not only shows


def sample(secret: str) -> str:
    """Write the file, with a secret in it."""
    parts = [HEAD, *(_entry(name, setting, secret) for name, setting in SETTINGS.items())]
    parts += [SETTINGS_HEAD, *(_group(names, about) for names, about in policy_groups())]
    return "\n".join(parts)


def policy_groups() -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the settings of the policy, those together that its docstring explains together, with the explanation.

    Without docstrings (`python -OO`) each stands alone, unexplained.
    """
    document = cleandoc(Policy.__doc__ or "").partition("Attributes:\n")[2]
    left = dict.fromkeys(Policy.__struct_fields__)
    for names, about in re.findall(r"^    (\w+(?:, \w+)*): (.+(?:\n {8,}.+)*)", document, re.M):
        group = tuple(name for name in names.split(", ") if name in left)
        for name in group:
            del left[name]
        if group:
            yield group, re.sub(r"\s+", " ", about).replace("`", '"')
    for name in left:
        yield (name,), ""


def policy_bounds(name: str) -> str:
    """Say what a setting of the policy may hold."""
    kind = get_type_hints(Policy)[name]
    if get_origin(kind) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(kind))
    if name in NAMES:
        return "a list of names"
    if name not in BOUNDS:
        return "true or false"
    lowest, highest = (_shown(name, bound) for bound in BOUNDS[name])
    return f"{lowest} to {highest}"


def default_of(name: str) -> str:
    """Give the default of a setting in TOML; nothing where there is none."""
    value = getattr(Config(), name, None) if name in SETTINGS else getattr(STANDARD, name)
    return "" if value is None or value == () else _toml(value)


def _entry(name: str, setting: Setting, secret: str) -> str:
    if name == "secret":
        return f"{_comment(setting.about)}secret = {json.dumps(secret)}\n"
    default = default_of(name)
    notes = [setting.about] + ([f"Allowed: {setting.bounds}."] if setting.bounds else [])
    value = setting.sample or default
    notes += ["Example:"] if setting.sample else []
    return f"{_comment(' '.join(notes))}{'' if name in WRITTEN else '#'}{name} = {value}\n"


def _group(names: tuple[str, ...], about: str) -> str:
    lines = [f"#{_line(name)}\n" for name in names]
    return f"{_comment(about[:1].upper() + about[1:])}{''.join(lines)}"


def _line(name: str) -> str:
    default, strict = getattr(STANDARD, name), getattr(STRICT, name)
    if default is None:
        return f'{name} = ["cart"]  # an example; {policy_bounds(name)}'
    value = json.dumps(duration_text(default)) if is_duration(name) and default else _toml(default)
    note = policy_bounds(name)
    if strict != default:
        note += f"; strict: {_shown(name, strict)}"
    return f"{name} = {value}  # {note}"


def _shown(name: str, value: object) -> str:
    if is_duration(name) and isinstance(value, int):
        return duration_text(value)
    return _toml(value)


def _toml(value: object) -> str:
    # What JSON writes for these kinds of values is TOML too.
    return json.dumps(value)


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False))
