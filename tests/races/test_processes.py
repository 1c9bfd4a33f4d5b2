"""Fifty workers in processes on one SQLite file: ten of five each, threads in some and tasks in others; or fifty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.testing.clock import START
from coatcheck.testing.crews import Crew
from coatcheck.testing.races import RACES, WORKERS, Race


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(10)
    yield crew
    crew.dismiss()


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_dat_09_dat_05_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_ten_processes_of_five(
    crew: Crew, race: type[Race], tmp_path: Path
) -> None:
    crew.race(race(), f"sqlite:///{tmp_path}/app.db", now=START)


@pytest.mark.long
@pytest.mark.timeout(900)  # fifty interpreters start on however few processors
def test_dat_09_dat_05_rev_04_rev_05_ses_05_ses_06_acc_05_rat_06_fifty_processes(tmp_path: Path) -> None:
    crew = Crew(WORKERS)

    for race in RACES:
        crew.race(race(), f"sqlite:///{tmp_path}/{race.__name__}.db", now=START)

    crew.dismiss()
