"""The two ways of driving one flow: to its end at once (blocking), or awaited on an event loop (async).

Everything that waits lives here: handing disk writes to a thread, and the lane in which passwords are hashed. Flows
and stores are coroutines that import no asyncio; under `Blocking` nothing in them ever suspends.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from coatcheck.errors import Busy

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Colour(Protocol):
    """How work that would hold up an event loop is done."""

    async def offload(self, work: Callable[[], T]) -> T:
        """Do disk work. Async: in the one writer thread, so that the loop goes on. Blocking: here."""
        ...

    async def hash(self, work: Callable[[], T]) -> T:
        """Do password hashing in this process's lane. Raises `Busy` when too many wait."""
        ...

    def close(self) -> None:
        """Let go of threads that belong to nobody else; later work starts them anew."""
        ...

    async def finish(self, work: Awaitable[object]) -> None:
        """Wait for what an application's handler began. Blocking: raises `RuntimeError` if it needs an event loop."""
        ...


def run_blocking(flow: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that never suspends to its end and give its value.

    Raises what it raises. A coroutine that does suspend is a bug in Coatcheck, and `RuntimeError` says so.
    """
    try:
        flow.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    flow.close()
    raise RuntimeError("a coroutine suspended under the blocking desk: something in it awaits an event loop")


class Blocking:
    """Work is done where it is asked for; only hashing goes through the lane, whose bound holds for all threads."""

    def __init__(self, lane: HashingLane) -> None:
        self._lane = lane

    async def offload(self, work: Callable[[], T]) -> T:
        return work()

    async def hash(self, work: Callable[[], T]) -> T:
        return self._lane.submit(work).wait()

    def close(self) -> None:
        return None

    async def finish(self, work: Awaitable[object]) -> None:
        run_blocking(_wait_for(work))


class Async:
    """Disk writes go to one writer thread, hashing to the lane; the event loop does neither."""

    def __init__(self, lane: HashingLane) -> None:
        self._lane = lane
        self._writer = Worker("coatcheck-writer", nice=0)
        self._turn: _Turn | None = None

    async def offload(self, work: Callable[[], T]) -> T:
        # Imported here: `import coatcheck` must not cost an application without asyncio what asyncio costs.
        import asyncio

        loop, turn = asyncio.get_running_loop(), self._turn
        if turn is None or turn.loop is not loop:
            turn = self._turn = _Turn(loop)
            loop.call_soon(self._send, turn)
        return await turn.add(work)

    async def hash(self, work: Callable[[], T]) -> T:
        import asyncio

        loop, job = asyncio.get_running_loop(), self._lane.submit(work)
        done = loop.create_future()
        job.when_done(partial(_call_in, loop, partial(_tell, done)))
        await done
        return job.result()

    def close(self) -> None:
        self._writer.stop()

    async def finish(self, work: Awaitable[object]) -> None:
        await work

    def _send(self, turn: _Turn) -> None:
        if self._turn is turn:
            self._turn = None
        try:
            job = self._writer.submit(turn.do)
        except BaseException as error:  # noqa: BLE001 - no thread could be started: belongs to those who wait
            turn.give_up(error)
        else:
            job.when_done(partial(_call_in, turn.loop, turn.tell))


class _Turn:
    """What one turn of an event loop wants done by the writer: one way there and one back for all of it.

    It is not only cheaper. The writer starts when all of it is there, so that writes share a commit, and all who wait
    go on in one turn, so that their next writes share one again.
    """

    __slots__ = ("_wanted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._wanted: list[tuple[Job[Any], asyncio.Future[None]]] = []

    async def add(self, work: Callable[[], T]) -> T:
        """Have work done with the rest; wait for it."""
        job, done = Job(work), self.loop.create_future()
        self._wanted.append((job, done))
        await done
        return job.result()

    def do(self) -> None:
        """Do it all. Called by the writer."""
        for job, _ in self._wanted:
            job.run()

    def tell(self) -> None:
        """Wake all who wait. Called by the loop."""
        for _, done in self._wanted:
            _tell(done)

    def give_up(self, error: BaseException) -> None:
        """Let all who wait raise an error."""
        for _, done in self._wanted:
            if not done.done():
                done.set_exception(error)


class Job(Generic[T]):
    """One piece of work for a thread, with its result; a result nobody waits for any more is dropped."""

    __slots__ = ("_call_when_done", "_error", "_gate", "_lock", "_value", "_work")

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._gate = threading.Lock()  # held until the work is done; an Event would cost as much as a small write
        self._gate.acquire()
        self._value: T | None = None
        self._error: BaseException | None = None
        self._call_when_done: Callable[[], object] | None = None

    def run(self) -> None:
        """Do the work and wake who waits; errors are kept for them."""
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - belongs to the one who waits, not to the thread
            self._error = error
        with self._lock:
            self._gate.release()
            call = self._call_when_done
        if call is not None:
            call()

    def when_done(self, call: Callable[[], object]) -> None:
        """Have `call` called from the working thread, or here if the work is done."""
        with self._lock:
            if self._gate.locked():
                self._call_when_done = call
                return
        call()

    def wait(self) -> T:
        """Block until the work is done; give its value or raise its error."""
        with self._gate:
            return self.result()

    def result(self) -> T:
        """Give the value or raise the error of finished work."""
        if self._error is not None:
            raise self._error
        value: T = self._value  # type: ignore[assignment]  # set by run() whenever there is no error
        return value


class Worker:
    """One daemon thread that does jobs in order. It starts with the first job, anew after `stop` and in a child."""

    def __init__(self, name: str, *, nice: int, queue: int | None = None) -> None:
        self._name = name
        self._nice = nice
        self._queue = queue
        self._pid = 0
        self._jobs: deque[Job[Any] | None] = deque()
        self._wake = threading.Condition()

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Queue work. Raises `Busy` when `queue` jobs wait already."""
        job = Job(work)
        while True:
            if self._pid != os.getpid():
                self._start()
            with self._wake:
                if self._pid != os.getpid():
                    continue  # stopped between the two looks
                if self._queue is not None and len(self._jobs) >= self._queue:
                    raise Busy(retry_after=1)
                self._jobs.append(job)
                self._wake.notify()
                return job

    def stop(self) -> None:
        """Let the thread end when it has done what is queued; the next job starts another."""
        with self._wake:
            if self._pid == os.getpid():
                self._pid = 0
                self._jobs.append(None)
                self._wake.notify()

    def _start(self) -> None:
        with _starting:
            if self._pid == os.getpid():
                return
            # A forked child inherits the queue but not the thread, and perhaps a lock somebody held.
            self._jobs = deque()
            self._wake = threading.Condition()
            # The thread keeps to its own queue: after `stop` another thread may have taken over with a new one.
            threading.Thread(target=self._work, args=(self._jobs, self._wake), name=self._name, daemon=True).start()
            self._pid = os.getpid()

    def _work(self, jobs: deque[Job[Any] | None], wake: threading.Condition) -> None:
        _lower_priority(self._nice)
        while True:
            with wake:
                while not jobs:
                    wake.wait()
                job = jobs.popleft()
            if job is None:
                return
            job.run()
            del job  # the work may hold a password: keep no reference while waiting for the next


class HashingLane(Worker):
    """The one place in a process where passwords are hashed: bounded memory, bounded queue, lower priority (PWD-14)."""

    def __init__(self, *, queue: int, nice: int) -> None:
        super().__init__("coatcheck-hashing", nice=nice, queue=queue)


@cache
def hashing_lane(*, queue: int, nice: int) -> HashingLane:
    """Give this process's lane; desks with the same settings share it."""
    return HashingLane(queue=queue, nice=nice)


_starting = threading.Lock()


def _after_fork() -> None:
    global _starting  # noqa: PLW0603 - the inherited lock may be held by a thread that does not exist here
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def _wait_for(work: Awaitable[object]) -> None:
    await work


def _tell(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    # If the loop was closed while the work was done, nobody waits any more.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


def _lower_priority(nice: int) -> None:
    if nice and hasattr(os, "setpriority"):
        try:
            # On Linux this sets the priority of one thread; where it would set the whole process', leave it alone.
            if os.uname().sysname == "Linux":
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + nice))
        except OSError:
            return
