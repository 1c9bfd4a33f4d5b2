"""What the faults are set to work on: real servers, and a store in this process."""

from __future__ import annotations

import multiprocessing
import site
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# Before anything here imports them: `coatcheck.testing.contracts`, collected later, asks for the first, too.
pytest.register_assert_rewrite("coatcheck.testing.samples", "tests.faults.outages")

from coatcheck.testing.patience import stores_wait  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.e2e.conftest import Serve  # noqa: E402
from tests.e2e.serving import Server  # noqa: E402
from tests.faults.dying import Toll  # noqa: E402
from tests.faults.table import as_table  # noqa: E402

Elsewhere = Callable[..., int]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers of two processes each: `serve("--workers", "1", env={...})`."""
    with ExitStack() as servers:

        def start(*options: str, **settings: object) -> Server:
            folder = tmp_path / f"server-{len(list(tmp_path.iterdir()))}"
            server = Server(folder, *(options or ("--workers", "2")), **settings)  # type: ignore[arg-type]
            servers.callback(server.end)
            server.start()
            return server

        yield start


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """Run something deadly in a process without threads, and hear of what was wrong: nothing. Gives the toll."""
    # The new process must find this folder too, however pytest was started.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), site.addsitedir, (str(ROOT),)) as pool:
        pool.submit(stores_wait).result()

        def run(deadly: Callable[..., Toll], *args: object) -> int:
            killed, wrong = pool.submit(deadly, *args).result()
            print(f"{killed} killed")
            assert wrong == []
            return killed

        yield run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what was answered in each outage, as the table of `docs/faults.md`."""
    rows = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in getattr(report, "user_properties", ())
        if name == "outage"
    ]
    for line in as_table(rows):
        terminalreporter.write_line(line)
