# ruff: noqa: S101 - a desk that gives more than was asked for has failed
"""A desk of either colour, called the same way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from coatcheck.colour import Blocking, Colour
from coatcheck.core.views import Session
from coatcheck.crypto.entropy import Entropy
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.stores.protocols import Store
from coatcheck.testing.driving import Driver
from coatcheck.testing.scene import SECRET, the_hasher

Change = Callable[[dict[str, object]], None]


class AnyDesk:
    """Has the methods of `Coatcheck`; over the async desk each runs to its end. Passwords are hashed once each."""

    def __init__(
        self,
        open_store: Callable[[Colour], Store],
        driver: Driver,
        *,
        settings: dict[str, int],
        clock: Callable[[], int],
        entropy: Entropy,
    ) -> None:
        kind = Coatcheck if isinstance(driver.colour, Blocking) else AsyncCoatcheck
        self._desk = kind(
            open_store(driver.colour), secret=SECRET, settings=settings, clock=clock, entropy=entropy
        )  # fmt: skip
        self._desk.flows.parts.hasher = the_hasher()
        self._run = driver.run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._desk, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            return self._run(answer) if inspect.iscoroutine(answer) else answer

        return call

    def edit(self, session: Session, namespace: str, change: Change) -> None:
        """Change session data in a block."""
        if isinstance(self._desk, Coatcheck):
            with self._desk.edit(session, namespace=namespace) as data:
                change(data)
        else:
            self._run(_edit(self._desk, session, namespace, change))


async def _edit(desk: AsyncCoatcheck, session: Session, namespace: str, change: Change) -> None:
    async with desk.edit(session, namespace=namespace) as data:
        change(data)


def all_of(read: Callable[..., Any], limit: int) -> list[Any]:
    """Read all pages of a list, none of which may hold more than was asked for."""
    met: list[Any] = []
    after: str | None = None
    while True:
        page, after = read(after=after, limit=limit)
        assert len(page) <= limit
        met += page
        if after is None:
            return met
