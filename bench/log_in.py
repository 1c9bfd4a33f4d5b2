"""Row 3: what a log-in costs on SQLite besides its hash, against one durable INSERT and Django's `login`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count as counting
from pathlib import Path
from typing import Any, TypeVar

from bench import django_side
from bench.measure import Contestant, Row, by_turns, lines_of, say
from bench.stock import PASSWORD, PLAIN_INSERT, USER_AGENTS, Stock, make_stock, user_name
from coatcheck import Client, Coatcheck
from coatcheck.colour import Blocking, HashingLane
from coatcheck.crypto.entropy import system_entropy

T = TypeVar("T")
RAW = "raw: one durable INSERT of a session"
OURS = "`Coatcheck.log_in`"
DJANGO = "Django: user by name, `login`, session saved"
NOTES = {
    RAW: "1x",
    OURS: "account read, attempt counted, session, counters and event in one durable step",
    DJANGO: "no throttle, no event",
}
REMARK = (
    "Every line waits for the disk, whose waits differ widely on a shared machine: these ratios move from run to run, "
    "those of best and of medians apart. Only a quiet machine decides this row."
)
CLIENT = Client(ip="192.0.2.7", user_agent=USER_AGENTS[0])


class _WithoutHash(Blocking):
    """Says that every password is right without looking: the hash is to be left out of the figure, and only that."""

    async def hash(self, work: Callable[[], T]) -> Any:  # noqa: ARG002 - the hash is what is left out
        return True


def measure(directory: Path, *, count: int, rounds: int, per_round: int) -> Row:
    say("log in: filling a file")
    stock = make_stock(directory / "log_in.db", count=count)
    contestants = {RAW: _raw(stock, per_round), OURS: _ours(stock, per_round, count)}
    with suppress(ImportError):
        if not django_side.is_ready():  # the row before has set it up, unless this one was asked for alone
            django_side.make_django_stock(directory / "django.db", count=count)
        contestants[DJANGO] = _django(per_round, count)
    say(f"log in: {len(contestants)} contestants, {rounds} rounds by turns, every one waits for the disk")
    return Row(
        key="log-in",
        title="Log in on SQLite, durable, the hash left out",
        unit="time",
        lines=lines_of(by_turns(contestants, rounds=rounds), NOTES),
        target="at most 2.2x",
        judged=OURS,
        limit=2.2,
        remarks=[REMARK],
    )


def _raw(stock: Stock, per_round: int) -> Contestant:
    connection = stock.connect()
    template = connection.execute("SELECT * FROM plain_sessions LIMIT 1").fetchone()

    def run(_turn: int) -> int:
        for _ in range(per_round):
            _insert(connection, template)
        return per_round

    return run


def _insert(connection: sqlite3.Connection, template: tuple[object, ...]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(PLAIN_INSERT, (system_entropy(32), system_entropy(9).hex(), *template[2:]))
    connection.execute("COMMIT")


def _ours(stock: Stock, per_round: int, count: int) -> Contestant:
    desk = Coatcheck(stock.url)
    desk.log_in(user_name(0), PASSWORD)  # once for real: name and password are those of the file
    desk.flows.parts.colour = _WithoutHash(HashingLane(queue=1, nice=0))
    numbers = _round_and_round(count)

    def run(_turn: int) -> int:
        for _ in range(per_round):
            desk.log_in(user_name(next(numbers)), PASSWORD, client=CLIENT)
        return per_round

    return run


def _django(per_round: int, count: int) -> Contestant:
    numbers = _round_and_round(count)

    def run(_turn: int) -> int:
        for _ in range(per_round):
            django_side.log_in_once(next(numbers))
        return per_round

    return run


def _round_and_round(count: int) -> Iterator[int]:
    return (number % count for number in counting())
