"""A house: a small application behind a door, the same in every framework, written in the framework's own words.

| request                  | what it does, and answers                                                   |
|--------------------------|-----------------------------------------------------------------------------|
| `GET /plain`             | looks at nobody: `plain`                                                    |
| `POST /plain`            | the same                                                                    |
| `GET /who`               | who is logged in: user name, else subject, else `nobody`                    |
| `GET /data`              | the session data, as JSON                                                   |
| `GET /look`              | asks only whether the session data has a key `x`: `yes` or `no`             |
| `GET /public`            | like `/who`, with `Cache-Control: public, max-age=60`                       |
| `GET /csrf`              | a token for a form of the application                                       |
| `GET /mine`              | `mine`, for whoever is logged in                                            |
| `GET /fresh`             | `fresh`, for whoever has proven identity recently                           |
| `GET /users/<subject>`   | `yours`, for this very account                                              |
| `GET /flashes`           | the messages that wait, as a JSON list of texts; they are taken             |
| `POST /flash`            | keeps the message `text`: `kept`                                            |
| `POST /data`             | sets each key of the body, removes those that are null: `stored`            |
| `POST /deep`             | appends 1 to the list at `session["deep"]["list"]`, in place: `stored`      |
| `POST /count`            | adds 1 to the counter `count`, atomically: the sum                          |
| `POST /slow`             | looks at the session data, sets `key` to 1, waits at `stage.gate`: `stored` |
| `POST /odd`              | sets the key `odd` to `odd_value(what)`: `stored`                           |
| `POST /log-in`           | logs in `identifier` with `password` and `remember`: `in`                   |
| `POST /start`            | starts a session for `subject`: `in`                                        |
| `POST /log-out`          | logs out: `out`, or `nobody` where nobody was logged in                     |
| `POST /swap`             | logs out and starts a session for `subject`, in one request: `in`           |
| `POST /raise`            | sets the key `lost` and raises `RuntimeError`                               |
| `POST /log-in-and-raise` | starts a session for `subject`, sets the key `lost` and raises              |
| `GET /stream`            | sets the key `streamed`, and answers `one two three` in three parts         |
| `GET /late-look`         | part `one` of an answer whose length is announced; then asks like `/look`   |
| `GET /late-change`       | the same, but sets the key `late`, and goes on with part `two`              |
| `GET /redirect`          | sets the key `redirected`: 303 to `/plain`                                  |
| `GET /not-modified`      | sets the key `seen`: 304 with `ETag: "1"`                                   |

Bodies are JSON objects, and what is in quotation marks above is a member of them. HEAD is answered like GET. An error
that leaves a handler is answered as in production, with 500. Who does that may stand before the door (the server, or a
framework's outermost layer): then that answer cannot bear a cookie, and `House.answers_errors` says so.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

from coatcheck.errors import StoreUnavailable
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.stores.protocols import Store
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.counting import NO_STEPS, Steps
from coatcheck.testing.patience import PATIENCE

Fields = Sequence[tuple[str, str]]


class Raw(NamedTuple):
    """An answer as it came: names of fields in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Send(Protocol):
    """Sends one request to a house, with these fields and no others but what HTTP itself needs."""

    def __call__(self, method: str, target: str, headers: Fields, body: bytes) -> Raw:
        """Give the answer. Characters of fields are octets (ISO 8859-1).

        Of an answer that breaks off, what there is of it; it may be 500 instead, if there is more between.
        """
        ...


class House(Protocol):
    """An application behind a door, in one framework, reached in one way."""

    desk_type: type[Coatcheck] | type[AsyncCoatcheck]
    answers_errors: bool
    """Whether an error of a handler is answered behind the door, so that the answer can bear a cookie."""

    def open(self, desk: Any, stage: Stage, **settings: Any) -> AbstractContextManager[Send]:
        """Serve the application as long as the context lasts, and give the way to it.

        `settings` are those of the door. A desk for an event loop is for the house to close, on that loop.
        """
        ...


class Gate:
    """Where handlers wait until they are told to go on, so that something can happen while they are under way."""

    def __init__(self) -> None:
        self._arrived = threading.Semaphore(0)
        self._is_open = threading.Event()

    def wait(self) -> None:
        """Wait, from a handler."""
        self._arrived.release()
        if not self._is_open.wait(PATIENCE):
            raise TimeoutError("nobody opened the gate")

    def await_arrivals(self, number: int) -> None:
        """Wait until so many handlers stand at the gate."""
        for _ in range(number):
            if not self._arrived.acquire(timeout=PATIENCE):
                raise TimeoutError("a handler did not come to the gate")

    def open(self) -> None:
        """Let all go on."""
        self._is_open.set()


class Trouble:
    """Breaks the store of a house: at all methods, or at those named in `at`."""

    def __init__(self) -> None:
        self.at: set[str] = set()
        self.is_everywhere = False
        self.error: Callable[[], Exception] = lambda: StoreUnavailable("broken on purpose")

    def of(self, store: Store) -> Store:
        """Give a store that does what `store` does, until there is trouble."""
        return cast(Store, _Troubled(store, self))


class _Troubled:
    def __init__(self, inner: Store, trouble: Trouble) -> None:
        self._inner = inner
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        attribute: Any = getattr(self._inner, name)
        if name in NO_STEPS or not callable(attribute):
            return attribute

        async def step(*args: Any, **kwargs: Any) -> Any:
            if self._trouble.is_everywhere or name in self._trouble.at:
                raise self._trouble.error()
            return await cast("Callable[..., Awaitable[Any]]", attribute)(*args, **kwargs)

        return step


class Stage:
    """What a story moves while it is told: time, trouble of the store, and a gate for slow handlers."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.steps = Steps()
        self.trouble = Trouble()
        self.gate = Gate()


class _Reducible:
    """What would run code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (threading.Event, ())


def odd_value(what: str) -> object:
    """Give a value that no session can keep."""
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    endless: list[object] = []
    endless.append(endless)
    values: dict[str, object] = {
        "object": object(),
        "pickled": _Reducible(),
        "nan": float("nan"),
        "large": "x" * 20_000,
        "deep": nested,
        "endless": endless,
        "surrogate": "\ud800",
        "huge": 2**63,
    }
    return values[what]


ODD = ("object", "pickled", "nan", "large", "deep", "endless", "surrogate", "huge")
