"""Database files that this user cannot use: told with path and mend before SQLite is asked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck import ConfigurationError
from coatcheck.server.config import load
from coatcheck.server.store_file import problem_of_store_file
from tests.conftest import missing
from tests.server.conftest import NOBODY


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of an ordinary user, who we are as long as the test runs: nothing is forbidden to root."""
    folder = Path(tempfile.mkdtemp())  # not pytest's, where root lets nobody in
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_file_that_can_be_used_or_made_is_no_problem(folder: Path) -> None:
    assert problem_of_store_file(folder / "new.db") is None
    (folder / "old.db").touch(0o600)
    assert problem_of_store_file(folder / "old.db") is None


def test_looking_makes_nothing(folder: Path) -> None:
    problem_of_store_file(folder / "new.db")

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400])
def test_a_file_without_our_rights_is_named_with_the_mend(folder: Path, mode: int) -> None:
    file = folder / "app.db"
    file.touch()
    file.chmod(mode)

    told = problem_of_store_file(file)

    assert told == f"this user cannot read and write {file} (mode {mode:04o}); run: chmod u+rw {file}"


@pytest.mark.parametrize("mode", [0o500, 0o300, 0o600])
def test_a_directory_without_our_rights_is_named_with_the_mend(folder: Path, mode: int) -> None:
    folder.chmod(mode)

    told = problem_of_store_file(folder / "app.db")

    assert told is not None
    assert f"write in the directory {folder} (mode {mode:04o})" in told
    assert told.endswith(f"run: chmod u+rwx {folder}")


def test_a_directory_above_that_lets_nobody_through_is_named(folder: Path) -> None:
    (folder / "closed" / "inner").mkdir(parents=True)
    (folder / "closed").chmod(0o600)

    told = problem_of_store_file(folder / "closed" / "inner" / "app.db")

    (folder / "closed").chmod(0o700)
    assert told is not None
    assert f"cannot enter the directory {folder / 'closed'} (mode 0600)" in told


def test_what_belongs_to_somebody_else_is_never_told_to_be_taken_over_whole(folder: Path) -> None:
    if os.geteuid() != NOBODY:
        missing("only root can play two users: run as root")
    os.seteuid(0)
    (folder / "theirs").mkdir(0o755)
    os.seteuid(NOBODY)

    told = problem_of_store_file(folder / "theirs" / "app.db")

    assert told is not None
    assert told.endswith("it belongs to uid 0: run this as that user, or name a file elsewhere")


def test_err_03_all_commands_tell_it_as_a_mistake_in_the_configuration(folder: Path) -> None:
    (folder / "app.db").touch(0o400)

    for serving in (True, False):
        with pytest.raises(ConfigurationError) as refusal:
            load({"store": f"sqlite:///{folder}/app.db"}, {}, serving=serving)
        assert refusal.value.problems[0].startswith("store (--store): this user cannot read and write ")
