"""Where settings come from: `coatcheck.toml`, the environment, the command line. Values stay as they were written.

Mistakes of form (no TOML, a setting that does not exist) are added to the caller's list of problems.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

from coatcheck.server.secret import problem_of_file
from coatcheck.server.settings import POLICY_SETTINGS, PREFIX, SETTINGS
from coatcheck.server.store_urls import bears_password

# What Kubernetes puts into every container beside a service that is named coatcheck.
_KUBERNETES = re.compile(r"COATCHECK_(SERVICE_(HOST|PORT)(_.+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.+)?)")


class Given(NamedTuple):
    """A value as somebody wrote it: where it stands, and whether it is text that stands for something else."""

    value: object
    source: str
    textual: bool


def read_toml(path: Path, problems: list[str], *, is_named: bool) -> dict[str, Any]:
    """Read a TOML file; an empty one where it cannot be read or must not be believed.

    One that nobody named was found where we run, and another user may have planted it there. One with a secret must be
    ours whoever named it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not is_named and (problem := problem_of_file(path, status, holds_secret=False)) is not None:
                problems.append(f"config ({path}): {problem}; or name the file that you mean with --config")
                return {}
            document = tomllib.loads(file.read().decode("utf-8"))
        if (problem := problem_of_file(path, status)) is not None:
            problems.extend(f"{name} ({path}): {problem}" for name in _secrets_in(document))
        return document
    except tomllib.TOMLDecodeError as error:
        problems.append(f"config ({path}): is not TOML: {error}")
    except UnicodeDecodeError:
        problems.append(f"config ({path}): is not UTF-8; save it as UTF-8")
    except OSError as error:
        problems.append(f"config ({path}): cannot be read ({error.strerror}); make one with: coatcheck init")
    return {}


def _secrets_in(document: Mapping[str, object]) -> Iterable[str]:
    for name in ("secret", "store", "sessions"):
        value = document.get(name)
        if value is not None and (name == "secret" or (isinstance(value, str) and bears_password(value))):
            yield name


def from_file(document: Mapping[str, object], path: Path, problems: list[str]) -> dict[str, Given]:
    """Give the settings of a file: ours at its top, those of the policy under `[settings]`."""
    given: dict[str, Given] = {}
    for name, value in document.items():
        if name == "settings" and isinstance(value, dict):
            for inner, setting in cast("dict[str, object]", value).items():
                if inner in POLICY_SETTINGS:
                    given[inner] = Given(setting, str(path), False)
                else:
                    where = "; it belongs above [settings]" if inner in SETTINGS else _meant(inner, POLICY_SETTINGS)
                    problems.append(f"settings.{inner} ({path}): there is no such setting{where}")
        elif name in SETTINGS:
            given[name] = Given(value, str(path), False)
        else:
            where = "; it belongs under [settings]" if name in POLICY_SETTINGS else _meant(name, SETTINGS)
            problems.append(f"{name} ({path}): there is no such setting{where}")
    return given


def from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Given]:
    """Give the settings of all variables `COATCHECK_...`; an empty one counts as not set."""
    given: dict[str, Given] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable == PREFIX + "CONFIG" or not value:
            continue
        if _KUBERNETES.fullmatch(variable) or (variable == PREFIX + "PORT" and value.startswith("tcp://")):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in SETTINGS or name in POLICY_SETTINGS:
            given[name] = Given(value, variable, True)
        else:
            known = [PREFIX + setting.upper() for setting in (*SETTINGS, *POLICY_SETTINGS, "config")]
            problems.append(f"{variable} (environment): there is no such setting{_meant(variable, known)}")
    return given


def _meant(name: str, known: Iterable[str]) -> str:
    # However somebody wrote it: Public-URL is public_url, and COATCHECK_PUBLIC-URL its variable.
    plain = {setting.lower(): setting for setting in known}
    close = get_close_matches(name.lower().replace("-", "_"), plain, n=1)
    return f"; did you mean {plain[close[0]]}?" if close else "; remove it"


def from_options(options: Mapping[str, object]) -> dict[str, Given]:
    """Give the settings of the command line; None means that an option was not given."""
    return {name: Given(v, "--" + name.replace("_", "-"), True) for name, v in options.items() if v is not None}
