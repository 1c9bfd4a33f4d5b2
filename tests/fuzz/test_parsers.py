"""Every parser of untrusted octets keeps its promises, whatever is strung together from its grammar."""

from __future__ import annotations

from time import monotonic

import pytest

from tests.fuzz.conftest import HANG, SECONDS, SEED
from tests.fuzz.strings import shortest, string
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.target import Figures, Target

every_parser = pytest.mark.parametrize("name", TARGETS)


def breaks(target: Target, octets: bytes) -> bool:
    """Whether these octets break a promise of the target's, or the target."""
    try:
        target.check(octets)
    except Exception:  # noqa: BLE001 - a parser may fail in any way
        return True
    return False


def search(target: Target, begin: int, end: int) -> None:
    """Try the strings of these numbers; fail with the shortest octets that break a promise, and with what they do."""
    for number in range(begin, end):
        octets = string(target.pieces, target.wholes, number)
        if breaks(target, octets):
            least = shortest(octets, lambda less: breaks(target, less))
            print(f"{target.name}, string {number} (COATCHECK_FUZZ_SEED={SEED}): {least!r}")
            target.check(least)


@every_parser
def test_sup_09_a_parser_keeps_its_promises(name: str) -> None:
    target = TARGETS[name]

    for piece in (b"", *target.wholes, *target.pieces):
        target.check(piece)
    search(target, SEED, SEED + 2000)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@every_parser
def test_sup_09_a_minute_of_search_finds_nothing(name: str) -> None:
    target, until, begin = TARGETS[name], monotonic() + SECONDS, SEED
    target.figures = Figures()

    while monotonic() < until:
        search(target, begin, begin + 1000)
        begin += 1000

    print(f"{name}: {target.figures.cases} cases; slowest: {target.figures}")
    assert target.figures.cases > 0
    assert target.figures.slowest < HANG
