"""What the rows of stores on servers share: their measure, with tables of requests, log-ins, several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count as counting
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import msgspec

from bench.beside import process
from bench.figures import Line, Row, Table, Target, Who, lines_of, summed
from bench.measure import Contestant, Crowd, Effort, by_turns, in_turns
from bench.progress import Progress
from bench.sides import Side, absent_remarks
from bench.sides.ours import Filled, Ours, OursAwaited, fill
from coatcheck.testing.servers import Server

BURST, FEW = 20, 4  # operations in a turn: some milliseconds
AT_ONCE = 16
PROCESSES = (1, 2, 4)
SPELL = 1.0  # seconds
OURS = "`Cookie` field read + `Coatcheck.authenticate`"
AWAITED = "`Cookie` field read + `AsyncCoatcheck.authenticate`"
LOG_IN, LOG_IN_AWAITED = "`Coatcheck.log_in`", "`AsyncCoatcheck.log_in`, awaited"
TARGET = "at most 1.3x the driver"


class Reader(Protocol):
    """A driver by itself."""

    def read_all(self, digests: Sequence[bytes]) -> int:
        """Read the sessions of these digests with all that a request needs."""
        ...


class Inserter(Reader, Protocol):
    """A driver by itself that writes too. From any thread."""

    def insert(self, times: int) -> int:
        """Keep a session, so many times."""
        ...


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A store on a server: its drivers by themselves, and what is said of everybody.

    `further` gives more lines of the driver's; `add_peers` adds whoever is installed to those who authenticate and
    those who log in, each with a database of the server's, and says what was set for them.
    """

    key: str
    title: str
    raw: str
    raw_awaited: str
    raw_write: str
    open_driver: Callable[[str], Inserter]
    open_awaited: Callable[[str], Reader]
    who: Mapping[str, Who]
    notes: Mapping[str, str]
    add_peers: Callable[[dict[str, Contestant], dict[str, Side], Server, Path, int], tuple[str, ...]]
    further: Callable[[Filled], Mapping[str, Contestant]] = lambda _filled: {}


def measure(engine: Engine, server: Server, directory: Path, effort: Effort, progress: Progress) -> Row:
    """One server, on loopback and on the same cores, with a database for each contestant."""
    count = effort.of(1000, quick=100)
    progress.part("starting a server, filling databases")
    with server:
        filled = fill(server.fresh(), count=count)
        driver = engine.open_driver(filled.url)
        contestants: dict[str, Contestant] = {
            engine.raw: _reading(driver, filled),
            **engine.further(filled),
            OURS: asking(Ours(filled)),
            engine.raw_awaited: _reading(engine.open_awaited(filled.url), filled),
            AWAITED: asking(OursAwaited(filled)),
        }
        sides: dict[str, Side] = {
            LOG_IN: Ours(filled).without_hash(),
            LOG_IN_AWAITED: OursAwaited(filled).without_hash(),
        }
        settings = engine.add_peers(contestants, sides, server, directory, count)
        tables = (
            _requests(engine, contestants, effort, progress),
            *_log_ins(engine, driver, sides, effort, progress, count=count),
            _processes(engine, filled, effort, progress),
        )
    return Row(
        key=engine.key,
        title=engine.title,
        tables=tables,
        settings=settings,
        remarks=(
            "The server runs on the same cores, so that each of its instructions counts as if it were the library's.",
            *absent_remarks(),
        ),
    )


def asking(side: Side, *, burst: int = BURST) -> Contestant:
    """A side that authenticates its `Cookie` fields, some in a turn."""
    fields = in_turns(side.cookie_fields, burst)
    return lambda turn: side.authenticate_all(fields(turn))


def reading_by(read: Callable[[Sequence[bytes]], int], filled: Filled) -> Contestant:
    """A method of a driver's that reads the sessions, some in a turn."""
    parts = in_turns(filled.digests, BURST)
    return lambda turn: read(parts(turn))


def _reading(reader: Reader, filled: Filled) -> Contestant:
    return reading_by(reader.read_all, filled)


def _requests(engine: Engine, contestants: Mapping[str, Contestant], effort: Effort, progress: Progress) -> Table:
    """Time for one authenticated request."""
    rounds = effort.of(150, quick=3)
    tick = progress.part(f"authenticate: {len(contestants)} contestants", rounds + 1)
    seconds = by_turns(contestants, rounds=rounds, warm=True, tick=tick)
    lines = lines_of(seconds, unit="time", who=engine.who, notes={OURS: "**the claim**", **engine.notes})
    return Table(
        title="Time for one request",
        unit="time",
        lines=_against({AWAITED: engine.raw_awaited}, lines),
        base=engine.raw,
        targets=(
            Target(line=OURS, limit=1.3, text=TARGET, of="ratio"),
            Target(line=AWAITED, limit=1.3, text=f"{TARGET}, awaited", of="ratio"),
        ),
    )


def _log_ins(
    engine: Engine, inserter: Inserter, sides: Mapping[str, Side], effort: Effort, progress: Progress, *, count: int
) -> tuple[Table, Table]:
    """Time for one log-in without its hash: one after the other, and sixteen at once."""
    numbers, crowd = _round_and_round(count), Crowd(AT_ONCE)
    rounds, burst = effort.of(80, quick=2), 4

    def alone(side: Side) -> Contestant:
        return lambda _turn: side.log_in_all([next(numbers) for _ in range(burst)])

    def at_once(side: Side) -> Contestant:
        def run(_turn: int) -> int:
            return side.log_in_at_once(crowd, [[next(numbers) for _ in range(burst)] for _ in range(AT_ONCE)])

        return run

    contestants: dict[str, Contestant] = {engine.raw_write: lambda _turn: inserter.insert(burst)}
    contestants |= {name: alone(side) for name, side in sides.items()}
    first = by_turns(contestants, rounds=rounds, tick=progress.part("log in: alone", rounds + 1))
    rounds = effort.of(25, quick=1)
    contestants = {engine.raw_write: lambda _turn: crowd.do(inserter.insert, [burst] * AT_ONCE)}
    contestants |= {name: at_once(side) for name, side in sides.items()}
    second = by_turns(contestants, rounds=rounds, tick=progress.part(f"log in: {AT_ONCE} at once", rounds + 1))
    crowd.leave()
    titles = ("Time for one log-in, one after the other", f"Time for each log-in, {AT_ONCE} at once")
    one, other = (
        Table(
            title=title,
            unit="time",
            lines=lines_of(seconds, unit="time", who=engine.who, notes=engine.notes),
            base=engine.raw_write,
            ours=LOG_IN,
        )
        for title, seconds in zip(titles, (first, second), strict=True)
    )
    return one, other


def _processes(engine: Engine, filled: Filled, effort: Effort, progress: Progress) -> Table:
    """Requests per second of each of several processes that work on one store, in spells by turns."""
    rounds = effort.of(4, quick=1)
    named = {f"{size} {'process' if size == 1 else 'processes'}, each": size for size in PROCESSES}
    readers: dict[str, Callable[[str], Reader] | None] = {engine.raw: engine.open_driver, OURS: None}
    rates: dict[str, list[float]] = {f"{name}: {words}": [] for words in named for name in readers}
    tick = progress.part("several processes on one store", rounds * len(rates))
    for _ in range(rounds):
        for words, size in named.items():
            for name, reader in readers.items():
                rates[f"{name}: {words}"] += _rates(size, reader, filled)
                tick()
    lines = [
        summed(
            f"{name}: {words}",
            rates[f"{name}: {words}"],
            unit="rate",
            who="ours" if name == OURS else "raw",
            base=f"{engine.raw}: {words}" if name == OURS else None,
        )
        for words in named
        for name in readers
    ]
    return Table(
        title="Requests authenticated per second, by each of several processes on one store",
        unit="rate",
        lines=tuple(lines),
        base=lines[0].name,
    )


def _rates(size: int, open_reader: Callable[[str], Reader] | None, filled: Filled) -> list[float]:
    with ExitStack() as stack:
        pipes = [stack.enter_context(process(_work, open_reader, filled)) for _ in range(size)]
        for pipe in pipes:
            pipe.recv()  # it is ready
        for pipe in pipes:
            pipe.send("go")
        return [pipe.recv() for pipe in pipes]


def _work(pipe: Connection, open_reader: Callable[[str], Reader] | None, filled: Filled) -> None:
    """Authenticate, or read by the driver alone, for a spell; tell the rate."""
    ask = asking(Ours(filled)) if open_reader is None else _reading(open_reader(filled.url), filled)
    ask(0)
    pipe.send("ready")
    pipe.recv()
    began, done, turn = time.perf_counter(), 0, 0
    while time.perf_counter() - began < SPELL:
        turn += 1
        done += ask(turn)
    pipe.send(done / (time.perf_counter() - began))


def _against(bases: Mapping[str, str], lines: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(msgspec.structs.replace(line, base=bases.get(line.name)) for line in lines)


def _round_and_round(count: int) -> Iterator[int]:
    return (number % count for number in counting())
