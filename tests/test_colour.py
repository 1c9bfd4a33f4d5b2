"""The two ways of driving one flow, and the thread in which passwords are hashed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from coatcheck.colour import Async, Blocking, HashingLane, Worker, hashing_lane, run_blocking
from coatcheck.errors import Busy
from coatcheck.testing.patience import PATIENCE


class Suspension:
    def __await__(self):
        yield "something an event loop would understand"


class Secret:
    """Stands for a password held by some work."""


async def value():
    return 7


async def failing():
    raise LookupError("a flow's own error")


async def suspending():
    await Suspension()


def held(worker: Worker) -> tuple[threading.Event, object]:
    """Keep a worker busy until the event is set."""
    started, gate = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        gate.wait(PATIENCE)

    job = worker.submit(work)
    assert started.wait(PATIENCE)
    return gate, job


def test_run_blocking_gives_the_value():
    assert run_blocking(value()) == 7


def test_run_blocking_raises_what_the_flow_raises():
    with pytest.raises(LookupError, match="a flow's own error"):
        run_blocking(failing())


def test_run_blocking_says_so_when_a_flow_suspends():
    with pytest.raises(RuntimeError, match="suspended under the blocking desk"):
        run_blocking(suspending())


def test_suspended_flow_is_closed_and_its_finally_runs():
    seen = []

    async def flow():
        try:
            await Suspension()
        finally:
            seen.append("closed")

    with pytest.raises(RuntimeError):
        run_blocking(flow())

    assert seen == ["closed"]


def test_blocking_desk_hashes_in_the_lane_and_writes_where_it_is():
    colour = Blocking(HashingLane(queue=4, nice=0))

    hashed_in = run_blocking(colour.hash(threading.current_thread))
    wrote_in = run_blocking(colour.offload(threading.current_thread))

    assert hashed_in.name == "coatcheck-hashing"
    assert wrote_in is threading.current_thread()


def test_pwd_14_lane_is_one_thread_for_all():
    lane = HashingLane(queue=64, nice=0)
    threads = {lane.submit(threading.get_ident).wait() for _ in range(20)}

    assert len(threads) == 1


def test_pwd_14_desks_with_the_same_settings_share_the_lane():
    assert hashing_lane(queue=16, nice=5) is hashing_lane(queue=16, nice=5)


def test_pwd_14_full_lane_is_busy_and_works_again_when_it_has_room():
    lane = HashingLane(queue=2, nice=0)
    gate, _ = held(lane)
    waiting = [lane.submit(lambda: 1) for _ in range(2)]

    with pytest.raises(Busy) as busy:
        lane.submit(lambda: 1)
    gate.set()

    assert (busy.value.status, busy.value.retry_after) == (503, 1)
    assert [job.wait() for job in waiting] == [1, 1]
    assert lane.submit(lambda: 2).wait() == 2


@pytest.mark.parametrize("error", [ValueError, MemoryError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_error_in_the_lane_reaches_who_waits_and_leaves_the_lane_alive(error):
    lane = HashingLane(queue=4, nice=0)

    def work():
        raise error("from the work")

    with pytest.raises(error):
        lane.submit(work).wait()
    assert lane.submit(lambda: 1).wait() == 1


def test_log_03_lane_keeps_no_reference_to_finished_work():
    lane = HashingLane(queue=4, nice=0)
    secret = Secret()
    seen = weakref.ref(secret)

    lane.submit(partial(id, secret)).wait()
    del secret
    lane.submit(lambda: None).wait()
    gc.collect()

    assert seen() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_lane_survives_a_fork_with_work_in_flight():
    lane = HashingLane(queue=4, nice=0)
    gate, job = held(lane)
    lane.submit(lambda: None)

    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE))  # a child that hangs must not outlive the test
        try:
            os._exit(0 if lane.submit(lambda: 5).wait() == 5 else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    gate.set()
    job.wait()

    assert os.waitstatus_to_exitcode(status) == 0
    assert lane.submit(lambda: 6).wait() == 6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads their own nice value")
def test_pwd_14_lane_alone_steps_back_by_its_nice_value():
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    in_lane = HashingLane(queue=4, nice=3).submit(priority).wait()

    assert in_lane == min(19, before + 3)
    assert priority() == before
    assert Worker("plain", nice=0).submit(priority).wait() == before


def test_async_offload_and_hash_leave_the_loop_free():
    async def story():
        colour = Async(HashingLane(queue=4, nice=0))
        gate = threading.Event()
        writing = asyncio.ensure_future(colour.offload(lambda: gate.wait(PATIENCE)))
        hashing = asyncio.ensure_future(colour.hash(lambda: gate.wait(PATIENCE)))
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        assert not writing.done()
        assert not hashing.done()
        gate.set()
        return turns, await asyncio.wait_for(writing, PATIENCE), await asyncio.wait_for(hashing, PATIENCE)

    assert asyncio.run(story()) == (100, True, True)


def test_async_errors_reach_who_awaits():
    def work():
        raise LookupError("from the work")

    async def story():
        colour = Async(HashingLane(queue=4, nice=0))
        with pytest.raises(LookupError):
            await colour.offload(work)
        with pytest.raises(LookupError):
            await colour.hash(work)
        return await colour.offload(lambda: 1)

    assert asyncio.run(story()) == 1


def test_err_07_cancelled_waiter_does_not_break_the_worker():
    async def story():
        lane = HashingLane(queue=4, nice=0)
        colour = Async(lane)
        gate, _ = held(lane)
        cancelled = asyncio.ensure_future(colour.hash(lambda: 1))
        patient = asyncio.ensure_future(colour.hash(lambda: 2))
        await asyncio.sleep(0)
        cancelled.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        return await asyncio.wait_for(patient, PATIENCE)

    assert asyncio.run(story()) == 2


def test_work_that_outlives_its_loop_does_not_break_the_worker():
    lane = HashingLane(queue=4, nice=0)
    gate, _ = held(lane)

    async def story():
        waiting = asyncio.ensure_future(Async(lane).hash(lambda: 1))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(story())
    gate.set()

    assert lane.submit(lambda: 2).wait() == 2


def test_pwd_14_full_lane_is_busy_for_the_async_desk_too():
    async def story():
        lane = HashingLane(queue=1, nice=0)
        gate, _ = held(lane)
        waiting = asyncio.ensure_future(Async(lane).hash(lambda: 1))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await Async(lane).hash(lambda: 1)
        gate.set()
        return await waiting

    assert asyncio.run(story()) == 1


def test_writes_of_one_turn_of_the_loop_start_when_all_of_them_are_there_and_return_together():
    async def story():
        colour, asked, returned = Async(HashingLane(queue=4, nice=0)), [], []

        async def write(number: int) -> int:
            asked.append(number)
            seen = await colour.offload(lambda: len(asked))
            returned.append(number)
            await asyncio.sleep(0)
            return seen, len(returned)

        return await asyncio.gather(*(write(number) for number in range(16)))

    assert asyncio.run(story()) == [(16, 16)] * 16


def test_a_cancelled_writer_leaves_the_others_of_its_turn_alone():
    async def story():
        colour, done = Async(HashingLane(queue=4, nice=0)), []
        writes = [asyncio.ensure_future(colour.offload(lambda n=n: done.append(n))) for n in range(3)]
        await asyncio.sleep(0)
        writes[1].cancel()
        return await asyncio.gather(*writes, return_exceptions=True), done

    outcomes, done = asyncio.run(story())

    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert done == [0, 1, 2]


def test_err_01_who_waits_is_told_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch):
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def story():
        colour = Async(HashingLane(queue=4, nice=0))
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await asyncio.wait_for(colour.offload(lambda: 1), PATIENCE)
        return await colour.offload(lambda: 2)

    assert asyncio.run(story()) == 2


def test_one_desk_serves_the_loops_of_several_threads():
    colour = Async(HashingLane(queue=4, nice=0))

    async def story(number: int) -> list[int]:
        return [await colour.offload(lambda n=n: number + n) for n in range(200)]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: asyncio.run(story(number)), range(4)))

    assert answers == [[number + n for n in range(200)] for number in range(4)]


def test_writes_of_one_desk_are_done_in_the_order_they_came():
    async def story():
        colour, done = Async(HashingLane(queue=4, nice=0)), []
        await asyncio.gather(*(colour.offload(lambda n=n: done.append(n)) for n in range(50)))
        return done

    assert asyncio.run(story()) == list(range(50))
