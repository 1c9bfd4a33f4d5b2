"""The stories of WSGI, by every way and on every store."""

from __future__ import annotations

import pytest

from tests.doors.everywhere.table import places
from tests.doors.everywhere.telling import Everywhere


@pytest.mark.long
@pytest.mark.parametrize(("way", "store"), places("wsgi"), scope="class")
class TestWsgiEverywhere(Everywhere):
    door = "wsgi"
