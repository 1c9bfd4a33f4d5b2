"""Fifty workers in processes on one store: ten of five each, threads in some and tasks in others; or fifty."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coatcheck.testing.clock import START
from coatcheck.testing.crews import Crew
from coatcheck.testing.races import RACES, WORKERS, Race
from tests.conftest import ENGINES

SHARED = ENGINES[1:]  # nobody shares the memory of another process


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(10)
    yield crew
    crew.dismiss()


@pytest.mark.parametrize("engine", SHARED)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_dat_09_dat_05_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_ten_processes_of_five(
    crew: Crew, race: type[Race], engine: str, url_of: Callable[[str], str]
) -> None:
    crew.race(race(), url_of(engine), now=START)


@pytest.fixture(scope="module")
def large_crew() -> Iterator[Crew]:
    crew = Crew(WORKERS)
    yield crew
    crew.dismiss()


@pytest.mark.long
@pytest.mark.timeout(900)  # fifty interpreters start on however few processors
@pytest.mark.parametrize("engine", SHARED)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_dat_09_dat_05_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_fifty_processes(
    large_crew: Crew, race: type[Race], engine: str, url_of: Callable[[str], str]
) -> None:
    large_crew.race(race(), url_of(engine), now=START)
