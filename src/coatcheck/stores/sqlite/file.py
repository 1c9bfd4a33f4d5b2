"""One SQLite file as one process sees it: a reader for each thread, one writer behind a lock, errors translated.

What must reach the disk and what need not are written through the same connection, which is told each time how long to
wait. With two, each commit of one would empty the other's page cache: some twenty pages to be read again in a log-in.

Writes that wait at the same time share one transaction, and with it one wait for the disk: whoever gets the lock
carries out what the others have queued; one that fails takes none of the others with it. All whose writes are done are
called together, so that their next ones wait at the same time again, and one of those whose are not is called to write.

Nothing is opened before first use, and nothing stays open across a fork: before it all connections are closed, and
parent and child open anew when they need to. Opening anew in the child alone would not do. SQLite keeps its locks in a
table per process; a child that inherits the table believes to hold locks that only its parent has, and a parent that
closes the file then takes the log away under the child's next commits (https://sqlite.org/howtocorrupt.html, 2.6).

Nothing else in this process may open and close the file: closing any descriptor of it drops the locks that SQLite
holds (ibidem, 2.2).

SQLite goes on with a file that was moved, deleted or replaced under it; what is acknowledged then is gone at the next
start. So we look whether file and log are in their place: with each write, once more before it is acknowledged, and
before reads four times a second. While they are not, nothing is answered, and nothing is opened in their stead. As long
as nothing has come, gone or been renamed in their directory, a look at that is enough.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, TypeVar
from weakref import WeakSet

from coatcheck.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from coatcheck.stores.protocols import Progress
from coatcheck.stores.sqlite import schema
from coatcheck.stores.sqlite.writes import MOST_TOGETHER, MOVED, Write, begin, commit_together, is_busy, translated

T = TypeVar("T")

PATIENCE = 2.0  # seconds a write may wait in all: for the thread, for the lock of this process, for other processes
FLOOR = (3, 37, 0)  # STRICT tables
USER_AGENTS_REMEMBERED = 4096
GONE = "the store's file is not there, or empty: put it back, or start again to begin a new one"
LOG_LONG = 16 * 2**20  # bytes of the write-ahead log from which on a purge shortens it
TRUST = 0.25  # seconds for which reads take it that the file is still in its place
SETTLED = 3.0  # seconds after which no file system's clock gives a directory's next change the time of its last one
Identity = tuple[int, int] | None
Entries = tuple[int, int, int, int] | None


class Link:
    """A connection with one cursor. It closes when nobody refers to it any more, and before a fork.

    Who uses it holds `lock` meanwhile, and finds out then whether it is `closed`. `user_agents` remembers texts by
    their id, for all links of a file: most sessions share a few of them, and looking one up costs more than all else
    that is done with a row.
    """

    __slots__ = (
        "__weakref__", "_pid", "closed", "connection", "cursor", "entries", "is_durable", "lock", "log", "log_path",
        "user_agents",
    )  # fmt: skip

    def __init__(self, connection: sqlite3.Connection, user_agents: dict[int, str]) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.lock = threading.Lock()
        self.closed = False
        self.log_path = ""
        self.log: Identity = None  # the write-ahead log it has open
        self.entries: Entries = None  # the directory as it was when file and log were seen in their place
        self.is_durable: bool | None = None  # whether its commits wait for the disk; None before the first
        self.user_agents = user_agents
        self._pid = os.getpid()
        _connections.add(connection)
        _links.add(self)

    def remember_user_agent(self, key: int, text: str) -> None:
        """Remember what an id of the table of user agents stands for; ids are never given again."""
        if len(self.user_agents) >= USER_AGENTS_REMEMBERED:
            self.user_agents.clear()
        self.user_agents[key] = text

    def close(self) -> None:
        """Close the connection, if this process opened it. To be called by who holds the lock, or the last referrer."""
        # What a child inherited in spite of `_before_fork` it must not even close; `_connections` keeps it.
        if not self.closed and self._pid == os.getpid():
            self.closed = True
            _connections.discard(self.connection)
            self.connection.close()

    def __del__(self) -> None:
        # Not amid a fork: the child would inherit a connection half closed. `_before_fork` closes it then instead.
        with _gate:
            self.close()


class _Writing:
    """Whose turn it is to write, and the connection for it once somebody has written."""

    __slots__ = ("link", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.link: Link | None = None

    def note_trouble(self, error: sqlite3.Error) -> None:
        """After trouble with the file, begin with a fresh connection."""
        if not isinstance(error, sqlite3.IntegrityError) and not is_busy(error):
            self.link = None


class SqliteFile:
    """The file, opened as needed. `steps` are the schema it must have; without `creates` it has to be there."""

    def __init__(self, path: str, steps: Sequence[schema.Step], *, creates: bool = True) -> None:
        self._creates = creates
        # Absolute: a later chdir must not lead elsewhere, and ":memory:" is a file's name here like any other.
        self.path = os.path.abspath(path)  # noqa: PTH100 - Path.absolute() keeps ".."
        self._directory = str(Path(self.path).parent)
        self._steps = steps
        self.forget_queued()
        self.close()
        with _gate:
            _files.add(self)

    def close(self) -> None:
        """Let go of all connections and of the file itself: the next call opens whatever is in its place then."""
        self._identity: Identity = None
        self._trusted_until = 0.0
        self.forget()

    def forget(self) -> None:
        """Let go of all connections; the next call opens new ones. Calls under way finish on the old ones."""
        self._readers = threading.local()
        self._writing = _Writing()
        self._user_agents: dict[int, str] = {}

    def forget_queued(self) -> None:
        """Let go of writes that threads of the parent had queued when this process was forked."""
        self._queued: dict[bool, deque[Write[Any]]] = {True: deque(), False: deque()}  # by durability

    def reader(self) -> Link:
        """Give this thread's connection for reading."""
        if monotonic() >= self._trusted_until:
            self._check_place()
            self._trusted_until = monotonic() + TRUST
        readers = self._readers
        try:
            link: Link = readers.link
        except AttributeError:
            link = readers.link = self._open()
        return link

    def queue(self, work: Callable[[sqlite3.Cursor], T], *, durable: bool, deadline: float) -> Write[T]:
        """Queue work, for `carry_out` of this or another thread.

        `durable` waits until the disk has it. Without that a loss of power may take the last moments, the death of
        the process nothing. `work` may be tried again after it failed: it must do nothing but use its cursor.
        """
        write = Write(self.path, work, durable=durable, deadline=deadline)
        self._queued[durable].append(write)
        return write

    def carry_out(self, write: Write[T]) -> T:
        """See to it that a queued write is in the file, all of it, and give its answer; or nothing of it, and raise.

        Raises StoreUnavailable when no turn comes before its deadline (of `time.monotonic`).
        """
        while not write.is_done:
            writing = self._writing
            if writing.lock.acquire(blocking=False):
                try:
                    if not write.is_done:
                        self._carry_out_queued(writing, write)
                finally:
                    writing.lock.release()
                    self._call_next()
            else:
                self._await_call(write)
        return write.result()

    def shorten_log(self) -> None:
        """Empty a long log.

        SQLite does that by itself only at a moment when all of the log is in the file and nobody reads it, which does
        not come while several processes write: the log of a purge grew to 1.2 GB (measured).
        """
        link = self._writing.link
        if link is not None and _size_of(link.log_path) >= LOG_LONG:
            self.empty_log()

    def empty_log(self) -> None:
        """Put what the log holds into the file and begin the log anew, unless somebody is in the way just now.

        Nobody is waited for; those who want to write meanwhile wait until the log's last pages are in the file.
        """
        writing = self._writing
        link = writing.link
        if link is None:
            return
        # What cannot be put into the file now stays in the log; whoever writes next is told why.
        with writing.lock, link.lock, suppress(sqlite3.Error):
            if not link.closed and self._is_in_place(link):
                # First without keeping others from writing: little is left to do then.
                for mode in ("PASSIVE", "TRUNCATE"):
                    link.cursor.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        self._call_next()

    def version(self) -> int:
        """Read the schema's version without creating or changing anything; 0 if there is no file or nothing in it."""
        if not os.path.exists(self.path):  # noqa: PTH110 - Path.exists() raises where a folder may not be entered
            return 0
        with _translating(self.path), self._connected() as link:
            return schema.version_of(link.connection, self.path)

    def upgrade(self, progress: Progress | None = None) -> tuple[int, int]:
        """Bring the schema to the latest version and give the versions before and after."""
        latest = len(self._steps)
        version = self.version()
        if version > latest:
            schema.check(version, self.path, latest=latest)
        self._create_file()
        with _translating(self.path), self._connected() as link:
            connection = link.connection
            _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            before = schema.apply_steps(connection, self.path, self._steps, only_if_empty=False, progress=progress)
        return before, latest

    def _open(self) -> Link:
        latest = len(self._steps)
        self._check_place()
        if self._creates:
            self._create_file()
        elif file_at(self.path) is None:
            raise StoreUnavailable(f"{self.path}: {GONE}")
        identity = file_at(self.path)
        with _translating(self.path), self._connected() as link:
            connection = link.connection
            version = schema.version_of(connection, self.path)
            if version == 0 and not self._creates:
                raise StoreUnavailable(f"{self.path}: {GONE}")
            if version == 0:
                _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
                schema.apply_steps(connection, self.path, self._steps, only_if_empty=True)
                version = schema.version_of(connection, self.path)
            schema.check(version, self.path, latest=latest)
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":  # a copy made by VACUUM INTO
                _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute("PRAGMA foreign_keys = ON")
            # Here, where no fork can close the link: its log stays as long as it is open. Where the path leads is
            # found out once: should it lead elsewhere later, it leads to another file.
            link.log_path = f"{os.path.realpath(self.path)}-wal"
            link.log = file_at(link.log_path)
            if self._identity is None:
                self._identity = identity
            if not self._is_in_place(link):
                raise StoreUnavailable(MOVED)
        return link

    def _check_place(self) -> None:
        if self._identity is not None and file_at(self.path) != self._identity:
            raise StoreUnavailable(MOVED)

    def _save_log(self, link: Link) -> None:
        # A log that was deleted is nowhere any more once nobody has it open: what it holds belongs into the file. Into
        # no other file: by now the log may be in use with that.
        if file_at(self.path) == self._identity:
            with suppress(sqlite3.Error):
                link.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _is_in_place(self, link: Link) -> bool:
        # One look is cheaper than two. It also leaves the log alone: since 6.13 Linux gives a file whose times somebody
        # has asked for new ones with its next write, and on an ext4 without a journal a commit that waits for the disk
        # then waits once more, for those times (50 of 470 microseconds: measured).
        now, entries = time(), entries_of(self._directory)
        if entries is not None and entries == link.entries:
            return True
        link.entries = None
        if file_at(self.path) != self._identity or file_at(link.log_path) != link.log:
            return False
        # What has just changed may do so again unseen, and where a link leads is another directory's business.
        if is_settled(entries, now=now) and not Path(self.path).is_symlink():
            link.entries = entries
        return True

    def _open_writer(self) -> Link:
        writer = self._open()
        with writer.lock, _translating(self.path):
            if not writer.closed:
                writer.cursor.execute("PRAGMA busy_timeout = 0")  # `begin` does the waiting
                writer.cursor.execute("PRAGMA secure_delete = ON")  # however this SQLite was built (DAT-07)
        return writer

    def _await_call(self, write: Write[Any]) -> None:
        """Wait until a write is done, or it is its thread's turn to write; raise if neither comes in time."""
        try:
            is_called = write.wait(max(0.0, write.deadline - monotonic()))
        except BaseException:  # this thread was told to stop, and may have been called a moment before
            self._withdraw(write)
            self._call_next()
            raise
        if is_called:
            return
        if self._withdraw(write):
            self._call_next()
            raise StoreUnavailable("the store is busy: no turn to write came in time")
        write.wait(None)  # another thread has it in hand

    def _call_next(self) -> None:
        """Call one of those who wait, now that nobody writes. Whoever leaves the queue unserved has to do it too."""
        for queued in self._queued.values():
            try:
                queued[0].call()
            except IndexError:
                continue  # it is empty, perhaps since a moment ago
            return

    def _withdraw(self, write: Write[Any]) -> bool:
        try:
            self._queued[write.durable].remove(write)
        except ValueError:
            return False
        return True

    def _carry_out_queued(self, writing: _Writing, first: Write[Any]) -> None:
        """Carry out what waits, `first` among it unless another thread has it in hand already."""
        durable = bool(self._queued[True])
        try:
            writer = writing.link = writing.link or self._open_writer()
        except BaseException:
            self._withdraw(first)
            raise
        with writer.lock:
            if writer.closed:  # there was a fork meanwhile
                return
            try:
                _wait_for_disk(writer, durable=durable)
                begin(writer.cursor, first.deadline)
            except sqlite3.Error as error:
                writing.note_trouble(error)
                if self._withdraw(first):
                    raise translated(error, self.path) from error
                return
            if not self._is_in_place(writer):
                writer.connection.rollback()
                self._save_log(writer)
                if self._withdraw(first):
                    raise StoreUnavailable(MOVED)
                return
            taken = self._take(durable=durable)
            try:
                trouble = commit_together(writer.cursor, taken, is_in_place=lambda: self._is_in_place(writer))
            except BaseException:
                # This thread was told to stop. What it had in hand for others waits for them again.
                for write in reversed(taken):
                    if write is not first and not write.is_done:
                        self._queued[write.durable].appendleft(write)
                raise
            if trouble is not None:
                writing.note_trouble(trouble)

    def _take(self, *, durable: bool) -> list[Write[Any]]:
        """Take what the transaction that has begun shall do. What need not be durable goes along with what must."""
        taken: list[Write[Any]] = []
        for queued in [self._queued[True], self._queued[False]] if durable else [self._queued[False]]:
            while queued and len(taken) < MOST_TOGETHER:
                taken.append(queued.popleft())
        return taken

    @contextmanager
    def _connected(self) -> Generator[Link, None, None]:
        """Open a connection, which is in use until the block ends."""
        if sqlite3.sqlite_version_info < FLOOR:
            raise ConfigurationError(
                f"store: SQLite {'.'.join(map(str, FLOOR))} or newer is needed, this Python has "
                f"{sqlite3.sqlite_version}; use a newer Python or system"
            )
        with _gate:
            # Threads take turns under our locks, so SQLite's connections may pass between them.
            connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            link = Link(connection, self._user_agents)
            link.lock.acquire()
        try:
            yield link
        finally:
            link.lock.release()

    def _create_file(self) -> None:
        # SQLite would create it readable for others; -wal and -shm take their mode from it (DAT-05).
        target = Path(os.path.realpath(self.path))
        if os.path.isfile(target):  # noqa: PTH113 - Path.is_file() raises where a folder may not be entered
            return
        if os.path.isdir(target):  # noqa: PTH112
            raise ConfigurationError(f"store: {target} is a directory; name a file in it")
        if not os.path.isdir(target.parent):  # noqa: PTH112
            raise ConfigurationError(
                f"store: the directory {target.parent} does not exist; create it or name another file"
            )
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            return  # another process was first
        except PermissionError as error:
            raise ConfigurationError(
                f"store: {target} cannot be created; give this user the right to write in {target.parent}"
            ) from error
        except OSError as error:
            raise StoreUnavailable(f"the store's file cannot be created: {error.strerror}") from error


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def file_at(path: str) -> Identity:
    """Say which file that is, whatever it is called; None if there is none to be seen."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path would cost as much as the rest
    except OSError:
        return None
    return found.st_dev, found.st_ino


def entries_of(directory: str) -> Entries:
    """Give what becomes another when something comes, goes or is renamed in a directory; None if there is none.

    Its mtime alone would not do: who restores a backup often sets that back.
    """
    try:
        found = os.stat(directory)  # noqa: PTH116 - two for each write: likewise
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def is_settled(entries: Entries, *, now: float) -> bool:
    """Say whether a directory's last change is so long ago that the next one is sure to be seen."""
    return entries is not None and now - max(entries[2:]) / 1e9 > SETTLED


class _translating:  # noqa: N801 - used as a statement; cheaper and plainer in traces than a generator
    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
            raise SchemaMismatch(f"store: {self.path} is no SQLite database; name a file of Coatcheck's own") from error
        if isinstance(error, sqlite3.Error):
            raise translated(error, self.path) from error


def _wait_for_disk(writer: Link, *, durable: bool) -> None:
    if writer.is_durable is not durable:
        writer.cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        writer.is_durable = durable


def _patiently(step: Callable[[], object]) -> None:
    # SQLite does not wait its busy timeout where that could deadlock; switching a new file to WAL is such a place.
    deadline = monotonic() + PATIENCE
    while True:
        try:
            step()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() > deadline:
                raise
            sleep(0.01)
        else:
            return


_connections: set[sqlite3.Connection] = set()
_links: WeakSet[Link] = WeakSet()
_files: WeakSet[SqliteFile] = WeakSet()
_gate = threading.RLock()  # held while a connection is made or dropped, and during a fork


def _before_fork() -> None:
    _gate.acquire()
    for file in list(_files):
        file.forget()
    deadline = monotonic() + PATIENCE
    for link in list(_links):
        # What is in use by another thread will soon be done with.
        if link.lock.acquire(timeout=max(0.0, deadline - monotonic())):
            link.close()
            link.lock.release()
    # Connections whose last referrer is letting go of them at this moment, and waits for the gate to do it.
    in_use = {link.connection for link in list(_links) if not link.closed}
    for connection in _connections - in_use:
        _connections.discard(connection)
        connection.close()


def _after_fork_in_parent() -> None:
    _gate.release()


def _after_fork_in_child() -> None:
    global _gate  # noqa: PLW0603 - a lock that was held during a fork is made anew
    _gate = threading.RLock()
    _links.clear()
    for file in list(_files):
        file.forget()
        file.forget_queued()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
