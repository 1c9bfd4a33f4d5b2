"""What the HTTP row makes of what was measured: rates, added processor time and waits, each beside the bare handler."""

from __future__ import annotations

import pytest

from bench.figures import Table
from bench.load import p99
from bench.rows.http_share import DOOR, FLASK, OURS, RAW_ASGI, RAW_SELECT, STARLETTE, Contest, Handler, tables
from bench.serving import Server

SERVER = Server("none", ())


def handler(path: str, asks: str, *, rate: float, work: list[float]) -> Handler:
    return Handler(path, asks, "ours", [b""], rates=[rate] * len(work), waits=[1 / rate] * len(work), work=work)


@pytest.fixture
def measured() -> tuple[Table, Table, Table]:
    """Three servers, three turns each; the bare handlers take 10, 20 and 100 and the others more."""
    contest = Contest()
    contest.add(RAW_ASGI, SERVER, handler("/raw", RAW_SELECT, rate=80, work=[12, 12, 12]))
    contest.add(STARLETTE, SERVER, handler("/authenticated", OURS, rate=45, work=[25, 35, 29]))
    contest.add(FLASK, SERVER, handler("/door", DOOR, rate=9, work=[90, 130, 160]))
    for (bare, *_), rate, work in zip(contest.handlers.values(), (100, 50, 10), (10, 20, 100), strict=True):
        bare.rates, bare.waits, bare.work = [rate] * 3, [1 / rate] * 3, [work] * 3
    return tables(contest)


def test_shares_and_waits_are_beside_the_bare_handler_of_the_same_server(measured: tuple[Table, Table, Table]) -> None:
    rates, _, waits = measured

    shares = {line.name: round(rates.ratio(line), 3) for line in rates.lines}
    longer = {line.name: round(waits.ratio(line), 3) for line in waits.lines}

    assert list(shares) == list(longer)
    assert [shares[f"{name}: bare"] for name in (RAW_ASGI, STARLETTE, FLASK)] == [1, 1, 1]
    assert [target.line for target in rates.targets] == [f"{STARLETTE}: {OURS}", f"{FLASK}: {DOOR}"]
    assert [rates.reached(target) for target in rates.targets] == [0.9, 0.9]
    assert longer[f"{STARLETTE}: {OURS}"] == 1.111


def test_processor_time_is_what_a_request_takes_more_in_the_same_turn(measured: tuple[Table, Table, Table]) -> None:
    _, added, _ = measured

    figures = {line.name: (line.best, line.middle) for line in added.lines}

    assert figures == {
        f"{RAW_ASGI}: {RAW_SELECT}": (2, 2), f"{STARLETTE}: {OURS}": (5, 9), f"{FLASK}: {DOOR}": (0, 30)
    }  # fmt: skip
    assert [added.ratio(line) for line in added.lines] == [1, 4.5, 15]


@pytest.mark.parametrize(("waits", "expected"), [([7.0], 7.0), ([1.0, 2.0], 1.99), ([1.0] * 99 + [9.0] * 3, 9.0)])
def test_99_of_100_waited_at_most_so_long(waits: list[float], expected: float) -> None:
    assert p99(waits) == expected
