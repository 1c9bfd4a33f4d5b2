"""The stories under servers that want a process of their own: a few of them, and more in the long run."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from coatcheck.testing.stories import AnswerStories, CookieStories, MeetingStories, TimeStories, TroubleStories
from coatcheck.testing.visits.browsers import Premises
from tests.doors.apart import HouseApart


class Apart:
    @pytest.fixture
    def house(self, door_and_server: tuple[str, str], tmp_path: Path) -> HouseApart:
        return HouseApart(*door_and_server, tmp_path)


class TestSomeApart(Apart, MeetingStories):
    # Not every server closes what it was given, and this happens when it does.
    test_tmo_04_use_keeps_a_session_alive = TimeStories.test_tmo_04_use_keeps_a_session_alive

    @pytest.fixture(params=[("wsgi", "granian"), ("flask", "gunicorn")], ids="-".join)
    def door_and_server(self, request: pytest.FixtureRequest) -> Any:
        return request.param


@pytest.mark.long
class TestMoreApart(Apart, MeetingStories, AnswerStories, CookieStories, TimeStories, TroubleStories):
    @pytest.fixture(params=product(("wsgi", "flask"), ("gunicorn", "granian")), ids="-".join)
    def door_and_server(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def test_cky_08_nor_do_octets_beyond_ascii(self, here: Premises, door_and_server: tuple[str, str]) -> None:
        if door_and_server[1] == "granian":
            pytest.skip("granian gives a WSGI application no Cookie field that has octets beyond ASCII")
        super().test_cky_08_nor_do_octets_beyond_ascii(here)
