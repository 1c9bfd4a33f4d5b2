"""The command line as its users meet it: real processes, real files, real terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from coatcheck import Client, Coatcheck
from coatcheck.testing.patience import PATIENCE

SOURCES = Path(__file__).resolve().parents[2] / "src"
PASSWORD = "a long enough passphrase"


MODULE = ("-m", "coatcheck")
NEXT_VERSION = (str(Path(__file__).with_name("next_version.py")),)


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    path = os.pathsep.join([str(SOURCES), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, **extra}


@pytest.fixture
def coatcheck(tmp_path: Path) -> Run:
    """Run `coatcheck` in an empty directory; a traceback on the standard error is never right.

    `program` is another Coatcheck than this one: `NEXT_VERSION`.
    """

    def run(
        *arguments: str | bytes,
        given: str | bytes = "",
        env: Mapping[str, str] = {},
        program: Sequence[str] = MODULE,
    ) -> Ran:
        ran = subprocess.run(
            [sys.executable, *program, *arguments],
            input=given if isinstance(given, bytes) else given.encode(),
            capture_output=True,
            cwd=tmp_path,
            env=environment(env),
            timeout=PATIENCE,
            check=False,
        )
        err = ran.stderr.decode()
        assert "Traceback" not in err, err
        return Ran(ran.returncode, ran.stdout.decode(), err)

    return run


@pytest.fixture
def at_terminal(tmp_path: Path) -> Run:
    """Run `coatcheck` at a terminal of its own, typing `typed` as it asks; gives all that the terminal showed.

    Meanwhile `watch` is told what it has shown so far, again and again.
    """

    def run(
        *arguments: str,
        typed: str = "",
        env: Mapping[str, str] = {},
        program: Sequence[str] = MODULE,
        watch: Callable[[str], object] = len,
    ) -> Ran:
        child, screen = pty.fork()
        if child == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.chdir(tmp_path)
            environ = environment({"TERM": "xterm", "NO_COLOR": "", **env})
            os.execve(sys.executable, [sys.executable, *program, *arguments], environ)
        os.set_blocking(screen, True)
        shown, lines = b"", typed.splitlines(keepends=True)
        while True:
            try:
                part = os.read(screen, 4096)
            except OSError:  # Linux says EIO when the other side has closed
                break
            if not part:
                break
            shown += part
            watch(shown.decode(errors="ignore"))
            if lines and shown.endswith(b": "):  # the space comes when echo is off
                os.write(screen, lines.pop(0).encode())
        os.close(screen)
        _, status = os.waitpid(child, 0)
        return Ran(os.waitstatus_to_exitcode(status), shown.decode(), "")

    return run


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one account that is logged in once; made once, for passwords are slow to hash."""
    folder = tmp_path_factory.mktemp("filled")
    with Coatcheck(f"sqlite:///{folder}/coatcheck.db") as desk:
        desk.sign_up(username="ada", email="ada@example.org", password=PASSWORD)
        desk.log_in("ada", PASSWORD, client=Client(ip="192.0.2.7", user_agent="curl/8.14"))
    return folder


@pytest.fixture
def desk(filled: Path, tmp_path: Path) -> Iterator[Coatcheck]:
    """A desk over the database that the commands take by default, a copy of the filled one."""
    for file in filled.iterdir():
        shutil.copy(file, tmp_path)
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        yield desk
