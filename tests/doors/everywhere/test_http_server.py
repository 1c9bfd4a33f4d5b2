"""The stories of http.server, by every way and on every store."""

from __future__ import annotations

import pytest

from tests.doors.everywhere.table import places
from tests.doors.everywhere.telling import Everywhere


@pytest.mark.long
@pytest.mark.parametrize(("way", "store"), places("http_server"), scope="class")
class TestHttpServerEverywhere(Everywhere):
    door = "http_server"
