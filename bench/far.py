"""What the rows of stores on servers share: tables of requests, of log-ins, of several processes on one store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count as counting
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec

from bench.beside import process
from bench.figures import Line, Table, Target, Who, lines_of, summed
from bench.measure import Contestant, Crowd, Effort, by_turns, in_turns
from bench.progress import Progress
from bench.sides import Side
from bench.sides.ours import Filled, Ours

BURST, FEW = 20, 4  # operations in a turn: some milliseconds
AT_ONCE = 16
PROCESSES = (1, 2, 4)
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


def requests(
    contestants: Mapping[str, Contestant],
    *,
    raw: str,
    raw_awaited: str,
    who: Mapping[str, Who],
    notes: Mapping[str, str],
    effort: Effort,
    progress: Progress,
) -> Table:
    """Time for one authenticated request."""
    rounds = effort.of(150, quick=3)
    tick = progress.part(f"authenticate: {len(contestants)} contestants", rounds + 1)
    seconds = by_turns(contestants, rounds=rounds, warm=True, tick=tick)
    lines = lines_of(seconds, unit="time", who=who, notes={OURS: "**the claim**", **notes})
    return Table(
        title="Time for one request",
        unit="time",
        lines=_against({AWAITED: raw_awaited}, lines),
        base=raw,
        targets=(
            Target(line=OURS, limit=1.3, text=TARGET, of="ratio"),
            Target(line=AWAITED, limit=1.3, text=f"{TARGET}, awaited", of="ratio"),
        ),
    )


def reading(reader: Reader, filled: Filled) -> Contestant:
    """A driver that reads the sessions, some in a turn."""
    return _in_bursts(filled.digests, reader.read_all)


def getting(read: Callable[[Sequence[bytes]], int], filled: Filled) -> Contestant:
    """The same by another method of a driver's."""
    return _in_bursts(filled.digests, read)


def asking(side: Side, *, burst: int = BURST) -> Contestant:
    """A side that authenticates its `Cookie` fields, some in a turn."""
    fields = in_turns(side.cookie_fields, burst)
    return lambda turn: side.authenticate_all(fields(turn))


def log_ins(
    raw: str,
    inserter: Inserter,
    sides: Mapping[str, Side],
    *,
    count: int,
    who: Mapping[str, Who],
    notes: Mapping[str, str],
    effort: Effort,
    progress: Progress,
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

    contestants: dict[str, Contestant] = {raw: lambda _turn: inserter.insert(burst)}
    contestants |= {name: alone(side) for name, side in sides.items()}
    first = by_turns(contestants, rounds=rounds, tick=progress.part("log in: alone", rounds + 1))
    rounds = effort.of(25, quick=1)
    contestants = {raw: lambda _turn: crowd.do(inserter.insert, [burst] * AT_ONCE)}
    contestants |= {name: at_once(side) for name, side in sides.items()}
    second = by_turns(contestants, rounds=rounds, tick=progress.part(f"log in: {AT_ONCE} at once", rounds + 1))
    crowd.leave()
    titles = ("Time for one log-in, one after the other", f"Time for each log-in, {AT_ONCE} at once")
    one, other = (
        Table(
            title=title,
            unit="time",
            lines=lines_of(seconds, unit="time", who=who, notes=notes),
            base=raw,
            ours=LOG_IN,
        )
        for title, seconds in zip(titles, (first, second), strict=True)
    )
    return one, other


def processes(
    raw: str, open_reader: Callable[[str], Reader], filled: Filled, *, effort: Effort, progress: Progress
) -> Table:
    """Requests per second of each of several processes that work on one store."""
    seconds = effort.of(3, quick=1)
    lines: list[Line] = []
    tick = progress.part("several processes on one store", 2 * len(PROCESSES))
    for size in PROCESSES:
        words = f"{size} {'process' if size == 1 else 'processes'}, each"
        for name, reader in ((raw, open_reader), (OURS, None)):
            rates = _rates(size, reader, filled, seconds)
            base = f"{raw}: {words}" if reader is None else None
            who: Who = "raw" if reader is not None else "ours"
            lines.append(summed(f"{name}: {words}", rates, unit="rate", who=who, base=base))
            tick()
    return Table(
        title="Requests authenticated per second, by each of several processes on one store",
        unit="rate",
        lines=tuple(lines),
        base=lines[0].name,
    )


def _rates(size: int, open_reader: Callable[[str], Reader] | None, filled: Filled, seconds: float) -> list[float]:
    with ExitStack() as stack:
        pipes = [stack.enter_context(process(_work, open_reader, filled, seconds)) for _ in range(size)]
        for pipe in pipes:
            pipe.recv()  # it is ready
        for pipe in pipes:
            pipe.send("go")
        return [pipe.recv() for pipe in pipes]


def _work(pipe: Connection, open_reader: Callable[[str], Reader] | None, filled: Filled, seconds: float) -> None:
    """Authenticate, or read by the driver alone, for so many seconds; tell the rate."""
    ask = asking(Ours(filled)) if open_reader is None else reading(open_reader(filled.url), filled)
    ask(0)
    pipe.send("ready")
    pipe.recv()
    began, done, turn = time.perf_counter(), 0, 0
    while time.perf_counter() - began < seconds:
        turn += 1
        done += ask(turn)
    pipe.send(done / (time.perf_counter() - began))


def _in_bursts(digests: Sequence[bytes], read: Callable[[Sequence[bytes]], int]) -> Contestant:
    parts = in_turns(digests, BURST)
    return lambda turn: read(parts(turn))


def _against(bases: Mapping[str, str], lines: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(msgspec.structs.replace(line, base=bases.get(line.name)) for line in lines)


def _round_and_round(count: int) -> Iterator[int]:
    return (number % count for number in counting())
