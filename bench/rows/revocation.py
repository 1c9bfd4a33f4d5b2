"""Revocation across processes: how many requests another process serves between acknowledgement and refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from bench.beside import process
from bench.figures import Row, Table, Target, Who, summed
from bench.measure import Effort
from bench.progress import Progress
from bench.sides import Side, absent_remarks, peers
from bench.sides.ours import COOKIE_NAME, Ours, OursAwaited, Stock, make_stock
from coatcheck.http import cookies

KEY = "revocation"
SECONDS = 20
OURS, AWAITED, DJANGO, FASTAPI_USERS, FLASK_SESSION = (
    "`Coatcheck.revoke`", "`AsyncCoatcheck` asks, `Coatcheck.revoke`", "Django: session flushed",
    "fastapi-users: token destroyed", "Flask-Session: session cleared",
)  # fmt: skip
WATCHED = 0.01  # seconds for which a session is seen alive before it is revoked
NEVER = (
    "Not in the tables, because nothing revokes one session there: Starlette's cookie and Django's signed cookie stay "
    "valid until they run out (14 days by default), Flask-Login's in Flask's own cookie likewise (31 days)."
)

Revoke = Callable[[bytes], object]


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """One process asks all the time, this one revokes; each session once."""
    rounds = effort.of(100, quick=5)
    progress.part("filling files")
    revokers = _revokers(directory, count=rounds)
    served, waited = dict[str, list[float]](), dict[str, list[float]]()
    for name, (file, fields, revoke) in revokers.items():
        tick = progress.part(name, rounds)
        with process(_ask, name, file) as pipe:
            for field in fields:
                pipe.send(field)
                pipe.recv()  # it is seen alive
                time.sleep(WATCHED)
                revoke(field)
                acknowledged = time.monotonic()
                served_since, refused = _since(pipe.recv(), acknowledged)
                served.setdefault(name, []).append(served_since)
                waited.setdefault(name, []).append(refused)
                tick()
            pipe.send(None)
    return Row(
        key=KEY,
        title="Revocation across processes: acknowledged in one, refused in another",
        tables=(_served(served), _waited(waited)),
        remarks=(
            (
                f"{rounds} sessions, one after the other. Counted are requests that began after the acknowledgement "
                f"and were still served, the most of all rounds. {NEVER}"
            ),
            *absent_remarks(),
        ),
    )


def _since(told: tuple[list[float], float], acknowledged: float) -> tuple[float, float]:
    served, refused = told
    return sum(began > acknowledged for began in served), max(0.0, refused - acknowledged)


def _ask(pipe: Connection, name: str, file: Path) -> None:
    """Authenticate what comes through the pipe again and again; tell when served requests began, and the refusal."""
    side = _opened(name, file)
    while (field := pipe.recv()) is not None:
        side.authenticate_all([field])
        pipe.send("alive")
        served: list[float] = []
        while True:
            began = time.monotonic()
            try:
                side.authenticate_all([field])
            except RuntimeError:
                pipe.send((served, time.monotonic()))
                break
            served.append(began)


def _opened(name: str, file: Path) -> Side:
    if name in (OURS, AWAITED):
        stock = Stock(file, ())
        return Ours(stock) if name == OURS else OursAwaited(stock)
    if name == DJANGO:
        from bench.sides import django

        return django.Django(file)
    if name == FLASK_SESSION:
        from bench.sides import flask

        return flask.Flask(file, "session")
    from bench.sides import fastapi_users

    return fastapi_users.FastapiUsers(file)


def _revokers(directory: Path, *, count: int) -> dict[str, tuple[Path, tuple[bytes, ...], Revoke]]:
    """Whoever is installed: the file, the sessions in it, and how to end one."""
    found: dict[str, tuple[Path, tuple[bytes, ...], Revoke]] = {}
    for name in (OURS, AWAITED):
        stock = make_stock(directory / f"revocation{len(found)}.db", count=count)
        found[name] = (stock.path, stock.cookie_fields, _revoker(Ours(stock)))
    if "Django" in peers():
        from bench.sides import django

        side = django.make_django(directory / "django_revocation.db", count=count)
        found[DJANGO] = (side.path, tuple(side.cookie_fields), side.log_out)
    if "Flask" in peers():
        from bench.sides import flask

        session = flask.make_flask(directory / flask.SESSION_FILE, "session", count=count)
        found[FLASK_SESSION] = (session.path, tuple(session.cookie_fields), session.log_out)
    if "fastapi-users" in peers():
        from bench.sides import fastapi_users

        users = fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=count)
        found[FASTAPI_USERS] = (users.path, tuple(users.cookie_fields), users.log_out)
    return found


def _revoker(side: Ours) -> Revoke:
    def revoke(field: bytes) -> None:
        visit = side.desk.authenticate(cookies.read((field,), COOKIE_NAME))  # type: ignore[arg-type]  # ours comes once
        if not visit or visit.session.subject is None:
            raise RuntimeError("Coatcheck did not know its own session")
        side.desk.revoke(visit.session.id, of=visit.session.subject)

    return revoke


def _who(name: str) -> Who:
    return "ours" if name in (OURS, AWAITED) else "peer"


def _served(served: dict[str, list[float]]) -> Table:
    # The most of all rounds: a median would hide the one that matters.
    return Table(
        title="Requests served after the acknowledgement",
        unit="count",
        lines=tuple(summed(name, [max(each)], unit="count", who=_who(name)) for name, each in served.items()),
        base=OURS,
        targets=tuple(Target(line=name, limit=0, text="none", of="figure") for name in (OURS, AWAITED)),
    )


def _waited(waited: dict[str, list[float]]) -> Table:
    return Table(
        title="Time from acknowledged to refused: the rest of the request that is under way, and the next one",
        unit="time",
        lines=tuple(summed(name, each, unit="time", who=_who(name)) for name, each in waited.items()),
        base=OURS,
    )
