"""Completion in the shells themselves: a person types, presses Tab and sees what there is."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from coatcheck import Coatcheck
from coatcheck.testing.patience import PATIENCE
from tests.cli.conftest import PASSWORD, Run, environment
from tests.conftest import missing

# How a shell is started without anybody's own settings, and what is typed before.
SHELLS: dict[str, tuple[Sequence[str], str]] = {
    "bash": (("bash", "--noprofile", "--norc", "-i"), 'eval "$(coatcheck completion bash)"'),
    "zsh": (("zsh", "-f", "-i"), 'autoload -U compinit; compinit -u; eval "$(coatcheck completion zsh)"'),
    "fish": (
        ("fish", "--no-config", "-i"),
        "function fish_prompt; echo -n '> '; end; coatcheck completion fish | source",
    ),
}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        missing(f"no {name} on this machine: install Debian's package {name}")
    return name


class Screen:
    """A shell at a terminal of its own."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        (folder / "bin").mkdir(exist_ok=True)
        program = folder / "bin" / "coatcheck"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m coatcheck "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        given = {"PATH": path, "TERM": "dumb", "HOME": str(folder), "PS1": "> ", "LC_ALL": "C.UTF-8"}
        self.shown = ""
        self.child, self._screen = pty.fork()
        if self.child == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment(given))

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def wait_for(self, text: str) -> str:
        """Read until a text is shown; give what was shown before it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} was not shown, but: {self.shown!r}"
            self.shown += os.read(self._screen, 4096).decode(errors="replace")
        shown, _, self.shown = self.shown.partition(text)
        return shown

    def close(self) -> None:
        os.kill(self.child, signal.SIGKILL)  # an interactive shell shrugs at others
        os.close(self._screen)
        os.waitpid(self.child, 0)


@pytest.fixture
def screen(shell: str, tmp_path: Path) -> Iterator[Screen]:
    """A shell in which the completion has been switched on."""
    command, setup = SHELLS[shell]
    screen = Screen(command, tmp_path)
    screen.type(f"{setup}; echo re''ady\n")  # what is echoed differs from what is typed
    screen.wait_for("ready\r\n")
    screen.wait_for("> ")  # keys that come before the shell reads them itself are plain text to it
    yield screen
    screen.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("coatcheck ses", "coatcheck sessions"),
        ("coatcheck sessions rev", "coatcheck sessions revoke"),
        ("coatcheck sessions list --us", "--user-agent"),
        ("coatcheck sessions list --state e", "--state ended"),
        ("coatcheck completion fi", "coatcheck completion fish"),
        ("coatcheck accounts show ad", "coatcheck accounts show ada"),
        ("coatcheck sessions list --of ad", "--of ada"),
        ("coatcheck sessions list --state=en", "--state=ended"),
        ("coatcheck accounts show --store sqlite:///coatcheck.db ad", ".db ada"),
        ("coatcheck init --config se", "--config settings.toml"),
    ],
)
def test_tab_completes_what_was_begun(screen: Screen, tmp_path: Path, typed: str, completed: str) -> None:
    (tmp_path / "settings.toml").touch()
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.sign_up(username="ada", password=PASSWORD)

    screen.type(f"{typed}\t")

    screen.wait_for(completed)


@pytest.mark.parametrize("typed", ["eve", "eve@", "eve@ex", "'eve@ex"])
def test_tab_completes_an_address(screen: Screen, tmp_path: Path, typed: str) -> None:
    """bash takes what stands after "@" for a word of its own."""
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.sign_up(email="eve@example.org", password=PASSWORD)

    screen.type(f"coatcheck accounts show {typed}\t")

    screen.wait_for("eve@example.org")


@pytest.mark.parametrize(
    ("shell", "typed", "described"),
    [
        ("zsh", "coatcheck sessions list --st\t\t", "Live ones, or ended ones"),
        ("fish", "complete -C 'coatcheck accounts '\n", "Open an account; its password is asked for"),
        ("fish", "complete -C 'coatcheck sessions list --st'\n", "Live ones, or ended ones"),
    ],
    indirect=["shell"],
)
def test_descriptions_are_shown_beyond_their_first_comma(screen: Screen, typed: str, described: str) -> None:
    screen.type(typed)

    screen.wait_for(described)


def test_tab_never_inserts_what_the_shell_would_run(screen: Screen, tmp_path: Path) -> None:
    """Anybody may sign up, with any address: bash inserts what it is offered as it is, and Enter would run it."""
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.sign_up(email="`touch$IFS.run`@example.org", password=PASSWORD)

    screen.type("coatcheck accounts show \t")
    screen.type("\n")
    screen.wait_for("\r\n")
    screen.type("\x15echo do''ne\n")
    screen.wait_for("done\r\n")

    assert not [path for path in tmp_path.rglob("*.run*") if path.name != "coatcheck.db"]


def offered(coatcheck: Run, *words: str) -> list[str]:
    """What bash is offered for the last word."""
    env = {
        "_COATCHECK_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("coatcheck", *words)),
        "COMP_CWORD": words[-1],
    }
    ran = coatcheck(env=env)
    assert ran.err == ""
    return [line.partition(",")[2] for line in ran.out.splitlines() if line]


def test_the_ids_of_live_sessions_are_offered(coatcheck: Run, desk: Coatcheck) -> None:
    ended, live = desk.start_session("subject-42"), desk.start_session("subject-42")
    desk.revoke(ended.session.id, of="subject-42")

    found = offered(coatcheck, "sessions", "show", "")

    assert live.session.id in found
    assert ended.session.id not in found


@pytest.mark.parametrize(
    "address",
    ["`reboot`@example.org", "$HOME@example.org", "a|reboot@example.org", "--yes@example.org", "~root@example.org"],
)
def test_what_a_shell_could_take_for_more_than_a_name_is_not_offered(
    coatcheck: Run, desk: Coatcheck, address: str
) -> None:
    desk.sign_up(email=address, password=PASSWORD)

    assert offered(coatcheck, "accounts", "show", "") == ["ada", "ada@example.org"]


@pytest.mark.usefixtures("desk")
def test_names_come_from_the_store_that_was_named(coatcheck: Run) -> None:
    assert offered(coatcheck, "accounts", "show", "--store", "sqlite:///elsewhere.db", "a") == []
    assert offered(coatcheck, "accounts", "show", "--store", "sqlite:///coatcheck.db", "a") == [
        "ada",
        "ada@example.org",
    ]


@pytest.mark.parametrize("content", [None, b"no database" * 999])
def test_without_a_usable_store_nothing_is_offered_and_nothing_made(
    coatcheck: Run, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "coatcheck.db").write_bytes(content)
    before = list(tmp_path.iterdir())

    assert offered(coatcheck, "accounts", "show", "") == []
    assert list(tmp_path.iterdir()) == before
