"""The stories under servers that want a process of their own: a few of them. All are told in `everywhere`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck.testing.stories import MeetingStories, TimeStories
from tests.doors.apart import HouseApart, server_apart


@pytest.mark.parametrize(("door", "server"), [("wsgi", "granian"), ("flask", "gunicorn")], scope="class")
class TestSomeApart(MeetingStories):
    # Not every server closes what it was given, and this happens when it does.
    test_tmo_04_use_keeps_a_session_alive = TimeStories.test_tmo_04_use_keeps_a_session_alive

    @pytest.fixture(scope="class")
    @classmethod
    def process(cls, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        with server_apart(server, tmp_path_factory.mktemp(server)) as process:
            yield process

    @pytest.fixture
    def house(self, door: str, process: Any, tmp_path: Path) -> HouseApart:
        return HouseApart(door, [f"sqlite:///{tmp_path / 'stories.db'}"], process)
