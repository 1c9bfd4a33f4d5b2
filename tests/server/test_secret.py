"""Secrets in files: private, complete, made once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coatcheck import ConfigurationError
from coatcheck.crypto.keys import problem_of_secret
from coatcheck.server.secret import create_private, development_secret, new_secret, problem_of_file, read_secret_file


def test_a_fresh_secret_is_a_sound_one() -> None:
    assert problem_of_secret(new_secret().encode()) is None


def test_the_development_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = development_secret(tmp_path / "app.db.secret")
    second = development_secret(tmp_path / "app.db.secret")

    assert first == second


def test_key_07_the_development_secret_is_private(tmp_path: Path) -> None:
    development_secret(tmp_path / "app.db.secret")

    assert stat.S_IMODE((tmp_path / "app.db.secret").stat().st_mode) == 0o600


def test_of_many_makers_at_once_one_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(development_secret, [tmp_path / "app.db.secret"] * 64))

    assert len(secrets) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["app.db.secret"]


def test_key_07_a_development_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    development_secret(tmp_path / "app.db.secret")
    (tmp_path / "app.db.secret").chmod(0o644)

    with pytest.raises(ConfigurationError, match=r"secret: .*chmod 600"):
        development_secret(tmp_path / "app.db.secret")


def test_key_07_a_development_secret_that_another_user_planted_is_refused(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    development_secret(tmp_path / "app.db.secret")
    give_away(tmp_path / "app.db.secret")

    with pytest.raises(ConfigurationError, match=r"secret: .*app\.db\.secret belongs to another user.*chown"):
        development_secret(tmp_path / "app.db.secret")


def test_key_07_a_file_of_root_is_believed_by_every_user(tmp_path: Path) -> None:
    (tmp_path / "kept").touch(mode=0o600)
    ours = (tmp_path / "kept").stat()
    of_root = os.stat_result((*ours[:4], 0, *ours[5:10]))

    assert of_root.st_uid == 0
    assert problem_of_file(tmp_path / "kept", of_root) is None


def test_key_07_the_opened_file_is_judged_and_not_what_stands_there_now(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    (tmp_path / "kept").touch(mode=0o600)
    (tmp_path / "planted").touch(mode=0o600)
    give_away(tmp_path / "planted")

    with (tmp_path / "planted").open("rb") as planted:
        problem = problem_of_file(tmp_path / "kept", os.fstat(planted.fileno()))

    assert problem is not None
    assert "belongs to another user" in problem


def test_where_nothing_can_be_written_the_mend_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="COATCHECK_SECRET"):
        development_secret(tmp_path / "nowhere" / "app.db.secret")


def test_a_private_file_is_never_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("old")

    with pytest.raises(FileExistsError):
        create_private(tmp_path / "kept", b"new")

    assert (tmp_path / "kept").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        read_secret_file(tmp_path / "nowhere")
