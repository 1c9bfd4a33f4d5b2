"""The examples of a page: fenced blocks, gathered and run in a folder of their own."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coatcheck.testing.patience import PATIENCE
from docs.tables import emptied
from tests.conftest import ROOT
from tests.e2e.serving import environment

PAGES = sorted((ROOT / "docs").glob("*.md"))
PLACEHOLDER = "http://localhost:8000/"

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([a-z_]+\.py)\n")
_VARYING = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{22}(?![\w-])|\d{4}-\d{2}-\d{2}")
_MARK = "-- here begins command"
# `$?` is what the command before left, as at a terminal; what a command says as an error is shown as well.
_PROLOGUE = f"""\
exec 2>&1
curl() {{ command curl --disable -sS "$@"; echo; }}
coatcheck() {{ '{sys.executable}' -m coatcheck "$@"; }}
pytest() {{ '{sys.executable}' -m pytest -p no:cacheprovider "$@"; }}
python3() {{ '{sys.executable}' "$@"; }}
begin() {{ status=$?; printf '\\n{_MARK} %s\\n' "$status"; return "$status"; }}
"""


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line it begins at."""

    language: str
    text: str
    line: int


class Command(NamedTuple):
    """A line of a console block, and what it is said to print."""

    line: str
    output: str


class Ran(NamedTuple):
    """What a command printed, and its exit status."""

    output: str
    status: int


def blocks(page: Path, *languages: str) -> list[Block]:
    """Gather the blocks that people have written in a page, in their order."""
    text = emptied(page.read_text("utf-8"))
    found = [Block(one[1], one[2], text.count("\n", 0, one.start()) + 2) for one in _FENCE.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def files(page: Path) -> dict[str, str]:
    """Gather the blocks that are files: their first line is a comment with a name."""
    return {name[1]: block.text for block in blocks(page, "python") if (name := _NAMED.match(block.text))}


def program(page: Path) -> str:
    """Put all other blocks of Python together, each on the line where it stands in the page."""
    lines: list[str] = []
    for block in blocks(page, "python"):
        if not _NAMED.match(block.text):
            lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n" if lines else ""


def commands(page: Path) -> list[Command]:
    """Give the commands of a page; what only starts a server or needs the whole checkout is not among them."""
    found: list[Command] = []
    for block in blocks(page, "console"):
        for entry in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            line, _, output = entry.partition("\n")
            if not line.startswith(("coatcheck serve", "./dev ")):
                found.append(Command(line, output))
    return found


def lines_that_begin(page: Path, start: str) -> Iterator[str]:
    """Give the lines of a page's examples that call a command, with what stands before it taken away."""
    for block in blocks(page, "console", "ini", "text"):
        for line in block.text.splitlines():
            _, found, rest = line.partition(start)
            if found:
                yield found + rest


def prepare(page: Path, folder: Path) -> None:
    """Write the files of a page."""
    for name, text in files(page).items():
        (folder / name).write_text(text, "utf-8")


def run_program(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the Python of a page as one program; tracebacks name the page's own lines."""
    example = folder / f"{page.stem}.md.py"
    example.write_text(program(page), "utf-8")
    return _run([sys.executable, "-W", "error", str(example)], folder)


def run_commands(page: Path, folder: Path, *, server: str) -> list[Ran]:
    """Run the commands of a page in one shell, against a server where they ask for one."""
    script = [_PROLOGUE]
    for command in commands(page):
        script += ["begin", command.line.replace(PLACEHOLDER, server)]
    script.append("begin")
    (folder / "console.sh").write_text("\n".join(script) + "\n", "utf-8")
    output = _run([shutil.which("sh") or "sh", "console.sh"], folder).stdout
    parts = re.split(rf"^{_MARK} (\d+)\n", output, flags=re.MULTILINE)
    printed, statuses = parts[2::2], parts[3::2]
    return [Ran(text, int(status)) for text, status in zip(printed, statuses, strict=False)]


def agrees(wanted: str, got: str) -> bool:
    """Say whether an output is what the page says.

    `...` stands for anything, blanks for blanks, one subject for another, and one day for another.
    """
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    wanted, got = (_VARYING.sub("~", text.strip()) + "\n" for text in (wanted, got))
    return doctest.OutputChecker().check_output(wanted, got, flags)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
