"""What a log-in costs on SQLite besides its hash, alone and sixteen at once, against one durable INSERT."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count as counting
from pathlib import Path

from bench.figures import Row, Table, Target, Who, lines_of
from bench.measure import Contestant, Crowd, Effort, by_turns
from bench.progress import Progress
from bench.sides import Side, absent_remarks, peers
from bench.sides.ours import PLAIN_INSERT, Ours, OursAwaited, Stock, make_stock
from coatcheck.crypto.entropy import system_entropy

KEY = "log-in"
SECONDS = 75
AT_ONCE = 16
RAW = "raw: one durable INSERT of a session"
RAW_AT_ONCE = f"raw: {AT_ONCE} threads, one durable INSERT after the other"
OURS = "`Coatcheck.log_in`"
AWAITED = "`AsyncCoatcheck.log_in`, awaited"
DJANGO = "Django: `authenticate`, `login`, session saved"
FLASK_LOGIN = "Flask-Login + SQLAlchemy: `login_user`, cookie signed"
FLASK_SESSION = "Flask-Session + Flask-Login, SQLAlchemy: `login_user`, session saved"
FASTAPI_USERS = "fastapi-users: `authenticate`, `write_token`"
WHO: dict[str, Who] = {
    RAW: "raw", RAW_AT_ONCE: "raw", DJANGO: "peer", FLASK_LOGIN: "peer", FLASK_SESSION: "peer", FASTAPI_USERS: "peer",
}  # fmt: skip
DOES = "account read, attempt counted, session, counters and event in one durable step"
NOTES = {
    RAW: "1x",
    OURS: DOES,
    AWAITED: f"{DOES}; the writer is a thread of its own",
    DJANGO: "no throttle, no event",
    FLASK_LOGIN: "writes nothing: no session on the server, no throttle, no event",
    FLASK_SESSION: "no throttle, no event",
    FASTAPI_USERS: "no throttle, no event",
}
REMARKS = (
    (
        "The hash is left out where a library has the place for it: Coatcheck's lane, Django's hasher and the password "
        "helper of fastapi-users say yes without looking. With Flask-Login the application verifies; here it does not."
    ),
    (
        "Every line but Flask-Login alone waits for the disk, whose waits differ widely on a shared machine: these "
        "ratios move from run to run. Only a quiet machine decides this row."
    ),
)


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """Alone: a few log-ins in a turn. At once: sixteen threads, or tasks of one loop, a few log-ins each."""
    count = effort.of(1000, quick=100)
    progress.part("filling files")
    stock = make_stock(directory / "log_in.db", count=count, plain=True)
    sides: dict[str, Side] = {OURS: Ours(stock).without_hash(), AWAITED: OursAwaited(stock).without_hash()}
    settings = _add_peers(sides, directory, count=count)
    alone = _alone(stock, sides, effort, progress, count=count)
    together = _together(stock, sides, effort, progress, count=count)
    return Row(
        key=KEY,
        title="Log in on SQLite, durable, the hash left out",
        tables=(alone, together),
        settings=settings,
        remarks=(*REMARKS, *absent_remarks()),
    )


def _alone(stock: Stock, sides: dict[str, Side], effort: Effort, progress: Progress, *, count: int) -> Table:
    rounds, burst = effort.of(150, quick=4), 5
    insert, numbers = _inserting(stock), _round_and_round(count)

    def raw(_turn: int) -> int:
        return insert(burst)

    def log_in(side: Side) -> Contestant:
        return lambda _turn: side.log_in_all([next(numbers) for _ in range(burst)])

    contestants = {RAW: raw, **{name: log_in(side) for name, side in sides.items()}}
    seconds = by_turns(contestants, rounds=rounds, tick=progress.part("alone", rounds + 1))
    return Table(
        title="Time for one log-in, one after the other",
        unit="time",
        lines=lines_of(seconds, unit="time", who=WHO, notes=NOTES),
        base=RAW,
        targets=(Target(line=OURS, limit=2.2, text="at most 2.2x", of="ratio"),),
    )


def _together(stock: Stock, sides: dict[str, Side], effort: Effort, progress: Progress, *, count: int) -> Table:
    rounds, burst = effort.of(40, quick=2), 4
    insert, numbers, crowd = _inserting(stock), _round_and_round(count), Crowd(AT_ONCE)

    def shares() -> list[Sequence[int]]:
        return [[next(numbers) for _ in range(burst)] for _ in range(AT_ONCE)]

    def raw(_turn: int) -> int:
        return insert(burst * 4)

    def raw_together(_turn: int) -> int:
        return crowd.do(insert, [burst] * AT_ONCE)

    def log_in(side: Side) -> Contestant:
        return lambda _turn: side.log_in_at_once(crowd, shares())

    contestants = {RAW: raw, RAW_AT_ONCE: raw_together, **{name: log_in(side) for name, side in sides.items()}}
    seconds = by_turns(contestants, rounds=rounds, tick=progress.part(f"{AT_ONCE} at once", rounds + 1))
    crowd.leave()
    return Table(
        title=f"Time for each log-in, {AT_ONCE} at once (time for all, divided by their number)",
        unit="time",
        lines=lines_of(seconds, unit="time", who=WHO, notes={**NOTES, RAW: "1x, one after the other"}),
        base=RAW,
        targets=(
            Target(line=OURS, limit=0.7, text="at most 0.7x, in threads", of="ratio"),
            Target(line=AWAITED, limit=0.7, text="at most 0.7x, awaited", of="ratio"),
        ),
    )


def _inserting(stock: Stock) -> Callable[[int], int]:
    """Durable inserts by hand. Threads take turns at a lock: SQLite's own waiting would sleep too long."""
    connection, lock = stock.connect(), threading.Lock()
    template = connection.execute("SELECT * FROM plain_sessions LIMIT 1").fetchone()

    def insert(times: int) -> int:
        for _ in range(times):
            with lock:
                _insert(connection, template)
        return times

    return insert


def _insert(connection: sqlite3.Connection, template: tuple[object, ...]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(PLAIN_INSERT, (system_entropy(32), system_entropy(9).hex(), *template[2:]))
    connection.execute("COMMIT")


def _add_peers(sides: dict[str, Side], directory: Path, *, count: int) -> tuple[str, ...]:
    """Add whoever is installed; give what was set for them."""
    settings: list[str] = []
    if "Flask" in peers():
        from bench.sides import flask

        sides[FLASK_LOGIN] = flask.make_flask(directory / "flask_login.db", "login", count=count)
        sides[FLASK_SESSION] = flask.make_flask(directory / "flask_session.db", "session", count=count)
        settings.append(flask.SETTINGS_NOTE)
    if "Django" in peers():
        from bench.sides import django

        sides[DJANGO] = django.make_django(directory / "django.db", count=count)
        settings.append(django.SETTINGS_NOTE)
    if "fastapi-users" in peers():
        from bench.sides import fastapi_users

        sides[FASTAPI_USERS] = fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=count)
        settings.append(fastapi_users.SETTINGS_NOTE)
    return tuple(settings)


def _round_and_round(count: int) -> Iterator[int]:
    return (number % count for number in counting())
