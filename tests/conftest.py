"""What every test may use."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

# Before anything of it is imported, by whichever test comes first, and so before the imports below (E402).
pytest.register_assert_rewrite("coatcheck.testing")

from coatcheck.testing.driving import AsyncDriver, BlockingDriver, Driver  # noqa: E402
from coatcheck.testing.patience import stores_wait  # noqa: E402
from coatcheck.testing.servers import Missing, PostgresServer, ValkeyServer  # noqa: E402
from tests.engines.found import Engine, Stocked, as_parameters, postgres_servers, redis_servers  # noqa: E402

# Who runs tests in the background of a shell script ignores Ctrl-C, and so would the servers that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure: no test asserts a time.
settings.register_profile(
    "coatcheck",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("coatcheck")
# Nor is it an outage. What a store does when its patience is over is asked under `stores_waiting(...)`.
stores_wait()

T = TypeVar("T")
ENGINES = ("memory", "sqlite", "postgres", "redis")
APART = ("apart", "far apart")
"""Two stores that are one, accounts in the first: SQLite and SQLite, PostgreSQL and Valkey."""
ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> None:
    """Skip a test for want of a tool, in words; where everything must be there (CI), fail instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"this machine must have it: {what}")
    pytest.skip(what)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: what is gone then went by itself, for nothing went round in circles."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(params=[BlockingDriver, AsyncDriver], ids=["blocking", "async"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """One colour after the other."""
    driver: Driver = request.param()
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that Debian's package `chromium` installs."""
    path = os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium")
    if not Path(path).exists():
        missing(f"no browser at {path}: install Debian's chromium, or set CHROMIUM_PATH")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of the wheel, one for all tests of this process."""
    yield from running(PostgresServer)


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """The Valkey of the wheel, one for all tests of this process."""
    yield from running(ValkeyServer)


@pytest.fixture(scope="session")
def stocked_postgres(postgres: PostgresServer) -> Iterator[Engine]:
    """The same, with the tables of a store in each fresh database."""
    with closing(Stocked(postgres)) as stocked:
        yield stocked


@pytest.fixture(scope="session", params=as_parameters(postgres_servers()))
def any_postgres(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each PostgreSQL there is (`tests/engines/found.py`), with the tables of a store in each fresh database."""
    for server in running(request.param):
        with closing(Stocked(server)) as stocked:
            yield stocked


@pytest.fixture(scope="session", params=as_parameters(redis_servers()))
def any_redis(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each Valkey and Redis there is."""
    yield from running(request.param)


@pytest.fixture
def postgres_url(postgres: Engine) -> Iterator[str]:
    """An empty database of PostgreSQL."""
    with fresh(postgres) as url:
        yield url


@pytest.fixture
def stocked_postgres_url(stocked_postgres: Engine) -> Iterator[str]:
    """A database of PostgreSQL with the tables of a store."""
    with fresh(stocked_postgres) as url:
        yield url


@pytest.fixture
def any_postgres_url(any_postgres: Engine) -> Iterator[str]:
    """A database of each PostgreSQL there is, with the tables of a store."""
    with fresh(any_postgres) as url:
        yield url


@pytest.fixture
def redis_url(valkey: Engine) -> Iterator[str]:
    """An empty database of Valkey."""
    with fresh(valkey) as url:
        yield url


@pytest.fixture
def any_redis_url(any_redis: Engine) -> Iterator[str]:
    """An empty database of each Valkey and Redis there is."""
    with fresh(any_redis) as url:
        yield url


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Gives the URL of an empty store, by the name of its engine (`ENGINES`); the same one if asked again."""

    def give(engine: str) -> str:
        match engine:
            case "memory":
                return "memory://"
            case "sqlite":
                return f"sqlite:///{tmp_path}/app.db"
            case "postgres":
                return str(request.getfixturevalue("stocked_postgres_url"))
            case _:
                return str(request.getfixturevalue("redis_url"))

    return give


@pytest.fixture
def urls_of(url_of: Callable[[str], str], tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """Gives the URLs of an empty store, by its name (`ENGINES`, `APART`): one, or a second one for the sessions."""

    def give(store: str) -> tuple[str, ...]:
        match store:
            case "apart":
                return url_of("sqlite"), f"sqlite:///{tmp_path}/sessions.db"
            case "far apart":
                return url_of("postgres"), url_of("redis")
            case _:
                return (url_of(store),)

    return give


def running(start: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    try:
        server = start()
    except Missing as error:
        missing(str(error))
    else:
        with server as engine:
            yield engine


@contextmanager
def fresh(engine: Engine) -> Iterator[str]:
    url = engine.fresh()
    yield url
    engine.drop(url)
