"""Row 1: what authenticating a request costs on SQLite, layer by layer, against the raw SELECT and Django."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from bench import django_side
from bench.measure import Line, Row, by_turns, lines_of, say
from bench.stock import COOKIE_NAME, PLAIN_SELECT, RAW_SELECT, Stock, make_stock
from coatcheck import AsyncCoatcheck, Coatcheck, Visit
from coatcheck.colour import run_blocking
from coatcheck.core import sessions as decisions
from coatcheck.core.tokens import TokenFormat, session_digest
from coatcheck.core.views import Account, Session
from coatcheck.http import cookies
from coatcheck.stores.rows import found_of

RAW = "raw: one prepared SELECT by digest"
PLAIN = "raw: the same columns from two plain tables"
STORE = "the store's `find`"
DESK = "`Coatcheck.authenticate`"
ASYNC = "`AsyncCoatcheck.authenticate`, awaited"
WHOLE = "`Cookie` field read + `Coatcheck.authenticate`"
WHOLE_ASYNC = "`Cookie` field read + `AsyncCoatcheck.authenticate`"
TOUCHING = 'the same when "last seen" is due (once a minute)'
DJANGO = "Django: cookie, database session, `get_user`"
SIGNED = "Django: signed cookie decoded"
NOTES = {
    RAW: "1x",
    PLAIN: "hand-made schema: no shared user agents, no separate subjects",
    WHOLE: "**the claim**",
    TOUCHING: "one write that does not wait for the disk",
    SIGNED: "no account, no revocation: does much less",
}


def measure(directory: Path, *, count: int, rounds: int) -> Row:
    say(f"authenticate: filling a file with {count} accounts and sessions")
    stock = make_stock(directory / "authenticate.db", count=count)
    contestants, remarks = _ours(stock), []
    try:
        django = django_side.make_django_stock(directory / "django.db", count=count)
    except ImportError:
        remarks.append("Django is not installed here, so its rows are missing; `./dev bench` installs it.")
    else:
        contestants[DJANGO] = lambda: django_side.authenticate_all(django)
        contestants[SIGNED] = lambda: django_side.decode_signed_all(django)
    say(f"authenticate: {len(contestants)} contestants, {rounds} rounds by turns")
    lines = lines_of(by_turns(contestants, rounds=rounds), NOTES)
    lines.insert(
        -2 if DJANGO in contestants else len(lines), _touching(directory, count=count, rounds=max(2, rounds // 4))
    )
    return Row(
        key="authenticate",
        title="Authenticate on SQLite: `Cookie` field in, live session and account out",
        unit="time",
        lines=lines,
        target="at most 1.7x",
        judged=WHOLE,
        limit=1.7,
        remarks=remarks,
        pieces=_pieces(stock, rounds=rounds),
    )


def _ours(stock: Stock) -> dict[str, Callable[[], int]]:
    cursor = stock.connect().cursor()
    desk, async_desk, loop = Coatcheck(stock.url), AsyncCoatcheck(stock.url), asyncio.new_event_loop()
    find, digests, shown = desk.flows.parts.store.find, stock.digests, stock.tokens
    fields = [(field,) for field in stock.cookie_fields]
    if not all(_is_whole(desk.authenticate(token)) for token in shown):
        raise RuntimeError("a session that was put into the file is not found in it")

    def raw(statement: str) -> int:
        for digest in digests:
            cursor.execute(statement, (digest,)).fetchone()
        return len(digests)

    def store() -> int:
        for digest in digests:
            run_blocking(find(digest))
        return len(digests)

    def blocking() -> int:
        for token in shown:
            desk.authenticate(token)
        return len(shown)

    def whole() -> int:
        for field in fields:
            desk.authenticate(cookies.read(field, COOKIE_NAME) or None)
        return len(fields)

    async def awaited() -> int:
        for token in shown:
            await async_desk.authenticate(token)
        return len(shown)

    async def whole_awaited() -> int:
        for field in fields:
            await async_desk.authenticate(cookies.read(field, COOKIE_NAME) or None)
        return len(fields)

    return {
        RAW: lambda: raw(RAW_SELECT),
        PLAIN: lambda: raw(PLAIN_SELECT),
        STORE: store,
        DESK: blocking,
        ASYNC: lambda: loop.run_until_complete(awaited()),
        WHOLE: whole,
        WHOLE_ASYNC: lambda: loop.run_until_complete(whole_awaited()),
    }


def _touching(directory: Path, *, count: int, rounds: int) -> Line:
    """Every session is found two minutes after it was last seen, again and again."""
    stock = make_stock(directory / "touching.db", count=count)
    connection = stock.connect(synchronous="NORMAL")
    desk = Coatcheck(stock.url)
    fields = [(field,) for field in stock.cookie_fields]

    def age() -> None:
        connection.execute("UPDATE sessions SET last_seen_at = ?", (int(time.time()) - 120,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def whole() -> int:
        for field in fields:
            desk.authenticate(cookies.read(field, COOKIE_NAME) or None)
        return len(fields)

    return lines_of(by_turns({TOUCHING: whole}, rounds=rounds, before=age), NOTES)[0]


def _pieces(stock: Stock, *, rounds: int) -> list[Line]:
    """The steps of `Cookie` field + authenticate, each alone on real input: where the time goes."""
    desk, cursor = Coatcheck(stock.url), stock.connect().cursor()
    fits, clock, digests = TokenFormat().fits, desk.clock, stock.digests
    fields = [(field,) for field in stock.cookie_fields]
    records = [cursor.execute(RAW_SELECT, (digest,)).fetchone() for digest in digests]
    founds = [found_of(record) for record in records]
    now = clock()

    async def nothing() -> None:
        return None

    def judge() -> None:
        for found in founds:
            decisions.death_of(found.session, found.state, now=now)
            decisions.is_touch_due(found.session, now=now)

    def view() -> None:
        for found in founds:
            Visit(Session(found.session), Account(found.account), is_touch_due=False)  # type: ignore[arg-type]

    pieces: dict[str, Callable[[], object]] = {
        "SQLite: execute and fetch": lambda: [cursor.execute(RAW_SELECT, (d,)).fetchone() for d in digests],
        "row to records": lambda: [found_of(record) for record in records],
        "read the `Cookie` field": lambda: [cookies.read(field, COOKIE_NAME) for field in fields],
        "token: form and digest": lambda: [session_digest(token) for token in stock.tokens if fits(token)],
        "decide: ended, epoch, disabled, timeouts, touch": judge,
        "the views an application gets": view,
        "the clock": lambda: [clock() for _ in digests],
        "driving one coroutine": lambda: [run_blocking(nothing()) for _ in digests],
    }

    def counted(piece: Callable[[], object]) -> Callable[[], int]:
        def run() -> int:
            piece()
            return len(digests)

        return run

    return lines_of(by_turns({name: counted(piece) for name, piece in pieces.items()}, rounds=rounds))


def _is_whole(visit: object) -> bool:
    return isinstance(visit, Visit) and visit.account is not None and not visit.is_touch_due
