"""Housekeeping: when it purges, and what cannot stop it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from coatcheck import AsyncCoatcheck, StoreUnavailable
from coatcheck.server.housekeeping import HOUR, LATEST, SOONEST, housekeeping
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Purged

NOW = 1_800_000_000


class Enough(Exception):
    pass


def lived_through(desk: AsyncCoatcheck, rounds: int) -> list[float]:
    """Let housekeeping run until it has paused for the given number of times; gives the pauses."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > rounds:
            raise Enough

    async def live() -> None:
        with pytest.raises(Enough):
            await housekeeping(desk, pause=pause)
        await desk.close()

    asyncio.run(live())
    return pauses


class Unreachable(MemoryStore):
    async def purge(self, *_: object, **__: object) -> Purged:
        raise StoreUnavailable("down")


class Buggy(MemoryStore):
    async def purge(self, *_: object, **__: object) -> Purged:
        raise ZeroDivisionError


def test_dat_06_dead_sessions_are_purged() -> None:
    moment = [NOW]
    desk = AsyncCoatcheck("memory://", clock=lambda: moment[0])
    asyncio.run(_start(desk))
    moment[0] += 30 * 86_400

    lived_through(desk, 1)

    assert asyncio.run(_count(desk)) == 0


def test_the_first_round_comes_soon_and_the_others_hourly() -> None:
    pauses = lived_through(AsyncCoatcheck("memory://"), 2)

    assert SOONEST <= pauses[0] < LATEST
    assert pauses[1:] == [HOUR, HOUR]


@pytest.mark.parametrize("store", [Unreachable, Buggy])
def test_trouble_is_logged_and_tried_again(store: type[MemoryStore], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "coatcheck"):
        pauses = lived_through(AsyncCoatcheck(store()), 2)

    assert len(pauses) == 3
    assert len(caplog.records) == 2


def test_it_stops_when_cancelled() -> None:
    async def live() -> bool:
        task = asyncio.ensure_future(housekeeping(AsyncCoatcheck("memory://")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(live())


async def _start(desk: AsyncCoatcheck) -> None:
    await desk.start_session("subject-42")


async def _count(desk: AsyncCoatcheck) -> int:
    return len((await desk.all_sessions())[0])
