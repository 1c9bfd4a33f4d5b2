"""Each promise, broken on purpose by a store that forgets one thing: some order of some pair shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from coatcheck.core.records import SessionRecord
from coatcheck.core.sessions import Rotation
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.meetings import Meeting
from coatcheck.testing.suites.interleavings import BY_NAME
from tests.interleavings.conftest import copies_of_memory

replace = msgspec.structs.replace


class ForgetsTheVersion(MemoryStore):
    """Starts sessions for passwords that have changed since they were verified."""

    async def start(self, session: SessionRecord, **rest: Any) -> Any:
        return await super().start(session, **{**rest, "credential_version": None})


class KeepsTheOldToken(MemoryStore):
    """Adds the new digest of a rotation and leaves the old one."""

    async def rotate(self, rotation: Rotation, **rest: Any) -> bool:
        before = self._sessions.get(rotation.digest)
        done = await super().rotate(rotation, **rest)
        if done and before is not None:
            self._sessions[rotation.digest] = before
        return done


class RevivesByTouch(MemoryStore):
    """Writes "last seen" into whatever is there, with the mark of its end wiped away."""

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        session = self._sessions.get(digest)
        if session is not None:
            self._sessions[digest] = replace(session, last_seen_at=seen_at, ended_at=None, end_reason=None)
        return session is not None


class SavesIntoTheDead(MemoryStore):
    """Lets a late save bring a session back."""

    async def patch(self, digest: bytes, **rest: Any) -> Any:
        session = self._sessions.get(digest)
        if session is not None and session.ended_at is not None:
            self._sessions[digest] = replace(session, ended_at=None, end_reason=None)
        return await super().patch(digest, **rest)


class SavesOverOthers(MemoryStore):
    """Puts back all that the session held before the last save, but for what this one sets."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[bytes, bytes] = {}

    async def patch(self, digest: bytes, **rest: Any) -> Any:
        session = self._sessions.get(digest)
        if session is not None:
            self._sessions[digest] = replace(session, data=self._first.setdefault(digest, session.data))
        return await super().patch(digest, **rest)


class CountsFromTheBeginning(MemoryStore):
    """Adds to what a counter was first, as if nobody else had."""

    async def increment(self, digest: bytes, **rest: Any) -> Any:
        before = self._sessions.get(digest)
        total = await super().increment(digest, **rest)
        if before is not None and total == 3:
            self._sessions[digest] = before
            return 2
        return total


class SaysSoOnly(MemoryStore):
    """Answers that a session was ended and does nothing."""

    async def end_by_id(self, session_id: str, **_rest: Any) -> bool:
        return self._by_id(session_id) is not None


class EndsOthersToo(MemoryStore):
    """Disables everybody."""

    async def raise_epoch(self, subject: str, **rest: Any) -> bool:
        await super().raise_epoch("subject-of-bob", **{**rest, "keep": None})
        return await super().raise_epoch(subject, **rest)


class PurgesTheLiving(MemoryStore):
    """Deletes one session more than it may."""

    async def purge(self, cutoffs: Any, **rest: Any) -> Any:
        live = [digest for digest, session in self._sessions.items() if session.ended_at is None]
        del self._sessions[live[-2]]
        return await super().purge(cutoffs, **rest)


SABOTAGE: list[tuple[Callable[[], MemoryStore], tuple[str, str], str]] = [
    (ForgetsTheVersion, ("log_in", "change_password"), "a session begun with the old password (A) outlives it"),
    (KeepsTheOldToken, ("rotate", "authenticate"), "two tokens open one session"),
    (KeepsTheOldToken, ("rotate", "rotate"), "a token that rotate (A) made void is live"),
    (RevivesByTouch, ("authenticate", "log_out"), "a session that log_out (B) ended is live"),
    (SavesIntoTheDead, ("edit", "revoke"), "a session that revoke (B) ended is live"),
    (SavesOverOthers, ("edit", "edit_another_key"), "an acknowledged write of 'theme' is lost"),
    (CountsFromTheBeginning, ("increment", "increment"), "an increment is lost"),
    (SaysSoOnly, ("revoke", "rotate"), "a session that revoke (A) ended is live"),
    (EndsOthersToo, ("disable", "enable"), "somebody else's session was touched"),
    (PurgesTheLiving, ("purge", "edit"), "a session that nobody ended is dead"),
]


@pytest.mark.parametrize(("make", "pair", "told"), SABOTAGE, ids=lambda value: getattr(value, "__name__", None))
def test_what_a_store_forgets_is_told_by_some_order(
    make: Callable[[], MemoryStore], pair: tuple[str, str], told: str
) -> None:
    meeting = Meeting([BY_NAME[name] for name in pair], copies_of_memory(make))

    plays = list(meeting.orders(is_reduced=True))

    assert told in {promise for play in plays for promise in play.broken}


def test_nothing_is_told_of_a_store_that_forgets_nothing() -> None:
    for _, pair, _ in SABOTAGE:
        meeting = Meeting([BY_NAME[name] for name in pair], copies_of_memory())

        assert [promise for play in meeting.orders(is_reduced=True) for promise in play.broken] == []
