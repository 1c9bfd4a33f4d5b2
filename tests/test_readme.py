"""README.md says what is true: its examples run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck.testing.patience import PATIENCE
from tests.conftest import ROOT, missing
from tests.e2e.serving import Server, environment

README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text(the_blocks("python")[0])

    ran = run(sys.executable, "-W", "error", str(example), cwd=tmp_path)

    assert ran.stdout.splitlines()[1:] == ["the same answer for an unknown name"]
    assert (tmp_path / "app.db").exists()


def test_the_flask_example_runs(tmp_path: Path) -> None:
    visit = """
    app.testing = True  # which means development
    assert app.test_client().get("/").location == "/auth/login?next=%2F"
    browser = app.test_client()
    with Coatcheck("sqlite:///app.db") as desk:
        ada = desk.sign_up(username="ada", password="a long enough passphrase")
        log_in_flask(browser, ada)
    print(browser.get("/").text, browser.get("/").text)
    """
    example = tmp_path / "example.py"
    example.write_text(
        "from coatcheck.testing.clients import log_in_flask\n" + the_blocks("python")[1] + textwrap.dedent(visit)
    )

    ran = run(sys.executable, "-W", "error", str(example), cwd=tmp_path)

    assert ran.stdout.split("Hello") == ["", " ada, visit 1 ", " ada, visit 2\n"]


def test_the_curl_example_runs(tmp_path: Path) -> None:
    """Against a server of its own: only the port differs from what stands in README.md."""
    if shutil.which("curl") is None:
        missing("curl is not installed: apt install curl")
    server = Server(tmp_path / "server")
    server.start()
    example = tmp_path / "example.sh"
    example.write_text('curl() { command curl --disable -sS --fail-with-body "$@"; echo; }\n' + the_block("sh"))
    with_port = example.read_text().replace("http://localhost:8000/", f"http://localhost:{server.port}/")
    assert f"localhost:{server.port}" in with_port
    example.write_text(with_port)
    try:
        ran = run("sh", "-e", str(example), cwd=tmp_path)
    finally:
        server.end()

    signed_up, logged_in, me, sessions = map(json.loads, ran.stdout.splitlines())
    assert signed_up["account"] == logged_in["account"] == me["account"]
    assert [one["id"] for one in sessions["sessions"]] == [me["session"]["id"]]
    assert sessions["sessions"][0]["current"]


def test_dev_knows_the_commands_of_the_first_screen() -> None:
    promised = re.findall(r"^    \./dev (\w+)", README, re.MULTILINE)

    told = run("sh", str(ROOT / "dev"), "help", cwd=ROOT).stdout

    assert promised == ["serve", "test"]
    for command in promised:
        assert re.search(rf"^  {command} ", told, re.MULTILINE), f"./dev help does not tell of {command}"


def commands_of_the_table() -> Iterator[list[str]]:
    """Each command of the table; `coatcheck schema status`, `upgrade` are two."""
    for row in re.findall(r"^\| (`coatcheck .*?) \|", README, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        group = first.split()[1:]
        yield group
        yield from ([*group[:-1], other] for other in others)


@pytest.mark.parametrize("command", [pytest.param(words, id=" ".join(words)) for words in commands_of_the_table()])
def test_the_command_of_the_table_exists(command: list[str], tmp_path: Path) -> None:
    told = run(sys.executable, "-m", "coatcheck", *command, "--help", cwd=tmp_path).stdout

    assert told.startswith("Usage: coatcheck " + " ".join(command))


def test_the_table_is_whole(tmp_path: Path) -> None:
    """Nothing that `coatcheck --help` offers is left out, but for what explains itself."""
    told = run(sys.executable, "-m", "coatcheck", "--help", cwd=tmp_path).stdout
    offered = set(re.findall(r"^  ([a-z]+) ", told.partition("Commands:")[2], re.MULTILINE))

    assert offered - {"version"} == {command[0] for command in commands_of_the_table()}


def test_options_that_readme_shows_exist(tmp_path: Path) -> None:
    told = run(sys.executable, "-m", "coatcheck", "serve", "--help", cwd=tmp_path).stdout

    for line in re.findall(r"^    coatcheck serve (.*)", README, re.MULTILINE):
        for option in re.findall(r"--[a-z-]+", line):
            assert f"  {option} " in told, option


def test_links_and_pictures_lead_to_files() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def the_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def the_block(language: str) -> str:
    (block,) = the_blocks(language)
    return block


def run(*command: str, cwd: Path) -> Any:
    ran = subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran
