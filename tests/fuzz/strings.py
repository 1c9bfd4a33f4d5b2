"""Strings that a grammar's pieces make: a great many, quickly, the same for the same number.

Hypothesis is the better tool for values with a shape. For octets it makes five hundred a second, a third of them empty;
here it is a hundred thousand, and what matters for parsers of text is how many get past the first character.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import shake_128


class Dice:
    """Throws that follow from a number alone, on any machine and Python."""

    def __init__(self, number: int) -> None:
        self._octets = iter(shake_128(number.to_bytes(8, "big")).digest(256))

    def __call__(self, sides: int) -> int:
        """Give a number from 0 to `sides` - 1 (at most 65536)."""
        return (next(self._octets) << 8 | next(self._octets)) % sides

    def among(self, choices: list[bytes] | tuple[bytes, ...]) -> bytes:
        """Give one of the choices."""
        return choices[self(len(choices))]

    def stray(self) -> bytes:
        """Give an octet, or a character in UTF-8 that may be a lone surrogate."""
        return bytes((self(256),)) if self(2) else chr(self(0x10000)).encode("utf-8", "surrogatepass")


def string(pieces: tuple[bytes, ...], wholes: tuple[bytes, ...], number: int) -> bytes:
    """Make the string of a number.

    Half of them are a whole sentence of the grammar, damaged, for strings that are nearly right get furthest. The
    others are strung from a few pieces at a time, for two that matter together meet seldom among forty.
    """
    dice = Dice(number)
    few = [dice.among(pieces) if dice(8) else dice.stray() for _ in range(1 + dice(4))]
    if wholes and dice(2):
        octets, damages = dice.among(wholes), 1 + dice(3)
    else:
        octets = b"".join(dice.among(few) * (1 if dice(12) else 2 + dice(12)) for _ in range(dice(9)))
        damages = max(0, dice(4) - 1)
    for _ in range(damages):
        octets = damaged(octets, dice, few)
    return octets


def damaged(octets: bytes, dice: Dice, few: list[bytes]) -> bytes:
    """Put something in, take something out, put something in its place, or say something twice."""
    begin = dice(min(len(octets), 65_535) + 1)
    end = min(len(octets), begin + 1 + dice(4))
    middle = octets[begin:end]
    wedge = dice.among(few) if dice(4) else dice.stray()
    return octets[:begin] + (wedge + middle, b"", wedge, middle + middle)[dice(4)] + octets[end:]


def shortest(octets: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Take away from octets that fail what can be taken away while they fail."""
    size = len(octets)
    while size:
        at = 0
        while at < len(octets):
            less = octets[:at] + octets[at + size :]
            if fails(less):
                octets = less
            else:
                at += size
        size //= 2
    return octets
