"""Row 1: what authenticating a request costs on SQLite, layer by layer, against the raw SELECT and Django."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from bench import django_side
from bench.measure import Contestant, Line, Row, by_turns, in_turns, lines_of, say
from bench.stock import COOKIE_NAME, PLAIN_SELECT, RAW_SELECT, Stock, make_stock
from coatcheck import AsyncCoatcheck, Coatcheck, Visit
from coatcheck.colour import run_blocking
from coatcheck.core import sessions as decisions
from coatcheck.core.tokens import TokenFormat, session_digest
from coatcheck.core.views import Account, Session
from coatcheck.http import cookies

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
BURST = 100  # operations in a turn: a millisecond or two
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
        contestants.update(_django(django))
    say(f"authenticate: {len(contestants)} contestants, {rounds} rounds by turns")
    lines = lines_of(by_turns(contestants, rounds=rounds, warm=True), NOTES)
    lines.insert(-2 if DJANGO in contestants else len(lines), _touching(directory, count=count, rounds=rounds // 4))
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


def _ours(stock: Stock) -> dict[str, Contestant]:
    cursor, desk = stock.connect().cursor(), Coatcheck(stock.url)
    find, authenticate = desk.flows.parts.store.find, desk.authenticate
    digests, shown = in_turns(stock.digests, BURST), in_turns(stock.tokens, BURST)
    fields = in_turns([(field,) for field in stock.cookie_fields], BURST)
    if not all(_is_whole(desk.authenticate(token)) for token in stock.tokens):
        raise RuntimeError("a session that was put into the file is not found in it")

    def raw(turn: int, statement: str) -> int:
        execute = cursor.execute
        for digest in digests(turn):
            execute(statement, (digest,)).fetchone()
        return BURST

    def store(turn: int) -> int:
        for digest in digests(turn):
            run_blocking(find(digest))
        return BURST

    def blocking(turn: int) -> int:
        for token in shown(turn):
            authenticate(token)
        return BURST

    def whole(turn: int) -> int:
        for field in fields(turn):
            authenticate(cookies.read(field, COOKIE_NAME) or None)
        return BURST

    return {
        RAW: lambda turn: raw(turn, RAW_SELECT),
        PLAIN: lambda turn: raw(turn, PLAIN_SELECT),
        STORE: store,
        DESK: blocking,
        WHOLE: whole,
        **_awaited(stock),
    }


def _awaited(stock: Stock) -> dict[str, Contestant]:
    desk, loop = AsyncCoatcheck(stock.url), asyncio.new_event_loop()
    shown, fields = in_turns(stock.tokens, BURST), in_turns([(field,) for field in stock.cookie_fields], BURST)

    async def tokens(turn: int) -> int:
        for token in shown(turn):
            await desk.authenticate(token)
        return BURST

    async def whole(turn: int) -> int:
        for field in fields(turn):
            await desk.authenticate(cookies.read(field, COOKIE_NAME) or None)
        return BURST

    return {
        ASYNC: lambda turn: loop.run_until_complete(tokens(turn)),
        WHOLE_ASYNC: lambda turn: loop.run_until_complete(whole(turn)),
    }


def _django(stock: django_side.DjangoStock) -> dict[str, Contestant]:
    fields, signed = in_turns(stock.cookie_fields, BURST // 10), in_turns(stock.signed_fields, BURST // 10)
    return {
        DJANGO: lambda turn: django_side.authenticate_all(fields(turn)),
        SIGNED: lambda turn: django_side.decode_all(signed(turn)),
    }


def _touching(directory: Path, *, count: int, rounds: int) -> Line:
    """Every session is found two minutes after it was last seen, again and again."""
    stock = make_stock(directory / "touching.db", count=count)
    connection, desk = stock.connect(synchronous="NORMAL"), Coatcheck(stock.url)
    fields = in_turns([(field,) for field in stock.cookie_fields], BURST // 10)

    def age() -> None:
        connection.execute("UPDATE sessions SET last_seen_at = ?", (int(time.time()) - 120,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def whole(turn: int) -> int:
        for field in fields(turn):
            desk.authenticate(cookies.read(field, COOKIE_NAME) or None)
        return BURST // 10

    return lines_of(by_turns({TOUCHING: whole}, rounds=rounds, before=age), NOTES)[0]


def _pieces(stock: Stock, *, rounds: int) -> list[Line]:
    """The steps of `Cookie` field + authenticate, each alone on real input: where the time goes."""
    desk = Coatcheck(stock.url)
    find, fits, clock, digests = desk.flows.parts.store.find, TokenFormat().fits, desk.clock, stock.digests[:BURST]
    shown, fields = stock.tokens[:BURST], [(field,) for field in stock.cookie_fields[:BURST]]
    founds = [found for digest in digests if (found := run_blocking(find(digest))) is not None]
    now = clock()

    async def nothing() -> None:
        return None

    def judge() -> None:
        for found in founds:
            decisions.death_of(found.session, found.state, now=now)
            decisions.is_touch_due(found.session, now=now)

    def view() -> None:
        for found in founds:
            Visit(Session(found.session), Account(found.account), is_touch_due=False)  # type: ignore[arg-type]  # these sessions all have an account

    pieces: dict[str, Callable[[], object]] = {
        "the store's `find`: SELECT and records": lambda: [run_blocking(find(digest)) for digest in digests],
        "read the `Cookie` field": lambda: [cookies.read(field, COOKIE_NAME) for field in fields],
        "token: form and digest": lambda: [session_digest(token) for token in shown if fits(token)],
        "decide: ended, epoch, disabled, timeouts, touch": judge,
        "the views an application gets": view,
        "the clock": lambda: [clock() for _ in digests],
        "driving one coroutine": lambda: [run_blocking(nothing()) for _ in digests],
    }

    def counted(piece: Callable[[], object]) -> Contestant:
        def run(_turn: int) -> int:
            piece()
            return BURST

        return run

    return lines_of(by_turns({name: counted(piece) for name, piece in pieces.items()}, rounds=rounds, warm=True))


def _is_whole(visit: object) -> bool:
    return isinstance(visit, Visit) and visit.account is not None and not visit.is_touch_due
