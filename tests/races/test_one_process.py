"""Fifty threads at one desk, fifty tasks at one desk, over each store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from coatcheck.testing.clock import START
from coatcheck.testing.crews import race_in_one_process
from coatcheck.testing.races import RACES, Race
from tests.conftest import APART, ENGINES

WORLDS = [(store, colour) for store in (*ENGINES, *APART) for colour in ("threads", "tasks")]
FOR_LONG = {("apart", "tasks"), ("far apart", "threads")}


def is_long(race: type[Race], world: tuple[str, str]) -> bool:
    """What costs many hashes is run in one world here, and among processes in both colours; all in the long run."""
    return world in FOR_LONG or (race.costs_hashes and world != ("sqlite", "threads"))


CASES = [
    pytest.param(
        race,
        *world,
        id=f"{race.__name__}-{'-'.join(world)}",
        marks=[pytest.mark.long] if is_long(race, world) else [],
    )
    for race in RACES
    for world in WORLDS
]


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads give way to each other a thousand times as often as they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize(("race", "store", "colour"), CASES)
def test_dat_09_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_fifty_at_one_desk(
    race: type[Race], store: str, colour: str, urls_of: Callable[[str], tuple[str, ...]]
) -> None:
    race_in_one_process(race(), *urls_of(store), is_async=colour == "tasks", now=START)
