"""What the pages show is true: every example runs, or is read by what would read it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from coatcheck.cli.main import cli
from coatcheck.cli.serve import serve
from coatcheck.errors import ConfigurationError
from coatcheck.server import config
from tests.conftest import ROOT, missing
from tests.docs import examples
from tests.e2e.serving import Server

WITH_PYTHON = [page for page in examples.PAGES if examples.program(page)]
WITH_COMMANDS = [page for page in examples.PAGES if examples.commands(page)]
# Read by the tests below, or by a program that is not ours and that a page only shows the settings of.
LANGUAGES = {"python", "console", "toml", "json", "ini", "nginx", "text", "{toctree}", "{glossary}", "{eval-rst}"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE_COMMAND = re.compile(r"`(coatcheck [a-z][^`]*)`")

every_page = pytest.mark.parametrize("page", examples.PAGES, ids=lambda page: page.stem)


@every_page
def test_every_block_is_of_a_kind_that_is_looked_at(page: Path) -> None:
    assert [block for block in examples.blocks(page) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    examples.prepare(page, tmp_path)

    ran = examples.run_program(page, tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_the_commands_of_a_page_print_what_it_says(page: Path, tmp_path: Path) -> None:
    """A command that fails is followed by `echo $?`, and that says so."""
    examples.prepare(page, tmp_path)
    commands = examples.commands(page)

    with a_server_for(commands, tmp_path) as (folder, address):
        ran = examples.run_commands(page, folder, server=address)

    assert len(ran) == len(commands)
    for place, (command, outcome) in enumerate(zip(commands, ran, strict=True)):
        assert examples.agrees(command.output, outcome.output), f"$ {command.line}\n{outcome.output}"
        is_told = place + 1 < len(commands) and commands[place + 1].line == "echo $?"
        assert outcome.status == 0 or is_told, f"$ {command.line}\nexit status {outcome.status}\n{outcome.output}"


@contextmanager
def a_server_for(commands: list[examples.Command], folder: Path) -> Generator[tuple[Path, str]]:
    """Give a folder and, if one is asked for, the server whose database lies in it.

    Only the port differs from what the page says.
    """
    if not any(examples.PLACEHOLDER in command.line for command in commands):
        yield folder, examples.PLACEHOLDER
        return
    if shutil.which("curl") is None:
        missing("curl is not installed: apt install curl")
    server = Server(folder / "server")
    server.start()
    try:
        yield server.store.parent, f"http://localhost:{server.port}/"
    finally:
        server.end()


@every_page
def test_servers_are_started_as_they_can_be(page: Path) -> None:
    """The parser takes every line; what the settings mean is for the tests of the server."""
    for line in examples.lines_that_begin(page, "coatcheck serve"):
        serve.make_context("coatcheck serve", shlex.split(line)[2:])


@every_page
def test_commands_that_the_text_names_exist(page: Path) -> None:
    """Those between backquotes, such as `coatcheck sessions purge`."""
    for line in INLINE_COMMAND.findall(page.read_text("utf-8")):
        command: click.Command = cli
        for word in line.split()[1:]:
            if isinstance(command, click.Group) and not word.startswith("-"):
                found = command.get_command(click.Context(command), word)
                assert found is not None, line
                command = found
            elif word.startswith("--"):
                assert any(word in parameter.opts for parameter in command.params), line


@every_page
def test_settings_files_are_accepted(page: Path, tmp_path: Path) -> None:
    """All but the paths, which are those of somebody else's machine; and a secret, where the page leaves that out."""
    for place, block in enumerate(examples.blocks(page, "toml")):
        document = tomllib.loads(block.text)
        text = block.text.replace("/var/lib/coatcheck", str(tmp_path))
        file = tmp_path / f"{place}.toml"
        text = text.replace("/etc/coatcheck/secret", str(a_secret(tmp_path)))
        file.write_text(re.sub("/run/secrets/[a-z-]+", str(a_password(tmp_path)), text))

        try:
            given = {} if "secret_file" in document else {"COATCHECK_SECRET": a_secret(tmp_path).read_text("latin-1")}
            loaded = config.load({}, given, file, serving="public_url" in document)
        except ConfigurationError as error:
            pytest.fail("\n".join(error.problems))

        assert loaded.public_url == document.get("public_url")


@every_page
def test_json_is_json(page: Path) -> None:
    for block in examples.blocks(page, "json"):
        json.loads(block.text)


def test_links_lead_to_files() -> None:
    for page in examples.PAGES:
        text = page.read_text("utf-8")
        targets = [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target]
        assert [target for target in targets if target and not (page.parent / target).is_file()] == [], page.name


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = "\n".join(block.text for block in examples.blocks(ROOT / "docs" / "index.md", "{toctree}"))
    listed = {line for line in contents.splitlines() if line and not line.startswith(":") and "../" not in line}

    assert listed == {page.stem for page in examples.PAGES} - {"index"}


def a_password(folder: Path) -> Path:
    file = folder / "password"
    file.write_text("of a store\n")
    file.chmod(0o600)
    return file


def a_secret(folder: Path) -> Path:
    file = folder / "secret"
    if not file.exists():
        file.write_bytes(bytes(range(7, 47)))
        file.chmod(0o600)
    return file
