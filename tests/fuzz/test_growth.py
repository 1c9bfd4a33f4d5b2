"""No parser takes more than linear work, whatever is repeated in its input (SUP-09).

Four times the input may take ten times as long; quadratic work takes sixteen times. Processor time is compared with
processor time of the same minute, and what looks too much is looked at again: a busy machine does not stay busy in
step with us, and a quadratic parser never gets better.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, process_time

import pytest

from tests.fuzz.conftest import SECONDS, SEED
from tests.fuzz.strings import Dice
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.target import Target
from tests.fuzz.test_parsers import every_parser


def grows_too_fast(target: Target, make: Callable[[int], bytes]) -> bool:
    """Whether inputs of a quarter of the longest length and of all of it differ too much, five times in a row."""
    return all(_looks_too_much(target, make) for _ in range(5))


def _looks_too_much(target: Target, make: Callable[[int], bytes]) -> bool:
    small, large = (_fastest(target, make(size)) for size in (target.longest // 4, target.longest))
    return large > 10 * small + 0.002  # two milliseconds: what an interruption costs where both take less


def _fastest(target: Target, octets: bytes) -> float:
    durations: list[float] = []
    for _ in range(3):
        begin = process_time()
        target.parse(octets)
        durations.append(process_time() - begin)
        if durations[-1] < 0.0005:
            break
    return min(durations)


def repeated(prefix: bytes, unit: bytes, suffix: bytes) -> Callable[[int], bytes]:
    """Make inputs of a length: what pumps a backtracking pattern stands in the middle, what breaks it at the end."""

    def make(size: int) -> bytes:
        room = max(0, size - len(prefix) - len(suffix))
        return prefix + unit * (room // len(unit)) + suffix

    return make


@every_parser
def test_sup_09_no_piece_repeated_takes_more_than_linear_work(name: str) -> None:
    target = TARGETS[name]

    for unit in target.pieces:
        for prefix in (b"", target.pieces[0]):
            assert not grows_too_fast(target, repeated(prefix, unit, b"\xff")), (prefix, unit)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@every_parser
def test_sup_09_nothing_that_can_be_strung_together_takes_more_than_linear_work(name: str) -> None:
    target, until, number = TARGETS[name], monotonic() + SECONDS / 4, SEED

    while monotonic() < until:
        dice = Dice(number)
        prefix, unit, suffix = (
            b"".join(dice.among(target.pieces) if dice(4) else dice.stray() for _ in range(dice(4))) for _ in range(3)
        )
        assert not grows_too_fast(target, repeated(prefix, unit or b"a", suffix)), (prefix, unit, suffix)
        number += 1

    print(f"{name}: {number - SEED} patterns of growth")
