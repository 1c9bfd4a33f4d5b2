"""The stories of Starlette, by every way and on every store."""

from __future__ import annotations

import pytest

from tests.doors.everywhere.table import places
from tests.doors.everywhere.telling import Everywhere


@pytest.mark.long
@pytest.mark.parametrize(("way", "store"), places("starlette"), scope="class")
class TestStarletteEverywhere(Everywhere):
    door = "starlette"
