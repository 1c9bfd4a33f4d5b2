"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything of it is imported, by whichever test comes first.
pytest.register_assert_rewrite("coatcheck.testing")

# A busy machine is no failure: no test asserts a time.
settings.register_profile("coatcheck", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("coatcheck")

ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> None:
    """Skip a test for want of a tool, in words; where everything must be there (CI), fail instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"this machine must have it: {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that Debian's package `chromium` installs."""
    path = os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium")
    if not Path(path).exists():
        missing(f"no browser at {path}: install Debian's chromium, or set CHROMIUM_PATH")
    return path
