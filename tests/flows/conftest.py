"""A desk to try things at: in both colours, over both stores, with a clock to move and steps counted.

Tests here are coroutines, written once: over the blocking desk each call is made at once, over the async one it is
awaited.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import argon2
import pytest

from coatcheck import AsyncCoatcheck, Client, Coatcheck, Login, Token
from coatcheck.colour import Async, Blocking, hashing_lane
from coatcheck.core.audit import Event
from coatcheck.core.policy import STANDARD, make_policy
from coatcheck.core.records import AccountRecord, PasswordCredential
from coatcheck.crypto.hashing import PasswordHasher
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Store
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.counting import Steps
from coatcheck.testing.scene import the_hasher

PASSWORD = "a long enough passphrase"
NEW_PASSWORD = "another long passphrase"
WRONG = "not the passphrase at all"
HERE = Client(ip="192.0.2.7", user_agent="Mozilla/5.0 (X11; Linux x86_64)")
SECRET = bytes(range(200, 240))
COSTS = ("argon2_memory_kib", "argon2_time", "argon2_parallelism")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine to its end."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(_closing(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}), pyfuncitem))
    return True


async def _closing(test: Any, item: pytest.Function) -> None:
    try:
        await test
    finally:
        for world in item.funcargs.values():
            if isinstance(world, World):
                await world.close()


class Face:
    """One desk, blocking or not, with every method awaitable."""

    def __init__(self, desk: Coatcheck | AsyncCoatcheck) -> None:
        self.desk = desk

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.desk, name)
        if not inspect.ismethod(method) or inspect.iscoroutinefunction(method) or name == "on":
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return call

    @asynccontextmanager
    async def edit(self, *args: Any, **kwargs: Any) -> AsyncIterator[dict[str, object]]:
        if isinstance(self.desk, AsyncCoatcheck):
            async with self.desk.edit(*args, **kwargs) as data:
                yield data
        else:
            with self.desk.edit(*args, **kwargs) as data:
                yield data


class World:
    """A desk, its clock, the steps it took at its store, the events it told of.

    With `sessions`, the URL of a second store, it is one whose accounts and sessions live apart. `steps` are what the
    flows asked of the store, `trips` what that asked of its halves. A store given as `sessions` is the desk's to join.
    Each password is hashed and verified once in all tests, unless a desk hashes in another way than the standard one.
    """

    def __init__(
        self,
        url: str,
        sessions: str | Store | None = None,
        *,
        is_async: bool,
        wrap: Callable[[Store], Store] | None = None,
        **options: Any,
    ) -> None:
        self.url = url
        self.is_async = is_async
        self.clock = MovableClock()
        self.steps, self.trips = Steps(), Steps()
        policy = make_policy(options.get("profile", "standard"), options.get("settings"))
        lane = hashing_lane(queue=policy.hashing_queue, nice=policy.hashing_nice)
        colour = (Async if is_async else Blocking)(lane)
        store = open_store(url, colour)
        if sessions is not None and not isinstance(sessions, str):
            options["sessions"] = sessions
        elif sessions is not None:
            beside = open_store(sessions, colour, holds_accounts=False)
            store = ApartStore(self.trips.of(store, "accounts"), self.trips.of(beside, "sessions"))
        self.inner = store if wrap is None else wrap(store)
        self.store = self.steps.of(self.inner)
        make = AsyncCoatcheck if is_async else Coatcheck
        desk = make(self.store, secret=SECRET, clock=self.clock, **options)
        if all(getattr(policy, cost) == getattr(STANDARD, cost) for cost in COSTS):
            desk.flows.parts.hasher = the_hasher()
        self.desk: Any = Face(desk)
        self.events: list[Event] = []
        self.desk.on(Event, self.events.append)

    async def member(self, name: str = "ada", *, hashed: str | None = None) -> str:
        """Put an account into the store, its password hashed beforehand, and give its subject."""
        subject = f"subject-of-{name}"
        account = AccountRecord(subject, name, name, f"{name}@example.org", f"{name}@example.org", self.clock())
        credential = PasswordCredential(subject, hashed or hashed_once(), 1, self.clock())
        assert await self.store.create_account(account, credential, events=()) is None
        self.steps.clear()
        self.trips.clear()
        return subject

    async def log_in(self, name: str = "ada", password: str = PASSWORD, **options: Any) -> Login:
        options.setdefault("client", HERE)
        return await self.desk.log_in(name, password, **options)

    @property
    def a_visit(self) -> list[str]:
        """The steps of finding out who is there: one, and one for the account where it lives apart."""
        return ["find"] if self.store.holds_accounts else ["find", "account"]

    async def is_live(self, token: Token | str) -> bool:
        return bool(await self.desk.authenticate(token))

    async def absence(self, token: Token | str | None) -> str:
        visit = await self.desk.authenticate(token)
        assert not visit
        return visit.reason

    async def close(self) -> None:
        await self.desk.close()


_hashed: list[str] = []


def hashed_once() -> str:
    """The hash of PASSWORD at the default strength, made once for all tests."""
    if not _hashed:
        _hashed.append(PasswordHasher(make_policy()).hash(PASSWORD.encode()))
    return _hashed[0]


def weaker_hash() -> str:
    """A hash of PASSWORD as older settings would have made it."""
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


# The others in the long run: what a store does to a flow, its conformance tests and the stories over HTTP ask as well.
SELDOM = [
    *[("postgres", "blocking"), ("postgres", "async"), ("redis", "async"), ("apart", "blocking")],
    *[("far apart", "blocking"), ("far apart", "async")],
]
EVERYWHERE = [
    *[(engine, colour) for engine in ("memory", "sqlite") for colour in ("blocking", "async")],
    ("redis", "blocking"),
    ("apart", "async"),
    *[pytest.param(kind, marks=pytest.mark.long) for kind in SELDOM],
]


@pytest.fixture(params=EVERYWHERE, ids="-".join)
def world(request: pytest.FixtureRequest, urls_of: Callable[[str], tuple[str, ...]]) -> World:
    """A desk in each colour over each store."""
    store, colour = request.param
    return World(*urls_of(store), is_async=colour == "async")


@pytest.fixture
def make_world(url_of: Callable[[str], str]) -> Callable[..., World]:
    """Makes a blocking desk over the reference store, with options."""

    def make(engine: str = "memory", *, is_async: bool = False, **options: Any) -> World:
        return World(url_of(engine), is_async=is_async, **options)

    return make


@pytest.fixture
def quick(make_world: Callable[..., World]) -> Iterator[World]:
    """One desk, for what neither colour nor store can change."""
    return make_world()
