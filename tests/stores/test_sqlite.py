"""What only the SQLite store promises: its file, its schema, its errors."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.core.records import SessionRecord
from coatcheck.core.sessions import Rotation, rotate
from coatcheck.core.tokens import encode, session_digest
from coatcheck.errors import (
    ConfigurationError,
    CorruptRecord,
    SchemaMismatch,
    StoreConflict,
    StoreError,
    StoreUnavailable,
)
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Answer, Cutoffs
from coatcheck.stores.sqlite import steps
from coatcheck.stores.sqlite.schema import APPLICATION_ID, LATEST
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.stores.sqlite.writes import Unchanged, Write
from coatcheck.testing.driving import AsyncDriver
from coatcheck.testing.patience import PATIENCE, stores_waiting
from coatcheck.testing.samples import (
    DAY,
    NEVER,
    NOW,
    a_digest,
    a_handle,
    a_password,
    a_session,
    an_account,
    an_event,
    purge_round,
    start,
    started,
)

# From Python 3.12 on, fork() warns when threads exist; here it is the point of the test.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

run = run_blocking
COLOUR = Blocking(HashingLane(queue=1, nice=0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(path), COLOUR)
    yield store
    run(store.close())


def _execute(path: Path, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    # Another connection of SQLite's own: a plain open() and close() of the file would drop this process's locks.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, parameters).fetchall()


def _in_child(work: Callable[[], bool]) -> bool:
    """Fork, do the work in the child, and say whether it was satisfied."""
    child = os.fork()
    if child == 0:
        satisfied = False
        try:
            satisfied = work()
        finally:
            os._exit(0 if satisfied else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# The file


def test_nothing_is_opened_before_first_use(path: Path) -> None:
    SqliteStore(str(path), COLOUR)

    assert not path.exists()


def test_dat_05_all_files_are_readable_by_their_owner_only(store: SqliteStore, path: Path) -> None:
    umask = os.umask(0)
    try:
        run(started(store))
    finally:
        os.umask(umask)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_dat_05_the_file_is_in_wal_mode(store: SqliteStore, path: Path) -> None:
    run(store.ready())

    assert _execute(path, "PRAGMA journal_mode") == [("wal",)]


def test_dat_05_foreign_keys_are_on_and_acknowledged_writes_wait_for_the_disk(store: SqliteStore) -> None:
    settings = ("PRAGMA foreign_keys", "PRAGMA synchronous")

    durable = run(store._write(lambda c: [c.execute(sql).fetchone()[0] for sql in settings]))
    quick = run(store._write(lambda c: [c.execute(sql).fetchone()[0] for sql in settings], durable=False))

    again = run(store._write(lambda c: [c.execute(sql).fetchone()[0] for sql in settings]))
    assert (durable, quick, again) == ([1, 2], [1, 1], [1, 2])


def test_tok_03_no_issued_token_is_in_any_file(store: SqliteStore, path: Path) -> None:
    tokens = [encode(os.urandom(32)) for _ in range(20)]
    for number, token in enumerate(tokens):
        run(start(store, a_session(number), replaces=session_digest(tokens[number - 1]) if number else None))
        run(store.rotate(_rotated(a_session(number), token), events=[an_event()]))

    # Read by another process: opening the files in this one would drop the locks of SQLite.
    search = (
        "import sys; print(sum(open(f,'rb').read().count(t.encode()) for f in sys.argv[1:4] for t in sys.argv[4:]))"
    )
    files = [f"{path}{suffix}" for suffix in ("", "-wal", "-shm")]
    found = subprocess.run([sys.executable, "-c", search, *files, *tokens], capture_output=True, check=True)
    present = subprocess.run([sys.executable, "-c", search, *files, a_handle(1)], capture_output=True, check=True)

    assert int(found.stdout) == 0
    assert int(present.stdout) > 0, "the search itself must work"


def _rotated(session: SessionRecord, token: str) -> Rotation:
    return rotate(session, new_digest=session_digest(token), now=NOW)


def test_err_03_an_option_that_sqlite_urls_do_not_have_is_told_with_the_one_there_is() -> None:
    with pytest.raises(ConfigurationError, match=r'has one option, "\?mode=rw"') as refused:
        open_store("sqlite:///app.db?key=hush", COLOUR)

    assert "hush" not in str(refused.value)


def test_a_missing_directory_is_named_with_the_mend(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "missing" / "store.db"), COLOUR)

    with pytest.raises(ConfigurationError, match=r"^store: the directory .*missing does not exist; create it"):
        run(store.ready())


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory"):
        run(SqliteStore(str(tmp_path), COLOUR).ready())


def test_a_store_that_has_to_be_there_is_not_begun_where_it_is_missing_or_empty(store: SqliteStore, path: Path) -> None:
    existing = SqliteStore(str(path), COLOUR, creates=False)

    with pytest.raises(StoreUnavailable, match="not there, or empty: put it back, or start again"):
        run(started(existing))
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreUnavailable, match="not there, or empty"):
        run(started(existing))
    assert path.stat().st_size == 0
    run(started(store))
    assert run(existing.find(a_digest(1))) is not None
    run(existing.close())


def test_a_path_stays_the_same_file_after_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SqliteStore(":memory:", COLOUR)

    monkeypatch.chdir(tmp_path / "elsewhere")
    run(store.ready())
    run(store.close())

    assert (tmp_path / ":memory:").is_file()


def test_a_link_to_a_file_that_is_not_there_yet_makes_it_private_too(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "target.db")
    store = SqliteStore(str(tmp_path / "link.db"), COLOUR)

    run(store.ready())
    run(store.close())

    assert stat.S_IMODE((tmp_path / "target.db").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_thread_that_ends_leaves_no_open_connection(store: SqliteStore) -> None:
    run(started(store))
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(20):
        thread = threading.Thread(target=lambda: run(store.find(a_digest(1))))
        thread.start()
        thread.join()

    # SQLite closes descriptors late while other connections hold locks; it must not be one or two per thread.
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 10


# The schema


def test_an_empty_store_has_no_version_and_asking_creates_nothing(store: SqliteStore, path: Path) -> None:
    assert run(store.schema_version()) == 0
    assert not path.exists()


def test_an_empty_file_becomes_a_store(store: SqliteStore, path: Path) -> None:
    path.touch()

    run(started(store))

    assert run(store.schema_version()) == LATEST


@pytest.mark.parametrize("version", [LATEST + 1, 999])
def test_dat_08_a_newer_schema_is_refused_and_left_alone(store: SqliteStore, path: Path, version: int) -> None:
    run(started(store))
    run(store.close())
    _execute(path, f"PRAGMA user_version = {version}")

    for call in (store.ready, store.upgrade_schema):
        with pytest.raises(SchemaMismatch, match=f"version {version}, newer than"):
            run(call())
    assert run(store.schema_version()) == version


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE notes (text)", "PRAGMA user_version = 3", "PRAGMA application_id = 7"],
    ids=["tables", "version", "application"],
)
def test_dat_08_another_programs_database_is_refused_and_left_alone(store: SqliteStore, path: Path, sql: str) -> None:
    _execute(path, sql)
    before = path.read_bytes()

    for call in (store.ready, store.schema_version, store.upgrade_schema):
        with pytest.raises(SchemaMismatch, match="another program"):
            run(call())
    assert path.read_bytes() == before


def test_dat_08_a_file_that_is_no_database_is_refused_and_left_alone(store: SqliteStore, path: Path) -> None:
    path.write_bytes(b"dear diary, " * 500)

    for call in (store.ready, store.schema_version, store.upgrade_schema):
        with pytest.raises(SchemaMismatch, match="no SQLite database"):
            run(call())
    assert path.read_bytes() == b"dear diary, " * 500


class NextVersion(SqliteStore):
    schema_steps = (*SqliteStore.schema_steps, ("CREATE TABLE extra (a)", "INSERT INTO extra VALUES (1)"))


class BrokenVersion(SqliteStore):
    schema_steps = (*SqliteStore.schema_steps, ("CREATE TABLE extra (a)", "DROP TABLE passwords", "NO SUCH THING"))


def test_dat_08_an_older_schema_is_refused_with_the_command_that_upgrades_it(store: SqliteStore, path: Path) -> None:
    run(started(store))

    with pytest.raises(SchemaMismatch, match=r"older than .* run: coatcheck schema upgrade --store sqlite:///"):
        run(NextVersion(str(path), COLOUR).find(a_digest(1)))


def test_an_upgrade_keeps_what_is_stored(store: SqliteStore, path: Path) -> None:
    session = run(started(store))
    run(store.close())
    newer = NextVersion(str(path), COLOUR)

    versions = [run(newer.upgrade_schema()), run(newer.upgrade_schema())]

    found = run(newer.find(session.digest))
    assert versions == [(LATEST, LATEST + 1), (LATEST + 1, LATEST + 1)]
    assert found is not None
    assert found.session == session
    assert _execute(path, "SELECT a FROM extra") == [(1,)]


def test_an_upgrade_creates_a_store_where_there_is_none(store: SqliteStore) -> None:
    assert run(store.upgrade_schema()) == (0, LATEST)
    assert run(store.schema_version()) == LATEST


def test_dat_08_an_upgrade_that_fails_leaves_the_old_schema_whole(store: SqliteStore, path: Path) -> None:
    session = run(started(store))

    with pytest.raises(StoreUnavailable):
        run(BrokenVersion(str(path), COLOUR).upgrade_schema())

    assert run(store.schema_version()) == LATEST
    assert run(store.find(session.digest)) is not None
    assert _execute(path, "SELECT name FROM sqlite_schema WHERE name = 'extra'") == []


class DyingStep(tuple[str, ...]):
    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        yield "CREATE TABLE extra (a)"
        yield "DELETE FROM sessions"
        os.kill(os.getpid(), 9)


class DyingVersion(SqliteStore):
    schema_steps = (*SqliteStore.schema_steps, DyingStep())


def test_dat_08_a_kill_during_an_upgrade_leaves_the_old_data_readable(store: SqliteStore, path: Path) -> None:
    session = run(started(store))
    run(store.close())

    survived = _in_child(lambda: run(DyingVersion(str(path), COLOUR).upgrade_schema()) is not None)

    found = run(store.find(session.digest))
    assert not survived
    assert found is not None
    assert found.session == session
    assert run(store.schema_version()) == LATEST


def test_our_files_say_whose_they_are(store: SqliteStore, path: Path) -> None:
    run(store.ready())

    assert _execute(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


# Trouble


def test_g3_a_locked_database_is_unavailable_for_all_who_wait_at_the_same_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = AsyncDriver()
    store = SqliteStore(str(path), driver.colour)
    driver.run(started(store))
    happened, deadlines, queue = list[str](), list[float](), store._file.queue

    def noting(work: Callable[[sqlite3.Cursor], Any], *, durable: bool, deadline: float) -> Write[Any]:
        happened.append("queued")
        deadlines.append(deadline)
        return queue(work, durable=durable, deadline=deadline)

    async def end() -> None:
        with pytest.raises(StoreUnavailable):
            await store.end(a_digest(1), at=NOW, reason="r", events=())
        happened.append("given up")

    monkeypatch.setattr(store._file, "queue", noting)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, stores_waiting(0.5):
        other.execute("BEGIN IMMEDIATE")
        outcomes = driver.crowd([end() for _ in range(5)])
        is_over = time.monotonic() >= min(deadlines)
        found = driver.run(store.find(a_digest(1)))
        other.execute("ROLLBACK")

    assert outcomes == [None] * 5
    assert is_over, "nobody gives up before"
    assert happened == ["queued"] * 5 + ["given up"] * 5, "nobody's patience begins when another's is over"
    assert found is not None, "reading goes on meanwhile"
    assert driver.run(store.end(a_digest(1), at=NOW, reason="r", events=())) is True
    driver.run(store.close())
    driver.close()


def test_g3_a_lock_that_is_let_go_in_time_is_waited_for(store: SqliteStore, path: Path) -> None:
    run(started(store))
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    letting_go = threading.Timer(0.2, other.rollback)
    letting_go.start()

    assert run(store.touch(a_digest(1), seen_at=NOW + 1)) is True
    letting_go.join()
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_g3_a_full_disk_is_unavailable_and_then_fine_again(store: SqliteStore) -> None:
    import resource
    import signal

    run(started(store))

    def work() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run(store.ready())
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            run(started(store, 2))
        except StoreUnavailable:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            return run(store.find(a_digest(2))) is None and run(started(store, 3)) is not None
        return False

    assert _in_child(work)
    assert run(store.find(a_digest(3))) is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_g3_a_file_that_may_not_be_written_is_unavailable(store: SqliteStore, path: Path) -> None:
    run(started(store))
    run(store.close())
    path.chmod(0o444)
    if os.getuid() == 0:  # nobody must find the way there: pytest's own folders are closed to others
        for place in path.parents:
            if place.is_relative_to(tempfile.gettempdir()) and place != Path(tempfile.gettempdir()):
                place.chmod(0o755)

    def work() -> bool:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            run(store.touch(a_digest(1), seen_at=NOW + 1))
        except StoreUnavailable:
            return True
        return False

    assert _in_child(work)


# Records that cannot be read


NOT_TEXT = "CAST(x'ff00fe' AS TEXT)"


@pytest.fixture
def two(store: SqliteStore) -> SqliteStore:
    """A store with an account, a session and an event each for two people."""
    for number, subject in enumerate(("ada", "bob"), start=1):
        account = an_account(subject, username=f"{subject} name", email=f"{subject}@example.org")
        run(store.create_account(account, a_password(subject), events=[an_event(subject=subject)]))
        run(started(store, number, subject=subject))
    return store


@pytest.mark.parametrize(
    "damage",
    [
        f"UPDATE sessions SET methods = {NOT_TEXT} WHERE id = ?",
        f"UPDATE sessions SET ip = {NOT_TEXT} WHERE id = ?",
        f"UPDATE subjects SET epoch_reason = {NOT_TEXT} WHERE id = (SELECT subject FROM sessions WHERE id = ?)",
        f"UPDATE accounts SET email = {NOT_TEXT} WHERE id = (SELECT subject FROM sessions WHERE id = ?)",
        "UPDATE subjects SET epoch = NULL WHERE id = (SELECT subject FROM sessions WHERE id = ?)",
        "UPDATE sessions SET subject = 999 WHERE id = ?",
    ],
)
def test_err_05_a_damaged_session_is_refused_by_name_and_harms_no_other(
    two: SqliteStore, path: Path, damage: str
) -> None:
    _execute(path, damage, a_handle(1))

    for reading in (two.find(a_digest(1)), two.find_by_id(a_handle(1))):
        with pytest.raises(CorruptRecord, match=rf"^corrupt record in the store: session {a_handle(1)}$"):
            run(reading)
    scanned = run(two.scan_sessions(after=None, limit=9)).sessions
    assert run(two.find(a_digest(2))) is not None
    assert [found.session.id for found in scanned] == [a_handle(2)]
    assert run(two.sessions_of("ada")) == ()


def test_err_05_damaged_session_data_is_refused_when_it_is_changed_and_can_be_ended(
    two: SqliteStore, path: Path
) -> None:
    _execute(path, "UPDATE sessions SET data = x'ff7b' WHERE id = ?", a_handle(1))
    patch = two.patch(a_digest(1), namespace="app", puts={"a": b"1"}, removes=(), limit=99)
    increment = two.increment(a_digest(1), namespace="app", key="n", by=1, limit=99)

    for change in (patch, increment):
        with pytest.raises(CorruptRecord, match=a_handle(1)):
            run(change)
    assert run(two.patch(a_digest(2), namespace="app", puts={"a": b"1"}, removes=(), limit=99)) is None
    assert run(two.end(a_digest(1), at=NOW, reason="r", events=())) is True


def test_err_05_a_damaged_account_is_refused_by_name_and_harms_no_other(two: SqliteStore, path: Path) -> None:
    _execute(path, f"UPDATE accounts SET username = {NOT_TEXT} WHERE username_key = 'ada name'")

    for reading in (two.account("ada"), two.identify("ada name"), two.identify("ada@example.org")):
        with pytest.raises(CorruptRecord, match=r"account ada$"):
            run(reading)
    assert run(two.identify("bob name")) is not None
    assert [account.subject for account in run(two.scan_accounts(after=None, limit=9)).accounts] == ["bob"]


def test_err_05_a_damaged_password_is_refused_without_showing_it(two: SqliteStore, path: Path) -> None:
    _execute(
        path, f"UPDATE passwords SET hash = {NOT_TEXT} WHERE account = (SELECT id FROM subjects WHERE subject = 'ada')"
    )

    with pytest.raises(CorruptRecord, match=r"ada$") as caught:
        run(two.credential("ada"))

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert run(two.credential("bob")) == a_password("bob")


@pytest.mark.parametrize("damage", [f"name = {NOT_TEXT}", "details = '{'", "details = '[1]'"])
def test_err_05_a_damaged_event_is_left_out(two: SqliteStore, path: Path, damage: str) -> None:
    run(two.record([an_event("later")]))
    _execute(path, f"UPDATE events SET {damage} WHERE id = 1")

    assert [event.name for event in run(two.events_of("ada", after=None, limit=9)).events] == ["later"]


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_and_its_parent_go_on_side_by_side(store: SqliteStore) -> None:
    run(started(store, 1))
    run(store.touch(a_digest(1), seen_at=NOW))

    def work() -> bool:
        found = run(store.find(a_digest(1)))
        return found is not None and run(store.end(a_digest(1), at=NOW, reason="in child", events=()))

    satisfied = _in_child(work)

    found = run(store.find(a_digest(1)))
    assert satisfied
    assert found is not None
    assert found.session.end_reason == "in child"
    assert run(started(store, 2)) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_child_inherits_no_open_file(store: SqliteStore, path: Path) -> None:
    run(started(store, 1))
    run(store.touch(a_digest(1), seen_at=NOW))

    def work() -> bool:
        return not any(str(path) in os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())

    assert _in_child(work)
    assert run(store.end(a_digest(1), at=NOW, reason="r", events=())) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_child_wrote_stays_when_the_parent_closes_the_store_under_it(store: SqliteStore) -> None:
    """With inherited connections the parent would believe itself alone and take the child's log away."""
    run(started(store, 1))
    to_parent, from_parent = os.pipe(), os.pipe()

    def work() -> bool:
        run(started(store, 2))
        os.write(to_parent[1], b"x")
        os.read(from_parent[0], 1)
        run(started(store, 3))
        return run(store.find(a_digest(2))) is not None

    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    os.read(to_parent[0], 1)
    run(store.close())
    os.write(from_parent[1], b"x")
    exit_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    listed = run(store.sessions_of("ada"))
    for end in (*to_parent, *from_parent):
        os.close(end)
    assert exit_code == 0
    assert len(listed) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_amid_the_work_of_other_threads_disturbs_nobody(store: SqliteStore) -> None:
    run(started(store, 0))
    ended = threading.Event()
    errors: list[StoreError] = []

    def work(number: int) -> None:
        try:
            while not ended.is_set():
                run(store.find(a_digest(0)))
                run(store.increment(a_digest(0), namespace="app", key=f"n{number}", by=1, limit=999))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    satisfied = [_in_child(lambda n=n: run(started(store, n)) is not None) for n in range(1, 6)]  # type: ignore[misc]
    ended.set()
    for thread in threads:
        thread.join()

    assert satisfied == [True] * 5
    assert errors == []
    assert len(run(store.sessions_of("ada"))) == 6


# Keeping small


def _user_agents(path: Path) -> list[tuple[object, ...]]:
    return _execute(path, "SELECT text, uses FROM user_agents ORDER BY text")


def test_dat_06_user_agents_are_kept_once_and_go_with_their_last_use(store: SqliteStore, path: Path) -> None:
    for number in range(6):
        at = NOW if number < 4 else NOW + 10 * DAY
        agent = "only old" if number == 0 else "both"
        run(start(store, a_session(number, subject=None, at=at, user_agent=agent)))
    run(store.record([an_event()]))
    before = _user_agents(path)

    run(purge_round(store, Cutoffs(ended_before=NOW + 5 * DAY, counters_before=0, events_before=0)))

    assert before == [("Browser/1.0", 1), ("both", 5), ("only old", 1)]
    assert _user_agents(path) == [("Browser/1.0", 1), ("both", 2)]


def test_one_more_use_of_a_known_user_agent_writes_one_page(store: SqliteStore, path: Path) -> None:
    def use(cursor: sqlite3.Cursor) -> object:
        return steps.user_agent_keys(cursor, ["Browser/1.0"])["Browser/1.0"]

    first = _together(store, use)
    _execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")

    again = _together(store, use)

    ((_, frames, _),) = _execute(path, "PRAGMA wal_checkpoint(PASSIVE)")
    assert again == first
    assert frames == 1
    assert _user_agents(path) == [("Browser/1.0", 2)]


def test_a_refused_change_leaves_no_trace_of_its_user_agent_or_subject(store: SqliteStore, path: Path) -> None:
    run(store.create_account(an_account(), a_password(), events=()))

    answer = run(store.create_account(an_account("eve"), a_password("eve"), events=[an_event(subject="eve")]))

    assert answer is Answer.USERNAME_TAKEN
    assert _user_agents(path) == []
    assert _execute(path, "SELECT subject FROM subjects") == [("ada",)]


def test_a_user_agent_is_told_right_when_its_like_was_purged_and_another_came(store: SqliteStore) -> None:
    run(start(store, a_session(1, user_agent="first")))
    run(store.find(a_digest(1)))
    run(purge_round(store, Cutoffs(ended_before=NOW + 5 * DAY, counters_before=0, events_before=0)))

    run(start(store, a_session(2, user_agent="second")))

    found = run(store.find(a_digest(2)))
    assert found is not None
    assert found.session.user_agent == "second"


# Writes that wait at the same time


def _together(store: SqliteStore, *works: Callable[[sqlite3.Cursor], object]) -> list[object]:
    """Have works carried out in one transaction; give the answer or error of each."""
    writes = [store._file.queue(work, durable=True, deadline=time.monotonic() + PATIENCE) for work in works]
    outcomes: list[object] = []
    for write in writes:
        try:
            outcomes.append(store._file.carry_out(write))
        except StoreError as error:
            outcomes.append(type(error))
    return outcomes


def _adding(subject: str, then: Exception | None = None) -> Callable[[sqlite3.Cursor], str]:
    def work(cursor: sqlite3.Cursor) -> str:
        cursor.execute("INSERT INTO subjects (subject) VALUES (?)", (subject,))
        if then is not None:
            raise then
        return subject

    return work


def _giving_up(cursor: sqlite3.Cursor) -> None:
    # What SQLite does by itself when the disk is full: not this statement, the whole transaction is gone.
    cursor.execute("INSERT OR ROLLBACK INTO subjects (subject) VALUES ('ada')")


def _refusing(_cursor: sqlite3.Cursor) -> None:
    raise Unchanged(Answer.REFUSED)


def test_writes_that_wait_at_the_same_time_are_one_transaction(store: SqliteStore, path: Path) -> None:
    run(store.ready())
    before = _execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")

    outcomes = _together(store, _adding("ada"), _refusing, _adding("bob"), _adding("eve"))

    ((_, frames, _),) = _execute(path, "PRAGMA wal_checkpoint(PASSIVE)")
    assert before == [(0, 0, 0)]
    assert outcomes == ["ada", Answer.REFUSED, "bob", "eve"]
    assert frames == 2, "each of two pages was written once"


@pytest.mark.parametrize(
    ("refused", "outcome"),
    [
        (_adding("mallory", then=Unchanged(Answer.GONE)), Answer.GONE),
        (_adding("mallory", then=StoreUnavailable("no")), StoreUnavailable),
        (_adding("ada"), StoreConflict),
        (_giving_up, StoreConflict),
    ],
)
def test_a_write_that_is_refused_leaves_nothing_and_takes_none_of_the_others_with_it(
    store: SqliteStore, path: Path, refused: Callable[[sqlite3.Cursor], object], outcome: object
) -> None:
    outcomes = _together(store, _adding("ada"), refused, _adding("bob"))

    assert outcomes == ["ada", outcome, "bob"]
    assert _execute(path, "SELECT subject FROM subjects ORDER BY id") == [("ada",), ("bob",)]


def test_purging_nothing_writes_nothing(store: SqliteStore, path: Path) -> None:
    run(started(store))
    before = Path(f"{path}-wal").stat().st_size

    run(purge_round(store, NEVER))

    assert Path(f"{path}-wal").stat().st_size == before


def test_a_purge_shortens_a_long_log_and_waits_for_nobody_who_reads_it(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coatcheck.stores.sqlite.file.LOG_LONG", 4096)
    log = Path(f"{path}-wal")
    run(started(store))

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM sessions").fetchall()
        run(started(store, 2))
        run(purge_round(store, NEVER))
        while_read = log.stat().st_size
        seen = reader.execute("SELECT count(*) FROM sessions").fetchone()
        reader.execute("ROLLBACK")
    run(purge_round(store, NEVER))

    assert while_read > 4096
    assert seen == (1,)
    assert log.stat().st_size == 0
    assert run(store.find(a_digest(2))) is not None


class _Awaited(Write[str]):
    """A write of which a test knows when its thread waits."""

    __slots__ = ("is_awaited",)

    def __init__(self, store: SqliteStore, subject: str, *, patience: float = PATIENCE) -> None:
        super().__init__(store._file.path, _adding(subject), durable=True, deadline=time.monotonic() + patience)
        self.is_awaited = threading.Event()

    def wait(self, seconds: float | None) -> bool:
        self.is_awaited.set()
        return super().wait(seconds)


class _GivenUp(_Awaited):
    """One whose thread is called in the very moment in which its time is over."""

    def wait(self, seconds: float | None) -> bool:
        super().wait(seconds)
        return False


class _Stopped(_Awaited):
    """One whose thread is called in the very moment in which it is told to stop."""

    def wait(self, seconds: float | None) -> bool:
        super().wait(seconds)
        raise KeyboardInterrupt


@contextmanager
def _writing_meanwhile(store: SqliteStore, *waiting: _Awaited) -> Iterator[list[object]]:
    """Have another thread write until the block ends, while these writes wait; give what becomes of them."""
    has_begun, may_end = threading.Event(), threading.Event()

    def long(_cursor: sqlite3.Cursor) -> None:
        has_begun.set()
        may_end.wait(PATIENCE)

    def carry_out(write: Write[Any]) -> object:
        try:
            return store._file.carry_out(write)
        except (KeyboardInterrupt, StoreUnavailable) as error:
            return type(error)

    outcomes: list[object] = []
    with ThreadPoolExecutor() as threads:
        deadline = time.monotonic() + PATIENCE
        first = threads.submit(carry_out, store._file.queue(long, durable=True, deadline=deadline))
        assert has_begun.wait(PATIENCE)
        store._file._queued[True].extend(waiting)
        others = [threads.submit(carry_out, write) for write in waiting]
        for write in waiting:
            assert write.is_awaited.wait(PATIENCE)
        try:
            yield outcomes
        finally:
            may_end.set()
        outcomes.extend(one.result() for one in (first, *others))


def test_those_who_wait_are_called_when_what_they_wait_for_is_over(store: SqliteStore, path: Path) -> None:
    with _writing_meanwhile(store, *(_Awaited(store, name) for name in ("ada", "bob", "eve"))) as outcomes:
        assert _execute(path, "SELECT count(*) FROM subjects") == [(0,)]

    assert outcomes == [None, "ada", "bob", "eve"]


def test_a_write_whose_turn_does_not_come_in_time_is_given_up_and_never_done(store: SqliteStore, path: Path) -> None:
    late = _Awaited(store, "ada", patience=0)

    with _writing_meanwhile(store, late) as outcomes:
        pass

    assert outcomes == [None, StoreUnavailable]
    assert _together(store, _adding("bob")) == ["bob"]
    assert _execute(path, "SELECT subject FROM subjects") == [("bob",)]


@pytest.mark.parametrize(("leaver", "outcome"), [(_GivenUp, StoreUnavailable), (_Stopped, KeyboardInterrupt)])
def test_whoever_is_called_and_leaves_calls_the_next(
    store: SqliteStore, path: Path, leaver: type[_Awaited], outcome: object
) -> None:
    with _writing_meanwhile(store, leaver(store, "ada"), _Awaited(store, "bob")) as outcomes:
        pass

    assert outcomes == [None, outcome, "bob"]
    assert _execute(path, "SELECT subject FROM subjects") == [("bob",)]


def test_what_is_committed_is_not_done_again_when_the_thread_that_committed_it_is_told_to_stop(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so before it has looked whether the file is still in its place: the others may not hear of success."""
    is_in_place, looks = store._file._is_in_place, list[object]()

    def look(link: Any) -> bool:
        looks.append(link)
        if len(looks) == 3:  # after the commit of the first, and around that of the others
            raise KeyboardInterrupt
        return is_in_place(link)

    with _writing_meanwhile(store, *(_Awaited(store, name) for name in ("ada", "bob", "eve"))) as outcomes:
        monkeypatch.setattr(store._file, "_is_in_place", look)

    assert outcomes[0] is None
    assert Counter(outcomes[1:]) == {KeyboardInterrupt: 1, StoreUnavailable: 2}
    assert _execute(path, "SELECT subject FROM subjects ORDER BY subject") == [("ada",), ("bob",), ("eve",)]


class _Stopping(_Awaited):
    """One that is done, and whoever did it is told to stop in the very moment before calling its thread."""

    has_stopped = False

    def call(self) -> None:
        if self.is_done and not self.has_stopped:
            self.has_stopped = True
            raise KeyboardInterrupt
        super().call()


def test_whose_write_is_done_is_called_though_the_thread_that_did_it_is_told_to_stop(
    store: SqliteStore, path: Path
) -> None:
    with _writing_meanwhile(store, _Awaited(store, "ada"), _Awaited(store, "bob"), _Stopping(store, "eve")) as outcomes:
        pass

    assert outcomes.count(KeyboardInterrupt) == 1
    assert len({*outcomes} & {"ada", "bob", "eve"}) == 2, "the others were told of their success"
    assert _execute(path, "SELECT subject FROM subjects ORDER BY subject") == [("ada",), ("bob",), ("eve",)]


def test_purging_calls_those_who_came_meanwhile(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coatcheck.stores.sqlite.file.LOG_LONG", 0)
    run(started(store, 0))
    writing = store._file._writing
    write = _Awaited(store, "bob")
    store._file._queued[True].append(write)

    with ThreadPoolExecutor() as threads:
        with writing.lock:
            waiting = threads.submit(store._file.carry_out, write)
            assert write.is_awaited.wait(PATIENCE)
        store._file.shorten_log()

        assert waiting.result() == "bob"


def test_writes_of_many_threads_with_little_patience_are_done_once_or_not_at_all(
    store: SqliteStore, path: Path
) -> None:
    run(store.ready())
    patience = (0, 0.0005, 0.002, PATIENCE)

    def work(number: int) -> int:
        event, done = an_event(f"n{number:02}", subject=None), 0
        for turn in range(50):
            write = store._file.queue(
                lambda cursor: steps.insert_event(cursor, event, subject=None, user_agent=None),
                durable=(number + turn) % 3 == 0,
                deadline=time.monotonic() + patience[(number + turn) % 4],
            )
            with suppress(StoreUnavailable):
                store._file.carry_out(write)
                done += 1
        return done

    with ThreadPoolExecutor(16) as threads:
        done = list(threads.map(work, range(16)))

    kept = _execute(path, "SELECT count(*) FROM events GROUP BY name ORDER BY name")
    assert [count for (count,) in kept] == done
