"""The SQLite file that is measured on: accounts with a live session each, and the raw statements it is compared with.

Accounts and sessions are written by the store's own steps, so the file is what a deployment would have; they are
written in one transaction, because a thousand password hashes would tell nothing.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from coatcheck import Coatcheck, Policy
from coatcheck.core import sessions as decisions
from coatcheck.core import tokens
from coatcheck.core.records import AccountRecord
from coatcheck.crypto.entropy import system_entropy
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.http.hosts import Site
from coatcheck.stores import sqlite_steps as steps

PASSWORD = "a passphrase nobody else uses"
# A hundred browsers: one text for all would favour a store that keeps each text once.
USER_AGENTS = tuple(f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for n in range(100, 200))
COOKIE_NAME = Site.configure(public_url="https://login.example.org").session_cookie.name
# No touch falls due while we measure: it comes once a minute for a session and has a line of its own.
AHEAD = 600

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
        return f"sqlite:///{self.path}"

    @property
    def digests(self) -> tuple[bytes, ...]:
        return tuple(tokens.session_digest(token) for token in self.tokens)

    @property
    def cookie_fields(self) -> tuple[bytes, ...]:
        """`Cookie` fields as browsers send them: ours between two of other people's."""
        return tuple(f"theme=dark; {COOKIE_NAME}={token}; _lang=en-GB".encode() for token in self.tokens)

    def connect(self, *, synchronous: str = "FULL") -> sqlite3.Connection:
        return connect(self.path, synchronous=synchronous)


def connect(path: str | Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open a file by hand, with the settings that the store's connections have."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def user_name(number: int) -> str:
    return f"user{number:05}"


def make_stock(path: Path, *, count: int) -> Stock:
    """Make a file with `count` accounts, each with one live session."""
    with Coatcheck(f"sqlite:///{path}") as desk:
        desk.ready()  # creates the file with its schema
    stock = Stock(path, tuple(tokens.encode(system_entropy(tokens.TOKEN_BYTES)) for _ in range(count)))
    phc = PasswordHasher(Policy()).hash(PASSWORD.encode())
    connection = stock.connect()
    connection.executescript(PLAIN_TABLES)
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    for number, token in enumerate(stock.tokens):
        _add(cursor, number, token, phc)
    cursor.execute("COMMIT")
    _copy_plainly(cursor)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return stock


def _add(cursor: sqlite3.Cursor, number: int, token: str, phc: str) -> None:
    now = int(time.time())
    subject, name = tokens.encode(system_entropy(16)), user_name(number)
    email = f"{name}@example.org"
    owner = steps.subject_key(cursor, subject)
    steps.insert_account(cursor, owner, AccountRecord(subject, name, name, email, email, now))
    cursor.execute(
        "INSERT INTO passwords (account, hash, version, changed_at) VALUES (?, ?, ?, ?)", (owner, phc, 1, now)
    )
    steps.admit_subject(cursor, subject, credential_version=1, at=now)
    session = decisions.issue(
        digest=tokens.session_digest(token),
        session_id=tokens.encode(system_entropy(tokens.HANDLE_BYTES)),
        subject=subject,
        methods=("pwd",),
        remember=False,
        ip="192.0.2.7",
        user_agent=USER_AGENTS[number % len(USER_AGENTS)],
        policy=Policy(),
        now=now + AHEAD,
    )
    steps.insert_session(cursor, session, owner)


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
