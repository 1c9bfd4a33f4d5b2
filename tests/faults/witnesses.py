"""Who is there when something befalls a store's server: a desk of either colour, and a server with its visitors.

Each asks several things at once, says how every question was answered, keeps what was acknowledged to it, and says in
the end whether all of it is there.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from coatcheck.colour import run_blocking
from coatcheck.core.views import Login
from coatcheck.errors import NotFound, StoreUnavailable
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.patience import PATIENCE
from coatcheck.testing.races import Face
from tests.e2e.serving import Answer, Server, Visitor
from tests.faults.visits import is_unavailable

T = TypeVar("T")

SECRET = bytes(range(32))
AT_ONCE = 3  # of each kind of question
ROUNDS = 2
RIGHT, REFUSED = "right", "refused"
KINDS = ("reads", "writes")
TOO_SLOW = re.compile(r"in time|timeout", re.IGNORECASE)  # in what is said of a refusal


class Told(NamedTuple):
    """How a question was answered: rightly, by a refusal, or (in words) wrongly; and how long that took."""

    is_write: bool
    answer: str
    seconds: float
    why: str = ""


class Witness(Protocol):
    """Somebody who asks, and remembers what they were told."""

    name: str

    def prepare(self) -> None:
        """Get everything ready while all is well."""
        ...

    def ask(self, answered: Collection[str]) -> list[Told]:
        """Ask for what is kept, and to keep something, several times at once.

        Of the kinds that have to be `answered`, ask again when that took longer than it may.
        """
        ...

    def look(self) -> str:
        """Ask for one thing that is kept."""
        ...

    def missed(self) -> list[str]:
        """Say what was acknowledged and is not there."""
        ...

    def leave(self) -> None:
        """Let go of everything."""
        ...


class Desk:
    """A desk of either colour, which threads or tasks use. An event loop runs all the time, as in an application."""

    def __init__(self, url: str, *, is_async: bool) -> None:
        self.name = "async desk" if is_async else "blocking desk"
        make = AsyncCoatcheck if is_async else Coatcheck
        self._face = Face(make(url, secret=SECRET), MovableClock())  # which nobody moves, nor looks at
        self._threads = ThreadPoolExecutor(5 * AT_ONCE)
        self._loop = asyncio.new_event_loop() if is_async else None
        if self._loop is not None:
            self._looping = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._looping.start()
        self._started = 0
        self._spare: list[Login] = []
        self._kept: list[Login] = []
        self._ended: list[Login] = []
        self._in_doubt = set[str]()  # ids of sessions whose end was refused, and may have come all the same
        self._sums = {"asked": 0, "acknowledged": 0}
        self._login = self._run(_in_the_end(self._start))

    def prepare(self) -> None:
        self._spare = self._run_all([_in_the_end(self._start) for _ in range((ROUNDS + 1) * AT_ONCE)])

    def ask(self, answered: Collection[str]) -> list[Told]:
        ended = [self._spare.pop() for _ in range(AT_ONCE)]
        questions: list[tuple[str, Callable[[], Awaitable[str]]]] = [
            *[("reads", self._authenticate) for _ in range(AT_ONCE)],
            *[("reads", self._authenticate_a_stranger) for _ in range(AT_ONCE)],
            *[("writes", self._begin) for _ in range(AT_ONCE)],
            *[("writes", self._count) for _ in range(AT_ONCE)],
            *[("writes", partial(self._end, login)) for login in ended],
        ]
        return self._run_all([_told(question, kind, kind in answered) for kind, question in questions])

    def look(self) -> str:
        return self._run(_told(self._authenticate, "reads")).answer

    def missed(self) -> list[str]:
        return self._run(self._missed())

    def leave(self) -> None:
        self._run(self._face.close())
        self._threads.shutdown()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._looping.join()
            self._loop.close()

    async def _authenticate(self) -> str:
        visit = await self._face.authenticate(self._login.token)
        return RIGHT if visit and visit.session.id == self._login.session.id else f"not the session: {visit!r}"

    async def _authenticate_a_stranger(self) -> str:
        visit = await self._face.authenticate(self._login.token.reveal()[::-1])
        return f"let in: {visit!r}" if visit else RIGHT

    async def _begin(self) -> str:
        self._kept.append(await self._start())
        return RIGHT

    async def _count(self) -> str:
        self._sums["asked"] += 1
        await self._face.increment(self._login.session, "visits")
        self._sums["acknowledged"] += 1
        return RIGHT

    async def _end(self, login: Login) -> str:
        try:
            await self._face.revoke(login.session.id, of=login.subject)
        except StoreUnavailable:
            self._in_doubt.add(login.session.id)
            raise
        except NotFound:
            if login.session.id not in self._in_doubt:
                raise
        self._ended.append(login)
        return RIGHT

    async def _start(self) -> Login:
        self._started += 1
        login: Login = await self._face.start_session(f"{self.name}-{self._started}")
        return login

    async def _missed(self) -> list[str]:
        def visit_of(login: Login) -> Awaitable[Any]:
            return _in_the_end(lambda: self._face.authenticate(login.token))

        missed = [
            *["a session that was begun" for login in self._kept if not await visit_of(login)],
            *["the end of a session" for login in self._ended if await visit_of(login)],
        ]
        visit = await visit_of(self._login)
        kept = visit.session.data().get("visits", 0)
        if not self._sums["acknowledged"] <= kept <= self._sums["asked"]:
            missed.append(f"an increment: {self._sums}, and {kept} were kept")
        return missed

    def _run(self, flow: Coroutine[Any, Any, T]) -> T:
        return self._run_all([flow])[0]

    def _run_all(self, flows: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        if self._loop is None:
            return list(self._threads.map(run_blocking, flows))
        running = [asyncio.run_coroutine_threadsafe(flow, self._loop) for flow in flows]
        return [one.result() for one in running]


class Visitors:
    """A server of one process, and people with browsers."""

    name = "server"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(5 * AT_ONCE)
        self._spare: list[Visitor] = []
        self._kept: list[Visitor] = []
        self._ended: list[Visitor] = []
        self._in_doubt = set[str]()  # tokens of those whose log-out was refused, and may have come all the same
        assert _heard_in_the_end(lambda: Visitor(server).sign_up("ada")).status in (201, 409)
        self._ada = self._new()

    def prepare(self) -> None:
        self._spare = list(self._threads.map(lambda _: self._new(), range((ROUNDS + 1) * AT_ONCE)))

    def ask(self, answered: Collection[str]) -> list[Told]:
        ended = [self._spare.pop() for _ in range(AT_ONCE)]
        questions: list[tuple[str, Callable[[], str]]] = [
            *[("reads", self._me) for _ in range(AT_ONCE)],
            *[("reads", self._stranger) for _ in range(AT_ONCE)],
            *[("writes", self._log_in) for _ in range(AT_ONCE)],
            *[("writes", partial(self._log_out, visitor)) for visitor in ended],
        ]
        answers = [self._threads.submit(self._told, question, kind, kind in answered) for kind, question in questions]
        return [answer.result() for answer in answers]

    def is_alive(self) -> bool:
        """Say whether the server answers what needs no store."""
        return Visitor(self._server).get("/healthz").status == 200

    def look(self) -> str:
        return self._me()

    def missed(self) -> list[str]:
        return [
            *["a log-in" for visitor in self._kept if _heard_in_the_end(visitor.me).status != 200],
            *["a log-out" for visitor in self._ended if _heard_in_the_end(visitor.me).status != 401],
        ]

    def leave(self) -> None:
        self._threads.shutdown()
        self._server.end()

    def _told(self, question: Callable[[], str], kind: str, has_to_be_answered: bool) -> Told:
        patience_ends = time.monotonic() + PATIENCE
        while True:
            begun = time.monotonic()
            answer = question()
            ended = time.monotonic()
            # A server does not tell visitors why: here any refusal may be one of a busy machine.
            if not (has_to_be_answered and answer == REFUSED) or ended > patience_ends:
                return Told(kind == "writes", answer, ended - begun)

    def _me(self) -> str:
        return _answered(self._ada.copy().me(), 200)

    def _stranger(self) -> str:
        visitor = self._ada.copy()
        visitor.jar = {name: value[::-1] for name, value in visitor.jar.items()}
        return _answered(visitor.me(), 401)

    def _log_in(self) -> str:
        visitor = Visitor(self._server)
        answer = visitor.log_in("ada")
        if answer.status == 200:
            self._kept.append(visitor)
        return _answered(answer, 200)

    def _log_out(self, visitor: Visitor) -> str:
        thief = visitor.copy()
        answer = thief.send("POST", "/api/logout", headers={"Sec-Fetch-Site": "same-origin"})
        if answer.status == 503:
            self._in_doubt.add(visitor.token)
        is_over = answer.status == 204 or (answer.status == 401 and visitor.token in self._in_doubt)
        if is_over:
            self._ended.append(visitor)
        return RIGHT if is_over else _answered(answer, 204)

    def _new(self) -> Visitor:
        visitor = Visitor(self._server)
        assert _heard_in_the_end(lambda: visitor.log_in("ada")).status == 200
        return visitor


async def _told(question: Callable[[], Awaitable[str]], kind: str, has_to_be_answered: bool = False) -> Told:
    patience_ends = time.monotonic() + PATIENCE
    while True:
        begun, why = time.monotonic(), ""
        try:
            answer = await question()
        except StoreUnavailable as error:
            answer, why = REFUSED, f"{error} {error.__cause__!r}"
        except Exception as error:  # noqa: BLE001 - anything else is wrong, and told
            answer = repr(error)
        ended = time.monotonic()
        if not (has_to_be_answered and TOO_SLOW.search(why)) or ended > patience_ends:
            return Told(kind == "writes", answer, ended - begun, why)


async def _in_the_end(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask when all is well, and again where a busy machine was too slow."""
    patience_ends = time.monotonic() + PATIENCE
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if time.monotonic() > patience_ends:
                raise


def _heard_in_the_end(ask: Callable[[], Answer]) -> Answer:
    """The same of a server's visitors."""
    patience_ends = time.monotonic() + PATIENCE
    while (answer := ask()).status == 503 and time.monotonic() < patience_ends:
        pass
    return answer


def _answered(answer: Answer, status: int) -> str:
    if answer.status == status:
        return RIGHT
    if answer.status == 503:
        is_unavailable(answer)
        return REFUSED
    return f"{answer.status} {answer.text}"
