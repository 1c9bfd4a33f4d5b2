"""A large stock, up to three million sessions in one file: time to authenticate, bytes, a purge amid log-ins."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from bench import growth
from bench.beside import process
from bench.figures import Line, Row, Table, Target, Who, lines_of, summed
from bench.growth import Growth, bytes_of, grow, put, steps_of, unhurried
from bench.measure import Effort, Tick, by_turns
from bench.people import USER_AGENTS, among_others, phc
from bench.progress import Progress
from bench.rows.authenticate import whole
from bench.sides import Side, absent_remarks, peers
from bench.sides.ours import Ours, Stock, make_stock, new_token, url_of
from coatcheck import Coatcheck
from coatcheck.core.tokens import session_digest
from coatcheck.crypto.entropy import system_entropy

KEY = "stock"
SECONDS = 300
SMALL = 1000
ASKED = 20_000  # sessions that are asked for in a large file: their pages do not all fit a connection's cache
BURST = 100
PER_ACCOUNT = 3
DAY = 86_400
LONG_AGO = 30 * DAY
WRITERS = 2
PAUSE = 0.02  # seconds between two log-ins of a writer
OURS, DJANGO = "Coatcheck", "Django"
FASTAPI_USERS, FLASK_SESSION = "fastapi-users", "Flask-Session"
PURGED, QUIET = "while the expired are purged", "without a purge"
PURGE_SETTING = "Purging: `desk.purge()` with its default batch, and Django's `clearsessions`."


@dataclass
class _Sizes:
    """What was seen of one library: seconds by number of sessions, bytes per session."""

    seconds: dict[int, tuple[list[float], list[float]]]  # in the small file and in the large one, by turns
    bytes_each: float


@dataclass(frozen=True)
class _Purge:
    """How long writers waited in one process beside a purge, how long it took, and what went wrong."""

    waits: list[float]
    seconds: float
    failures: list[str]
    log_bytes: int = 0  # of the write-ahead log, at the end


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """One file grows; at each size it is measured by turns with a small one that stays. Then a third is purged."""
    sizes = (2000, 5000) if effort.is_quick else (100_000, 1_000_000, 3_000_000)
    expired = effort.of(1_000_000, quick=1000)
    sizes_of_ours, stock = _grow_ours(directory, sizes, expired, effort, progress)
    found = {OURS: sizes_of_ours}
    purges = {OURS: _purge(_ours_purge, _ours_writer, stock.path, progress, effort)}
    _check_purged(stock.path, "sessions", "last_seen_at < unixepoch() - 2 * 86400")
    settings = [PURGE_SETTING]
    if "Django" in peers():
        from bench.sides import django

        found[DJANGO], path = _grow_django(directory, sizes, expired, effort, progress)
        purges[DJANGO] = _purge(_django_purge, _django_writer, path, progress, effort)
        _check_purged(path, "django_session", "expire_date < datetime('now')")
        settings.append(django.SETTINGS_NOTE.replace(" and a longer `timeout`", "; here with its default timeout"))
    bytes_each = {name: sizes.bytes_each for name, sizes in found.items()}
    if "fastapi-users" in peers():
        bytes_each[FASTAPI_USERS] = _bytes_of_fastapi_users(directory, sizes[0], progress)
    if "Flask" in peers():
        bytes_each[FLASK_SESSION] = _bytes_of_flask_session(directory, sizes[0], progress)
    return Row(
        key=KEY,
        title=f"A large stock: {_words(SMALL)} to {_words(sizes[-1])} sessions in one file",
        tables=(_ages(found, sizes), _weights(bytes_each), _waits(purges, expired)),
        settings=tuple(settings),
        remarks=(*_remarks(purges, expired), *absent_remarks()),
    )


# Coatcheck


def _grow_ours(
    directory: Path, sizes: tuple[int, ...], expired: int, effort: Effort, progress: Progress
) -> tuple[_Sizes, Stock]:
    small = make_stock(directory / "small.db", count=SMALL)
    stock = make_stock(directory / "large.db", count=SMALL)
    seen, grown, count = dict[int, tuple[list[float], list[float]]](), 0, SMALL
    for size in sizes:
        tick = progress.part(f"{_words(size)} sessions", steps_of(size - count))
        with unhurried(stock.path) as connection:
            add_accounts(connection, size // PER_ACCOUNT)
            before = bytes_of(connection)
            of_this = growth_of_ours(connection)
            if count == SMALL:
                asked = tuple(new_token() for _ in range(min(ASKED, size // 2)))
                put(connection, of_this, "digest", [session_digest(token) for token in asked])
                stock, count = Stock(stock.path, asked), count + len(asked)
            is_last = size == sizes[-1]
            grow(connection, of_this, count=size - count - (expired if is_last else 0), tick=tick)
            if is_last:
                grow(connection, of_this, count=expired, tick=tick, changed=aged(LONG_AGO))
            recount_user_agents(connection)
            grown += bytes_of(connection) - before
            count = size
        seen[size] = _compared(Ours(small), Ours(stock), effort, progress, size)
    return _Sizes(seen, grown / (count - SMALL)), stock


def add_accounts(connection: sqlite3.Connection, count: int) -> None:
    """Bring the number of accounts to `count`; what is written of each is as long as the store's own."""
    (last,) = connection.execute("SELECT max(id) FROM subjects").fetchone()
    connection.execute("BEGIN")
    connection.execute(
        """
        WITH RECURSIVE numbers (n) AS (SELECT ?1 + 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
        INSERT INTO subjects (id, subject, epoch, credential_version)
        SELECT n, substr(lower(hex(randomblob(16))), 1, 22), 0, 1 FROM numbers WHERE n <= ?2
        """,
        (last, count),
    )
    connection.execute(
        """
        INSERT INTO accounts (id, username, username_key, email, email_key, created_at)
        SELECT id, 'u' || subject, 'u' || subject, 'u' || id || '@example.org', 'u' || id || '@example.org', unixepoch()
        FROM subjects WHERE id > ?
        """,
        (last,),
    )
    connection.execute(
        """
        INSERT INTO passwords (account, hash, version, changed_at)
        SELECT id, ?, 1, unixepoch() FROM accounts WHERE id > ?
        """,
        (phc(), last),
    )
    connection.execute("COMMIT")


def growth_of_ours(connection: sqlite3.Connection) -> Growth:
    """Sessions of all accounts, from anywhere, with all user agents."""
    (accounts,) = connection.execute("SELECT max(id) FROM accounts").fetchone()
    (length,) = connection.execute("SELECT length(id) FROM sessions LIMIT 1").fetchone()
    (first,) = connection.execute("SELECT min(id) FROM accounts").fetchone()
    return Growth(
        table="sessions",
        pattern=f"subject = {first} ORDER BY digest LIMIT 1",
        fresh={
            "digest": "randomblob(32)",
            "id": f"substr(lower(hex(randomblob({length}))), 1, {length})",
            "subject": f"abs(random()) % {accounts} + 1",
            "ip": growth.IP,
            "user_agent": f"n % {len(USER_AGENTS)} + 1",
        },
    )


def aged(seconds: int) -> dict[str, str]:
    columns = ("created_at", "auth_time", "last_seen_at", "expires_at")
    return {column: f"pattern.{column} - {seconds}" for column in columns}


def recount_user_agents(connection: sqlite3.Connection) -> None:
    """Make the counts of uses right again: purge relies on them."""
    connection.execute(
        """
        UPDATE user_agents SET uses = counted.uses
        FROM (SELECT user_agent, count(*) AS uses FROM sessions GROUP BY user_agent) AS counted
        WHERE counted.user_agent = user_agents.id
        """
    )


# Django


def _grow_django(
    directory: Path, sizes: tuple[int, ...], expired: int, effort: Effort, progress: Progress
) -> tuple[_Sizes, Path]:
    from bench.sides import django

    small = django.make_django(directory / "django_small.db", count=SMALL)
    large = django.make_django(directory / "django_large.db", count=SMALL)
    django.close()
    size, of_django = sizes[-1], Growth("django_session", "rowid = 1", {"session_key": "lower(hex(randomblob(16)))"})
    keys = tuple(system_entropy(16).hex() for _ in range(min(ASKED, size // 2)))
    with unhurried(large.path) as connection:
        tick = progress.part(f"Django: {_words(size)} sessions", steps_of(size))
        before = bytes_of(connection)
        put(connection, of_django, "session_key", keys)
        grow(connection, of_django, count=size - SMALL - len(keys) - expired, tick=tick)
        past = {"expire_date": f"datetime(pattern.expire_date, '-{LONG_AGO} seconds')"}
        grow(connection, of_django, count=expired, tick=tick, changed=past)
        bytes_each = (bytes_of(connection) - before) / (size - SMALL)
    large.cookie_fields = tuple(among_others(django.COOKIE_NAME, key) for key in keys)
    seen = {size: _compared(small, large, effort, progress, size)}
    django.close()
    return _Sizes(seen, bytes_each), large.path


def _compared(
    small: Side, large: Side, effort: Effort, progress: Progress, size: int
) -> tuple[list[float], list[float]]:
    rounds = effort.of(200, quick=5)
    burst = BURST if isinstance(small, Ours) else BURST // 10
    tick = progress.part(f"authenticate among {_words(size)}", rounds + 1)
    seconds = by_turns({"small": whole(small, burst), "large": whole(large, burst)}, rounds=rounds, tick=tick)
    return seconds["small"], seconds["large"]


# Bytes of others


def _bytes_of_fastapi_users(directory: Path, count: int, progress: Progress) -> float:
    from bench.sides import fastapi_users

    side = fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=SMALL)
    side.close()
    users = "(SELECT id FROM user WHERE rowid = n % 1000 + 1)"
    fresh = {"token": "substr(lower(hex(randomblob(22))), 1, 43)", "user_id": users}
    # Its index on the time is filled in order, as time passes.
    fresh["created_at"] = "strftime('%Y-%m-%d %H:%M:%f', pattern.created_at, '+' || n || ' seconds') || '000'"
    return _bytes_each(side.path, Growth("accesstoken", "rowid = 1", fresh), count, progress)


def _bytes_of_flask_session(directory: Path, count: int, progress: Progress) -> float:
    from bench.sides import flask

    side = flask.make_flask(directory / "flask_session.db", "session", count=SMALL)
    side.close()
    key = "'session:' || substr(lower(hex(randomblob(22))), 1, 43)"
    fresh = {"id": "NULL", "session_id": key}
    return _bytes_each(side.path, Growth("sessions", "id = 1", fresh), count, progress)


def _bytes_each(path: Path, of_peer: Growth, count: int, progress: Progress) -> float:
    with unhurried(path) as connection:
        before = bytes_of(connection)
        grow(connection, of_peer, count=count, tick=progress.part(f"{path.stem}: {_words(count)}", steps_of(count)))
        return (bytes_of(connection) - before) / count


# The purge amid log-ins

Writer = Callable[[Connection, Path, float], None]


def _purge(
    purge: Callable[[Path, Tick], None], writer: Writer, path: Path, progress: Progress, effort: Effort
) -> dict[str, _Purge]:
    """Let processes log people in: for a while undisturbed, then as long as a purge takes in this process."""
    found: dict[str, _Purge] = {}
    progress.part(f"{path.stem}: log-ins without a purge")
    with _writing(writer, path) as stop:
        time.sleep(effort.of(10, quick=1))
        waits, failures = stop()
    found[QUIET] = _Purge(waits, 0.0, failures)
    with _writing(writer, path) as stop:
        tick = progress.part(f"{path.stem}: log-ins beside a purge")
        began = time.monotonic()
        purge(path, tick)
        seconds = time.monotonic() - began
        log_bytes = path.with_name(f"{path.name}-wal").stat().st_size  # before the last one out puts it away
        waits, failures = stop()
    found[PURGED] = _Purge(waits, seconds, failures, log_bytes)
    return found


def _check_purged(path: Path, table: str, is_old: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (left,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {is_old}").fetchone()
    if left:
        raise RuntimeError(f"the purge left {left} expired sessions")


@contextmanager
def _writing(writer: Writer, path: Path) -> Generator[Callable[[], tuple[list[float], list[str]]], None, None]:
    """Run writers in processes of their own; what is given stops them and tells their waits and failures."""
    with ExitStack() as stack:
        pipes = [stack.enter_context(process(writer, path, PAUSE)) for _ in range(WRITERS)]
        for pipe in pipes:
            pipe.recv()  # it has logged somebody in

        def stop() -> tuple[list[float], list[str]]:
            for pipe in pipes:
                pipe.send("stop")
            told = [pipe.recv() for pipe in pipes]
            return [wait for waits, _ in told for wait in waits], [one for _, failed in told for one in failed]

        yield stop


def _write(log_in: Callable[[int], object], pipe: Connection, pause: float) -> None:
    """Log people in, one after the other, until told to stop; tell how long each took and what failed."""
    waits, failures, number = list[float](), list[str](), 0
    log_in(number)
    pipe.send("ready")
    while not pipe.poll(pause):
        number += 1
        began = time.monotonic()
        try:
            log_in(number % SMALL)
        except Exception as error:  # noqa: BLE001 - a failure is part of what is measured
            failures.append(type(error).__name__)
        waits.append(time.monotonic() - began)
    pipe.send((waits, failures))


def _ours_writer(pipe: Connection, path: Path, pause: float) -> None:
    side = Ours(Stock(path, ())).without_hash()
    _write(lambda number: side.log_in_all([number]), pipe, pause)


def _ours_purge(path: Path, tick: Tick) -> None:
    with Coatcheck(url_of(path)) as desk:
        desk.purge(progress=lambda _purged: tick())


def _django_writer(pipe: Connection, path: Path, pause: float) -> None:
    from bench.sides import django

    side = django.Django(path, timeout=django.DEFAULT_TIMEOUT)
    _write(lambda number: side.log_in_all([number]), pipe, pause)


def _django_purge(path: Path, _tick: Tick) -> None:
    from bench.sides import django

    django.Django(path).clear_sessions()
    django.close()


# Tables


def _ages(found: dict[str, _Sizes], sizes: tuple[int, ...]) -> Table:
    lines, who = list[Line](), {OURS: "ours", DJANGO: "peer"}
    for name, seen in found.items():
        small = _named(name, SMALL)
        pooled = [value for values, _ in seen.seconds.values() for value in values]
        lines.append(summed(small, pooled, unit="time", who="raw", base=small))
        for size, (beside, values) in seen.seconds.items():
            # Brought to the small file's time in all rounds: by turns they were measured under the same conditions.
            scale = median(pooled) / median(beside)
            whose: Who = "ours" if who[name] == "ours" else "peer"
            scaled = [value * scale for value in values]
            lines.append(summed(_named(name, size), scaled, unit="time", who=whose, base=small))
    target = Target(line=_named(OURS, sizes[-1]), limit=1.4, text="at most 1.4x", of="ratio")
    return Table(
        title="Time to authenticate, over that among a thousand sessions",
        unit="time",
        lines=tuple(lines),
        base=_named(OURS, SMALL),
        targets=(target,),
        compares="ratio",
    )


def _weights(bytes_each: dict[str, float]) -> Table:
    who: dict[str, Who] = {DJANGO: "peer", FASTAPI_USERS: "peer", FLASK_SESSION: "peer"}
    notes = {
        OURS: "with address, user agent (each text once), times, way of logging in; two indexes",
        DJANGO: "account only; one index beside its key",
        FASTAPI_USERS: "token in clear text, account, time; nothing of the device, no other times",
        FLASK_SESSION: "account, and what Flask-Login knows of the browser",
    }
    return Table(
        title="Bytes on disk per session, indexes included",
        unit="bytes",
        lines=lines_of({name: [value] for name, value in bytes_each.items()}, unit="bytes", who=who, notes=notes),
        base=OURS,
        targets=(Target(line=OURS, limit=260, text="at most 260 bytes", of="figure"),),
    )


def _waits(purges: dict[str, dict[str, _Purge]], expired: int) -> Table:
    lines = list[Line]()
    for name, found in purges.items():
        for when, purge in found.items():
            failed = f"; {len(purge.failures)} failed ({purge.failures[0]})" if purge.failures else ""
            usual = f"median {median(purge.waits) * 1e3:.1f} ms of {len(purge.waits)} log-ins{failed}"
            who: Who = "raw" if when == QUIET else "ours" if name == OURS else "peer"
            lines.append(summed(f"{name}: {when}", [max(purge.waits)], unit="time", who=who, note=usual))
    target = Target(line=f"{OURS}: {PURGED}", limit=0.120, text="at most 120 ms", of="figure")
    return Table(
        title=f"Longest log-in (the hash left out), {_words(expired)} of the sessions expired",
        unit="time",
        lines=tuple(lines),
        base=f"{OURS}: {PURGED}",
        targets=(target,),
    )


def _remarks(purges: dict[str, dict[str, _Purge]], expired: int) -> list[str]:
    took = ", ".join(
        f"{name} {found[PURGED].seconds:.0f} s (write-ahead log {found[PURGED].log_bytes / 1e6:.0f} MB in the end)"
        for name, found in purges.items()
    )
    return [
        (
            "Sessions are a written one copied by SQL under fresh random keys, in random order, of a third as many "
            f"accounts. Of a large file {_words(ASKED)} sessions are asked for, so that their pages do not fit a "
            "connection's cache."
        ),
        (
            f"{WRITERS} processes log people in, {1 / PAUSE:.0f} times a second each at most, two writes each time for "
            f"Coatcheck. Purging {_words(expired)} took: {took}."
        ),
    ]


def _named(name: str, size: int) -> str:
    return f"{name}: {_words(size)} sessions"


def _words(count: int) -> str:
    return f"{count:,}".replace(",", " ")
