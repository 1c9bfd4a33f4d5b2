"""An example as its reader starts it: by its README's own command, in a folder of its own, stopped by Ctrl-C."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from coatcheck.testing.patience import PATIENCE, eventually
from tests.conftest import ROOT
from tests.e2e.serving import environment
from tests.ports import free_port

_COMMAND = re.compile(r"^\$ (python .+)$", re.MULTILINE)


class Example:
    """One example, copied out of the checkout: what it writes goes into the copy.

    It is told its port as the last word of its command.
    """

    def __init__(self, name: str, folder: Path, *, env: Mapping[str, str] = {}) -> None:
        self.folder = folder / name
        shutil.copytree(ROOT / "examples" / name, self.folder, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._env = environment(env)
        self._output = folder / f"{name}.output"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """The first command of the README, run by this Python."""
        found = _COMMAND.search((self.folder / "README.md").read_text("utf-8"))
        assert found, "the README has no command"
        return [sys.executable, *found[1].split()[1:], str(self.port)]

    @property
    def said(self) -> str:
        return self._output.read_text(errors="replace")

    def start(self) -> None:
        """Start it, and return once it says where to click."""
        with self._output.open("ab") as output:
            said_before = output.tell()
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process = self._process

        def has_started() -> bool:
            assert process.poll() is None, self.said
            return self.url in self.said[said_before:]

        eventually(has_started, lambda: self.said)

    def stop(self) -> None:
        """Press Ctrl-C; anything but a quiet end fails the test."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGINT)
        status = self._process.wait(PATIENCE)
        self._process = None
        assert status == 0, self.said
        assert "Traceback" not in self.said, self.said

    def restart(self) -> None:
        self.stop()
        self.start()

    def end(self) -> None:
        """Stop it if it runs; if it refuses, let nothing stay behind."""
        if self._process is None:
            return
        process = self._process
        try:
            self.stop()
        except BaseException:
            if process.poll() is None:
                process.kill()
                process.wait()
            raise
