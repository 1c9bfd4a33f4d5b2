"""`coatcheck schema`, `init` and `doctor`."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest

from coatcheck import Coatcheck
from coatcheck.colour import run_blocking
from coatcheck.core.policy import NAMES, STANDARD
from coatcheck.core.records import SubjectState
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.server.config import Config
from coatcheck.server.durations import seconds_of
from coatcheck.server.sample import policy_bounds, policy_groups, sample
from coatcheck.server.settings import POLICY_SETTINGS, SETTINGS, is_duration
from coatcheck.server.store_urls import store_at
from coatcheck.stores.protocols import Contents
from coatcheck.stores.sqlite.schema import LATEST, STEPS, apply_steps
from coatcheck.testing.samples import a_session
from tests.cli.conftest import Ran, Run

replace = msgspec.structs.replace
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
    assert ran.err == ""


@pytest.fixture
def outdated(tmp_path: Path) -> int:
    """A store with the schema of the first release; gives its version."""
    with closing(sqlite3.connect(tmp_path / "coatcheck.db", isolation_level=None)) as connection:
        apply_steps(connection, "coatcheck.db", STEPS[:1], only_if_empty=False)
    return 1


@pytest.mark.skipif(LATEST == 1, reason="there is only one version of the schema so far")
def test_schema_upgrade_tells_how_many_steps_and_what_it_was(coatcheck: Run, outdated: int) -> None:
    refused = coatcheck("accounts", "list")
    before = coatcheck("schema", "status")
    upgraded = coatcheck("schema", "upgrade")
    after = coatcheck("accounts", "list")

    assert (refused.status, before.status, upgraded.status, after.status) == (2, 1, 0, 0)
    assert "coatcheck schema upgrade" in refused.err
    assert f"from version {outdated} to {LATEST} (" in upgraded.err
    assert upgraded.out == f"coatcheck.db: schema version {LATEST}, was {outdated}.\n"


@pytest.mark.skipif(LATEST == 1, reason="there is only one version of the schema so far")
@pytest.mark.usefixtures("outdated")
@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_schema_upgrade_shows_no_progress_to_whoever_wants_none(at_terminal: Run, option: str) -> None:
    ran = at_terminal("schema", "upgrade", option)

    assert ran.status == 0
    assert "upgrading" not in ran.out


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
    # A proxy speaks TLS, the secret stands in the file itself, one store keeps everything: the other ways cannot be
    # taken besides.
    others = ("tls_", "secret_file", "sessions", "store_password_file")
    file.write_text("\n".join(line for line in lines if not line.startswith(others)))

    ran = coatcheck("doctor", "--json")

    assert ran.err == ""
    assert ran.status == 0


def test_the_sample_shows_every_setting_there_is(coatcheck: Run, tmp_path: Path) -> None:
    coatcheck("init")

    document = tomllib.loads(re.sub(r"^#(?=\S)", "", (tmp_path / "coatcheck.toml").read_text(), flags=re.M))

    assert document.pop("settings").keys() == POLICY_SETTINGS
    assert document.keys() == SETTINGS.keys()


def test_the_sample_as_it_is_changes_no_default(coatcheck: Run, tmp_path: Path) -> None:
    coatcheck("init")

    document = tomllib.loads((tmp_path / "coatcheck.toml").read_text())

    assert document.keys() == {"secret", "store"}
    assert document["store"] == Config().store


@pytest.mark.parametrize(
    "name", sorted(POLICY_SETTINGS - set(NAMES))
)  # no list is the default there, and TOML has no null
def test_the_sample_tells_default_and_bounds_of_each_number(name: str) -> None:
    (line,) = re.findall(rf"^#{name} = (.*)$", sample("s"), re.M)

    value, _, bounds = line.partition("  # ")
    shown = seconds_of(json.loads(value)) if is_duration(name) else json.loads(value)
    assert shown == getattr(STANDARD, name)
    assert bounds.startswith(policy_bounds(name))


def test_the_sample_explains_each_number() -> None:
    assert all(about for _, about in policy_groups())
    assert sorted(name for names, _ in policy_groups() for name in names) == sorted(POLICY_SETTINGS)


def test_init_where_it_may_not_write_is_told(coatcheck: Run) -> None:
    ran = coatcheck("init", "--config", "no/such/coatcheck.toml")

    assert ran.status == 2
    assert "no/such/coatcheck.toml cannot be written" in ran.err


@pytest.mark.usefixtures("desk")
def test_doctor_warns_of_development_mode(coatcheck: Run) -> None:
    ran = coatcheck("doctor")

    assert ran.status == 1
    assert "development mode" in ran.out
    assert "secret: coatcheck init" in ran.out
    assert "coatcheck init" not in coatcheck("doctor", env={"COATCHECK_SECRET": SECRET}).out


@pytest.mark.usefixtures("desk")
def test_doctor_is_content_with_a_sound_installation(coatcheck: Run) -> None:
    ran = coatcheck("doctor", "--json", env=PRODUCTION)

    assert (ran.status, ran.json["worst"]) == (0, "info")
    assert SECRET not in ran.out


def warned(ran: Ran) -> list[str]:
    assert ran.status == 1
    found = [one for one in ran.json["findings"] if one["level"] in ("warning", "error")]
    assert all(one["mend"] for one in found), "each comes with its mend"
    return [one["check"] for one in found]


@pytest.mark.parametrize(
    ("env", "check"),
    [
        ({"COATCHECK_PASSWORD_MIN_LENGTH": "8"}, "policy"),
        ({"COATCHECK_IDLE_TIMEOUT": "2h"}, "policy"),
        ({"COATCHECK_ABSOLUTE_TIMEOUT": "30d"}, "policy"),
        ({"COATCHECK_TRUSTED_PROXIES": "", "COATCHECK_TRUSTED_HOPS": ""}, "proxies"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_doctor_names_a_setting_that_is_weaker(coatcheck: Run, env: dict[str, str], check: str) -> None:
    assert warned(coatcheck("doctor", "--json", env={**PRODUCTION, **env})) == [check]


@pytest.mark.parametrize("name", ["coatcheck.db", "."])
@pytest.mark.usefixtures("desk")
def test_dat_05_doctor_sees_that_others_can_reach_the_database(coatcheck: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).chmod((tmp_path / name).stat().st_mode | 0o066)

    assert warned(coatcheck("doctor", "--json", env=PRODUCTION)) == ["store"]


def test_doctor_sees_a_log_that_grows(coatcheck: Run, desk: Coatcheck, tmp_path: Path) -> None:
    desk.start_session("subject-42")
    wal = tmp_path / "coatcheck.db-wal"
    with wal.open("r+b") as file:
        file.truncate(65 * 1024 * 1024)

    assert warned(coatcheck("doctor", "--json", env=PRODUCTION)) == ["store"]


@pytest.mark.usefixtures("desk")
def test_doctor_is_in_colour_only_where_that_is_wanted(coatcheck: Run, at_terminal: Run) -> None:
    assert "\x1b[" in at_terminal("doctor").out
    assert "\x1b[" not in at_terminal("doctor", env={"NO_COLOR": "1"}).out
    assert "\x1b[" not in at_terminal("doctor", env={"TERM": "dumb"}).out
    assert "\x1b[" not in coatcheck("doctor").out


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")


def foreign_file(path: Path) -> None:
    path.write_bytes(b"another program's, and long enough to be read as a database" * 40)


@pytest.mark.parametrize("make", [foreign_database, foreign_file])
def test_another_programs_file_is_not_touched_nor_is_advice_given_to(
    coatcheck: Run, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    file = tmp_path / "theirs.db"
    make(file)
    file.chmod(0o644)
    before = file.read_bytes()

    served = coatcheck("serve", "--store", "sqlite:///theirs.db", "--port", "1")
    examined = coatcheck("doctor", "--store", "sqlite:///theirs.db", "--json")

    assert (served.status, examined.status) == (2, 1)
    assert "name a file of Coatcheck's own" in served.err
    assert list(tmp_path.iterdir()) == [file]
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (before, 0o644)
    assert "chmod" not in examined.out


def test_doctor_sees_that_nobody_purges(coatcheck: Run, tmp_path: Path) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", clock=lambda: int(time.time()) - 9 * 86_400) as past:
        past.start_session("subject-42")

    ran = coatcheck("doctor", "--json", env=PRODUCTION)

    assert [one["level"] for one in ran.json["findings"] if one["check"] == "growth"] == ["warning", "ok"]


@pytest.mark.usefixtures("desk")
def test_doctor_sees_sessions_that_were_left_behind_when_sessions_was_set(coatcheck: Run, tmp_path: Path) -> None:
    env = {**PRODUCTION, "COATCHECK_SESSIONS": "sqlite:///sessions.db"}
    (tmp_path / "old.toml").write_text("")

    before = coatcheck("doctor", "--json", env=env)
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", sessions=f"sqlite:///{tmp_path}/sessions.db") as apart:
        apart.start_session("subject-42")
    after = coatcheck("doctor", "--json", env=env)
    ended = coatcheck("sessions", "revoke", "--everybody", "--yes", "--config", "old.toml")
    mended = coatcheck("doctor", "--json", env=env)

    assert warned(before) == warned(after) == ["sessions"]
    assert "come back to life" in after.out
    assert (ended.status, mended.status) == (0, 0)


def test_doctor_sees_one_that_was_left_behind_among_thousands_of_the_dead(coatcheck: Run, tmp_path: Path) -> None:
    now = int(time.time())
    crowd = [replace(a_session(number, at=now), ended_at=now, end_reason=LOGGED_OUT) for number in range(3000)]
    crowd.sort(key=lambda session: session.id)
    env = {**PRODUCTION, "COATCHECK_SESSIONS": "sqlite:///sessions.db"}
    store = store_at(f"sqlite:///{tmp_path}/coatcheck.db")

    run_blocking(store.load(Contents(states=(SubjectState("ada"),), sessions=tuple(crowd)), bookmark=None))
    among_the_dead = coatcheck("doctor", "--json", env=env)
    last = replace(crowd[-1], ended_at=None, end_reason=None)
    run_blocking(store.load(Contents(sessions=(last,)), bookmark=None))
    run_blocking(store.close())

    assert [one for one in among_the_dead.json["findings"] if "come back to life" in one["message"]] == []
    assert "sessions" in warned(coatcheck("doctor", "--json", env=env))


def test_doctor_sees_a_clock_that_was_set_back(coatcheck: Run, tmp_path: Path) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db", clock=lambda: int(time.time()) + 86_400) as future:
        future.start_session("subject-42")

    ran = coatcheck("doctor", "--json", env=PRODUCTION)

    assert ran.json["worst"] == "error"


def test_doctor_cannot_tell_with_a_broken_configuration(coatcheck: Run) -> None:
    ran = coatcheck("doctor", env={"COATCHECK_PUBLIC_URL": "http://login.example.org"})

    assert ran.status == 2
    assert "public_url (COATCHECK_PUBLIC_URL)" in ran.err


# On PostgreSQL


def test_schema_status_and_upgrade_on_postgresql(coatcheck: Run, postgres_url: str) -> None:
    there = {"COATCHECK_STORE": postgres_url}
    empty = coatcheck("schema", "status", "--json", env=there)
    upgraded = coatcheck("schema", "upgrade", env=there)
    current = coatcheck("schema", "status", env=there)
    again = coatcheck("schema", "upgrade", "--json", env=there)

    assert (empty.status, empty.json["state"], empty.json["version"]) == (0, "empty", 0)
    assert upgraded.out.endswith(f"schema version {empty.json['latest']}, was 0.\n")
    assert (current.status, "nothing to do" in current.out) == (0, True)
    assert again.json["before"] == again.json["after"] == empty.json["latest"]
    password = urlsplit(postgres_url).password
    assert password is not None
    assert not [ran for ran in (empty, upgraded, current, again) if password in ran.out + ran.err]


def test_schema_status_tells_of_both_stores_where_sessions_are_kept_apart(coatcheck: Run, postgres_url: str) -> None:
    apart = {"COATCHECK_STORE": postgres_url, "COATCHECK_SESSIONS": f"{postgres_url}?schema=sessions_apart"}
    coatcheck("schema", "upgrade", env={"COATCHECK_STORE": postgres_url})

    ran = coatcheck("schema", "status", "--json", env=apart)

    assert (ran.json["state"], ran.json["sessions"]["state"]) == ("current", "empty")


def test_dat_08_a_newer_schema_on_postgresql_is_refused(coatcheck: Run, postgres_url: str) -> None:
    there = {"COATCHECK_STORE": postgres_url}
    coatcheck("schema", "upgrade", env=there)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE coatcheck.schema_version SET coatcheck = 999")

    status = coatcheck("schema", "status", "--json", env=there)
    upgrade = coatcheck("schema", "upgrade", env=there)

    assert (status.status, status.json["state"]) == (1, "newer")
    assert upgrade.status == 2
    assert "newer" in upgrade.err


def test_err_03_a_postgresql_that_lets_nobody_in_is_told_with_the_setting(coatcheck: Run, postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    wrong = parts._replace(netloc=f"{parts.username}:hush@{parts.hostname}:{parts.port}").geturl()

    ran = coatcheck("schema", "status", env={"COATCHECK_STORE": wrong})

    assert ran.status == 2
    assert ran.err.startswith("error: store: ")
    assert "store_password_file" in ran.err
    assert "~/.pgpass" in ran.err
    assert "hush" not in ran.err
