"""What all commands share: usage, exit status, broken pipes, odd arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.testing.patience import PATIENCE
from tests.cli.conftest import Run, environment


def test_without_a_command_the_help_is_shown(coatcheck: Run) -> None:
    ran = coatcheck()

    assert ran.status == 2
    assert "serve" in ran.err


def test_the_help_lists_only_what_there_is(coatcheck: Run) -> None:
    ran = coatcheck("--help")

    commands = {line.split()[0] for line in ran.out.partition("Commands:")[2].splitlines() if line.strip()}
    assert commands == {"accounts", "completion", "doctor", "init", "schema", "serve", "sessions", "store", "version"}


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_the_version_is_told(coatcheck: Run, arguments: list[str]) -> None:
    ran = coatcheck(*arguments)

    assert ran.status == 0
    assert ran.out.startswith("coatcheck")


def test_the_versions_are_told_to_programs(coatcheck: Run) -> None:
    ran = coatcheck("version", "--json")

    assert ran.json.keys() == {"coatcheck", "python", "sqlite"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(coatcheck: Run, shell: str) -> None:
    ran = coatcheck("completion", shell)

    assert ran.status == 0
    assert "_COATCHECK_COMPLETE" in ran.out


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["accounts", "list", "--limit", "x"]])
def test_wrong_usage_is_status_2_in_one_voice(coatcheck: Run, arguments: list[str]) -> None:
    ran = coatcheck(*arguments)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["nonsense", "--json"], 2, "usage"),
        (["accounts", "list", "--json", "--limit", "x"], 2, "usage"),
        (["accounts", "list", "--json", "--store", "sqlite:///nowhere.db"], 2, "configuration"),
        (["accounts", "show", "--json", "nobody"], 1, "account_not_found"),
        (["sessions", "revoke", "--json", "nothing"], 1, "session_not_found"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_programs_get_errors_as_one_problem_object(
    coatcheck: Run, arguments: list[str], status: int, reason: str
) -> None:
    ran = coatcheck(*arguments)

    problem = json.loads(ran.err)
    assert (ran.status, ran.out) == (status, "")
    assert (problem["reason"], problem["type"]) == (reason, f"urn:coatcheck:problem:{reason}")
    assert problem["title"]


@pytest.mark.usefixtures("desk")
def test_programs_get_every_field_at_fault(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "create", "--username", "a", "--password-stdin", "--json", given="short")

    problem = json.loads(ran.err)
    assert [fault["pointer"] for fault in problem["errors"]] == ["/username", "/password"]
    assert all(fault["reason"] and fault["detail"] for fault in problem["errors"])


def test_programs_get_every_mistake_in_the_configuration(coatcheck: Run, tmp_path: Path) -> None:
    (tmp_path / "coatcheck.toml").write_text('workers = "many"\nprot = 80\n')

    ran = coatcheck("doctor", "--json")

    assert len(json.loads(ran.err)["errors"]) == 2


def test_an_argument_that_is_not_utf_8_is_refused(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "show", b"\xff\xfe")

    assert ran.status == 2
    assert "UTF-8" in ran.err


def test_err_03_three_mistakes_are_told_together(coatcheck: Run, tmp_path: Path) -> None:
    (tmp_path / "coatcheck.toml").write_text('workers = "many"\nprot = 80\n')

    ran = coatcheck("serve", "--port", "abc", env={"COATCHECK_TLS_CERT": "cert.pem"})

    assert ran.status == 2
    told = ran.err.splitlines()
    assert all(line.startswith("error: ") for line in told)
    for part in ("port (--port)", "workers (coatcheck.toml)", "did you mean port?", "tls_key"):
        assert any(part in line for line in told), part


@pytest.mark.usefixtures("desk")
def test_a_reader_that_leaves_early_sees_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ran = subprocess.run(
        [sys.executable, "-m", "coatcheck", "sessions", "list", "--json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment({}),
        timeout=PATIENCE,
        check=False,
    )
    os.close(writing)

    assert ran.stderr == b""
    assert ran.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.usefixtures("desk")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "coatcheck", "accounts", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment({}),
            timeout=PATIENCE,
            check=False,
        )

    assert ran.returncode == 2
    assert b"No space left" in ran.stderr


@pytest.mark.usefixtures("desk")
def test_a_closed_output_is_no_crash(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m coatcheck accounts list >&-', sys.executable],
        capture_output=True,
        cwd=tmp_path,
        env=environment({}),
        timeout=PATIENCE,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.usefixtures("desk")
def test_a_narrow_encoding_changes_characters_and_nothing_else(coatcheck: Run) -> None:
    ran = coatcheck("accounts", "list", env={"PYTHONIOENCODING": "ascii"})

    assert ran.status == 0


def test_without_click_the_mend_is_told(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ImportError('no click here')")

    ran = subprocess.run(
        [sys.executable, "-m", "coatcheck", "--version"],
        capture_output=True,
        cwd=tmp_path,
        env=environment({"PYTHONPATH": os.pathsep.join([str(tmp_path), environment({})["PYTHONPATH"]])}),
        timeout=PATIENCE,
        check=False,
    )

    assert ran.returncode == 1
    assert b"coatcheck[server]" in ran.stderr
