"""A real server whose file cannot be written for a while: 503 meanwhile, right again after, never restarted."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.e2e.conftest import Serve
from tests.e2e.serving import FOR_CROWDS, Server
from tests.faults.disk import full, small_disk
from tests.faults.visits import Guests, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits other processes and reads /proc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that goes through all of it: whatever befell it, it is well again for the next."""
    server = Server(tmp_path_factory.mktemp("server"), "--workers", "2", env=FOR_CROWDS)
    server.start()
    yield server
    server.end()


def test_err_01_a_file_that_may_not_grow_is_503_and_reading_goes_on(server: Server) -> None:
    guests = Guests(server, "ada")
    workers = workers_of(server)
    log = Path(f"{server.store}-wal").stat().st_size

    _limit_files(workers, log)
    guests.are_refused_when_they_write()
    guests.can_read()
    guests.are_refused_when_they_write()

    _limit_files(workers, resource.RLIM_INFINITY)
    guests.are_well()
    assert workers_of(server) == workers


def test_err_01_a_full_disk_is_503_and_reading_goes_on(serve: Serve, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        server = serve(env=FOR_CROWDS)
        server.stop()
        server.store = disk / "coatcheck.db"
        server.start()
        guests = Guests(server)
        workers = workers_of(server)

        with full(disk):
            guests.are_refused_when_they_write()
            guests.can_read()
            guests.are_refused_when_they_write()

        guests.are_well()
        assert workers_of(server) == workers
        server.stop()


def test_err_01_a_file_that_becomes_immutable_is_503_and_reading_goes_on(server: Server) -> None:
    guests = Guests(server, "bob")
    workers = workers_of(server)
    files = [server.store, Path(f"{server.store}-wal")]  # not the index: it is memory, shared

    with _immutable(files):
        guests.are_refused_when_they_write()
        guests.can_read()

    guests.are_well()
    assert workers_of(server) == workers


def test_err_06_a_locked_file_is_503_and_reading_goes_on(server: Server) -> None:
    guests = Guests(server, "cleo")
    workers = workers_of(server)

    with closing(sqlite3.connect(server.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        guests.are_refused_when_they_write()
        guests.can_read()
        other.execute("ROLLBACK")

    guests.are_well()
    assert workers_of(server) == workers


def test_err_06_a_lock_whose_holder_is_killed_is_let_go(server: Server) -> None:
    guests = Guests(server, "dora")
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
        "c.execute('DELETE FROM sessions'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(server.store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        guests.are_refused_when_they_write()
        holder.kill()

    guests.are_well()


def test_no_worker_died_of_any_of_it(server: Server) -> None:
    """Comes last. A worker that dies is replaced at once, and nobody would notice."""
    assert "Unexpected exit" not in server.said
    assert "Traceback" not in server.said


def _limit_files(processes: list[int], size: int) -> None:
    for process in processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def _immutable(files: list[Path]) -> Iterator[None]:
    if shutil.which("chattr") is None:
        missing("no chattr: install e2fsprogs")
    if subprocess.run(["chattr", "+i", *map(str, files)], check=False).returncode != 0:
        subprocess.run(["chattr", "-i", *map(str, files)], check=False)
        pytest.skip("only root may make files immutable, and not on every file system")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *map(str, files)], check=True)
