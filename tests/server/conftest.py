"""What tests of the server share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import missing

NOBODY = 65534


@pytest.fixture
def give_away() -> Callable[[Path], None]:
    """Make a file or folder another user's, as if that user had planted it."""

    def to_nobody(path: Path) -> None:
        try:
            os.chown(path, NOBODY, NOBODY)
        except OSError as error:
            missing(f"only root can give files to another user ({error.strerror}): run as root")

    return to_nobody
