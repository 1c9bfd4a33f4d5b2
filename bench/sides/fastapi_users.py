# pyright: basic
"""fastapi-users: tokens in the database (its database strategy) in a cookie, SQLAlchemy over aiosqlite.

What runs is its own: `DatabaseStrategy.read_token`, the user manager, `write_token`. FastAPI's own work (dependencies,
routing) is left out here, and is in the figures over HTTP.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from fastapi.security import OAuth2PasswordRequestForm
from fastapi_users import BaseUserManager, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, CookieTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.authentication.strategy.redis import RedisStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTableUUID
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from redis.asyncio import Redis
from sqlalchemy import Index, event, func, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from starlette.requests import cookie_parser

from bench.measure import Crowd
from bench.people import (
    ARGON2_MEMORY_KIB,
    ARGON2_PARALLELISM,
    ARGON2_TIME,
    PASSWORD,
    SECRET,
    among_others,
    email,
    phc,
)
from bench.sides import PATIENCE, PRAGMAS, fresh
from coatcheck.core.tokens import encode
from coatcheck.crypto.entropy import system_entropy

SETTINGS_NOTE = (
    "fastapi-users: database strategy and cookie transport as its manual sets them up, one `AsyncSession` per request "
    "(`expire_on_commit=False`), SQLAlchemy over aiosqlite with a pool of 16 connections. It looks accounts up by "
    "`lower(email)`; the index on that is ours, without it each log-in reads all accounts."
)
COOKIE_NAME = "fastapiusersauth"
LIFETIME = 3600


class Base(DeclarativeBase):
    """The tables of this side."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """An account."""


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """A session."""


Index("ix_user_lower_email", func.lower(User.email))


class NoHash(PasswordHelper):
    """Says that every password is right without looking."""

    def verify_and_update(self, plain_password: str, hashed_password: str) -> tuple[bool, str | None]:  # noqa: ARG002 - the hash is what is left out
        return True, None


def same_hash() -> PasswordHelper:
    """Argon2id with the parameters everybody has here."""
    return PasswordHelper(PasswordHash((Argon2Hasher(ARGON2_TIME, ARGON2_MEMORY_KIB, ARGON2_PARALLELISM),)))


class Manager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """Accounts as fastapi-users manages them."""

    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


class FastapiUsers:
    """fastapi-users at work on a file, with a loop of its own."""

    def __init__(
        self,
        path: Path,
        cookie_fields: Sequence[bytes] = (),
        *,
        hashes: bool = False,
        postgres: str | None = None,
        redis: str | None = None,
    ) -> None:
        self.path = path
        self.cookie_fields = cookie_fields
        self.redis: Any = None if redis is None else Redis.from_url(redis, decode_responses=True)
        if postgres is not None:
            self.engine = create_async_engine(postgres, pool_size=16)
        else:
            self.engine = create_async_engine(
                f"sqlite+aiosqlite:///{path}", connect_args={"timeout": PATIENCE}, pool_size=16
            )
            event.listen(self.engine.sync_engine, "connect", _set_up)
        self.open_session = async_sessionmaker(self.engine, expire_on_commit=False)
        self.helper = same_hash() if hashes else NoHash()
        self.loop = asyncio.new_event_loop()

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        return self.loop.run_until_complete(self._authenticate_all(fields))

    def log_in_all(self, numbers: Sequence[int]) -> int:
        return self.loop.run_until_complete(self._log_in_all(numbers))

    def log_in_at_once(self, crowd: Crowd, shares: Sequence[Sequence[int]]) -> int:  # noqa: ARG002 - tasks, not threads
        async def together() -> int:
            return sum(await asyncio.gather(*map(self._log_in_all, shares)))

        return self.loop.run_until_complete(together())

    def log_out(self, cookie_field: bytes) -> None:
        """End a session, as its logout does."""

        async def destroy() -> None:
            async with self._parts() as (_, strategy):
                await strategy.destroy_token(_token_in(cookie_field), cast("User", None))

        self.loop.run_until_complete(destroy())

    def close(self) -> None:
        """Let go of the file."""
        self.loop.run_until_complete(self.engine.dispose())

    @asynccontextmanager
    async def _parts(self) -> AsyncGenerator[tuple[Manager, Any]]:
        """What its dependencies make for a request."""
        async with self.open_session() as session:
            yield self.manager(session), self.strategy(session)

    def strategy(self, session: AsyncSession) -> Any:
        if self.redis is not None:
            return RedisStrategy[User, uuid.UUID](self.redis, lifetime_seconds=LIFETIME)
        return strategy_over(session)

    def manager(self, session: AsyncSession) -> Manager:
        return Manager(SQLAlchemyUserDatabase(session, User), self.helper)

    async def _authenticate_all(self, fields: Sequence[bytes]) -> int:
        for field in fields:
            async with self._parts() as (manager, strategy):
                user = await strategy.read_token(_token_in(field), manager)
                if user is None or not user.is_active:
                    raise RuntimeError("fastapi-users did not know its own session")
        return len(fields)

    async def _log_in_all(self, numbers: Sequence[int]) -> int:
        for number in numbers:
            async with self._parts() as (manager, strategy):
                form = OAuth2PasswordRequestForm(username=email(number), password=PASSWORD)
                user = await manager.authenticate(form)
                if user is None or not user.is_active:
                    raise RuntimeError("fastapi-users let nobody in")
                await strategy.write_token(user)
        return len(numbers)


def strategy_over(session: AsyncSession) -> DatabaseStrategy[User, uuid.UUID, AccessToken]:
    return DatabaseStrategy(SQLAlchemyAccessTokenDatabase(session, AccessToken), lifetime_seconds=LIFETIME)


def backend_over(get_strategy: Any) -> AuthenticationBackend[User, uuid.UUID]:
    transport = CookieTransport(COOKIE_NAME, cookie_max_age=LIFETIME, cookie_secure=False)
    return AuthenticationBackend(name="cookie", transport=transport, get_strategy=get_strategy)


def make_fastapi_users(
    path: Path, *, count: int, postgres: str | None = None, redis: str | None = None
) -> FastapiUsers:
    """Make a file with `count` accounts, each with one session.

    With `postgres`, an URL of SQLAlchemy's, everything is in that database; with `redis` the sessions are there.
    """
    side = FastapiUsers(fresh(path), postgres=postgres, redis=redis)
    tokens = [encode(system_entropy(32)) for _ in range(count)]

    async def fill() -> None:
        async with side.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            users = [
                {"id": uuid.uuid4(), "email": email(n), "hashed_password": phc(), "is_active": True}
                | {"is_superuser": False, "is_verified": True}
                for n in range(count)
            ]
            sessions = [
                {"token": token, "created_at": datetime.now(UTC), "user_id": user["id"]}
                for token, user in zip(tokens, users, strict=True)
            ]
            await connection.execute(insert(User), users)
            if side.redis is None:
                await connection.execute(insert(AccessToken), sessions)
        if side.redis is not None:
            prefix = RedisStrategy[User, uuid.UUID](side.redis).key_prefix
            for session in sessions:
                await side.redis.set(f"{prefix}{session['token']}", str(session["user_id"]), ex=LIFETIME)

    side.loop.run_until_complete(fill())
    side.cookie_fields = tuple(among_others(COOKIE_NAME, token) for token in tokens)
    return side


async def session_of(side: FastapiUsers) -> AsyncGenerator[AsyncSession, None]:
    """The manual's `get_async_session`."""
    async with side.open_session() as session:
        yield session


def _token_in(cookie_field: bytes) -> str:
    return cookie_parser(cookie_field.decode("latin-1"))[COOKIE_NAME]


def _set_up(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
