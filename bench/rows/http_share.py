"""Requests per second kept when a handler asks who is there, against the bare handler on the same server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from bench.figures import Line, Row, Table, Target, Who, summed
from bench.load import CONNECTIONS, Flood
from bench.measure import Effort
from bench.progress import Progress
from bench.serving import Server, all_running, apart, granian, gunicorn, uvicorn
from bench.sides import absent_remarks, peers
from bench.sides.ours import make_stock

KEY = "http"
SECONDS = 100
SPELL = 0.5  # seconds of load in a turn
THREADS = 4  # of gunicorn's worker
OURS = "`AsyncCoatcheck.authenticate`"
DOOR = "Coatcheck's door, its guard and the account"
RAW_ASGI = "raw ASGI on granian"
STARLETTE = "Starlette on granian"


@dataclass
class _Handler:
    """One path of a server: what its handler asks, and what was measured."""

    path: str
    asks: str
    who: Who
    cookie_fields: Sequence[bytes]
    note: str = ""
    rates: list[float] = field(default_factory=list[float])
    waits: list[float] = field(default_factory=list[float])
    work: list[float] = field(default_factory=list[float])

    def load(self, port: int, *, seconds: float, counts: bool) -> None:
        """A turn."""
        flood = Flood(port, self.cookie_fields[:CONNECTIONS])
        flood.rate(self.path, seconds=seconds / 10)
        used, began = float(flood.ask("/cpu")), time.perf_counter()
        rate = flood.rate(self.path, seconds=seconds, waits=self.waits if counts else None)
        answered = rate * (time.perf_counter() - began)
        used = float(flood.ask("/cpu")) - used
        flood.close()
        if counts:
            self.rates.append(rate)
            self.work.append(used / answered)


@dataclass
class _Contest:
    """The servers with their handlers, the bare one first."""

    servers: dict[str, Server] = field(default_factory=dict[str, Server])
    handlers: dict[str, list[_Handler]] = field(default_factory=dict[str, list[_Handler]])
    settings: list[str] = field(default_factory=list[str])

    def add(self, name: str, server: Server, *handlers: _Handler, setting: str = "") -> None:
        bare = _Handler("/bare", "bare", "raw", handlers[0].cookie_fields)
        self.servers[name], self.handlers[name] = server, [bare, *handlers]
        if setting:
            self.settings.append(setting)


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """All servers run all the time and are loaded by turns."""
    rounds, seconds = effort.of(8, quick=1), SPELL / 2 if effort.is_quick else SPELL
    progress.part("filling files, starting servers")
    contest = _contest(directory, count=effort.of(1000, quick=100))
    with apart() as core, all_running(contest.servers, core) as ports:
        turns = [(ports[name], handler) for name, handlers in contest.handlers.items() for handler in handlers]
        tick = progress.part(f"{len(turns)} handlers", (rounds + 1) * len(turns))
        for turn in range(rounds + 1):
            shift = turn % len(turns)
            for port, handler in turns[shift:] + turns[:shift]:
                handler.load(port, seconds=seconds, counts=turn > 0)
                tick()
    return Row(
        key=KEY,
        title="HTTP: an authenticated handler over a bare one, share of requests kept",
        tables=(_table(contest),),
        settings=tuple(contest.settings),
        remarks=(*_remarks(contest, is_apart=core is not None), *absent_remarks()),
    )


def _contest(directory: Path, *, count: int) -> _Contest:
    contest, stock = _Contest(), make_stock(directory / "http.db", count=count)
    contest.add(
        RAW_ASGI,
        granian("bench.served.ours_raw", stock.path),
        _Handler("/raw", "the raw SELECT, nothing judged", "raw", stock.cookie_fields),
        _Handler("/authenticated", OURS, "ours", stock.cookie_fields),
        setting="One process serves on one core; granian with `--runtime-threads 1 --loop asyncio`.",
    )
    if "Starlette" in peers():
        _add_starlette(contest, stock.path, stock.cookie_fields, count=count)
    if "Flask" in peers():
        _add_flask(contest, directory, stock.path, stock.cookie_fields, count=count)
    if "Django" in peers():
        _add_django(contest, directory, count=count)
    if "fastapi-users" in peers():
        _add_fastapi(contest, directory, stock.path, stock.cookie_fields, count=count)
    return contest


def _add_starlette(contest: _Contest, file: Path, cookie_fields: Sequence[bytes], *, count: int) -> None:
    from bench.sides import starlette

    cookie = starlette.StarletteCookie(count=count)
    contest.add(
        STARLETTE,
        granian("bench.served.ours_starlette", file),
        _Handler("/authenticated", OURS, "ours", cookie_fields, "**the claim**"),
        _Handler("/door", DOOR, "ours", cookie_fields),
    )
    contest.add(
        "Starlette on uvicorn",
        uvicorn("bench.served.starlette_cookie", file),
        _Handler(
            "/authenticated", "`SessionMiddleware`", "peer", cookie.cookie_fields,
            "no account, no revocation: does much less",
        ),
        setting=f"{starlette.SETTINGS_NOTE} uvicorn with uvloop and httptools, as `uvicorn[standard]` brings them.",
    )  # fmt: skip


def _add_flask(contest: _Contest, directory: Path, file: Path, cookie_fields: Sequence[bytes], *, count: int) -> None:
    from bench.sides import flask

    login = flask.make_flask(directory / "flask_login.db", "login", count=count)
    session = flask.make_flask(directory / flask.SESSION_FILE, "session", count=count)
    written = "writes the session with every answer, its default"
    contest.add(
        "Flask on gunicorn",
        gunicorn("bench.served.flask", login.path, threads=THREADS),
        _Handler("/authenticated", "Flask-Login", "peer", login.cookie_fields, "no session on the server"),
        _Handler("/session", "Flask-Session + Flask-Login", "peer", session.cookie_fields, written),
        _Handler("/session-kept", "Flask-Session (no refresh) + Flask-Login", "peer", session.cookie_fields),
        setting=f"{flask.SETTINGS_NOTE} gunicorn with one worker of {THREADS} threads (`gthread`): its plain workers "
        "close the connection after every answer.",
    )
    contest.add(
        "Flask on gunicorn, our door",
        gunicorn("bench.served.ours_flask", file, threads=THREADS),
        _Handler("/door", DOOR, "ours", cookie_fields),
    )


def _add_django(contest: _Contest, directory: Path, *, count: int) -> None:
    from bench.sides import django

    side = django.make_django(directory / "django_http.db", count=count)
    contest.add(
        "Django on gunicorn",
        gunicorn("bench.served.django", side.path, threads=THREADS),
        _Handler("/authenticated", "sessions, `request.user`", "peer", side.cookie_fields),
        setting=f"{django.SETTINGS_NOTE} gunicorn likewise.",
    )


def _add_fastapi(contest: _Contest, directory: Path, file: Path, cookie_fields: Sequence[bytes], *, count: int) -> None:
    from bench.sides import fastapi_users

    side = fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=count)
    contest.add(
        "FastAPI on uvicorn, our door",
        uvicorn("bench.served.ours_fastapi", file),
        _Handler("/door", DOOR, "ours", cookie_fields),
    )
    contest.add(
        "FastAPI on uvicorn",
        uvicorn("bench.served.fastapi_users", side.path),
        _Handler("/authenticated", "fastapi-users' current user", "peer", side.cookie_fields),
        setting=fastapi_users.SETTINGS_NOTE,
    )


def _table(contest: _Contest) -> Table:
    judged = STARLETTE if STARLETTE in contest.handlers else RAW_ASGI
    return Table(
        title="Requests per second, and the share kept of the bare handler's on the same server",
        unit="rate",
        lines=tuple(
            _line(handler, f"{server}: {handler.asks}", base=f"{server}: bare")
            for server, handlers in contest.handlers.items()
            for handler in handlers
        ),
        base=f"{RAW_ASGI}: bare",
        compares="ratio",
        targets=tuple(
            Target(line=line, limit=limit, text=f"at least {limit:.0%} kept", of="ratio")
            for line, limit in ((f"{judged}: {OURS}", 0.92), (f"Flask on gunicorn, our door: {DOOR}", 0.90))
            if line.partition(": ")[0] in contest.handlers
        ),
    )


def _line(handler: _Handler, name: str, *, base: str) -> Line:
    used = f"{median(handler.work) * 1e6:.0f} µs of processor time each, {_slowest(handler.waits)}"
    note = "; ".join(part for part in (handler.note, used) if part)
    return summed(name, handler.rates, unit="rate", who=handler.who, base=base, note=note)


def _slowest(waits: Sequence[float]) -> str:
    if len(waits) < 100:  # a quick look
        return f"slowest {max(waits, default=0) * 1e3:.1f} ms"
    return f"p99 {quantiles(waits, n=100, method='inclusive')[98] * 1e3:.1f} ms"


def _remarks(contest: _Contest, *, is_apart: bool) -> list[str]:
    cores = "server and client on a core of their own each" if is_apart else "no cores set apart"
    by_work = [
        f"{server}, {handler.asks} {median(bare.work) / median(handler.work):.0%}"
        for server, (bare, *handlers) in contest.handlers.items()
        for handler in handlers
    ]
    return [
        f"Load: own client on raw sockets, one thread, {CONNECTIONS} connections; {cores}.",
        (
            f"Rates suffer from whoever else is busy, processor time per request less; by it are kept: "
            f"{'; '.join(by_work)}."
        ),
        "A raw ASGI handler that answers fixed bytes is the hardest bare handler there is: one that works keeps more.",
    ]
