"""The drivers by themselves: the one statement that authenticating, or starting a session, cannot do without.

They stand here in full, so that the baseline does not grow slower together with the stores.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import redis
import redis.asyncio

from coatcheck.crypto.entropy import system_entropy
from coatcheck.stores.redis.keys import place_of
from coatcheck.stores.redis.scripts import script

READ = """
    SELECT s.digest, s.subject, s.id, u.subject, s.epoch, s.created_at, s.auth_time, s.last_seen_at, s.idle_timeout,
        s.expires_at, s.is_persistent, s.methods, s.ip, s.user_agent, s.ended_at, s.end_reason, s.data,
        u.epoch, u.epoch_at, u.epoch_reason, u.disabled_at, u.credential_version,
        a.username, a.username_key, a.email, a.email_key, a.created_at
    FROM sessions s
    LEFT JOIN subjects u ON u.id = s.subject
    LEFT JOIN accounts a ON a.id = s.subject
    WHERE s.digest = %s
"""
PLAIN_TABLE = """
    CREATE TABLE IF NOT EXISTS plain_sessions (
        digest bytea PRIMARY KEY, id text UNIQUE, subject text, epoch bigint, created_at bigint, auth_time bigint,
        last_seen_at bigint, idle_timeout bigint, expires_at bigint, is_persistent boolean, methods text, ip text,
        user_agent text, ended_at bigint, end_reason text, data bytea
    )
"""
PLAIN_INSERT = f"INSERT INTO plain_sessions VALUES ({', '.join(['%s'] * 16)})"
PREFIX = "coatcheck:"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LIFETIME = 12 * 3600


class Psycopg:
    """psycopg, blocking: a connection for each thread, prepared statements, each its own transaction."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._mine = threading.local()
        self._cursor().execute(PLAIN_TABLE)

    def read_all(self, digests: Sequence[bytes]) -> int:
        """Read a session with its subject and account, for each digest."""
        execute = self._cursor().execute
        for digest in digests:
            if execute(READ, (digest,), prepare=True).fetchone() is None:
                raise RuntimeError("a session that was put into the store is not found in it")
        return len(digests)

    def insert(self, times: int) -> int:
        """Insert a session, so many times."""
        execute = self._cursor().execute
        for _ in range(times):
            execute(PLAIN_INSERT, _plain_row(), prepare=True)
        return times

    def _cursor(self) -> Any:
        if not hasattr(self._mine, "cursor"):
            self._mine.cursor = psycopg.connect(self._url, autocommit=True).cursor()
        return self._mine.cursor


class AwaitedPsycopg:
    """psycopg, awaited, on one connection and a loop of its own."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        connect = psycopg.AsyncConnection.connect(url, autocommit=True)
        self._cursor: Any = self.loop.run_until_complete(connect).cursor()

    def read_all(self, digests: Sequence[bytes]) -> int:
        """The same as `Psycopg.read_all`."""

        async def read() -> None:
            for digest in digests:
                await self._cursor.execute(READ, (digest,), prepare=True)
                if await self._cursor.fetchone() is None:
                    raise RuntimeError("a session that was put into the store is not found in it")

        self.loop.run_until_complete(read())
        return len(digests)


class RedisPy:
    """redis-py with hiredis, blocking."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
        self._find = self._client.script_load(script("find").text)

    def read_all(self, digests: Sequence[bytes]) -> int:
        """Read a session with its subject and account by one script, for each digest."""
        evalsha, find = self._client.evalsha, self._find
        for digest in digests:
            place = place_of(digest)
            if evalsha(find, 1, f"{PREFIX}session:{place}", PREFIX, place) is None:
                raise RuntimeError("a session that was put into the store is not found in it")
        return len(digests)

    def get_all(self, digests: Sequence[bytes]) -> int:
        """Read the session alone by one GET: no account, no epoch, nobody disabled."""
        for digest in digests:
            if self._client.get(f"{PREFIX}session:{place_of(digest)}") is None:
                raise RuntimeError("a session that was put into the store is not found in it")
        return len(digests)

    def insert(self, times: int) -> int:
        """Set a session of some 300 bytes, so many times."""
        value = b"s" * 300
        for _ in range(times):
            self._client.set(f"plain:{system_entropy(32).hex()}", value, ex=LIFETIME)
        return times


class AwaitedRedisPy:
    """redis-py with hiredis, awaited, on a loop of its own."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._client: Any = redis.asyncio.Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
        self._find = self.loop.run_until_complete(self._client.script_load(script("find").text))

    def read_all(self, digests: Sequence[bytes]) -> int:
        """The same as `RedisPy.read_all`."""

        async def read() -> None:
            for digest in digests:
                place = place_of(digest)
                if await self._client.evalsha(self._find, 1, f"{PREFIX}session:{place}", PREFIX, place) is None:
                    raise RuntimeError("a session that was put into the store is not found in it")

        self.loop.run_until_complete(read())
        return len(digests)


def _plain_row() -> tuple[object, ...]:
    now = int(time.time())
    return (
        system_entropy(32), system_entropy(9).hex(), system_entropy(16).hex(), 0, now, now, now, 3600, now + LIFETIME,
        False, "pwd", "192.0.2.7", AGENT, None, None, None,
    )  # fmt: skip
