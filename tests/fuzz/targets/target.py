"""What a target of fuzzing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time
from typing import Any


@dataclass(eq=False)
class Target:
    """A parser of untrusted octets, with what must hold of its answers.

    `parse` may raise nothing; what it refuses by raising is part of its answer. `judge` asserts. `pieces` are what the
    grammar is made of and what it must not be made of, `wholes` some sentences of it. `longest` is the length beyond
    which the parser, or who stands before it, refuses unseen.
    """

    name: str
    parse: Callable[[bytes], Any]
    judge: Callable[[bytes, Any], None]
    pieces: tuple[bytes, ...]
    longest: int
    wholes: tuple[bytes, ...] = ()
    figures: Figures = field(init=False)

    def __post_init__(self) -> None:
        self.figures = Figures()

    def check(self, octets: bytes) -> None:
        """Parse and judge; note how long the parsing took."""
        begin = process_time()
        answer = self.parse(octets)
        seconds = process_time() - begin
        self.judge(octets, answer)
        self.figures.cases += 1
        if seconds > self.figures.slowest:
            # Once more, for what is slow once only is the machine: a page fault, the collector, a cache filled.
            begin = process_time()
            self.parse(octets)
            self.figures.note(min(seconds, process_time() - begin), octets)


@dataclass
class Figures:
    """How much was tried, and what took longest; `announce` hears of each input that took longer than all before."""

    cases: int = 0
    slowest: float = 0.0
    slowest_octets: bytes = b""
    announce: Callable[[Figures], None] | None = None

    def note(self, seconds: float, octets: bytes) -> None:
        """Remember what took longer than all before."""
        if seconds > self.slowest:
            self.slowest, self.slowest_octets = seconds, octets
            if self.announce is not None:
                self.announce(self)

    def __str__(self) -> str:
        shown = self.slowest_octets[:60]
        return f"{1000 * self.slowest:.2f} ms for {len(self.slowest_octets)} octets: {shown!r}"


def text_of(octets: bytes) -> str:
    """Any text at all, lone surrogates included: what a careless decoder might hand on."""
    return octets.decode("utf-8", "surrogateescape")
