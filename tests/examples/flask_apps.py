"""An example of Flask's as its reader starts it: by its README's own command, in a copy of its folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, Playwright

from tests.browsers import MILLISECONDS, OPTIONS
from tests.conftest import ROOT
from tests.serving import Process

_COMMAND = re.compile(r"^\$ python (.+)$", re.MULTILINE)


@contextmanager
def running(name: str, folder: Path, *, tls: bool = False) -> Iterator[Process]:
    """Start an example; the port is the last word of its command."""
    copied = folder / name
    shutil.copytree(ROOT / "examples" / name, copied, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
    command = _COMMAND.search((copied / "README.md").read_text("utf-8"))
    assert command, "the README has no command"
    server = Process([*command[1].split(), "{port}"], copied, tls=tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    assert "Traceback" not in server.said, server.said


@contextmanager
def browser(playwright: Playwright, chromium: str, profile: Path, server: Process) -> Iterator[BrowserContext]:
    """Start a browser with a profile that stays when it is quit, as a person's does."""
    context = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=chromium,
        args=OPTIONS,
        base_url=server.url,
        ignore_https_errors=True,
        viewport={"width": 900, "height": 700},
        timeout=MILLISECONDS,
    )
    context.set_default_timeout(MILLISECONDS)
    try:
        yield context
    finally:
        context.close()


def photograph(context: BrowserContext, name: str) -> None:
    """Keep a picture of the page where `COATCHECK_PHOTOGRAPHS` says, to be looked at."""
    folder = os.environ.get("COATCHECK_PHOTOGRAPHS")
    if folder:
        context.pages[-1].screenshot(path=Path(folder) / f"{name}.png", full_page=True)
