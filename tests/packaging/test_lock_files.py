"""The lock files pin everything by hash and say nothing of the machine that wrote them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
SERVED = ("pages", "cli", "devices", "server", "postgres", "redis")
DOORS = ("flask", "starlette", "fastapi")
EXTRAS = {
    name: (*SERVED, *DOORS) if name in ("test", "dev") else SERVED
    for name in ("server", "test", "dev", "bench", "docs")
}
GROUPS = {
    "server": ("build",),
    "test": ("build", "test", "e2e"),
    "dev": ("build", "test", "dev"),
    "bench": ("build", "bench"),
    "docs": ("build", "docs"),
}
every_lock_file = pytest.mark.parametrize("name", GROUPS)


def pins(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file: one, or one per Python where they must differ."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.M):
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found


def test_there_is_a_lock_file_for_each_command_and_no_other() -> None:
    assert {path.name for path in REQUIREMENTS.iterdir()} == {f"{name}.txt" for name in GROUPS}


@every_lock_file
def test_sup_04_each_requirement_is_pinned_and_bears_hashes(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    entries = re.sub(r"\\\n", "", re.sub(r"^ *#.*\n", "", text, flags=re.M)).splitlines()

    unpinned = [
        e for e in entries if not re.fullmatch(r"[\w.-]+==[^\s;]+( ; [^#]*?)?( +--hash=sha256:[0-9a-f]{64})+", e)
    ]

    assert entries
    assert unpinned == []


@every_lock_file
def test_a_lock_file_names_no_address_and_no_path_of_a_machine(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text()

    places = re.findall(r".*(?:://|--index|--extra-index|--find-links|(?<![\w.])/\w+/|\w\.(?:org|com|net)\b).*", text)

    assert places == []


@every_lock_file
def test_a_lock_file_satisfies_what_pyproject_asks_for(name: str, pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    asked = project["dependencies"] + [
        text for extra in EXTRAS[name] for text in project["optional-dependencies"][extra]
    ]
    asked += [text for group in GROUPS[name] for text in pyproject["dependency-groups"][group]]
    locked = pins(name)

    unmet = [
        text
        for text in asked
        if (wanted := Requirement(text)).name != "coatcheck"
        and not all(wanted.specifier.contains(version) for version in locked.get(canonicalize_name(wanted.name), ["0"]))
    ]

    assert unmet == []


@every_lock_file
def test_lock_files_agree_for_they_share_an_environment(name: str) -> None:
    ours = pins(name)

    other_versions = [
        (package, other)
        for other in GROUPS
        for package, versions in pins(other).items()
        if versions != ours.get(package, versions)
    ]

    assert other_versions == []
