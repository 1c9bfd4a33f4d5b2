"""`coatcheck store copy`, as whoever moves a site meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coatcheck import Coatcheck
from coatcheck.colour import run_blocking
from coatcheck.server.store_urls import sqlite_file, stores_at
from coatcheck.stores.protocols import Contents
from coatcheck.testing.servers import PostgresServer
from coatcheck.testing.suites.copying import everything
from tests.cli.conftest import NEXT_VERSION, PASSWORD, Run, environment
from tests.faults.wire import Wire

CROWD = 3000  # sessions: several pages, so that a kill finds the copy under way


def settings_file(path: Path, **settings: str) -> str:
    """Write a settings file that only its owner can read; give its name."""
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))
    path.chmod(0o600)
    return str(path)


def contents_of(store: str, sessions: str | None = None) -> Any:
    """Read everything a place holds."""
    opened = stores_at(store, sessions)
    try:
        return run_blocking(everything(opened))
    finally:
        run_blocking(opened.close())


@pytest.mark.usefixtures("desk")
def test_a_copy_is_complete_and_says_how_much_it_was(coatcheck: Run, tmp_path: Path) -> None:
    ran = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///new.db", "--json")

    assert ran.status == 0
    assert (ran.json["accounts"], ran.json["sessions"], ran.json["left_out"]) == (1, 1, 0)
    assert ran.json["verified"] == {"accounts": 1, "subjects": 1, "sessions": 1, "counters": 0, "events": 2}
    assert contents_of(f"sqlite:///{tmp_path}/new.db") == contents_of(f"sqlite:///{tmp_path}/coatcheck.db")


@pytest.mark.usefixtures("desk")
def test_a_second_copy_into_the_same_place_is_refused(coatcheck: Run) -> None:
    first = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///new.db")
    again = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///new.db")

    assert (first.status, again.status) == (0, 2)
    assert first.out.startswith("Copied 1 account, 1 session, ")
    assert first.out.endswith(". Every entry was compared: complete and equal.\n")
    assert again.err.startswith("error: TO: ")
    assert "in use" in again.err


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("used", ["coatcheck.db", "other.db"])
def test_a_copy_that_is_refused_writes_nothing(coatcheck: Run, tmp_path: Path, used: str) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/other.db") as other:
        other.sign_up(username="grace", password=PASSWORD)
    before = contents_of(f"sqlite:///{tmp_path}/other.db")
    target = ["sqlite:///new.db", "--sessions-to", "sqlite:///other.db"]
    if used == "coatcheck.db":
        target = ["sqlite:///coatcheck.db", "--sessions-to", "sqlite:///new.db"]

    ran = coatcheck("store", "copy", "sqlite:///coatcheck.db", *target)

    assert ran.status == 2
    assert ran.err.startswith("error: TO: ")
    assert f"{used} is in use" in ran.err
    assert not list(tmp_path.glob("new.db*"))
    assert contents_of(f"sqlite:///{tmp_path}/other.db") == before


def test_trouble_with_the_target_is_told_of_the_target(
    coatcheck: Run, tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.sign_up(username="ada", password=PASSWORD)
    place = redis_url.rpartition("@")[2]
    for name, told, settings in (
        ("wrong", "TO: ", {"store": f"redis://:hush@{place}"}),
        ("apart", "TO: sessions: ", {"store": postgres_url, "sessions": f"redis://:hush@{place}"}),
        ("down", "TO: ", {"store": "redis://127.0.0.1:9/0"}),
    ):
        file = settings_file(tmp_path / f"{name}.toml", **settings)

        ran = coatcheck("store", "copy", "sqlite:///coatcheck.db", file)

        assert ran.status == 2
        assert ran.err.startswith(f"error: {told}"), ran.err
        assert "hush" not in ran.err


def test_a_mistyped_source_is_told_and_not_made(coatcheck: Run, tmp_path: Path) -> None:
    ran = coatcheck("store", "copy", "sqlite:///typo.db", "sqlite:///new.db")

    assert ran.status == 2
    assert ran.err.startswith("error: FROM: there is no database at ")
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_of_both_sides_are_told_at_once(coatcheck: Run) -> None:
    ran = coatcheck("store", "copy", "oracle://db", "redis://:tiger@127.0.0.1/0", "--json")

    assert ran.status == 2
    told = [line["detail"].partition(":")[0] for line in json.loads(ran.err)["errors"]]
    assert told == ["FROM", "TO"]
    assert "tiger" not in ran.err


@pytest.mark.parametrize("option", ["--sessions-from", "--sessions-to"])
def test_log_03_no_url_on_the_command_line_may_bear_a_password(coatcheck: Run, option: str) -> None:
    url = "redis://u:tiger@127.0.0.1/0"

    ran = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///new.db", option, url)

    assert ran.status == 2
    assert "settings file" in ran.err
    assert "tiger" not in ran.err


@pytest.mark.usefixtures("desk")
def test_progress_at_a_terminal_is_a_bar_and_elsewhere_nothing_but_lines(coatcheck: Run, at_terminal: Run) -> None:
    shown = at_terminal("store", "copy", "sqlite:///coatcheck.db", "sqlite:///one.db")
    piped = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///two.db")
    quiet = at_terminal("store", "copy", "sqlite:///coatcheck.db", "sqlite:///three.db", "--quiet")

    assert "copying" in shown.out
    assert "verifying" in shown.out
    assert "100 %, 2 of 2 events" in shown.out
    assert (piped.err, piped.out.count("\n")) == ("", 1)
    assert "copying" not in quiet.out


@pytest.mark.usefixtures("desk")
def test_nothing_is_compared_with_no_verify(coatcheck: Run) -> None:
    told = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///one.db", "--no-verify")
    document = coatcheck("store", "copy", "sqlite:///coatcheck.db", "sqlite:///two.db", "--no-verify", "--json")

    assert (told.status, document.status) == (0, 0)
    assert told.out == "Copied 1 account, 1 session, 0 counters, 2 events.\n"
    assert document.json["verified"] is None


@pytest.mark.parametrize("side", ["FROM", "TO"])
def test_dat_08_a_side_of_another_version_is_named_with_the_mend(
    coatcheck: Run, tmp_path: Path, postgres_url: str, side: str
) -> None:
    with Coatcheck(postgres_url) as desk:
        desk.start_session("subject-42")
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.start_session("subject-42")
    there = settings_file(tmp_path / "pg.toml", store=postgres_url)
    places = [there, "sqlite:///coatcheck.db" if side == "TO" else "sqlite:///new.db"]

    older = coatcheck("store", "copy", *places[:: 1 if side == "FROM" else -1], program=NEXT_VERSION)
    coatcheck("schema", "upgrade", "--config", there, program=NEXT_VERSION)
    newer = coatcheck("store", "copy", *places[:: 1 if side == "FROM" else -1], "--json")

    assert (older.status, newer.status) == (2, 2)
    assert older.err.startswith(f"error: {side}: postgresql 127.0.0.1:")
    assert "older" in older.err
    assert older.err.endswith("; run: coatcheck schema upgrade\n")
    (mistake,) = json.loads(newer.err)["errors"]
    assert mistake["detail"].startswith(f"{side}: postgresql 127.0.0.1:")
    assert mistake["detail"].endswith("; run the newer Coatcheck that wrote it")


@pytest.mark.usefixtures("desk")
def test_a_server_does_not_start_on_the_beginning_of_a_copy(coatcheck: Run, tmp_path: Path) -> None:
    half = stores_at(f"sqlite:///{tmp_path}/half.db", None)
    run_blocking(half.load(run_blocking(half.export(after=None, limit=1)), bookmark="under way"))
    run_blocking(half.close())

    ran = coatcheck("serve", "--store", "sqlite:///half.db")
    examined = coatcheck("doctor", "--store", "sqlite:///half.db", "--json")

    assert ran.status == 2
    assert "not finished" in ran.err
    found = [one for one in examined.json["findings"] if one["level"] == "error"]
    assert [(one["check"], "not finished" in one["message"], bool(one["mend"])) for one in found] == [
        ("store", True, True)
    ]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a crowd of sessions."""
    path = tmp_path_factory.mktemp("crowded") / "old.db"
    with Coatcheck(f"sqlite:///{path}") as desk:
        desk.sign_up(username="ada", password=PASSWORD)
        for number in range(CROWD):
            desk.start_session(f"subject {number}")
    return path


@pytest.fixture
def targets(tmp_path: Path, postgres_url: str, redis_url: str) -> dict[str, tuple[str, str, str | None]]:
    """Where a copy may go: a settings file, and what stands in it."""
    return {
        "sqlite": (f"sqlite:///{tmp_path}/new.db", f"sqlite:///{tmp_path}/new.db", None),
        "postgres": (settings_file(tmp_path / "pg.toml", store=postgres_url), postgres_url, None),
        "valkey": (settings_file(tmp_path / "valkey.toml", store=redis_url), redis_url, None),
        "postgres and valkey": (
            settings_file(tmp_path / "both.toml", store=postgres_url, sessions=redis_url),
            postgres_url,
            redis_url,
        ),
    }


@pytest.mark.skipif(not hasattr(os, "kill"), reason="kills a process")
@pytest.mark.parametrize("target", ["sqlite", "postgres", "valkey", "postgres and valkey"])
def test_err_07_a_copy_killed_amid_its_work_goes_on_and_ends_complete_and_equal(
    coatcheck: Run, crowded: Path, targets: dict[str, tuple[str, str, str | None]], tmp_path: Path, target: str
) -> None:
    place, store, sessions = targets[target]
    source = f"sqlite:///{crowded}"
    kills = 0
    while kills < 3:
        if not _killed_amid_its_work(source, place, tmp_path, bookmark_of=lambda: _bookmark(store, sessions)):
            break
        kills += 1

    ran = coatcheck("store", "copy", source, place, "--json")

    print(f"killed {kills} times")
    assert kills == 3
    assert ran.status == 0, ran.err
    assert ran.json["went_on"] is True
    assert ran.json["sessions"] == CROWD
    assert contents_of(store, sessions) == contents_of(source)


@pytest.mark.skipif(not hasattr(os, "kill"), reason="kills a process")
@pytest.mark.parametrize("target", ["sqlite", "postgres and valkey"])
def test_err_07_a_copy_killed_while_it_compares_does_so_anew_and_names_what_is_not_equal(
    coatcheck: Run, crowded: Path, targets: dict[str, tuple[str, str, str | None]], tmp_path: Path, target: str
) -> None:
    place, store, sessions = targets[target]
    source = f"sqlite:///{crowded}"
    command = [sys.executable, "-m", "coatcheck", "store", "copy", source, place]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment({}), stderr=subprocess.DEVNULL)
    while process.poll() is None and '"is_at_end":true' not in (_bookmark(store, sessions) or ""):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "everything is there, and not compared yet"
    opened = stores_at(store, sessions)
    (found,) = [one for one in contents_of(source).sessions if one.subject == "subject 1234"]
    spoilt = Contents(sessions=(msgspec.structs.replace(found, expires_at=found.expires_at + 1),))
    run_blocking(opened.load(spoilt, bookmark=run_blocking(opened.bookmark())))

    refused = coatcheck("store", "copy", source, place, "--json")
    run_blocking(opened.load(Contents(sessions=(found,)), bookmark=run_blocking(opened.bookmark())))
    run_blocking(opened.close())
    ran = coatcheck("store", "copy", source, place, "--json")

    summary, named = json.loads(refused.err)["errors"]
    assert refused.status == 2
    assert summary["detail"].startswith("TO: ")
    assert summary["detail"].endswith("; empty it and copy again")
    assert named["detail"] == f"TO: session {found.id} differs"
    assert (ran.status, ran.json["went_on"]) == (0, True)
    assert (ran.json["verified"]["sessions"], ran.json["sessions"]) == (CROWD, CROWD)


@pytest.mark.parametrize("side", ["FROM", "TO"])
def test_err_06_a_side_that_goes_away_amid_the_copy_is_named_and_the_copy_goes_on_later(
    coatcheck: Run, crowded: Path, tmp_path: Path, postgres: PostgresServer, side: str
) -> None:
    away, here = postgres.fresh(), f"sqlite:///{tmp_path}/here.db"
    if side == "FROM":
        crowd = settings_file(tmp_path / "crowd.toml", store=away)
        assert coatcheck("store", "copy", f"sqlite:///{crowded}", crowd).status == 0
    else:
        here = f"sqlite:///{crowded}"
    with Wire(postgres.port) as wire:
        over_the_wire = settings_file(tmp_path / "away.toml", store=wire.instead_of(away))
        places = [over_the_wire, here] if side == "FROM" else [here, over_the_wire]
        wire.slow_down(0.1)  # so that it is under way for a while
        command = [sys.executable, "-m", "coatcheck", "store", "copy", *places]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment({}), stderr=subprocess.PIPE, text=True)
        target = here if side == "FROM" else away
        while process.poll() is None and '"accounts":1' not in (_bookmark_if_there(target) or ""):
            time.sleep(0.001)
        wire.hold()
        _, told = process.communicate()
        wire.slow_down(0)
        wire.release()

        ran = coatcheck("store", "copy", *places, "--json")

    assert process.returncode == 2, told
    assert told.startswith(f"error: {side}: the store postgresql 127.0.0.1:{wire.port}/")
    assert told.endswith("Once that is mended start the copy again: it goes on where it stood\n")
    assert (ran.status, ran.json["went_on"]) == (0, True), ran.err
    assert contents_of(target) == contents_of(f"sqlite:///{crowded}")
    postgres.drop(away)


def _bookmark_if_there(store: str) -> str | None:
    file = sqlite_file(store)
    return _bookmark(store, None) if file is None or file.exists() else None


def _killed_amid_its_work(source: str, place: str, folder: Path, *, bookmark_of: Any) -> bool:
    """Start a copy and kill it as soon as it has brought something new; False if it was done before."""
    before = bookmark_of()
    command = [sys.executable, "-m", "coatcheck", "store", "copy", source, place]
    process = subprocess.Popen(command, cwd=folder, env=environment({}), stderr=subprocess.DEVNULL)
    while process.poll() is None and bookmark_of() in (None, before):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _bookmark(store: str, sessions: str | None) -> str | None:
    opened = stores_at(store, sessions)
    try:
        return run_blocking(opened.bookmark())
    finally:
        run_blocking(opened.close())
