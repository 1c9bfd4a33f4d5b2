"""A file that is moved, deleted or replaced under running processes: nothing acknowledged goes nowhere.

SQLite itself would go on with the old file, whatever is in its place, and leave the old one's log to the new one.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck.core.session_data import decode
from coatcheck.errors import StoreUnavailable
from coatcheck.stores.sqlite import file
from coatcheck.stores.sqlite.file import TRUST
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.driving import BlockingDriver, Driver
from coatcheck.testing.patience import eventually
from coatcheck.testing.samples import a_digest, put, started
from tests.e2e.conftest import Serve
from tests.e2e.serving import FOR_CROWDS, Visitor
from tests.faults.visits import Guests, workers_of
from tests.faults.whole import structure_of
from tests.patience import PATIENT

PATIENT_CROWDS = {**FOR_CROWDS, **PATIENT}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced here")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture(params=["new", "settled"])
def store(
    path: Path, driver: Driver, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqliteStore]:
    """A store in use, with ada's session, in a directory that has just changed, or has not for long enough."""
    store = SqliteStore(str(path), driver.colour)
    driver.run(started(store, 1))
    if request.param == "settled":
        settle(store, driver, monkeypatch)
    yield store
    driver.run(store.close())


def settle(store: SqliteStore, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a store until a look at its directory is enough for it. Its file systems here have no slower clock."""
    monkeypatch.setattr(file, "SETTLED", 0.1)
    eventually(lambda: uses(store, driver) and entries_known(store) is not None, "the directory does not settle")


def uses(store: SqliteStore, driver: Driver) -> bool:
    return driver.run(store.touch(a_digest(1), seen_at=1))


def entries_known(store: SqliteStore) -> object:
    writer = store._file._writing.link
    return None if writer is None else writer.entries


def another(path: Path, driver: Driver) -> Path:
    """Make a database of its own, with bob's session and none of ada's."""
    store = SqliteStore(str(path), driver.colour)
    driver.run(started(store, 2, subject="bob"))
    driver.run(store.close())
    return path


def reads(store: SqliteStore, driver: Driver, number: int) -> bool | None:
    """Whether a session is found; None if the store is unavailable."""
    try:
        return driver.run(store.find(a_digest(number))) is not None
    except StoreUnavailable:
        return None


def writes(store: SqliteStore, driver: Driver, number: int) -> bool:
    try:
        driver.run(started(store, number))
    except StoreUnavailable:
        return False
    return True


def start_over(path: Path) -> None:
    """What is to be done before a program starts with another file: the old one's log must not get into it."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def test_err_01_while_the_file_is_away_nothing_is_answered_and_it_may_come_back(
    store: SqliteStore, path: Path, driver: Driver
) -> None:
    path.rename(path.with_name("elsewhere.db"))

    assert not writes(store, driver, 3)
    eventually(lambda: reads(store, driver, 1) is None, "reads went on")
    with pytest.raises(StoreUnavailable, match="not in its place"):
        driver.run(store.ready())
    assert not path.exists(), "nothing may be put in its place"

    path.with_name("elsewhere.db").rename(path)
    assert reads(store, driver, 1) is True
    assert reads(store, driver, 3) is False, "what was refused was not done"
    assert writes(store, driver, 4)
    assert structure_of(path) == []


def test_err_01_a_file_that_was_deleted_is_not_made_anew_by_who_had_it_open(
    store: SqliteStore, path: Path, driver: Driver
) -> None:
    path.unlink()

    assert not writes(store, driver, 3)
    eventually(lambda: reads(store, driver, 1) is None, "reads went on")
    assert not writes(store, driver, 4)
    assert not path.exists()


def test_err_01_another_file_in_its_place_is_not_touched_until_the_program_starts_again(
    store: SqliteStore, path: Path, driver: Driver, tmp_path: Path
) -> None:
    new = another(tmp_path / "new.db", driver)
    whole = new.read_bytes()
    path.rename(tmp_path / "old.db")
    new.rename(path)

    assert not writes(store, driver, 3)
    eventually(lambda: reads(store, driver, 1) is None, "reads went on")
    assert not writes(store, driver, 3)
    assert reads(store, driver, 2) is None
    assert path.read_bytes() == whole

    driver.run(store.close())
    start_over(path)
    assert [reads(store, driver, number) for number in (1, 2)] == [False, True]
    assert writes(store, driver, 5)
    assert structure_of(path) == []


def test_err_01_a_backup_put_over_the_file_is_read_when_the_program_starts_again(
    store: SqliteStore, path: Path, driver: Driver, tmp_path: Path
) -> None:
    _back_up(path, tmp_path / "backup.db")
    driver.run(started(store, 3))

    (tmp_path / "backup.db").replace(path)

    assert not writes(store, driver, 4)
    eventually(lambda: reads(store, driver, 3) is None, "reads went on")
    driver.run(store.close())
    start_over(path)
    assert [reads(store, driver, number) for number in (1, 3)] == [True, False]
    assert writes(store, driver, 4)
    assert structure_of(path) == []


def test_a_backup_restored_through_sqlite_counts_at_once(
    store: SqliteStore, path: Path, driver: Driver, tmp_path: Path
) -> None:
    _back_up(path, tmp_path / "backup.db")
    driver.run(started(store, 3))

    _back_up(tmp_path / "backup.db", path)

    assert (reads(store, driver, 1), reads(store, driver, 3)) == (True, False)
    assert writes(store, driver, 4)


@pytest.mark.parametrize("what", ["text", "another program's", "an older schema", "a folder"])
def test_err_01_something_else_in_its_place_is_unavailable_until_it_is_gone(
    store: SqliteStore, path: Path, driver: Driver, tmp_path: Path, what: str
) -> None:
    path.rename(tmp_path / "old.db")
    if what == "text":
        path.write_text("dear diary, " * 500)
    elif what == "a folder":
        path.mkdir()
    else:
        with closing(sqlite3.connect(tmp_path / "other.db")) as other:
            other.execute("CREATE TABLE notes (text)")
            if what == "an older schema":
                other.execute("PRAGMA application_id = 0x434F4154")
                other.execute("PRAGMA user_version = 1")
        (tmp_path / "other.db").rename(path)

    assert not writes(store, driver, 3)
    eventually(lambda: reads(store, driver, 1) is None, "reads went on")
    for _ in range(3):
        assert not writes(store, driver, 3)

    path.rmdir() if what == "a folder" else path.unlink()
    (tmp_path / "old.db").rename(path)
    eventually(lambda: reads(store, driver, 1) is True, "the file is back and not opened")
    eventually(lambda: writes(store, driver, 4), "the file is back and cannot be written")


def test_err_01_a_link_that_leads_elsewhere_is_another_file(driver: Driver, tmp_path: Path) -> None:
    first, second = another(tmp_path / "first.db", driver), another(tmp_path / "second.db", driver)
    link = tmp_path / "link.db"
    link.symlink_to(first)
    store = SqliteStore(str(link), driver.colour)
    assert reads(store, driver, 2) is True

    (tmp_path / "next.db").symlink_to(second)
    (tmp_path / "next.db").replace(link)

    assert not writes(store, driver, 3)
    eventually(lambda: reads(store, driver, 2) is None, "reads went on")
    driver.run(store.close())
    assert writes(store, driver, 3)
    driver.run(store.close())
    with closing(sqlite3.connect(second)) as other:
        assert other.execute("SELECT count(*) FROM sessions").fetchall() == [(2,)]


def test_err_01_a_file_behind_a_link_is_missed_though_nothing_has_changed_where_the_link_is(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    target = another(tmp_path / "there" / "store.db", driver)
    link = tmp_path / "link.db"
    link.symlink_to(target)
    store = SqliteStore(str(link), driver.colour)
    monkeypatch.setattr(file, "SETTLED", 0.1)
    directory = file.entries_of(str(tmp_path))
    eventually(lambda: file.is_settled(directory, now=time.time()), "the directory does not settle")
    assert writes(store, driver, 3)

    target.rename(tmp_path / "there" / "elsewhere.db")

    assert not writes(store, driver, 4)
    driver.run(store.close())


def test_err_01_a_directory_whose_time_was_set_back_has_changed(
    store: SqliteStore, path: Path, driver: Driver, tmp_path: Path
) -> None:
    """As programs do that restore a backup, its directory's time included."""
    new = another(tmp_path.parent / f"{tmp_path.name}-new.db", driver)
    before = tmp_path.stat()

    new.replace(path)
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert tmp_path.stat().st_mtime_ns == before.st_mtime_ns
    assert not writes(store, driver, 3)


@pytest.mark.parametrize("store", ["settled"], indirect=True)
def test_a_directory_in_which_something_has_just_changed_is_not_taken_for_unchanged(
    store: SqliteStore, path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system's clock ticks slowly, the next change may leave no trace."""
    monkeypatch.setattr(file, "SETTLED", 10**6)
    assert uses(store, driver)
    assert entries_known(store) is not None, "nothing has changed"
    path.with_name("notes.txt").touch()

    assert uses(store, driver)
    assert entries_known(store) is None


@pytest.mark.parametrize("store", ["settled"], indirect=True)
def test_while_its_directory_stays_as_it_is_a_write_looks_at_neither_file_nor_log(
    store: SqliteStore, path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look at the log costs the commit after it a wait for the disk on some file systems."""
    looked_at: list[str] = []
    monkeypatch.setattr(file, "file_at", looked_at.append)

    assert uses(store, driver)
    assert looked_at == []
    path.with_name("notes.txt").touch()
    with pytest.raises(StoreUnavailable):
        uses(store, driver)  # to which our double shows nothing
    assert looked_at[0] == str(path)


def test_err_01_what_was_acknowledged_is_saved_from_a_log_that_was_deleted_under_the_store(
    store: SqliteStore, path: Path, driver: Driver
) -> None:
    driver.run(started(store, 3))
    Path(f"{path}-wal").unlink()

    assert not writes(store, driver, 4), "it would be in a log that nobody finds again"
    driver.run(store.close())

    eventually(lambda: reads(store, driver, 1) is True, "it is not opened any more")
    assert [reads(store, driver, number) for number in (3, 4)] == [True, False]
    assert writes(store, driver, 5)
    assert structure_of(path) == []


def test_after_close_whatever_is_there_is_opened(
    store: SqliteStore, path: Path, driver: Driver, tmp_path: Path
) -> None:
    """An application that lets go of its store may put another in its place."""
    new = another(tmp_path / "new.db", driver)
    driver.run(store.close())
    new.replace(path)

    assert reads(store, driver, 2) is True
    driver.run(store.close())
    path.unlink()
    assert writes(store, driver, 9)


def test_err_01_every_acknowledged_write_is_in_the_file_that_was_in_its_place(path: Path, tmp_path: Path) -> None:
    """Somebody writes all the time, and others take the file away and put it back again and again."""
    driver = BlockingDriver()
    store = SqliteStore(str(path), driver.colour)
    driver.run(started(store, 1))
    acknowledged: list[str] = []
    refused: list[str] = []
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            try:
                driver.run(put(store, a_digest(1), limit=10**6, **{f"key{number}": b"1"}))
            except StoreUnavailable:
                refused.append(f"key{number}")
            else:
                acknowledged.append(f"key{number}")

    writer = threading.Thread(target=write)
    writer.start()
    away = tmp_path / "away.db"
    for _ in range(5):
        before = len(acknowledged), len(refused)
        eventually(lambda before=before: len(acknowledged) > before[0] + 20, "nothing is written")  # type: ignore[misc]
        path.rename(away)
        eventually(lambda before=before: len(refused) > before[1] + 5, "nothing is refused")  # type: ignore[misc]
        away.rename(path)
    ended.set()
    writer.join()
    driver.run(store.close())

    assert set(acknowledged) <= _keys(path)
    assert structure_of(path) == []


# A server of two processes


def test_err_01_a_server_whose_file_is_away_answers_503_until_it_is_back(serve: Serve) -> None:
    server = serve(env=PATIENT_CROWDS)
    guests = Guests(server)
    workers = workers_of(server)

    server.store.rename(server.store.with_name("elsewhere.db"))
    eventually(lambda: _by_either_process(guests.visitor) == {503}, "reads went on")
    guests.are_refused_altogether()
    assert not server.store.exists()

    server.store.with_name("elsewhere.db").rename(server.store)
    eventually(lambda: guests.visitor.me().status == 200, "the file is back and not read")
    guests.are_well()
    assert workers_of(server) == workers


def test_err_01_a_worker_that_takes_the_place_of_another_does_not_begin_a_new_store(serve: Serve) -> None:
    server = serve(env=PATIENT_CROWDS)
    guests = Guests(server)
    workers = workers_of(server)

    def others_refuse() -> bool:
        try:
            refused = _by_either_process(guests.visitor) == {503}
        except OSError:  # for a moment nobody listens
            return False
        return refused and not {*workers_of(server)} & {*workers}

    server.store.rename(server.store.with_name("elsewhere.db"))
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    eventually(others_refuse, "nobody took their place, or somebody is told something")
    guests.are_refused_altogether()
    assert not server.store.exists()

    server.store.with_name("elsewhere.db").rename(server.store)
    eventually(lambda: guests.visitor.me().status == 200, "the file is back and not read")
    guests.are_well()


def test_err_01_a_server_whose_file_is_replaced_answers_503_until_it_is_started_again(serve: Serve) -> None:
    first, second = serve(env=PATIENT_CROWDS), serve(env=PATIENT_CROWDS)
    here, there = Guests(first, "ada"), Guests(second, "zoe")
    second.stop()
    with closing(sqlite3.connect(second.store)) as store:  # two that close at once may leave a log behind
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    second.store.replace(first.store)
    eventually(lambda: _by_either_process(here.visitor) == {503}, "reads went on")
    here.are_refused_altogether()

    first.stop()
    start_over(first.store)
    first.start()
    there.visitor.server = there.server = first
    assert there.log_in().status == 200
    assert here.log_in().status == 401
    assert structure_of(first.store) == []


def _by_either_process(visitor: Visitor) -> set[int]:
    """What a visitor hears of itself in visits for so long that no process trusts any more what it saw before."""
    begun, heard = time.monotonic(), set[int]()
    while time.monotonic() < begun + 2 * TRUST:
        heard.add(visitor.copy().me().status)
    return heard


def _back_up(of: Path, to: Path) -> None:
    with closing(sqlite3.connect(of)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    with closing(sqlite3.connect(to)) as target:
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keys(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        ((data,),) = connection.execute("SELECT data FROM sessions").fetchall()
    return set(decode(data)["app"])
