"""Fifty threads at one desk, fifty tasks at one desk, over each store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from coatcheck.testing.clock import START
from coatcheck.testing.crews import race_in_one_process
from coatcheck.testing.races import RACES, Race
from tests.conftest import ENGINES

WORLDS = [(engine, colour) for engine in ENGINES for colour in ("threads", "tasks")]
# What costs many hashes is run in one world here, and among processes in both colours; in all of them in the long run.
CASES = [
    pytest.param(
        race,
        engine,
        colour,
        id=f"{race.__name__}-{engine}-{colour}",
        marks=[pytest.mark.long] if race.costs_hashes and (engine, colour) != ("sqlite", "threads") else [],
    )
    for race in RACES
    for engine, colour in WORLDS
]


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads give way to each other a thousand times as often as they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize(("race", "engine", "colour"), CASES)
def test_dat_09_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_fifty_at_one_desk(
    race: type[Race], engine: str, colour: str, url_of: Callable[[str], str]
) -> None:
    race_in_one_process(race(), url_of(engine), is_async=colour == "tasks", now=START)
