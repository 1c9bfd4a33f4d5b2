"""`coatcheck schema`, `init` and `doctor`."""

from __future__ import annotations

import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck import Coatcheck
from tests.cli.conftest import Run

SECRET = "Zq3v9-KfT1mXc7Rw5Lb2Yd8Hn4Js6Pg0Ue_AoIxBtC"
PRODUCTION = {
    "COATCHECK_SECRET": SECRET,
    "COATCHECK_PUBLIC_URL": "https://login.example.org",
    "COATCHECK_TRUSTED_PROXIES": "127.0.0.1",
    "COATCHECK_TRUSTED_HOPS": "1",
}


@pytest.mark.usefixtures("desk")
def test_schema_status_of_a_current_store(coatcheck: Run) -> None:
    ran = coatcheck("schema", "status", "--json")

    assert ran.status == 0
    assert ran.json["state"] == "current"
    assert ran.json["version"] == ran.json["latest"]


@pytest.mark.usefixtures("desk")
def test_dat_08_a_newer_schema_is_refused_and_left_alone(coatcheck: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "coatcheck.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 999")

    status = coatcheck("schema", "status", "--json")
    upgrade = coatcheck("schema", "upgrade")
    listing = coatcheck("accounts", "list")

    assert (status.status, status.json["state"]) == (1, "newer")
    assert (upgrade.status, listing.status) == (2, 2)
    assert "newer" in listing.err


@pytest.mark.usefixtures("desk")
def test_schema_upgrade_of_a_current_store_changes_nothing(coatcheck: Run) -> None:
    ran = coatcheck("schema", "upgrade", "--json")

    assert ran.status == 0
    assert ran.json["before"] == ran.json["after"]


@pytest.mark.parametrize("command", [["accounts", "list"], ["sessions", "purge"], ["schema", "status"]])
def test_a_mistyped_store_is_not_an_empty_one(coatcheck: Run, tmp_path: Path, command: list[str]) -> None:
    ran = coatcheck(*command, "--store", "sqlite:///typo.db")

    assert ran.status == 2
    assert "typo.db" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "list", "--store", "sqlite:///no/such/app.db")

    assert ran.status == 2
    assert "no/such" in ran.err


def test_an_unknown_kind_of_store_is_refused_without_its_password(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "list", env={"COATCHECK_STORE": "oracle://scott:tiger@db/app"})

    assert ran.status == 2
    assert "COATCHECK_STORE" in ran.err
    assert "tiger" not in ran.err


def test_a_store_with_a_password_is_refused_on_the_command_line(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "list", "--store", "oracle://scott:tiger@db/app")

    assert "command line" in ran.err
    assert "tiger" not in ran.err


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 40, b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_told_as_such(coatcheck: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "coatcheck.db").write_bytes(content)

    ran = coatcheck("accounts", "list")

    assert ran.status == 2
    assert ran.err.startswith("error: store: ")


def test_another_programs_database_is_left_alone(coatcheck: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "coatcheck.db")) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")

    ran = coatcheck("schema", "upgrade")

    assert ran.status == 2
    assert "another program" in ran.err


def test_memory_cannot_be_reached_by_a_command(coatcheck: Run) -> None:
    ran = coatcheck("sessions", "list", "--store", "memory://")

    assert ran.status == 2
    assert "process" in ran.err


def test_init_writes_a_private_file_with_a_secret_that_serves(coatcheck: Run, tmp_path: Path) -> None:
    ran = coatcheck("init")

    written = tmp_path / "coatcheck.toml"
    assert ran.status == 0
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    secret = written.read_text().partition('secret = "')[2].partition('"')[0]
    assert len(secret) == 43
    assert secret not in ran.out + ran.err
    assert coatcheck("doctor").status in (0, 1)


def test_init_does_not_overwrite_unless_forced(coatcheck: Run, tmp_path: Path) -> None:
    coatcheck("init")
    first = (tmp_path / "coatcheck.toml").read_text()

    refused = coatcheck("init")
    kept = (tmp_path / "coatcheck.toml").read_text()
    forced = coatcheck("init", "--force")

    assert (refused.status, kept == first) == (2, True)
    assert "--force" in refused.err
    assert forced.status == 0
    assert (tmp_path / "coatcheck.toml").read_text() != first


def test_every_line_of_the_sample_is_a_setting_that_is_accepted(coatcheck: Run, tmp_path: Path) -> None:
    coatcheck("init")
    file = tmp_path / "coatcheck.toml"
    (tmp_path / "templates").mkdir()
    lines = [line.removeprefix("#") if line[:2] != "# " else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(line for line in lines if not line.startswith("tls_")))

    ran = coatcheck("doctor", "--json")

    assert ran.err == ""
    assert ran.status == 0


@pytest.mark.usefixtures("desk")
def test_doctor_warns_of_development_mode(coatcheck: Run) -> None:
    ran = coatcheck("doctor")

    assert ran.status == 1
    assert "development mode" in ran.out


@pytest.mark.usefixtures("desk")
def test_doctor_is_content_with_a_sound_installation(coatcheck: Run) -> None:
    ran = coatcheck("doctor", "--json", env=PRODUCTION)

    assert (ran.status, ran.json["worst"]) == (0, "info")
    assert SECRET not in ran.out


@pytest.mark.usefixtures("desk")
def test_doctor_names_what_is_weaker(coatcheck: Run, tmp_path: Path) -> None:
    (tmp_path / "coatcheck.db").chmod(0o644)
    env = {**PRODUCTION, "COATCHECK_TRUSTED_PROXIES": "", "COATCHECK_TRUSTED_HOPS": ""}

    ran = coatcheck("doctor", "--json", env={**env, "COATCHECK_PASSWORD_MIN_LENGTH": "8"})

    assert ran.status == 1
    warned = {one["check"] for one in ran.json["findings"] if one["level"] == "warning"}
    assert warned == {"policy", "proxies", "store"}


def test_doctor_sees_that_nobody_purges(coatcheck: Run, tmp_path: Path) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", clock=lambda: int(time.time()) - 9 * 86_400) as past:
        past.start_session("subject-42")

    ran = coatcheck("doctor", "--json", env=PRODUCTION)

    assert [one["level"] for one in ran.json["findings"] if one["check"] == "growth"] == ["warning", "ok"]


def test_doctor_sees_a_clock_that_was_set_back(coatcheck: Run, tmp_path: Path) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", clock=lambda: int(time.time()) + 86_400) as future:
        future.start_session("subject-42")

    ran = coatcheck("doctor", "--json", env=PRODUCTION)

    assert ran.json["worst"] == "error"


def test_doctor_cannot_tell_with_a_broken_configuration(coatcheck: Run) -> None:
    ran = coatcheck("doctor", env={"COATCHECK_PUBLIC_URL": "http://login.example.org"})

    assert ran.status == 2
    assert "public_url (COATCHECK_PUBLIC_URL)" in ran.err
