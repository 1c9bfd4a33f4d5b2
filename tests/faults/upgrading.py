"""Files being created, upgraded and tidied up, killed at every moment. Runs where `dying` runs."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.stores.sqlite.schema import APPLICATION_ID, LATEST, STEPS
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.kill_points import Death, Tell, deaths
from coatcheck.testing.samples import a_digest, a_password, an_account, an_event, started
from tests.faults.dying import PLACE, Ground, Toll, tears, toll, torn_at
from tests.faults.whole import contents_of, structure_of

COLOUR = Blocking(HashingLane(queue=1, nice=0))

# What a file of the first release held. Never changed: such files exist.
FIRST_RELEASE = (
    """
    INSERT INTO subjects (id, subject, epoch, credential_version)
    VALUES (1, 'subject-of-ada', 3, 2), (2, 'subject-of-bob', 0, 1), (3, 'nobody-yet', NULL, 0)
    """,
    "INSERT INTO user_agents (id, text, uses) VALUES (1, 'Browser/1.0', 2), (2, 'Browser/2.0', 1)",
    """
    INSERT INTO accounts (id, username, username_key, email, email_key, created_at)
    VALUES (1, 'Ada', 'ada', 'Ada@example.org', 'ada@example.org', 1750000000), (2, 'bob', 'bob', NULL, NULL, 1)
    """,
    "INSERT INTO passwords (account, hash, version, changed_at) VALUES (1, '$one', 2, 1750000000), (2, '$two', 1, 1)",
    """
    INSERT INTO sessions (digest, id, subject, epoch, created_at, auth_time, last_seen_at, idle_timeout, expires_at,
        is_persistent, methods, ip, user_agent, ended_at, end_reason, data)
    VALUES (x'01', 'one', 1, 3, 1750000000, 1750000000, 1750000060, 3600, 1750086400, 0, 'pwd', '192.0.2.7', 1, NULL,
            NULL, x'7b22617070223a7b226e223a317d7d'),
        (x'02', 'two', 2, 0, 1750000000, 1750000000, 1750000060, 3600, 1750086400, 1, 'pwd', NULL, 2, 1750000100,
            'logged_out', NULL),
        (x'03', 'three', NULL, 0, 1750000000, NULL, 1750000000, 3600, 1750086400, 0, '', NULL, NULL, NULL, NULL, NULL)
    """,
    "INSERT INTO counters (key, failures, pending, counted_at, blocked_until) VALUES (x'0a', 3, 1, 1750000000, 0)",
    """
    INSERT INTO events (at, name, subject, session_id, ip, user_agent, details)
    VALUES (1750000000, 'logged_in', 1, 'one', '192.0.2.7', 1, '{"methods":"pwd"}'), (1750000001, 'x', NULL, NULL, NULL,
        NULL, NULL)
    """,
)

# Two releases that do to a schema what releases do: columns, tables, indexes, and the data moved along.
LATER_STEPS = (
    (
        "CREATE TABLE labels (account INTEGER PRIMARY KEY REFERENCES accounts (id), text TEXT NOT NULL) STRICT",
        "INSERT INTO labels SELECT id, username FROM accounts WHERE username IS NOT NULL",
        "ALTER TABLE accounts ADD COLUMN label TEXT",
        "UPDATE accounts SET label = 'label of ' || username_key",
        "CREATE INDEX labels_by_text ON labels (text)",
    ),
    (
        "DROP INDEX events_of_subject",
        "UPDATE events SET at = at * 1000",
        "ALTER TABLE events RENAME COLUMN at TO at_milliseconds",
        "CREATE INDEX events_of_subject ON events (subject, at_milliseconds) WHERE subject IS NOT NULL",
        "DELETE FROM sessions WHERE ended_at IS NOT NULL",
        "DROP TABLE labels",
    ),
)


class Later(SqliteStore):
    """The store of the release after the next."""

    schema_steps = (*STEPS, *LATER_STEPS)


class Upgrade:
    """A file upgraded by a process that dies over it; readable before, and upgraded by whoever comes next."""

    def __init__(self, folder: Path, fill: Callable[[Path], None]) -> None:
        self.ground = Ground(folder)
        fill(self.ground.file)
        self.ground.keep()
        self._version = run_blocking(self._store().schema_version())
        self._before = contents_of(self.ground.file)
        run_blocking(self._store().upgrade_schema())
        self._after = contents_of(self.ground.file)
        assert self._before != self._after

    def arrange(self) -> Callable[[], None]:
        """Have the old file; there is nothing to do before the life begins."""
        self.ground.restore()
        return lambda: None

    def life(self, tell: Tell) -> None:
        """Upgrade."""
        run_blocking(self._store().upgrade_schema())
        tell("upgraded")

    def judge(self, death: Death, where: str) -> Iterator[str]:
        """Say in words what is wrong after a death."""
        file = self.ground.file
        yield from (f"{where}: {words}" for words in structure_of(file))
        contents = contents_of(file)
        if contents not in (self._before, self._after) or (death.told and contents != self._after):
            yield f"{where}: the file is neither of the old schema nor of the new one"
        if contents == self._before and self._version == LATEST and not _reads(file):
            yield f"{where}: the old data cannot be read"
        version = run_blocking(self._store().schema_version())
        if version != (self._version if contents == self._before else len(Later.schema_steps)):
            yield f"{where}: it says version {version}"
        run_blocking(self._store().upgrade_schema())
        if contents_of(file) != self._after:
            yield f"{where}: the next upgrade makes something else of it"

    def _store(self) -> Later:
        return Later(str(self.ground.file), COLOUR)


def fill_first_release(file: Path) -> None:
    """Make a file as the first release left it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in (*STEPS[0], *FIRST_RELEASE):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")


def fill_this_release(file: Path) -> None:
    """Make a file as this release leaves it, with enough in it to make pages move."""
    store = SqliteStore(str(file), COLOUR)
    for number in range(30):
        account = an_account(f"subject {number}", username=f"user {number}")
        password = a_password(account.subject)
        assert run_blocking(store.create_account(account, password, events=[an_event(subject=account.subject)])) is None
        run_blocking(started(store, number, subject=account.subject))
    run_blocking(store.close())


def _reads(file: Path) -> bool:
    store = SqliteStore(str(file), COLOUR)
    found = run_blocking(store.find(a_digest(7)))
    account = run_blocking(store.account("subject 29"))
    run_blocking(store.close())
    return found is not None and found.session.subject == "subject 7" and account is not None


FILLS = {"the first release": fill_first_release, "this release": fill_this_release}


def kill_upgrade(of: str) -> Toll:
    """Kill an upgrade at each of its calls into SQLite: at every statement of every step."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        upgrade = Upgrade(Path(folder), FILLS[of])
        return toll(deaths(upgrade.life, upgrade.arrange), upgrade.judge)


def tear_upgrade(of: str) -> Toll:
    """Kill an upgrade amid its writes to the log."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        upgrade = Upgrade(Path(folder), FILLS[of])
        return toll(tears(upgrade.life, _with_memory_map(upgrade)), upgrade.judge)


def _with_memory_map(upgrade: Upgrade) -> Callable[[], Callable[[], None]]:
    """Make the log's index before files may grow no more: it is larger than the first pages of the log."""

    def arrange() -> Callable[[], None]:
        upgrade.arrange()
        return lambda: KEPT_OPEN.append(_open(upgrade.ground.file))

    return arrange


KEPT_OPEN: list[sqlite3.Connection] = []


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("SELECT count(*) FROM sessions").fetchall()
    return connection


def kill_creation() -> Toll:
    """Kill the first use of a store at each call into SQLite: whoever comes next has a store all the same."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        ground = Ground(Path(folder))

        def life(_: Tell) -> None:
            run_blocking(started(SqliteStore(str(ground.file), COLOUR), 1))

        def judge(_: Death, where: str) -> Iterator[str]:
            yield from (f"{where}: {words}" for words in structure_of(ground.file))
            store = SqliteStore(str(ground.file), COLOUR)
            run_blocking(started(store, 2))
            if run_blocking(store.find(a_digest(2))) is None or run_blocking(store.schema_version()) != LATEST:
                yield f"{where}: the next one has no store"
            run_blocking(store.close())

        return toll(deaths(life, ground.clear), judge)


def tear_checkpoint() -> Toll:
    """Kill a process that moves the log into the file, within and between the pages by which the file grows."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        ground = Ground(Path(folder))
        fill_this_release(ground.file)
        ground.keep()

        def prepare() -> None:
            store = SqliteStore(str(ground.file), COLOUR)
            for number in range(100, 160):
                run_blocking(started(store, number, subject="subject 1"))
            KEPT_OPEN.append(_open(ground.file))

        def arrange() -> Callable[[], None]:
            ground.restore()
            return prepare

        def life(_: Tell) -> None:
            KEPT_OPEN[-1].execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        before = ground.file.stat().st_size
        prepare()
        expected = contents_of(ground.file)
        life(lambda _: None)
        KEPT_OPEN.pop().close()
        after = ground.file.stat().st_size

        def judge(_: Death, where: str) -> Iterator[str]:
            yield from (f"{where}: {words}" for words in structure_of(ground.file))
            if contents_of(ground.file) != expected:
                yield f"{where}: something acknowledged is lost"

        limits = [size + tear for size in range(before, after, 4096) for tear in (0, 2048)]
        return toll(torn_at(limits, life, arrange), judge)
