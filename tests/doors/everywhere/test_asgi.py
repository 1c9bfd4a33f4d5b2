"""The stories of ASGI, by every way and on every store."""

from __future__ import annotations

import pytest

from tests.doors.everywhere.table import places
from tests.doors.everywhere.telling import Everywhere


@pytest.mark.long
@pytest.mark.parametrize(("way", "store"), places("asgi"), scope="class")
class TestAsgiEverywhere(Everywhere):
    door = "asgi"
