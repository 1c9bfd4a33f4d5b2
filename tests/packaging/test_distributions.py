"""What a release holds, and that anybody can build the very same one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

# argon2-cffi brings the last three.
CORE = {"msgspec", "argon2-cffi", "argon2-cffi-bindings", "cffi", "pycparser"}


class Build(NamedTuple):
    """A wheel and an sdist, built from the checkout `source`."""

    source: Path
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def build(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """What a release would hold, built from a copy of the checkout."""
    return _build(_copy_of(root, tmp_path_factory.mktemp("release") / "checkout"))


@pytest.fixture(scope="module")
def build_elsewhere(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The same release as another machine builds it: other path, file times, umask, time zone and hash seed,
    and with what lies about in a checkout where people work."""
    source = _copy_of(build.source, tmp_path_factory.mktemp("elsewhere") / "another" / "place")
    package = source / "src" / "coatcheck"
    (package / "core" / "__pycache__").mkdir(exist_ok=True)
    for name in ("core/__pycache__/policy.cpython-311.pyc", "app.db", "app.db-wal", "app.secret", "key.pem"):
        (package / name).write_text("-----BEGIN PRIVATE KEY-----")
    for path in [source, *source.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return _build(source, PYTHONHASHSEED="7", TZ="Pacific/Auckland")


def _copy_of(root: Path, target: Path) -> Path:
    leave = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "_build", "*.db*")
    return shutil.copytree(root, target, ignore=leave)


def _build(source: Path, **environment: str) -> Build:
    output = source.parent / "built"
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", output],
        cwd=source,
        env=clean | environment,
        check=True,
        capture_output=True,
    )
    return Build(source, *output.glob("*.whl"), *output.glob("*.tar.gz"))


def test_sup_01_the_core_depends_on_argon2_and_msgspec_only(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["dependencies"] == ["argon2-cffi>=25.1", "msgspec>=0.20"]


def test_sup_01_whatever_the_core_brings_along_is_known() -> None:
    reached = set()
    waiting = ["argon2-cffi", "msgspec"]

    while waiting:
        name = waiting.pop()
        reached.add(name)
        required = [Requirement(text) for text in metadata.requires(name) or ()]
        waiting += [each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]

    assert reached <= CORE


def test_sup_01_the_wheel_imports_where_nothing_but_the_core_is_installed(build: Build, tmp_path: Path) -> None:
    for name in CORE:
        for file in metadata.files(name) or ():
            if ".." not in file.parts:
                link = tmp_path / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.locate())
    program = (
        f"import sys; sys.path += {[str(build.wheel), str(tmp_path)]}; import coatcheck; print(coatcheck.__file__)"
    )

    # -I -S: this Python alone, without the packages that the tests have.
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)

    assert (ran.stderr, ran.stdout) == ("", f"{build.wheel}/coatcheck/__init__.py\n")


def test_sup_06_the_wheel_rebuilds_byte_for_byte(build: Build, build_elsewhere: Build) -> None:
    assert build.wheel.read_bytes() == build_elsewhere.wheel.read_bytes()


def test_sup_06_the_sdist_rebuilds_byte_for_byte(build: Build, build_elsewhere: Build) -> None:
    assert build.sdist.read_bytes() == build_elsewhere.sdist.read_bytes()


def test_sup_07_the_wheel_lists_the_package_and_its_metadata_only(build: Build) -> None:
    package = build.source / "src"
    expected = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}

    listed = set(zipfile.ZipFile(build.wheel).namelist())

    metadata_names = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert listed == expected | {f"coatcheck-0.1.0.dist-info/{name}" for name in metadata_names}


def test_sup_07_the_package_holds_source_and_page_files_only(build: Build) -> None:
    kinds = {
        PurePosixPath(name).suffix for name in zipfile.ZipFile(build.wheel).namelist() if ".dist-info/" not in name
    }

    assert kinds <= {".py", ".lua", ".typed", ".html", ".css", ".svg", ".js"}


def test_sup_07_no_file_of_the_wheel_holds_a_private_key(build: Build) -> None:
    wheel = zipfile.ZipFile(build.wheel)

    holders = [name for name in wheel.namelist() if b"PRIVATE KEY-----" in wheel.read(name)]

    assert holders == []


def test_sup_07_no_file_of_the_wheel_holds_a_secret_of_the_tests_or_the_documents(build: Build) -> None:
    """A sample secret that ships is one that somebody deploys."""
    makers = [*build.source.rglob("tests/**/*.py"), *build.source.glob("*.md"), *build.source.rglob("docs/*.md")]
    samples = {
        sample
        for path in makers
        for sample in re.findall(r"(?<![\w-])[\w-]{32,}(?![\w-])", path.read_text())
        if re.search(r"[0-9]", sample) and re.search(r"[A-Z]", sample) and re.search(r"[a-z]", sample)
    }
    wheel = zipfile.ZipFile(build.wheel)

    holders = [(name, sample) for name in wheel.namelist() for sample in samples if sample.encode() in wheel.read(name)]

    assert "Zq3v9-KfT1mXc7Rw5Lb2Yd8Hn4Js6Pg0Ue_AoIxBtC" in samples, "the search finds those that we know"
    assert holders == []


def test_sup_07_neither_distribution_holds_what_a_running_server_leaves_behind(build_elsewhere: Build) -> None:
    with tarfile.open(build_elsewhere.sdist) as sdist:
        names = [*sdist.getnames(), *zipfile.ZipFile(build_elsewhere.wheel).namelist()]

    leftovers = (".db", ".db-wal", ".db-shm", ".secret", ".pem", ".key", ".pyc", ".toml.bak", ".env")
    assert [name for name in names if name.endswith(leftovers)] == []


def test_sup_10_the_sdist_holds_a_security_policy_with_contact_versions_and_disclosure_time(
    build: Build, pyproject: dict[str, Any]
) -> None:
    with tarfile.open(build.sdist) as sdist:
        member = sdist.extractfile("coatcheck-0.1.0/SECURITY.md")
        assert member is not None
        policy = member.read().decode()

    parts = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", policy, re.M))
    assert list(parts)[:3] == ["Contact", "Supported versions", "Disclosure time"]
    assert re.search(r"private", parts["Contact"])
    assert re.search(r"e-mail", parts["Contact"])
    minor = ".".join(pyproject["project"]["version"].split(".")[:2])
    assert re.search(rf"^\| {re.escape(minor)}\.x.*\| yes \|$", parts["Supported versions"], re.M)
    assert [int(days) for days in re.findall(r"within (\d+) days, a grave one within (\d+)", policy)[0]] == [7, 30]
    assert re.search(r"at the latest \d+ days after your report", parts["Disclosure time"])


def test_the_wheel_tells_type_checkers_that_it_is_typed(build: Build) -> None:
    assert "coatcheck/py.typed" in zipfile.ZipFile(build.wheel).namelist()


def test_the_wheel_brings_the_command_coatcheck(build: Build) -> None:
    text = zipfile.ZipFile(build.wheel).read("coatcheck-0.1.0.dist-info/entry_points.txt").decode()

    assert text == "[console_scripts]\ncoatcheck = coatcheck.cli.main:main\n"
