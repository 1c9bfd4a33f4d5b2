"""How the suites run a store: one coroutine, or a crowd of them at once, in either colour."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import pytest

from coatcheck.colour import Async, Blocking, Colour, HashingLane, run_blocking
from coatcheck.stores.protocols import Store

T = TypeVar("T")
Flow = Coroutine[Any, Any, T]


class Driver(Protocol):
    """Runs flows in one colour."""

    colour: Colour

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end."""
        ...

    def crowd(self, flows: Sequence[Flow[T]]) -> list[T | BaseException]:
        """Run flows at the same time; their values and errors, in their order."""
        ...

    def close(self) -> None:
        """Let go of what the driver holds."""
        ...


class BlockingDriver:
    """Each flow runs straight to its end; a crowd is one thread each, started together."""

    def __init__(self) -> None:
        self.colour: Colour = Blocking(HashingLane(queue=1, nice=0))

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end."""
        return run_blocking(flow)

    def crowd(self, flows: Sequence[Flow[T]]) -> list[T | BaseException]:
        """Run flows in threads that wait for each other before they begin."""
        outcomes: list[T | BaseException] = [AssertionError("did not end")] * len(flows)
        together = threading.Barrier(len(flows))

        def work(place: int, flow: Flow[T]) -> None:
            try:
                together.wait()
                outcomes[place] = run_blocking(flow)
            except BaseException as error:  # noqa: BLE001 - an outcome like any other
                outcomes[place] = error

        threads = [threading.Thread(target=work, args=entry) for entry in enumerate(flows)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    def close(self) -> None:
        """Nothing is held."""


class AsyncDriver:
    """Flows are awaited on one event loop; a crowd is a task each."""

    def __init__(self) -> None:
        self.colour: Colour = Async(HashingLane(queue=1, nice=0))
        self._runner = asyncio.Runner()

    def run(self, flow: Flow[T]) -> T:
        """Await a flow."""
        return self._runner.run(flow)

    def crowd(self, flows: Sequence[Flow[T]]) -> list[T | BaseException]:
        """Await flows together."""

        async def gather() -> list[T | BaseException]:
            return list(await asyncio.gather(*flows, return_exceptions=True))

        return self._runner.run(gather())

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()


class Suite:
    """The ground of the suites: tests that are coroutines run in both colours, each with a store of its own.

    A subclass brings the fixture `make_store`, which gives a function from a `Colour` to an empty store.
    """

    def __init_subclass__(cls) -> None:
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                setattr(cls, name, _driven(test))

    @pytest.fixture(params=[BlockingDriver, AsyncDriver], ids=["blocking", "async"])
    def driver(self, request: pytest.FixtureRequest) -> Iterator[Driver]:
        """One colour after the other."""
        driver: Driver = request.param()
        yield driver
        driver.close()

    @pytest.fixture
    def store(self, make_store: Callable[[Colour], Store], driver: Driver) -> Iterator[Store]:
        """An empty store, closed after the test."""
        store = make_store(driver.colour)
        yield store
        driver.run(store.close())


def _driven(test: Callable[..., Flow[None]]) -> Callable[..., None]:
    def run(self: object, *, driver: Driver, **asked: Any) -> None:
        driver.run(test(self, **asked))

    # Not functools.wraps: pytest would look through it and miss `driver`.
    functools.update_wrapper(run, test, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    del run.__dict__["__wrapped__"]
    asked = inspect.signature(test)
    driver = inspect.Parameter("driver", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = asked.replace(parameters=[*asked.parameters.values(), driver])  # type: ignore[attr-defined] # pytest reads it
    return run
