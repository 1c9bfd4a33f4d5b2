"""Coatcheck's own file, and the raw statements it is compared with.

Accounts and sessions are written by the store's own steps, so the file is what a deployment would have; they are
written in one transaction, because a thousand password hashes would tell nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.measure import Crowd
from bench.people import PASSWORD, USER_AGENTS, among_others, email, phc, user_name
from bench.sides import fresh
from coatcheck import AsyncCoatcheck, Client, Coatcheck, Policy
from coatcheck.colour import Async, Blocking, HashingLane, run_blocking
from coatcheck.core import sessions as decisions
from coatcheck.core import tokens
from coatcheck.core.records import AccountRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.crypto.entropy import system_entropy
from coatcheck.http import cookies
from coatcheck.http.hosts import Site
from coatcheck.stores.protocols import Contents
from coatcheck.stores.sqlite import steps
from coatcheck.web.door import DoorSettings

T = TypeVar("T")
PUBLIC_URL = "https://login.example.org"
SECRET = bytes(range(7, 39))
# What a door is told: the load comes to the loopback.
DOOR = DoorSettings(public_url=PUBLIC_URL, allowed_hosts=["127.0.0.1"])
COOKIE_NAME = Site.configure(public_url=PUBLIC_URL).session_cookie.name
# No touch falls due while we measure: it comes once a minute for a session and has a line of its own.
AHEAD = 600
LOADED_AT_ONCE = 250

# 1x: what a careful author would write by hand to read these columns from this file. It stands here in full, so that
# the baseline does not grow slower together with the store.
RAW_SELECT = """
    SELECT s.digest, s.subject, s.id, u.subject, s.epoch, s.created_at, s.auth_time, s.last_seen_at, s.idle_timeout,
        s.expires_at, s.is_persistent, s.methods, s.ip, g.text, s.ended_at, s.end_reason, s.data,
        u.epoch, u.epoch_at, u.epoch_reason, u.disabled_at, u.credential_version,
        a.username, a.username_key, a.email, a.email_key, a.created_at
    FROM sessions s
    LEFT JOIN subjects u ON u.id = s.subject
    LEFT JOIN accounts a ON a.id = s.subject
    LEFT JOIN user_agents g ON g.id = s.user_agent
    WHERE s.digest = ?
"""
# The same columns, kept in two tables as plain as can be: user agents repeated in every row, subjects as text.
PLAIN_TABLES = """
    CREATE TABLE plain_accounts (
        subject TEXT PRIMARY KEY, epoch INTEGER, epoch_at INTEGER, epoch_reason TEXT, disabled_at INTEGER,
        credential_version INTEGER, username TEXT, username_key TEXT UNIQUE, email TEXT, email_key TEXT UNIQUE,
        created_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE plain_sessions (
        digest BLOB PRIMARY KEY, id TEXT UNIQUE, subject TEXT, epoch INTEGER, created_at INTEGER, auth_time INTEGER,
        last_seen_at INTEGER, idle_timeout INTEGER, expires_at INTEGER, is_persistent INTEGER, methods TEXT, ip TEXT,
        user_agent TEXT, ended_at INTEGER, end_reason TEXT, data BLOB
    ) STRICT, WITHOUT ROWID;
"""
PLAIN_SELECT = """
    SELECT s.*, a.* FROM plain_sessions s LEFT JOIN plain_accounts a ON a.subject = s.subject WHERE s.digest = ?
"""
PLAIN_INSERT = f"INSERT INTO plain_sessions VALUES ({', '.join('?' * 16)})"


@dataclass(frozen=True)
class Stock:
    """A file with sessions in it, and the tokens that open them."""

    path: Path
    tokens: tuple[str, ...]

    @property
    def url(self) -> str:
        return url_of(self.path)

    @property
    def digests(self) -> tuple[bytes, ...]:
        return tuple(tokens.session_digest(token) for token in self.tokens)

    @property
    def cookie_fields(self) -> tuple[bytes, ...]:
        return tuple(among_others(COOKIE_NAME, token) for token in self.tokens)

    def connect(self, *, synchronous: str = "FULL") -> sqlite3.Connection:
        return connect(self.path, synchronous=synchronous)


@dataclass(frozen=True)
class Filled:
    """A store on a server with people in it, and the tokens that open their sessions."""

    url: str
    tokens: tuple[str, ...]

    @property
    def digests(self) -> tuple[bytes, ...]:
        return tuple(tokens.session_digest(token) for token in self.tokens)

    @property
    def cookie_fields(self) -> tuple[bytes, ...]:
        return tuple(among_others(COOKIE_NAME, token) for token in self.tokens)


class Ours:
    """The blocking desk on a stock."""

    def __init__(self, stock: Stock | Filled) -> None:
        self.cookie_fields = stock.cookie_fields
        self.desk = Coatcheck(stock.url)

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        authenticate, read = self.desk.authenticate, cookies.read
        for field in fields:
            # A cookie that came twice reads as a mark that is no text, and is false.
            if not authenticate(read((field,), COOKIE_NAME) or None):  # type: ignore[arg-type]  # ours comes once
                raise RuntimeError("Coatcheck did not know its own session")
        return len(fields)

    def log_in_all(self, numbers: Sequence[int]) -> int:
        for number in numbers:
            self.desk.log_in(user_name(number), PASSWORD, client=client_of(number))
        return len(numbers)

    def log_in_at_once(self, crowd: Crowd, shares: Sequence[Sequence[int]]) -> int:
        return crowd.do(self.log_in_all, shares)

    def without_hash(self) -> Ours:
        """Say that every password is right without looking: the hash is to be left out of the figure, and only that."""
        self.desk.log_in(user_name(0), PASSWORD)  # once for real: name and password are those of the file
        self.desk.flows.parts.colour = _BlockingWithoutHash(HashingLane(queue=1, nice=0))
        return self


class OursAwaited:
    """The async desk on a stock, with a loop of its own."""

    def __init__(self, stock: Stock | Filled) -> None:
        self.cookie_fields = stock.cookie_fields
        self.desk = AsyncCoatcheck(stock.url)
        self.loop = asyncio.new_event_loop()

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        return self.loop.run_until_complete(self._authenticate_all(fields))

    def log_in_all(self, numbers: Sequence[int]) -> int:
        return self.loop.run_until_complete(self._log_in_all(numbers))

    def log_in_at_once(self, crowd: Crowd, shares: Sequence[Sequence[int]]) -> int:  # noqa: ARG002 - tasks, not threads
        async def together() -> int:
            return sum(await asyncio.gather(*map(self._log_in_all, shares)))

        return self.loop.run_until_complete(together())

    def without_hash(self) -> OursAwaited:
        """The same as `Ours.without_hash`."""
        self.loop.run_until_complete(self.desk.log_in(user_name(0), PASSWORD))
        parts = self.desk.flows.parts
        parts.colour.close()
        parts.colour = _AsyncWithoutHash(HashingLane(queue=1, nice=0))
        return self

    async def _authenticate_all(self, fields: Sequence[bytes]) -> int:
        authenticate, read = self.desk.authenticate, cookies.read
        for field in fields:
            if not await authenticate(read((field,), COOKIE_NAME) or None):  # type: ignore[arg-type]  # ours comes once
                raise RuntimeError("Coatcheck did not know its own session")
        return len(fields)

    async def _log_in_all(self, numbers: Sequence[int]) -> int:
        for number in numbers:
            await self.desk.log_in(user_name(number), PASSWORD, client=client_of(number))
        return len(numbers)


class _BlockingWithoutHash(Blocking):
    async def hash(self, work: Callable[[], T]) -> Any:  # noqa: ARG002 - the hash is what is left out
        return True


class _AsyncWithoutHash(Async):
    async def hash(self, work: Callable[[], T]) -> Any:  # noqa: ARG002 - the hash is what is left out
        return True


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def client_of(number: int) -> Client:
    """Where a person's request comes from: everybody from a network of their own."""
    return Client(ip=f"192.0.{number // 250 % 250}.{number % 250}", user_agent=USER_AGENTS[number % len(USER_AGENTS)])


def connect(path: str | Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a file by hand, with the settings that the store's connections have."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


class RawSelect:
    """The least that finds out who is there: `Cookie` field in, one prepared SELECT, row out, and nothing judged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.local()

    def knows(self, cookie_fields: Sequence[bytes]) -> bool:
        """Whether there is such a session. From any thread."""
        digest = tokens.session_digest(str(cookies.read(cookie_fields, COOKIE_NAME)))
        try:
            cursor = self._threads.cursor
        except AttributeError:
            cursor = self._threads.cursor = connect(self._path).cursor()
        return cursor.execute(RAW_SELECT, (digest,)).fetchone() is not None


def make_stock(path: Path, *, count: int, plain: bool = False) -> Stock:
    """Make a file with `count` accounts, each with one live session; with `plain`, the plain tables beside them."""
    with Coatcheck(url_of(fresh(path))) as desk:
        desk.ready()  # creates the file with its schema
    stock = Stock(path, tuple(new_token() for _ in range(count)))
    connection = stock.connect()
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    for number, token in enumerate(stock.tokens):
        _add(cursor, number, token)
    cursor.execute("COMMIT")
    if plain:
        connection.executescript(PLAIN_TABLES)
        _copy_plainly(cursor)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return stock


def fill(url: str, *, count: int) -> Filled:
    """Put `count` accounts into an empty store of any kind, each with one live session."""
    filled = Filled(url, tuple(new_token() for _ in range(count)))
    now = int(time.time())
    with Coatcheck(url) as desk:
        desk.ready()  # creates what an empty store needs
        load = desk.flows.parts.store.load
        for first in range(0, count, LOADED_AT_ONCE):
            people = range(first, min(first + LOADED_AT_ONCE, count))
            subjects = {number: tokens.encode(system_entropy(16)) for number in people}
            page = Contents(
                accounts=tuple(_account_of(subjects[number], number, now) for number in people),
                states=tuple(SubjectState(subjects[number], credential_version=1) for number in people),
                sessions=tuple(_session_of(subjects[number], number, filled.tokens[number], now) for number in people),
            )
            run_blocking(load(page, bookmark=None))
    return filled


def new_token() -> str:
    return tokens.encode(system_entropy(tokens.TOKEN_BYTES))


def _add(cursor: sqlite3.Cursor, number: int, token: str) -> None:
    now = int(time.time())
    subject = tokens.encode(system_entropy(16))
    owner = steps.subject_key(cursor, subject)
    account, _ = _account_of(subject, number, now)
    steps.insert_account(cursor, owner, account)
    cursor.execute(
        "INSERT INTO passwords (account, hash, version, changed_at) VALUES (?, ?, ?, ?)", (owner, phc(), 1, now)
    )
    steps.admit_subject(cursor, subject, credential_version=1, at=now, holds_accounts=True)
    session = _session_of(subject, number, token, now)
    agents = steps.user_agent_keys(cursor, [session.user_agent])
    steps.insert_session(cursor, session, owner, user_agent=agents[session.user_agent])


def _account_of(subject: str, number: int, now: int) -> tuple[AccountRecord, PasswordCredential]:
    name, address = user_name(number), email(number)
    return AccountRecord(subject, name, name, address, address, now), PasswordCredential(subject, phc(), 1, now)


def _session_of(subject: str, number: int, token: str, now: int) -> SessionRecord:
    client = client_of(number)
    return decisions.issue(
        digest=tokens.session_digest(token),
        session_id=tokens.encode(system_entropy(tokens.HANDLE_BYTES)),
        subject=subject,
        methods=("pwd",),
        remember=False,
        ip=client.ip,
        user_agent=client.user_agent,
        policy=Policy(),
        now=now + AHEAD,
    )


def _copy_plainly(cursor: sqlite3.Cursor) -> None:
    cursor.execute("BEGIN IMMEDIATE")
    cursor.execute(
        """
        INSERT INTO plain_sessions
        SELECT s.digest, s.id, u.subject, s.epoch, s.created_at, s.auth_time, s.last_seen_at, s.idle_timeout,
            s.expires_at, s.is_persistent, s.methods, s.ip, g.text, s.ended_at, s.end_reason, s.data
        FROM sessions s JOIN subjects u ON u.id = s.subject JOIN user_agents g ON g.id = s.user_agent
        """
    )
    cursor.execute(
        """
        INSERT INTO plain_accounts
        SELECT u.subject, u.epoch, u.epoch_at, u.epoch_reason, u.disabled_at, u.credential_version,
            a.username, a.username_key, a.email, a.email_key, a.created_at
        FROM accounts a JOIN subjects u ON u.id = a.id
        """
    )
    cursor.execute("COMMIT")
