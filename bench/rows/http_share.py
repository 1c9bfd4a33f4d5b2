"""What it costs a handler to ask who is there, in every door and beside its framework's peers, on real servers.

Three tables: the share of requests kept of the bare handler's on the same server, the processor time that a request
adds, and how long 99 of 100 requests waited at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.figures import Line, Row, Table, Target, Who, summed
from bench.load import CONNECTIONS, Flood, p99
from bench.measure import Effort
from bench.progress import Progress
from bench.serving import Server, all_running, apart, granian, gunicorn, http_server, uvicorn
from bench.sides import absent_remarks, peers
from bench.sides.ours import Stock, make_stock

KEY = "http"
SECONDS = 190
SPELL = 0.5  # seconds of load in a turn
THREADS = 4  # of gunicorn's worker
OURS = "`AsyncCoatcheck.authenticate`"
DOOR = "Coatcheck's door, its guard and the account"
RAW_SELECT = "the raw SELECT, nothing judged"
LIMIT = "the limit: who is there cannot be found out for less"
RAW_ASGI = "raw ASGI on granian"
STARLETTE = "Starlette on granian"
FLASK = "Flask on gunicorn, our door"


@dataclass
class Handler:
    """One path of a server: what its handler asks, and what was measured, turn by turn."""

    path: str
    asks: str
    who: Who
    cookie_fields: Sequence[bytes]
    note: str = ""
    rates: list[float] = field(default_factory=list[float])
    waits: list[float] = field(default_factory=list[float])  # of 99 in 100 at most
    work: list[float] = field(default_factory=list[float])

    def load(self, port: int, *, seconds: float, counts: bool) -> None:
        """A turn."""
        flood, waits = Flood(port, self.cookie_fields[:CONNECTIONS]), list[float]()
        flood.rate(self.path, seconds=seconds / 10)
        used, began = float(flood.ask("/cpu")), time.perf_counter()
        rate = flood.rate(self.path, seconds=seconds, waits=waits)
        answered = rate * (time.perf_counter() - began)
        used = float(flood.ask("/cpu")) - used
        flood.close()
        if counts:
            self.rates.append(rate)
            self.waits.append(p99(waits))
            self.work.append(used / answered)


@dataclass
class Contest:
    """The servers with their handlers, the bare one first."""

    servers: dict[str, Server] = field(default_factory=dict[str, Server])
    handlers: dict[str, list[Handler]] = field(default_factory=dict[str, list[Handler]])
    settings: list[str] = field(default_factory=list[str])

    def add(self, name: str, server: Server, *handlers: Handler, setting: str = "") -> None:
        bare = Handler("/bare", "bare", "raw", handlers[0].cookie_fields)
        self.servers[name], self.handlers[name] = server, [bare, *handlers]
        if setting:
            self.settings.append(setting)

    def all(self) -> Iterator[tuple[str, Handler, Handler]]:
        """The name of every line, its handler, and the bare one of the same server."""
        for server, handlers in self.handlers.items():
            for handler in handlers:
                yield f"{server}: {handler.asks}", handler, handlers[0]


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
        tables=tables(contest),
        settings=tuple(contest.settings),
        remarks=(*_remarks(is_apart=core is not None), *absent_remarks()),
    )


def tables(contest: Contest) -> tuple[Table, Table, Table]:
    """What was measured, in three tables of the same lines, but that bare handlers add nothing."""
    judged = f"{STARLETTE}: {OURS}"
    rates: list[Line] = []
    added: list[Line] = []
    waits: list[Line] = []
    for name, handler, bare in contest.all():
        base = f"{name.partition(': ')[0]}: {bare.asks}"
        rates.append(summed(name, handler.rates, unit="rate", who=handler.who, base=base, note=handler.note))
        waits.append(summed(name, handler.waits, unit="time", who=handler.who, base=base))
        if handler is not bare:
            # In the same turn, or a neighbour of the machine would be taken for the library; on a busy one it can seem
            # to be less than nothing.
            more = [max(0.0, one - other) for one, other in zip(handler.work, bare.work, strict=True)]
            share = f"{median(bare.work) / median(handler.work):.0%} of the processor time is the bare handler's"
            added.append(summed(name, more, unit="time", who=handler.who, note=share))
    return (
        Table(
            title="Requests per second, and the share kept of the bare handler's on the same server",
            unit="rate",
            lines=tuple(rates),
            base=f"{RAW_ASGI}: bare",
            compares="ratio",
            targets=tuple(
                Target(line=line, limit=limit, text=f"at least {limit:.0%} kept", of="ratio")
                for line, limit in ((judged, 0.92), (f"{FLASK}: {DOOR}", 0.90))
            ),
        ),
        Table(
            title="Processor time that a request adds to the bare handler's",
            unit="time",
            lines=tuple(added),
            base=f"{RAW_ASGI}: {RAW_SELECT}",
            ours=judged,
        ),
        Table(
            title="99 of 100 requests waited at most this long, beside the bare handler's",
            unit="time",
            lines=tuple(waits),
            base=f"{RAW_ASGI}: bare",
            compares="ratio",
            ours=judged,
        ),
    )


def _contest(directory: Path, *, count: int) -> Contest:
    contest, stock = Contest(), make_stock(directory / "http.db", count=count)
    _add_our_doors(contest, stock)
    if "Starlette" in peers():
        _add_starlette(contest, stock.path, count=count)
    if "Flask" in peers():
        _add_flask(contest, directory, count=count)
    if "Django" in peers():
        _add_django(contest, directory, count=count)
    if "fastapi-users" in peers():
        _add_fastapi(contest, directory, count=count)
    return contest


def _add_our_doors(contest: Contest, stock: Stock) -> None:
    file = stock.path

    def door() -> Handler:
        return Handler("/door", DOOR, "ours", stock.cookie_fields)

    def asked(note: str = "") -> Handler:
        return Handler("/authenticated", OURS, "ours", stock.cookie_fields, note)

    def raw(note: str = "") -> Handler:
        return Handler("/raw", RAW_SELECT, "raw", stock.cookie_fields, note)

    contest.add(
        RAW_ASGI,
        granian("bench.served.ours_asgi", file),
        raw(),
        asked(),
        door(),
        setting="One process serves on one core; granian with `--runtime-threads 1 --loop asyncio`.",
    )
    contest.add(STARLETTE, granian("bench.served.ours_starlette", file), raw(LIMIT), asked("**the claim**"), door())
    contest.add("Starlette on uvicorn, our door", uvicorn("bench.served.ours_starlette", file, is_factory=True), door())
    contest.add("FastAPI on uvicorn, our door", uvicorn("bench.served.ours_fastapi", file), door())
    contest.add("raw WSGI on gunicorn", gunicorn("bench.served.ours_wsgi", file, threads=THREADS), door())
    contest.add(
        FLASK,
        gunicorn("bench.served.ours_flask", file, threads=THREADS),
        raw(LIMIT),
        door(),
        setting=f"gunicorn with one worker of {THREADS} threads (`gthread`): its plain workers close the connection "
        "after every answer.",
    )
    contest.add("http.server", http_server("bench.served.ours_http_server", file), door())


def _add_starlette(contest: Contest, file: Path, *, count: int) -> None:
    from bench.sides import starlette

    cookie = starlette.StarletteCookie(count=count)
    contest.add(
        "Starlette on uvicorn",
        uvicorn("bench.served.starlette_cookie", file),
        Handler(
            "/authenticated", "`SessionMiddleware`", "peer", cookie.cookie_fields,
            "no account, no revocation: does much less",
        ),
        setting=f"{starlette.SETTINGS_NOTE} uvicorn with uvloop and httptools, as `uvicorn[standard]` brings them.",
    )  # fmt: skip


def _add_flask(contest: Contest, directory: Path, *, count: int) -> None:
    from bench.sides import flask

    login = flask.make_flask(directory / "flask_login.db", "login", count=count)
    session = flask.make_flask(directory / flask.SESSION_FILE, "session", count=count)
    written = "writes the session with every answer, its default"
    contest.add(
        "Flask on gunicorn",
        gunicorn("bench.served.flask", login.path, threads=THREADS),
        Handler("/authenticated", "Flask-Login", "peer", login.cookie_fields, "no session on the server"),
        Handler("/session", "Flask-Session + Flask-Login", "peer", session.cookie_fields, written),
        Handler("/session-kept", "Flask-Session (no refresh) + Flask-Login", "peer", session.cookie_fields),
        setting=flask.SETTINGS_NOTE,
    )


def _add_django(contest: Contest, directory: Path, *, count: int) -> None:
    from bench.sides import django

    side = django.make_django(directory / "django_http.db", count=count)
    contest.add(
        "Django on gunicorn",
        gunicorn("bench.served.django", side.path, threads=THREADS),
        Handler("/authenticated", "sessions, `request.user`", "peer", side.cookie_fields),
        setting=f"{django.SETTINGS_NOTE} gunicorn likewise.",
    )


def _add_fastapi(contest: Contest, directory: Path, *, count: int) -> None:
    from bench.sides import fastapi_users

    side = fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=count)
    contest.add(
        "FastAPI on uvicorn",
        uvicorn("bench.served.fastapi_users", side.path),
        Handler("/authenticated", "fastapi-users' current user", "peer", side.cookie_fields),
        setting=fastapi_users.SETTINGS_NOTE,
    )


def _remarks(*, is_apart: bool) -> list[str]:
    cores = "server and client on a core of their own each" if is_apart else "no cores set apart"
    return [
        f"Load: own client on raw sockets, one thread, {CONNECTIONS} connections; {cores}.",
        (
            "Rates suffer from whoever else is busy on the machine, and from the client, which may be the slower one; "
            "the processor time of the server does so less."
        ),
        "A handler that answers fixed bytes is the hardest bare handler there is: one that works keeps more.",
    ]
