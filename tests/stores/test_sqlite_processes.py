"""Several processes on one SQLite file: nothing is lost, each step has one winner, nobody hears of locks (DAT-05)."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import pytest

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.core.session_data import decode
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import Answer, Started
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.patience import stores_wait
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_gate,
    a_password,
    a_rotation,
    a_session,
    admit,
    an_account,
    raise_epoch,
    start,
    started,
)

T = TypeVar("T")
PROCESSES = 4
TURNS = 13  # more than fifty workers' worth of steps, by four processes

SPAWN = multiprocessing.get_context("spawn")


def open_store(path: Path) -> SqliteStore:
    return SqliteStore(str(path), Blocking(HashingLane(queue=1, nice=0)))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(PROCESSES, SPAWN, stores_wait) as pool:
        yield pool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def _together(pool: ProcessPoolExecutor, work: Callable[[SqliteStore, int], T], path: Path) -> list[T]:
    """Have each process do its turns of `work` with a store of its own; the outcomes of all."""
    batches = list(pool.map(_turns, [work] * PROCESSES, [path] * PROCESSES, range(PROCESSES)))
    return [outcome for batch in batches for outcome in batch]


def _turns(work: Callable[[SqliteStore, int], T], path: Path, process: int) -> list[T]:
    store = open_store(path)
    try:
        return [work(store, process * TURNS + turn) for turn in range(TURNS)]
    finally:
        run_blocking(store.close())


def _start_one(store: SqliteStore, turn: int) -> int | None:
    try:
        run_blocking(start(store, a_session(turn), credential_version=None))
    except StoreConflict:
        return None
    return turn


def _start_the_same(store: SqliteStore, _turn: int) -> bool:
    try:
        return isinstance(run_blocking(start(store, a_session(0))), Started)
    except StoreConflict:
        return False


def _sign_up(store: SqliteStore, turn: int) -> Answer | None:
    subject = f"subject {turn}"
    account = an_account(subject, username=("ada", "ADA", "Ada")[turn % 3])
    return run_blocking(store.create_account(account, a_password(subject), events=()))


def _rotate(store: SqliteStore, turn: int) -> bool:
    return run_blocking(store.rotate(a_rotation(a_session(0), turn + 1), events=()))


def _end(store: SqliteStore, _turn: int) -> bool:
    return run_blocking(store.end(a_digest(0), at=NOW, reason=LOGGED_OUT, events=()))


def _increment(store: SqliteStore, _turn: int) -> int | Answer:
    return run_blocking(store.increment(a_digest(0), namespace="app", key="n", by=1, limit=99))


def _patch(store: SqliteStore, turn: int) -> Answer | None:
    patch = store.patch(a_digest(0), namespace="app", puts={f"key {turn}": b"1"}, removes=(), limit=9999)
    return run_blocking(patch)


def _admit(store: SqliteStore, _turn: int) -> int:
    return run_blocking(admit(store, [a_gate(free=5)]))


def _start_or_change_password(store: SqliteStore, turn: int) -> object:
    if turn == TURNS:
        return run_blocking(raise_epoch(store, credential_version=2))
    return run_blocking(start(store, a_session(turn), credential_version=1))


def test_processes_that_create_one_file_at_once_all_succeed(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    for attempt in range(5):
        path = tmp_path / f"{attempt}.db"

        outcomes = _together(pool, _start_one, path)

        listed = run_blocking(open_store(path).sessions_of("ada"))
        assert sorted(turn for turn in outcomes if turn is not None) == list(range(PROCESSES * TURNS))
        assert len(listed) == PROCESSES * TURNS


def test_dat_09_of_starts_with_one_digest_one_wins(pool: ProcessPoolExecutor, path: Path) -> None:
    assert _together(pool, _start_the_same, path).count(True) == 1


def test_acc_05_of_sign_ups_with_one_name_one_wins(pool: ProcessPoolExecutor, path: Path) -> None:
    outcomes = _together(pool, _sign_up, path)

    assert outcomes.count(None) == 1
    assert outcomes.count(Answer.USERNAME_TAKEN) == PROCESSES * TURNS - 1


def test_dat_09_of_rotations_of_one_digest_one_wins(pool: ProcessPoolExecutor, path: Path) -> None:
    store = open_store(path)
    run_blocking(started(store, 0))

    outcomes = _together(pool, _rotate, path)

    assert outcomes.count(True) == 1
    assert len(run_blocking(store.sessions_of("ada"))) == 1


def test_dat_09_of_ends_one_wins(pool: ProcessPoolExecutor, path: Path) -> None:
    run_blocking(started(open_store(path), 0))

    assert _together(pool, _end, path).count(True) == 1


def test_dat_05_no_increment_of_any_process_is_lost(pool: ProcessPoolExecutor, path: Path) -> None:
    run_blocking(started(open_store(path), 0))

    outcomes = _together(pool, _increment, path)

    assert set(outcomes) == set(range(1, PROCESSES * TURNS + 1))


def test_ses_06_saves_of_different_keys_all_stay(pool: ProcessPoolExecutor, path: Path) -> None:
    store = open_store(path)
    run_blocking(started(store, 0))

    outcomes = _together(pool, _patch, path)

    found = run_blocking(store.find(a_digest(0)))
    assert outcomes == [None] * PROCESSES * TURNS
    assert found is not None
    assert len(decode(found.session.data)["app"]) == PROCESSES * TURNS


def test_rat_06_no_more_than_the_free_attempts_are_admitted(pool: ProcessPoolExecutor, path: Path) -> None:
    assert _together(pool, _admit, path).count(0) == 5


def test_rev_05_no_log_in_with_the_old_password_outlives_its_change(pool: ProcessPoolExecutor, path: Path) -> None:
    _together(pool, _start_or_change_password, path)

    store = open_store(path)
    assert run_blocking(store.states_of(["ada"]))["ada"].epoch == 1
    assert run_blocking(store.sessions_of("ada")) == ()


def test_rev_04_a_revocation_is_seen_by_the_next_read_of_another_process(pool: ProcessPoolExecutor, path: Path) -> None:
    store = open_store(path)
    run_blocking(started(store, 0))
    assert run_blocking(store.find(a_digest(0))) is not None

    pool.submit(_turns, _end, path, 0).result()

    found = run_blocking(store.find(a_digest(0)))
    assert found is not None
    assert found.session.end_reason == LOGGED_OUT


def _start_until_killed(path: Path, told: Connection) -> None:
    store = open_store(path)
    for number in range(100_000):
        run_blocking(start(store, a_session(number, subject=None)))
        if number >= 20:
            run_blocking(store.end(a_digest(number - 20), at=NOW, reason=LOGGED_OUT, events=()))
        told.send(number)


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_start_until_killed, args=(path, theirs))
    process.start()
    theirs.close()

    last = -1
    while last < 60:
        last = ours.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    while ours.poll():
        try:
            last = ours.recv()
        except EOFError:
            break
    ours.close()

    store = open_store(path)
    found = [run_blocking(store.find(a_digest(number))) for number in range(last + 1)]
    ended = [record.session.ended_at for record in found if record is not None]
    assert None not in found
    assert ended[: last - 19] == [NOW] * (last - 19)
    run_blocking(store.close())
