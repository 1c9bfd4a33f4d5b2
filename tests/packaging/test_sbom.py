"""The bill of materials that goes with a release."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.packaging.test_lock_files import GROUPS

CORE = {"msgspec", "argon2-cffi", "argon2-cffi-bindings", "cffi", "pycparser"}


def made(root: Path, folder: Path, *distributions: Path) -> bytes:
    if find_spec("cyclonedx") is None:
        missing("no cyclonedx-python-lib in this environment: ./dev check installs it")
    target = folder / "coatcheck.cdx.json"
    subprocess.run(
        [sys.executable, root / "release" / "sbom.py", target, *distributions],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    return target.read_bytes()


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dist") / "coatcheck-1-py3-none-any.whl"
    path.write_bytes(b"the content of a wheel")
    return path


@pytest.fixture(scope="module")
def bill(root: Path, tmp_path_factory: pytest.TempPathFactory, distribution: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(made(root, tmp_path_factory.mktemp("sbom"), distribution))
    return document


def locked(root: Path) -> dict[tuple[str, str], set[str]]:
    """Every distribution of every lock file with its hashes, read by other means than the program does."""
    found: dict[tuple[str, str], set[str]] = {}
    for layer in GROUPS:
        key = ("", "")
        for line in (root / "requirements" / f"{layer}.txt").read_text().splitlines():
            if not line.startswith((" ", "#")):
                name, _, rest = line.partition("==")
                key = (name, rest.split()[0])
            for word in line.split():
                if word.startswith("--hash=sha256:"):
                    found.setdefault(key, set()).add(word.removeprefix("--hash=sha256:"))
    return found


def test_sup_04_the_bill_lists_every_locked_distribution_with_version_and_hashes(
    root: Path, bill: dict[str, Any]
) -> None:
    listed = {
        (one["name"], one["version"]): {each["content"] for each in one["hashes"] if each["alg"] == "SHA-256"}
        for one in bill["components"]
    }

    assert listed == locked(root)
    assert len(listed) == len(bill["components"])


def test_sup_04_each_component_can_be_looked_up_by_its_package_url(bill: dict[str, Any]) -> None:
    urls = Counter(one["purl"] for one in bill["components"])

    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9.-]+@[^@/]+", url) for url in urls)
    assert urls.most_common(1)[0][1] == 1


def test_sup_01_required_is_the_core_and_nothing_else(bill: dict[str, Any]) -> None:
    assert {one["name"] for one in bill["components"] if one["scope"] == "required"} == CORE


def test_sup_04_what_only_makers_need_is_told_apart_from_what_is_installed(bill: dict[str, Any]) -> None:
    scopes = {one["name"]: one["scope"] for one in bill["components"]}

    assert {scopes[name] for name in ("granian", "cryptography", "jinja2", "click", "markupsafe")} == {"optional"}
    assert {scopes[name] for name in ("pytest", "ruff", "django", "sphinx", "hatchling")} == {"excluded"}


def test_sup_04_the_bill_names_the_release_and_what_it_needs(bill: dict[str, Any], pyproject: dict[str, Any]) -> None:
    product = bill["metadata"]["component"]
    (needs,) = [one["dependsOn"] for one in bill["dependencies"] if one["ref"] == product["bom-ref"]]

    assert (product["name"], product["version"]) == ("coatcheck", pyproject["project"]["version"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {"msgspec", "argon2-cffi", "granian"} <= {ref.partition("@")[0] for ref in needs}


def test_sup_04_the_bill_bears_the_digests_of_what_is_released(bill: dict[str, Any], distribution: Path) -> None:
    (file,) = bill["metadata"]["component"]["externalReferences"]

    assert file["url"] == distribution.name
    assert file["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(distribution.read_bytes()).hexdigest()},
    ]


def test_sup_04_the_bill_names_no_address_and_no_path_of_a_machine(bill: dict[str, Any]) -> None:
    text = json.dumps({key: value for key, value in bill.items() if key != "$schema"})

    assert re.findall(r'"[^"]*(?:://|/simple|(?<![\w.:])/\w+/)[^"]*"', text) == []


def test_sup_06_the_bill_rebuilds_byte_for_byte(root: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()

    assert made(root, tmp_path / "one") == made(root, tmp_path / "other")
