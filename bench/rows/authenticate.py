"""What authenticating a request costs on SQLite, layer by layer, against the raw SELECT and the peers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Line, Piece, Row, Table, Target, Who, lines_of
from bench.measure import Contestant, Effort, by_turns, in_turns
from bench.progress import Progress
from bench.sides import Side, absent_remarks, peers
from bench.sides.ours import COOKIE_NAME, PLAIN_SELECT, RAW_SELECT, Ours, OursAwaited, Stock, make_stock
from coatcheck import AsyncCoatcheck, Coatcheck, Visit
from coatcheck.colour import run_blocking
from coatcheck.core import sessions as decisions
from coatcheck.core.tokens import TokenFormat, session_digest
from coatcheck.core.views import Account, Session
from coatcheck.http import cookies

KEY = "authenticate"
SECONDS = 45
RAW = "raw: one prepared SELECT by digest"
PLAIN = "raw: the same columns from two plain tables"
STORE = "the store's `find`"
DESK = "`Coatcheck.authenticate`"
ASYNC = "`AsyncCoatcheck.authenticate`, awaited"
WHOLE = "`Cookie` field read + `Coatcheck.authenticate`"
WHOLE_ASYNC = "`Cookie` field read + `AsyncCoatcheck.authenticate`"
TOUCHING = 'the same when "last seen" is due (once a minute)'
STARLETTE = "Starlette: signed cookie (`SessionMiddleware`)"
DJANGO = "Django: cookie, database session, `get_user`"
DJANGO_SIGNED = "Django: signed cookie decoded"
FLASK_LOGIN = "Flask-Login + SQLAlchemy: signed cookie, account"
FLASK_SESSION = "Flask-Session + Flask-Login, SQLAlchemy: session, account"
FLASK_EMPTY = "Flask: a request's context, nobody asked"
FASTAPI_USERS = "fastapi-users: database token, account"
BURST = 100  # operations in a turn: a millisecond or two
FEW = 10  # the same for whoever takes ten times as long
NOTES = {
    RAW: "1x",
    PLAIN: "hand-made schema: no shared user agents, no separate subjects",
    WHOLE: "**the claim**",
    TOUCHING: "one write that does not wait for the disk",
    STARLETTE: "no account, no revocation: does much less",
    DJANGO_SIGNED: "no account, no revocation: does much less",
    FLASK_LOGIN: "no session on the server: one device cannot be logged out",
    FLASK_EMPTY: "part of the two Flask lines; authenticates nobody",
}
WHO: dict[str, Who] = {
    RAW: "raw", PLAIN: "raw", FLASK_EMPTY: "raw", STARLETTE: "peer", DJANGO: "peer", DJANGO_SIGNED: "peer",
    FLASK_LOGIN: "peer", FLASK_SESSION: "peer", FASTAPI_USERS: "peer",
}  # fmt: skip


def measure(directory: Path, effort: Effort, progress: Progress) -> Row:
    """Everybody authenticates people of files with as many accounts and sessions, by turns in one process."""
    count, rounds = effort.of(1000, quick=200), effort.of(400, quick=8)
    progress.part(f"filling files with {count} accounts and sessions")
    stock = make_stock(directory / "authenticate.db", count=count, plain=True)
    contestants = _ours(stock)
    settings = _add_peers(contestants, directory, count=count)
    seconds = by_turns(
        contestants, rounds=rounds, warm=True, tick=progress.part(f"{len(contestants)} contestants", rounds + 1)
    )
    lines = list(lines_of(seconds, unit="time", who=WHO, notes=NOTES))
    lines.insert(list(contestants).index(WHOLE_ASYNC) + 1, _touching(directory, effort, progress, count=count))
    return Row(
        key=KEY,
        title="Authenticate on SQLite: `Cookie` field in, live session and account out",
        tables=(
            Table(
                title="Time for one request",
                unit="time",
                lines=tuple(lines),
                base=RAW,
                targets=(Target(line=WHOLE, limit=1.7, text="at most 1.7x", of="ratio"),),
            ),
        ),
        settings=settings,
        remarks=absent_remarks(),
        pieces=_pieces(stock, effort, progress),
    )


def _ours(stock: Stock) -> dict[str, Contestant]:
    cursor, ours, awaited = stock.connect().cursor(), Ours(stock), OursAwaited(stock)
    find, authenticate = ours.desk.flows.parts.store.find, ours.desk.authenticate
    digests, shown = in_turns(stock.digests, BURST), in_turns(stock.tokens, BURST)
    if not all(_is_whole(authenticate(token)) for token in stock.tokens):
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

    return {
        RAW: lambda turn: raw(turn, RAW_SELECT),
        PLAIN: lambda turn: raw(turn, PLAIN_SELECT),
        STORE: store,
        DESK: blocking,
        WHOLE: whole(ours, BURST),
        ASYNC: _awaited(stock, awaited),
        WHOLE_ASYNC: whole(awaited, BURST),
    }


def whole(side: Side, burst: int) -> Contestant:
    """A side that authenticates its `Cookie` fields, so many in a turn."""
    fields = in_turns(side.cookie_fields, burst)
    return lambda turn: side.authenticate_all(fields(turn))


def _awaited(stock: Stock, awaited: OursAwaited) -> Contestant:
    desk: AsyncCoatcheck = awaited.desk
    shown = in_turns(stock.tokens, BURST)

    async def tokens(turn: int) -> int:
        for token in shown(turn):
            await desk.authenticate(token)
        return BURST

    return lambda turn: awaited.loop.run_until_complete(tokens(turn))


def _add_peers(contestants: dict[str, Contestant], directory: Path, *, count: int) -> tuple[str, ...]:
    """Add whoever is installed; give what was set for them."""
    settings: list[str] = []
    if "Starlette" in peers():
        from bench.sides import starlette

        fields = in_turns((cookie := starlette.StarletteCookie(count=count)).cookie_fields, BURST)
        contestants[STARLETTE] = lambda turn: cookie.authenticate_all(fields(turn))
        settings.append(starlette.SETTINGS_NOTE)
    if "Flask" in peers():
        from bench.sides import flask

        login = flask.make_flask(directory / "flask_login.db", "login", count=count)
        session = flask.make_flask(directory / "flask_session.db", "session", count=count)
        bare = flask.Flask(directory / "flask_bare.db", "bare")
        empty = in_turns(login.cookie_fields, FEW)
        contestants[FLASK_EMPTY] = lambda turn: bare.enter_all(empty(turn))
        contestants[FLASK_LOGIN] = whole(login, FEW)
        contestants[FLASK_SESSION] = whole(session, FEW)
        settings.append(flask.SETTINGS_NOTE)
    if "Django" in peers():
        from bench.sides import django

        side = django.make_django(directory / "django.db", count=count)
        signed = in_turns(django.signed_cookies(side), FEW)
        contestants[DJANGO_SIGNED] = lambda turn: django.decode_all(signed(turn))
        contestants[DJANGO] = whole(side, FEW)
        settings.append(django.SETTINGS_NOTE)
    if "fastapi-users" in peers():
        from bench.sides import fastapi_users

        contestants[FASTAPI_USERS] = whole(
            fastapi_users.make_fastapi_users(directory / "fastapi_users.db", count=count), FEW
        )
        settings.append(fastapi_users.SETTINGS_NOTE)
    return tuple(settings)


def _touching(directory: Path, effort: Effort, progress: Progress, *, count: int) -> Line:
    """Every session is found two minutes after it was last seen, again and again."""
    rounds = effort.of(100, quick=2)
    stock = make_stock(directory / "touching.db", count=count)
    connection = stock.connect(synchronous="NORMAL")

    def age() -> None:
        connection.execute("UPDATE sessions SET last_seen_at = ?", (int(time.time()) - 120,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    tick = progress.part('"last seen" is due', rounds + 1)
    seconds = by_turns({TOUCHING: whole(Ours(stock), FEW)}, rounds=rounds, before=age, tick=tick)
    return lines_of(seconds, unit="time", who=WHO, notes=NOTES)[0]


def _pieces(stock: Stock, effort: Effort, progress: Progress) -> tuple[Piece, ...]:
    """The steps of `Cookie` field + authenticate, each alone on real input: where the time goes."""
    desk, rounds = Coatcheck(stock.url), effort.of(400, quick=8)
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

    contestants = {name: counted(piece) for name, piece in pieces.items()}
    seconds = by_turns(contestants, rounds=rounds, warm=True, tick=progress.part("the pieces", rounds + 1))
    return tuple(Piece(line.name, line.middle) for line in lines_of(seconds, unit="time", who={}))


def _is_whole(visit: object) -> bool:
    return isinstance(visit, Visit) and visit.account is not None and not visit.is_touch_due
