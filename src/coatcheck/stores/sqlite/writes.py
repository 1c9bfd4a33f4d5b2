"""Writes of the SQLite store: what waits, how several share one transaction, and SQLite's errors in our words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any, Generic, TypeVar

from coatcheck.errors import CorruptRecord, StoreConflict, StoreError, StoreUnavailable

T = TypeVar("T")

MOST_TOGETHER = 64  # writes in one transaction: what another process may have to wait for
MOVED = (
    "the store's file, or the log beside it, is not in its place: put it back, or stop every process that uses it, "
    "remove -wal and -shm if the file is another now, and start again"
)
INTERRUPTED = "the thread that wrote this was told to stop: it may have been done, or not"
NAP_MIN, NAP_MAX = 0.000_1, 0.002  # seconds between two looks whether another process has done writing


class Unchanged(Exception):
    """Raised by work to say that nothing shall be written; what `write` returns then is `answer`."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        super().__init__()


class Write(Generic[T]):
    """One change on its way into the file: `work` in a transaction, all of it or nothing.

    `durable` asks that the disk has it; it may wait for its turn until `deadline` (of `time.monotonic`). Once it
    `is_done`, `result` tells what became of it.
    """

    __slots__ = ("_answer", "_path", "_turn", "_work", "deadline", "durable", "error", "is_done")

    def __init__(self, path: str, work: Callable[[sqlite3.Cursor], T], *, durable: bool, deadline: float) -> None:
        self._path = path
        self._work = work
        self.durable = durable
        self.deadline = deadline
        self.is_done = False
        self.error: Exception | None = None
        self._answer: T | None = None
        self._turn = threading.Lock()  # held until somebody calls
        self._turn.acquire()

    def wait(self, seconds: float | None) -> bool:
        """Wait to be called; say whether that was so."""
        return self._turn.acquire(timeout=-1 if seconds is None else seconds)

    def call(self) -> None:
        """Call the thread whose write this is: it is done, or for that thread to do. Once more does no harm."""
        try:  # noqa: SIM105 - `suppress` would cost as much as a small statement of SQL
            self._turn.release()
        except RuntimeError:
            pass  # called already

    def attempt(self, cursor: sqlite3.Cursor) -> bool:
        """Do the work and note its answer or error. True if what it did is to be kept."""
        self.error = None
        try:
            self._answer = self._work(cursor)
        except Unchanged as unchanged:
            self._answer = unchanged.answer
            return False
        except Exception as error:  # noqa: BLE001 - it belongs to the thread whose write this is
            self.error = error
            return False
        return True

    def result(self) -> T:
        """Give the work's answer or raise its error, in our words."""
        if isinstance(self.error, sqlite3.Error):
            raise translated(self.error, self._path) from self.error
        if self.error is not None:
            raise self.error
        answer: T = self._answer  # type: ignore[assignment]  # set whenever there is no error
        return answer


def commit_together(
    cursor: sqlite3.Cursor, writes: Sequence[Write[Any]], *, is_in_place: Callable[[], bool]
) -> sqlite3.Error | None:
    """Carry out writes in the transaction that has begun, and commit. Gives the trouble with the file, if any.

    What was committed to a file that is not in its place by then is not acknowledged.

    One that fails takes none of the others with it, and if SQLite gives up the whole transaction for one (the disk is
    full), they are tried again, each in a transaction of its own.

    If this thread is told to stop meanwhile, a write that `is_done` was committed or refused; any other left nothing.
    """
    connection, is_ending = cursor.connection, False
    try:
        try:
            keep = writes[0].attempt(cursor) if len(writes) == 1 else _attempt_all(cursor, writes)
            if connection.in_transaction:
                is_ending = keep
                cursor.execute("COMMIT" if keep else "ROLLBACK")
                if keep and not is_in_place():
                    for write in writes:
                        write.error = write.error or StoreUnavailable(MOVED)
            elif len(writes) > 1:
                _try_each(cursor, writes, is_in_place=is_in_place)
        except sqlite3.Error as error:
            for write in writes:
                write.error = error
        finally:
            if connection.in_transaction:
                connection.rollback()
                is_ending = False
        for write in writes:
            write.is_done = True
            write.call()
    except BaseException:
        _leave(writes, were_committed=is_ending)
        raise
    return next((write.error for write in writes if isinstance(write.error, sqlite3.Error)), None)


def _leave(writes: Sequence[Write[Any]], *, were_committed: bool) -> None:
    """Call those whose writes are done, now that this thread was told to stop.

    What it has committed must not be done once more, and before all was looked at nobody may hear of success.
    """
    for write in writes:
        if were_committed and not write.is_done:
            write.error = write.error or StoreUnavailable(INTERRUPTED)
            write.is_done = True
        if write.is_done:
            write.call()


def _attempt_all(cursor: sqlite3.Cursor, writes: Sequence[Write[Any]]) -> bool:
    """Carry out several; True if anything of it is to be kept.

    Few leave something behind that must be undone, and a savepoint for each would cost two statements. So there is one
    for all: if it is needed, they are done again, and then each has its own.
    """
    connection, keep = cursor.connection, False
    cursor.execute("SAVEPOINT together")
    for write in writes:
        before = connection.total_changes
        if write.attempt(cursor):
            keep = True
        elif write.error is not None or connection.total_changes != before:
            return _attempt_each_apart(cursor, writes)
    return keep


def _attempt_each_apart(cursor: sqlite3.Cursor, writes: Sequence[Write[Any]]) -> bool:
    keep = False
    if _goes_on(cursor):
        cursor.execute("ROLLBACK TO together")
        for write in writes:
            keep = _attempt_apart(cursor, write) or keep
            if not _goes_on(cursor):
                break
    return keep


def _attempt_apart(cursor: sqlite3.Cursor, write: Write[Any]) -> bool:
    cursor.execute("SAVEPOINT one")
    keep = write.attempt(cursor)
    if _goes_on(cursor):
        if not keep:
            cursor.execute("ROLLBACK TO one")
        cursor.execute("RELEASE one")
    return keep


def _goes_on(cursor: sqlite3.Cursor) -> bool:
    """Say whether SQLite has not given up the transaction."""
    return cursor.connection.in_transaction


def _try_each(cursor: sqlite3.Cursor, writes: Sequence[Write[Any]], *, is_in_place: Callable[[], bool]) -> None:
    for write in writes:
        try:
            begin(cursor, write.deadline)
        except sqlite3.Error as error:
            write.error = error
        else:
            commit_together(cursor, [write], is_in_place=is_in_place)


def begin(cursor: sqlite3.Cursor, deadline: float) -> None:
    """Begin a transaction that writes; a busy file is tried again until `deadline` (of `time.monotonic`)."""
    # SQLite's own waiting sleeps up to 100 ms between two looks and starves beside one process that writes all the
    # time (2 s: measured). Short naps get their turn.
    nap = NAP_MIN
    while True:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() >= deadline:
                raise
        else:
            return
        sleep(nap)
        nap = min(2 * nap, NAP_MAX)


MENDS = {
    sqlite3.SQLITE_CANTOPEN: "is it there, and may this user read and write it and its directory?",
    sqlite3.SQLITE_READONLY: "give this user the right to write it and its directory",
    sqlite3.SQLITE_PERM: "give this user the right to write it and its directory",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; stop the server and restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is damaged; stop the server and restore a backup",
}


def translated(error: sqlite3.Error, path: str) -> StoreError:
    """Say in our words what SQLite said of a file, and the mend. Programming errors are ours and stay as they are."""
    if isinstance(error, sqlite3.IntegrityError):
        return StoreConflict(f"a constraint of the store refused the change: {error}")
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        raise error
    if not hasattr(error, "sqlite_errorcode"):
        # Python's own complaint about text that is no UTF-8. Its message quotes that text: say less.
        return CorruptRecord("text that cannot be read")
    mend = MENDS.get(error.sqlite_errorcode & 0xFF)
    return StoreUnavailable(f"the store {path} cannot do this now: {error}{f'; {mend}' if mend else ''}")


def is_busy(error: sqlite3.Error) -> bool:
    """Say whether another process has the file, and waiting would help."""
    # The low byte is the primary code; extended ones (BUSY_SNAPSHOT, BUSY_RECOVERY) say the same to us.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
