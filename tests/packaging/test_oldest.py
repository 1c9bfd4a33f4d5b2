"""The FastAPI door goes a way into an application that nothing documents: the oldest release that it may meet has it.

The newest is the one that all other tests run with.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import missing

WHERE = "tests/fastapi"
FILES = ("test_lifespan.py", "test_dependencies.py", "test_evidence.py", "test_own_users.py")
BESIDES = ("pytest", "pytest-timeout", "hypothesis", "httpx", "httpx2", "flask", "uvicorn", "websockets", "sqlalchemy")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_oldest_fastapi_and_starlette_that_are_allowed(root: Path, tmp_path: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    bounds = [one for one in extras["fastapi"] if one.startswith("fastapi")]
    oldest = tmp_path / "pins.txt"
    resolved = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "-q", "--resolution", "lowest", "-"],
        input="\n".join(bounds),
        capture_output=True,
        text=True,
        check=False,
    )
    if resolved.returncode:
        missing(f"a package index to take the oldest FastAPI from: {resolved.stderr.strip()[-200:]}")
    frameworks = [line for line in resolved.stdout.splitlines() if line.startswith(("fastapi==", "starlette=="))]
    oldest.write_text("\n".join(frameworks))
    python = tmp_path / "env" / "bin" / "python"
    for command in (
        ["venv", "-q", "--python", sys.executable, str(tmp_path / "env")],
        ["pip", "install", "-q", "--python", str(python), "-r", str(oldest), *BESIDES, f"{root}[pages]"],
    ):
        subprocess.run([sys.executable, "-m", "uv", *command], check=True)

    # What is deprecated between so old a release and what it needs today is nobody's concern here.
    ran = subprocess.run(
        [
            python,
            "-W",
            "ignore",
            "-m",
            "pytest",
            "-q",
            "-o",
            "filterwarnings=",
            "-p",
            "no:cacheprovider",
            *_files(root),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    print(frameworks, ran.stdout[-300:])
    assert ran.returncode == 0, ran.stdout[-4000:]


def _files(root: Path) -> list[str]:
    return [str(root / WHERE / name) for name in FILES]
