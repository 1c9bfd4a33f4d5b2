"""Work in another process, spoken with over a pipe."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection

PATIENCE = 30.0


@contextmanager
def process(work: Callable[..., None], *arguments: object) -> Generator[Connection, None, None]:
    """Run `work(pipe, *arguments)` in a fresh process, which inherits nothing that is open; give our end of the pipe.

    It ends when its work does; one that does not is killed.
    """
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    beside = spawning.Process(target=work, args=(theirs, *arguments), daemon=True)
    beside.start()
    theirs.close()  # or nobody would hear of its end
    try:
        yield ours
        beside.join(PATIENCE)
    finally:
        ours.close()
        beside.kill()
        beside.join()
