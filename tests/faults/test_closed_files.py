"""Files and folders that may not be written, read or entered for a while: a named error meanwhile, right again after.

To root nothing is closed: the work is then done by a child under another user, who owns the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.samples import a_digest, started
from tests.faults.test_forks import forked, status_of
from tests.faults.whole import FILES, structure_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs users and modes as Unix has them"),
]

NOBODY = 65534
run = run_blocking


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the one who does the work, and a way there: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="coatcheck-"))
    folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


def by_its_owner(work: Callable[[], None]) -> int:
    """Do work as whom modes mean something to; give its exit status."""

    def child() -> None:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return status_of(forked(child))


def open_store(file: Path) -> SqliteStore:
    return SqliteStore(str(file), Blocking(HashingLane(queue=1, nice=0)))


def close_all(file: Path, modes: tuple[int, int]) -> None:
    for suffix in FILES:
        path = Path(f"{file}{suffix}")
        if path.exists():
            path.chmod(modes[0])
    file.parent.chmod(modes[1])


def open_all(file: Path) -> None:
    file.parent.chmod(0o700)
    close_all(file, (0o600, 0o700))


CLOSED = {
    "files that may not be written": (0o444, 0o700),
    "a file system that may not be written": (0o444, 0o555),
    "files that may not be read": (0o000, 0o700),
    "a folder that may not be entered": (0o600, 0o000),
    "a folder that may not be read or written": (0o600, 0o111),
}


@pytest.mark.parametrize("how", CLOSED)
def test_err_01_what_may_not_be_opened_is_a_named_error_until_it_may(folder: Path, how: str) -> None:
    file = folder / "store.db"

    def work() -> None:
        store = open_store(file)
        run(started(store, 1))
        run(store.close())
        close_all(file, CLOSED[how])
        for _ in range(2):
            with pytest.raises((StoreUnavailable, ConfigurationError)):
                run(started(store, 2))
            with suppress(StoreUnavailable, ConfigurationError):
                assert run(store.find(a_digest(1))) is not None, "to read may be possible, to be wrong is not"
        open_all(file)
        assert run(store.find(a_digest(1))) is not None
        assert run(store.find(a_digest(2))) is None
        run(started(store, 3))
        run(store.close())
        assert structure_of(file) == []

    assert by_its_owner(work) == 0


@pytest.mark.parametrize("how", CLOSED)
def test_err_01_a_store_in_use_loses_nothing_when_its_files_are_closed_to_it(folder: Path, how: str) -> None:
    """What is open stays open: writes go on or are refused, and what was acknowledged is there."""
    file = folder / "store.db"

    def work() -> None:
        store = open_store(file)
        run(started(store, 1))
        assert run(store.find(a_digest(1))) is not None
        close_all(file, CLOSED[how])
        acknowledged = [1]
        for number in range(2, 6):
            try:
                run(started(store, number))
                acknowledged.append(number)
            except (StoreUnavailable, ConfigurationError):
                continue
        open_all(file)
        for number in acknowledged:
            assert run(store.find(a_digest(number))) is not None
        run(started(store, 9))
        run(store.close())
        assert structure_of(file) == []

    assert by_its_owner(work) == 0
