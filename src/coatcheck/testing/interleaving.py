"""Every order in which operations under way at once can take their steps, without threads, clocks or sleeps.

A flow is a coroutine over store methods, and each of these is one step (promise G1 of `coatcheck.stores.protocols`).
Between two steps it touches nothing that another flow can see. So if a flow stops before each step until it is its
turn, whoever gives the turns decides everything, and all orders of steps are all the races there are.

    stage = Stage()
    desk = Coatcheck(stage.store, entropy=stage.entropy)
    desk.flows.parts.colour = stage.colour

    def play(pick):
        stage.enter(MemoryStore())
        return stage.play({"A": desk.flows.sessions.rotate(...), "B": desk.flows.sessions.log_out(...)}, pick)

    for played in every_order(play): ...

Partner module: `coatcheck.testing.scene`, the operations worth playing and what is seen after them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from hashlib import shake_256
from typing import Any, NamedTuple, TypeVar, cast

from coatcheck.colour import Colour, run_blocking
from coatcheck.errors import CoatcheckError, Refused
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Store
from coatcheck.testing.counting import NO_STEPS, READS

T = TypeVar("T")
Flow = Coroutine[Any, Any, T]
HASH = "hash"  # hashing a password or verifying one: a step that leaves the store alone


class Turn(NamedTuple):
    """One step of one of the players."""

    who: str
    step: str

    def commutes_with(self, other: Turn) -> bool:
        """Say whether the two lead to the same whichever comes first."""
        return HASH in (self.step, other.step) or (self.step in READS and other.step in READS)


class Failed(NamedTuple):
    """The answer of a flow that raised one of our errors, as far as answers can be compared."""

    error: str
    reason: str


class Played(NamedTuple):
    """What each player's flow answered, and in what order they took their steps."""

    answers: Mapping[str, object]
    turns: tuple[Turn, ...]

    def __str__(self) -> str:
        return " ".join(f"{turn.who}.{turn.step}" for turn in self.turns)


Pick = Callable[[Mapping[str, str]], str]
"""Says whose turn it is, given the next step of each who is not at the end."""


class Stage:
    """What a desk has to be made of so that its flows take turns: `store`, `colour` and `entropy`.

    `inner` is the store that does the work.

    Entropy is drawn by each player from a source of their own, so that whoever draws first gets the same tokens: what
    two orders lead to can be compared as it is.
    """

    def __init__(self) -> None:
        self.store = cast(Store, _Stepping(self))
        self.colour: Colour = _SteppingColour()
        self.inner: Store = MemoryStore()
        self._who = ""
        self._draws: Counter[str] = Counter()

    def enter(self, store: Store) -> None:
        """Begin anew over another store, whose methods never suspend; every player's entropy starts again."""
        self.inner = store
        self._draws.clear()

    def entropy(self, size: int) -> bytes:
        """Give the next bytes of whoever is playing."""
        self._draws[self._who] += 1
        return shake_256(f"{self._who}:{self._draws[self._who]}".encode()).digest(size)

    def run(self, flow: Flow[T]) -> T:
        """Run one flow to its end without pauses, before or after a play."""
        try:
            while True:
                flow.send(None)
        except StopIteration as done:
            value: T = done.value
            return value

    def play(self, flows: Mapping[str, Flow[object]], pick: Pick) -> Played:
        """Run flows to their ends, one step at a time, `pick` saying whose turn it is. Our errors are answers."""
        waiting: dict[str, str] = {}
        answers: dict[str, object] = {}
        turns: list[Turn] = []

        def go_on(who: str) -> None:
            self._who = who
            waiting.pop(who, None)
            try:
                waiting[who] = flows[who].send(None)
            except StopIteration as done:
                answers[who] = done.value
            except CoatcheckError as error:
                answers[who] = Failed(type(error).__name__, error.reason if isinstance(error, Refused) else "")
            finally:
                self._who = ""

        try:
            for who in flows:
                go_on(who)
            while waiting:
                who = pick({who: waiting[who] for who in flows if who in waiting})
                turns.append(Turn(who, waiting[who]))
                go_on(who)
        finally:
            for flow in flows.values():
                flow.close()
        return Played(answers, tuple(turns))


def in_a_row(players: Sequence[str]) -> Pick:
    """Let each player finish before the next begins: what every other order is compared with."""
    return lambda waiting: next(who for who in players if who in waiting)


def every_order(play: Callable[[Pick], T], *, is_reduced: bool = False) -> Iterator[T]:
    """Call `play` once for each order of steps there is, and give what it gives.

    `play` has to set everything up anew each time; a play that takes other steps though the turns are the same is
    refused with `RuntimeError`. The number of orders grows like a binomial coefficient: 4 steps and 6 steps have 210.

    With `is_reduced`, of orders that differ only in which of two neighbouring reads came first, or on which side of a
    step a hash was computed, one is played: they cannot lead to different ends.
    """
    orders = _Orders(is_reduced=is_reduced)
    while True:
        orders.begin()
        try:
            played = play(orders)
        except _LikeAnother:
            pass
        else:
            yield played
        if not orders.advance():
            return


class _LikeAnother(Exception):
    pass


class _Choice(NamedTuple):
    waiting: Mapping[str, str]
    untried: list[str]  # the first of them is being tried


class _Orders:
    """Depth-first: what there was to choose at each turn so far, and who has not been tried there yet."""

    def __init__(self, *, is_reduced: bool) -> None:
        self._is_reduced = is_reduced
        self._choices: list[_Choice] = []
        self._depth = 0
        self._last: Turn | None = None

    def begin(self) -> None:
        self._depth = 0
        self._last = None

    def __call__(self, waiting: Mapping[str, str]) -> str:
        if self._depth == len(self._choices):
            options = [who for who, step in waiting.items() if not self._is_like_another(Turn(who, step))]
            if not options:
                raise _LikeAnother
            self._choices.append(_Choice(waiting, options))
        choice = self._choices[self._depth]
        if choice.waiting != waiting:
            raise RuntimeError("the same turns led to other steps: the play does not begin alike each time")
        who = choice.untried[0]
        self._depth += 1
        self._last = Turn(who, waiting[who])
        return who

    def advance(self) -> bool:
        while self._choices and len(self._choices[-1].untried) == 1:
            self._choices.pop()
        if self._choices:
            self._choices[-1].untried.pop(0)
        return bool(self._choices)

    def _is_like_another(self, turn: Turn) -> bool:
        # Of all orders that neighbours who commute make equal, the one that comes first in the order of names has no
        # such pair the wrong way round: leaving out those that have leaves one of each kind.
        last = self._last
        return self._is_reduced and last is not None and turn.who < last.who and turn.commutes_with(last)


class _Pause:
    """Awaited before a step: tells the stage its name and goes on when it is the flow's turn."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __await__(self) -> Generator[str, None, None]:
        yield self._step


class Pausing:
    """A store that waits for its turn before each of its steps: for each half of a store that is made of two.

    Where the stage's store has such halves, turns are given between their steps and not between its own.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return _stepwise(getattr(self._inner, name), name)


class _Stepping:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        inner = self._stage.inner
        attribute: Any = getattr(inner, name)
        return attribute if isinstance(getattr(inner, "sessions", None), Pausing) else _stepwise(attribute, name)


def _stepwise(attribute: Any, name: str) -> Any:
    if name in NO_STEPS or not callable(attribute):
        return attribute

    async def step(*args: Any, **kwargs: Any) -> Any:
        await _Pause(name)
        flow = cast("Callable[..., Flow[Any]]", attribute)(*args, **kwargs)
        return run_blocking(flow)

    return step


class _SteppingColour:
    async def offload(self, work: Callable[[], T]) -> T:
        return work()

    async def hash(self, work: Callable[[], T]) -> T:
        await _Pause(HASH)
        return work()

    def close(self) -> None:
        return None

    async def finish(self, work: Awaitable[object]) -> None:
        await work
