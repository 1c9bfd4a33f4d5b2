"""A request as a front door would make it, with only what a test speaks of; and a look at growth."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import TypeVar

import pytest

from coatcheck.http.messages import Request, body_reader

MakeRequest = Callable[..., Request]
T = TypeVar("T")


@pytest.fixture
def make_request() -> MakeRequest:
    def make(
        *headers: tuple[bytes, bytes],
        method: str = "POST",
        body: bytes = b"",
        query: str = "",
        authority: bytes | None = None,
    ) -> Request:
        return Request(
            method=method,
            path="/login",
            query=query,
            scheme="http",
            headers=headers,
            peer="192.0.2.7",
            read=body_reader(body),
            authority=authority,
        )

    return make


@pytest.fixture
def grows_linearly() -> Callable[..., None]:
    """Assert that four times the input takes about four times as long; quadratic work would take sixteen times.

    Processor time is compared with processor time, and what looks too much is looked at again: a busy machine does not
    stay busy in step with us, and quadratic work never gets better.
    """

    def check(make: Callable[[int], T], work: Callable[[T], object], size: int) -> None:
        assert any(looks_linear(make, work, size) for _ in range(5))

    def looks_linear(make: Callable[[int], T], work: Callable[[T], object], size: int) -> bool:
        small, large = (fastest(work, make(times * size)) for times in (1, 4))
        return large < 10 * small + 0.002  # two milliseconds: what an interruption costs where both take less

    def fastest(work: Callable[[T], object], value: T) -> float:
        durations = []
        for _ in range(3):
            begin = process_time()
            work(value)
            durations.append(process_time() - begin)
        return min(durations)

    return check
