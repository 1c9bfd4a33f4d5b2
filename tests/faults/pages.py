"""Whole pages of a file overwritten, and what a store says of it. Runs in a process of its own: SQLite might crash."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from hashlib import shake_256
from pathlib import Path
from typing import Any

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.errors import ConfigurationError, StoreError
from coatcheck.stores.protocols import Cutoffs
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.samples import a_digest, a_handle, a_password, an_account, an_event, purge_round, started
from tests.faults.dying import PLACE, Ground, Toll

COLOUR = Blocking(HashingLane(queue=1, nice=0))
PAGE = 4096
PEOPLE = 60
ASKED = (0, 7, 31, 59)


def overwrite_pages(how: str) -> Toll:
    """Overwrite one page after the other, and ask all there is to ask each time."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        ground = Ground(Path(folder))
        _fill(ground.file)
        ground.keep()
        whole = ground.file.read_bytes()
        wrong: list[str] = []
        for page in range(len(whole) // PAGE):
            ground.restore()
            start = page * PAGE
            damaged = whole[:start] + WAYS[how](whole, start) + whole[start + PAGE :]
            ground.file.write_bytes(damaged)
            wrong.extend(f"page {page + 1}: {words}" for words in _wrong_answers(ground.file))
        return Toll(len(whole) // PAGE, wrong)


def _flipped(whole: bytes, start: int) -> bytes:
    """A bit in each hundred bytes, of contents and of what holds them."""
    page = bytearray(whole[start : start + PAGE])
    for place in range(start % 97, PAGE, 100):
        page[place] ^= 1 << (place % 8)
    return bytes(page)


WAYS: dict[str, Callable[[bytes, int], bytes]] = {
    "zeros": lambda _whole, _start: bytes(PAGE),
    "noise": lambda _whole, start: shake_256(str(start).encode()).digest(PAGE),
    "flipped bits": _flipped,
    "another page": lambda whole, start: whole[-PAGE:] if start + PAGE < len(whole) else whole[PAGE : 2 * PAGE],
    "half a page": lambda whole, start: whole[start : start + PAGE // 2] + bytes(PAGE // 2),
}


def _fill(file: Path) -> None:
    store = SqliteStore(str(file), COLOUR)
    for number in range(PEOPLE):
        account = an_account(f"subject {number}", username=f"user {number}")
        password = a_password(account.subject)
        assert run_blocking(store.create_account(account, password, events=[an_event(subject=account.subject)])) is None
        run_blocking(started(store, number, subject=account.subject))
    run_blocking(store.close())


def _wrong_answers(file: Path) -> Iterator[str]:
    """Ask, and say in words what is neither right nor an error of ours."""
    store = SqliteStore(str(file), COLOUR)
    for number in ASKED:
        subject = f"subject {number}"
        found = yield from _asked(store.find(a_digest(number)))
        if found is not None and found.session.digest != a_digest(number):
            yield "somebody else's session was found"
        found = yield from _asked(store.find_by_id(a_handle(number)))
        if found is not None and found.session.id != a_handle(number):
            yield "somebody else's session was found by id"
        account = yield from _asked(store.account(subject))
        if account is not None and account.subject != subject:
            yield "somebody else's account was found"
        identified = yield from _asked(store.identify(f"user {number}"))
        if identified is not None and f"user {number}" not in (
            identified.account.username_key,
            identified.account.email_key,
        ):
            yield "somebody else was identified"
        credential = yield from _asked(store.credential(subject))
        if credential is not None and credential.subject != subject:
            yield "somebody else's password was found"
        yield from _asked(store.sessions_of(subject))
        yield from _asked(store.events_of(subject, after=None, limit=9))
        yield from _asked(store.touch(a_digest(number), seen_at=1))
        yield from _asked(store.end(a_digest(number), at=1, reason="r", events=[an_event(subject=subject)]))
    yield from _asked(started(store, 1000, subject="subject 7"))
    yield from _asked(store.scan_sessions(after=None, limit=1000))
    yield from _asked(store.scan_accounts(after=None, limit=1000))
    yield from _asked(store.events_of(None, after=None, limit=1000))
    yield from _asked(purge_round(store, Cutoffs(10**10, 10**10, 10**10)))
    yield from _asked(store.close())


def _asked(question: Any) -> Generator[str, None, Any]:
    """The answer, or None for an error of ours. Any other is told."""
    try:
        return run_blocking(question)
    except (StoreError, ConfigurationError):
        return None
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        yield f"{type(error).__name__}: {error}"
