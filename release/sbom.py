"""The bill of materials of a release (SBOM), CycloneDX 1.6 as JSON: what it needs, what it was tested and built with.

Made from `pyproject.toml` and the lock files, so it lists exactly what `./dev` installs. Scopes: `required` is what the
library itself brings, `optional` what `coatcheck[server]` brings besides, `excluded` what only tests, documentation and
the makers of releases use. The same sources and distributions give the same bytes.

`python release/sbom.py FILE [DISTRIBUTION ...]` writes it; distributions are wheel and sdist, named with their digests.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("server", "test", "dev", "bench", "docs")  # as in ./dev: the first one is what a release installs at most
_ENTRY = re.compile(r"^([\w.-]+)==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^ +#(?: via)? +([\w.-]+)(?: \(pyproject\.toml(?::(\w+))?\))?$", re.MULTILINE)


Key = tuple[str, str]
"""Name and version of a distribution: where Pythons need different versions, both are locked."""


class Locked(NamedTuple):
    """One distribution of a lock file: every file of it that may be installed has one of the hashes."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: frozenset[str]
    """Names of distributions; `coatcheck` for itself and its extras, `coatcheck:test` for a group of dependencies."""


def locked_in(text: str) -> Iterator[Locked]:
    """Read a lock file."""
    for name, version, rest in _ENTRY.findall(text):
        needed_by = {f"{by}:{group}" if group else by for by, group in _VIA.findall(rest)}
        yield Locked(name, version, tuple(sorted(_HASH.findall(rest))), frozenset(needed_by))


def bill(root: Path, distributions: Sequence[Path]) -> Bom:
    """Make the bill of materials."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    locked: dict[Key, Locked] = {}
    runtime: set[str] = set()
    for layer in LAYERS:
        for one in locked_in((root / "requirements" / f"{layer}.txt").read_text()):
            known = locked.get((one.name, one.version), one)
            locked[one.name, one.version] = one._replace(needed_by=known.needed_by | one.needed_by)
            if layer == "server":
                runtime.add(one.name)
    core = _reached_from({re.split(r"[^\w.-]", asked)[0] for asked in project["dependencies"]}, locked.values())
    installed = _reached_from({one.name for one in locked.values() if "coatcheck" in one.needed_by}, locked.values())

    bom = Bom(serial_number=uuid5(NAMESPACE_URL, _digest_of(root, distributions)))
    bom.metadata.timestamp = _when(root)
    bom.metadata.component = _product(project, distributions)
    components = {key: _component(one, core, installed & runtime) for key, one in locked.items()}
    for component in components.values():
        bom.components.add(component)
    for key, component in components.items():
        bom.register_dependency(component, _needs_of(key[0], locked, components))
    bom.register_dependency(bom.metadata.component, _needs_of("coatcheck", locked, components))
    return bom


def _reached_from(names: set[str], locked: Iterable[Locked]) -> set[str]:
    entries, reached = list(locked), set(names)
    while more := {one.name for one in entries if one.needed_by & reached} - reached:
        reached |= more
    return reached


def _needs_of(name: str, locked: Mapping[Key, Locked], components: Mapping[Key, Component]) -> list[Component]:
    return [components[key] for key, one in locked.items() if name in one.needed_by]


def _component(one: Locked, core: set[str], installed: set[str]) -> Component:
    scope = ComponentScope.EXCLUDED
    if one.name in core:
        scope = ComponentScope.REQUIRED
    elif one.name in installed:
        scope = ComponentScope.OPTIONAL
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"{one.name}@{one.version}",
        name=one.name,
        version=one.version,
        scope=scope,
        purl=PackageURL("pypi", name=one.name, version=one.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in one.hashes],
    )


def _product(project: dict[str, str], distributions: Sequence[Path]) -> Component:
    name, version = project["name"], project["version"]
    files = [
        ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(path.name),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())],
        )
        for path in distributions
    ]
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        name=name,
        version=version,
        description=project["description"],
        licenses=[LicenseExpression(project["license"])],
        purl=PackageURL("pypi", name=name, version=version),
        external_references=files,
    )


def _digest_of(root: Path, distributions: Sequence[Path]) -> str:
    sources = [root / "pyproject.toml", *(root / "requirements" / f"{layer}.txt" for layer in LAYERS), *distributions]
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources)).hexdigest()


def _when(root: Path) -> datetime:
    # The moment of the sources, not of the run: whoever makes it again gets the same file.
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    if seconds is None:
        command = ["git", "log", "-1", "--format=%ct"]
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        seconds = ran.stdout.strip() or "0"
    return datetime.fromtimestamp(int(seconds), UTC)


def main() -> None:
    target, *distributions = map(Path, sys.argv[1:])
    bom = bill(ROOT, sorted(distributions))
    make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_to_file(
        str(target), allow_overwrite=True, indent=2
    )
    print(f"{target}: {len(bom.components)} components")


if __name__ == "__main__":
    main()
