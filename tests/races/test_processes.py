"""Fifty workers in processes on one store: ten of five each, threads in some and tasks in others; or fifty."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coatcheck.testing.clock import START
from coatcheck.testing.crews import Crew
from coatcheck.testing.races import RACES, WORKERS, Race
from tests.conftest import APART, ENGINES

SHARED = (*ENGINES[1:], *APART)  # nobody shares the memory of another process
SOME = [*ENGINES[1:], *(pytest.param(store, marks=pytest.mark.long) for store in APART)]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(10)
    yield crew
    crew.dismiss()


@pytest.mark.parametrize("store", SOME)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_dat_09_dat_05_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_ten_processes_of_five(
    crew: Crew, race: type[Race], store: str, urls_of: Callable[[str], tuple[str, ...]]
) -> None:
    crew.race(race(), *urls_of(store), now=START)


@pytest.fixture(scope="module")
def large_crew() -> Iterator[Crew]:
    crew = Crew(WORKERS)
    yield crew
    crew.dismiss()


@pytest.mark.long
@pytest.mark.timeout(900)  # fifty interpreters start on however few processors
@pytest.mark.parametrize("store", SHARED)
@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_dat_09_dat_05_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_fifty_processes(
    large_crew: Crew, race: type[Race], store: str, urls_of: Callable[[str], tuple[str, ...]]
) -> None:
    large_crew.race(race(), *urls_of(store), now=START)
