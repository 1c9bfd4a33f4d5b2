"""Who runs a race: threads at one desk, tasks at one desk, or processes with a desk and some workers each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError

from coatcheck.errors import CoatcheckError, Refused
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.driving import AsyncDriver, BlockingDriver, Driver
from coatcheck.testing.interleaving import Failed
from coatcheck.testing.patience import stores_wait
from coatcheck.testing.races import WORKERS, Face, Known, Race

SECRET = bytes(range(32))
PATIENCE = 840  # seconds for all processes to be there, on a machine that does other things as well
Place = tuple[str, str | None]  # the URLs of a store, and of one for sessions alone


def race_in_one_process(race: Race, url: str, sessions: str | None = None, *, is_async: bool, now: int) -> None:
    """Run a race with fifty threads at one `Coatcheck`, or fifty tasks at one `AsyncCoatcheck`.

    With `sessions`, the URL of a second store, sessions are kept there.
    """
    driver = _driver(is_async=is_async)
    face = _open((url, sessions), is_async=is_async, now=now, settings=race.settings)
    try:
        known = driver.run(race.before(face))
        answers = _crowd(race, face, driver, range(WORKERS), known)
        driver.run(race.after(face, known, answers))
    finally:
        driver.run(face.close())
        driver.close()


class Crew:
    """Processes that begin together, each with its share of the workers: threads in one, tasks in the next.

    They are spawned, so the module that starts them must be importable, and live until `dismiss`.
    """

    def __init__(self, size: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._size = size
        self._meeting_point = spawn.Barrier(size)
        self._pool = ProcessPoolExecutor(size, spawn, initializer=_meet_at, initargs=(self._meeting_point,))

    def race(self, race: Race, url: str, sessions: str | None = None, *, now: int) -> None:
        """Set a race up here, have the workers work there, assert here."""
        driver, store = _driver(is_async=False), (url, sessions)
        face = _open(store, is_async=False, now=now, settings=race.settings)
        try:
            known = driver.run(race.before(face))
            answers = self._answers(race, store, face.clock(), known)
            driver.run(race.after(face, known, answers))
        finally:
            driver.run(face.close())

    def dismiss(self) -> None:
        """Let the processes end."""
        self._pool.shutdown()

    def _answers(self, race: Race, store: Place, now: int, known: Known) -> list[object]:
        if self._meeting_point.broken:  # by somebody of the race before
            self._meeting_point.reset()
        shares = [range(WORKERS)[place :: self._size] for place in range(self._size)]
        futures = [
            self._pool.submit(_work, race, store, place % 2 == 1, now, share, known)
            for place, share in enumerate(shares)
        ]
        wait(futures)
        troubles = [trouble for future in futures if (trouble := future.exception()) is not None]
        for trouble in sorted(troubles, key=_is_of_others):
            raise trouble
        answers = {
            number: answer
            for share, future in zip(shares, futures, strict=True)
            for number, answer in zip(share, future.result(), strict=True)
        }
        return [answers[number] for number in range(WORKERS)]


_meeting_points: list[Barrier] = []


def _meet_at(barrier: Barrier) -> None:
    stores_wait()  # while so many processes start, no store answers as soon as it should
    _meeting_points.append(barrier)


def _work(race: Race, store: Place, is_async: bool, now: int, share: range, known: Known) -> list[object]:
    driver = _driver(is_async=is_async)
    face = _open(store, is_async=is_async, now=now, settings=race.settings)
    try:
        try:
            driver.run(face.ready())
        except BaseException:
            _meeting_points[0].abort()  # or the others would wait for us
            raise
        # Who waits here takes no second share: each process gets one.
        _meeting_points[0].wait(PATIENCE)
        return _crowd(race, face, driver, share, known)
    finally:
        driver.run(face.close())
        driver.close()


def _is_of_others(trouble: BaseException) -> bool:
    """Whether this only says that somebody else did not come."""
    return isinstance(trouble, BrokenBarrierError)


def _crowd(race: Race, face: Face, driver: Driver, workers: Sequence[int], known: Known) -> list[object]:
    """Have workers do their part at once; their answers in a form that can be pickled. Errors not ours are raised."""
    answers: list[object] = []
    for outcome in driver.crowd([race.work(face, number, known) for number in workers]):
        if isinstance(outcome, CoatcheckError):
            answers.append(Failed(type(outcome).__name__, outcome.reason if isinstance(outcome, Refused) else ""))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            answers.append(outcome)
    return answers


def _open(store: Place, *, is_async: bool, now: int, settings: Mapping[str, object]) -> Face:
    clock = MovableClock(now)
    make = AsyncCoatcheck if is_async else Coatcheck
    url, sessions = store
    return Face(make(url, sessions=sessions, secret=SECRET, settings=settings, clock=clock), clock)


def _driver(*, is_async: bool) -> Driver:
    return AsyncDriver() if is_async else BlockingDriver()
