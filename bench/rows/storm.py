"""A storm of log-ins: how long authenticated requests wait meanwhile, and how many log-ins there are per second."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from bench.figures import Line, Row, Table, Target, Who, summed
from bench.load import Storm, post, storm
from bench.measure import Effort
from bench.people import PASSWORD, email, user_name
from bench.progress import Progress
from bench.serving import Server, before_others, gunicorn, neighbours, running, uvicorn
from bench.sides import absent_remarks, peers
from bench.sides.ours import PUBLIC_URL, make_stock, url_of
from coatcheck.crypto.entropy import system_entropy

KEY = "storm"
SECONDS = 200
WORKERS = 2
THREADS = 8
CLIENTS = 8
RATE = 100  # authenticated requests per second
CONNECTIONS = 16
OURS = f"`coatcheck serve --workers {WORKERS}`"
OURS_ALONE = "`coatcheck serve` (one worker, its default)"
DJANGO = f"Django on gunicorn, {WORKERS} workers of {THREADS} threads"
FASTAPI_USERS = f"fastapi-users on uvicorn, {WORKERS} workers"
IDLE = "nobody logs in"
STORM = f"{CLIENTS} clients log in"
CROWDED = f"{CLIENTS} clients log in, beside two CPU-bound neighbours"
FORM = "application/x-www-form-urlencoded"


@dataclass
class _Contestant:
    """A server and how to talk to it, and what was measured in each kind of weather."""

    server: Server
    who: Who
    host: str
    path: str
    cookie_fields: Sequence[bytes]
    log_in: Callable[[int], bytes]
    seen: dict[str, list[Storm]] = field(default_factory=dict[str, list[Storm]])


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """One server at a time, each in every weather, as often as there are rounds."""
    rounds, seconds = effort.of(3, quick=1), effort.of(4, quick=1)
    progress.part("filling files")
    count = effort.of(1000, quick=100)
    contestants, settings = _contestants(directory, count=count)
    is_first = False
    tick = progress.part("storms", rounds * len(contestants) * 3)
    for _ in range(rounds):
        for contestant in contestants.values():
            with running(contestant.server) as port:
                _weather(contestant, port, "", clients=CLIENTS, others=0, seconds=1)  # everything is imported, opened
                for weather, clients, others in ((IDLE, 0, 0), (STORM, CLIENTS, 0), (CROWDED, CLIENTS, 2)):
                    is_first = _weather(contestant, port, weather, clients=clients, others=others, seconds=seconds)
                    tick()
    tables = [
        _waits(contestants, IDLE, None),
        _waits(contestants, STORM, Target(line=OURS, limit=0.150, text="at most 150 ms", of="figure")),
        _log_ins(contestants, STORM),
        _waits(contestants, CROWDED, Target(line=OURS, limit=0.150, text="at most 150 ms", of="figure")),
        _log_ins(contestants, CROWDED),
    ]
    return Row(
        key=KEY,
        title=f"A storm of log-ins: {CLIENTS} clients log in again and again, real hashes",
        tables=tuple(tables),
        settings=settings,
        remarks=(*_remarks(is_first=is_first), *absent_remarks()),
    )


def _weather(c: _Contestant, port: int, weather: str, *, clients: int, others: int, seconds: int) -> bool:
    # The neighbours are started first: they are not to go before others too.
    with neighbours(others), before_others() as is_first:
        seen = storm(
            port,
            host=c.host,
            path=c.path,
            cookie_fields=c.cookie_fields[:CONNECTIONS],
            log_in=c.log_in,
            clients=clients,
            rate=RATE,
            seconds=seconds,
        )
    if weather:
        c.seen.setdefault(weather, []).append(seen)
    return is_first


def _contestants(directory: Path, *, count: int) -> tuple[dict[str, _Contestant], tuple[str, ...]]:
    stock = make_stock(directory / "storm.db", count=count)
    host = urlsplit(PUBLIC_URL).netloc

    def log_in(number: int) -> bytes:
        body = json.dumps({"identifier": user_name(number % count), "password": PASSWORD}).encode()
        return post("/api/login", host, "application/json", body, _address(number))

    def ours(workers: int) -> _Contestant:
        return _Contestant(_coatcheck(stock.path, workers), "ours", host, "/api/me", stock.cookie_fields, log_in)

    contestants = {OURS: ours(WORKERS), OURS_ALONE: ours(1)}
    settings = [
        (
            "Coatcheck: `coatcheck serve` with its defaults behind a proxy that tells the clients' addresses "
            "(`trusted_proxies`), `/api/login` and `/api/me`."
        ),
        (
            f"Argon2id with the same parameters everywhere: OWASP's 19 MiB, 2 passes, 1 lane. {WORKERS} processes "
            "each, one for a core."
        ),
    ]
    if "Django" in peers():
        from bench.sides import django

        side = django.make_django(directory / "django_storm.db", count=count)
        contestants[DJANGO] = _Contestant(
            gunicorn("bench.served.django", side.path, workers=WORKERS, threads=THREADS),
            "peer", "127.0.0.1", "/authenticated", side.cookie_fields, _form(count, user_name),
        )  # fmt: skip
        settings.append(
            f"{django.SETTINGS_NOTE} gunicorn's manual advises 2 to 4 threads for a core: {THREADS} in each worker, so "
            "that clients who log in leave some for others. No CSRF check."
        )
    if "fastapi-users" in peers():
        from bench.sides import fastapi_users

        users = fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=count)
        contestants[FASTAPI_USERS] = _Contestant(
            uvicorn("bench.served.fastapi_users", users.path, workers=WORKERS),
            "peer", "127.0.0.1", "/authenticated", users.cookie_fields, _form(count, email),
        )  # fmt: skip
        settings.append(f"{fastapi_users.SETTINGS_NOTE} Its own log-in route.")
    return contestants, tuple(settings)


def _coatcheck(file: Path, workers: int) -> Server:
    environ = {
        "COATCHECK_STORE": url_of(file),
        "COATCHECK_PUBLIC_URL": PUBLIC_URL,
        "COATCHECK_SECRET": system_entropy(32).hex(),
        "COATCHECK_TRUSTED_PROXIES": "127.0.0.1",
        "COATCHECK_TRUSTED_HOPS": "1",
        "COATCHECK_LOG_LEVEL": "error",
        "COATCHECK_CONFIG": "",
    }
    return Server("coatcheck", ("coatcheck", "serve", "--workers", str(workers), "--port"), environ)


def _form(count: int, name: Callable[[int], str]) -> Callable[[int], bytes]:
    def log_in(number: int) -> bytes:
        body = urlencode({"username": name(number % count), "password": PASSWORD}).encode()
        return post("/login", "127.0.0.1", FORM, body, _address(number))

    return log_in


def _address(number: int) -> str:
    return f"198.51.{number // 250 % 250}.{number % 250}"


def _waits(contestants: dict[str, _Contestant], weather: str, target: Target | None) -> Table:
    return Table(
        title=f"99 of 100 authenticated requests waited at most this long: {weather}",
        unit="time",
        lines=tuple(_line(name, c, weather, of_waits=True) for name, c in contestants.items()),
        base=OURS,
        targets=(target,) if target else (),
    )


def _log_ins(contestants: dict[str, _Contestant], weather: str) -> Table:
    lines = tuple(_line(name, c, weather, of_waits=False) for name, c in contestants.items())
    best = max(lines, key=lambda line: line.middle)
    return Table(
        title=f"Log-ins per second: {weather}",
        unit="rate",
        lines=lines,
        base=best.name,
        targets=(Target(line=OURS, limit=0.85, text="at least 85% of the best", of="ratio"),),
    )


def _line(name: str, c: _Contestant, weather: str, *, of_waits: bool) -> Line:
    seen = c.seen[weather]
    failed = Counter(failure for one in seen for failure in one.failures)
    note = "; ".join(f"{times} times {failure}" for failure, times in failed.most_common(3))
    if of_waits:
        return summed(name, [one.p99 for one in seen], unit="time", who=c.who, note=note)
    return summed(name, [one.log_ins_per_second for one in seen], unit="rate", who=c.who, note=note)


def _remarks(*, is_first: bool) -> list[str]:
    client = "goes before others on the processor" if is_first else "could not be put before others on the processor"
    return [
        (
            f"{RATE} authenticated requests per second over {CONNECTIONS} connections; a request's time counts from "
            "the moment at which it was due. Every log-in comes on a new connection, of somebody else, from another "
            f"address. The client shares the machine and {client}."
        ),
    ]
