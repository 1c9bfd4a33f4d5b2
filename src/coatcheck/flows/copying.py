"""Moving a site from one store to another: everything one keeps goes into the other, page by page.

What was reached is kept in the target with each page, so a copy that died goes on where it stood. Nobody may use either
of the two meanwhile: a session that is revoked after its page was read would live on in the target.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec

from coatcheck.errors import ConfigurationError
from coatcheck.stores.protocols import Contents, Store

PAGE = 500
NAMED = 20  # unreadable records that are named; the others are counted
UNFINISHED = (
    "holds the beginning of a copy that was not finished: finish it (coatcheck store copy), or empty it and begin anew"
)
IN_USE = "is in use; name a store in which nothing is kept yet"
replace = msgspec.structs.replace


class Copied(msgspec.Struct, frozen=True):
    """How much was copied so far, and what was left out because it cannot be read."""

    accounts: int = 0
    subjects: int = 0
    sessions: int = 0
    counters: int = 0
    events: int = 0
    left_out: int = 0
    unreadable: tuple[str, ...] = ()

    def plus(self, page: Contents) -> Copied:
        """Count a page."""
        return Copied(
            accounts=self.accounts + len(page.accounts),
            subjects=self.subjects + sum(1 for state in page.states if state.subject),
            sessions=self.sessions + len(page.sessions),
            counters=self.counters + len(page.counters),
            events=self.events + len(page.events),
            left_out=self.left_out + len(page.unreadable),
            unreadable=(*self.unreadable, *page.unreadable)[:NAMED],
        )


class _Mark(msgspec.Struct, frozen=True):
    """Where a copy stands: from where, what was newest there when it began, and how far it came."""

    source: str
    newest: str
    page: int
    after: str | None = None
    is_at_end: bool = False
    copied: Copied = Copied()


async def copy_store(source: Store, target: Store, *, progress: Callable[[Copied], None] | None) -> tuple[Copied, bool]:
    """Copy everything, or go on with a copy that died; say how much there is, and whether it went on.

    Tokens stay valid, for digests are copied as they are. Costs a read and a write for each page.

    Raises:
        ConfigurationError: the two are one place; there is nothing in the source; the target is in use, or holds the
            beginning of another copy; somebody used the source since this one began.
    """
    if source.location == target.location:
        raise ConfigurationError("TO: is the same place as FROM; name another store")
    if await source.bookmark() is not None:
        raise ConfigurationError(f"FROM: {source.location} {UNFINISHED}")
    newest = await _newest(source)
    if await is_empty(source):
        raise ConfigurationError(f"FROM: there is nothing in {source.location}; name the right store")
    kept = await target.bookmark()
    if kept is None:
        if not await is_empty(target):
            raise ConfigurationError(f"TO: {target.location} {IN_USE}")
        mark = _Mark(source.location, newest, PAGE)
        await target.load(Contents(), bookmark=_written(mark))
    else:
        mark = _read(kept, target)
        if mark.source != source.location:
            raise ConfigurationError(
                f"TO: {target.location} holds the beginning of a copy from {mark.source}; go on with that, or empty it"
            )
    while not mark.is_at_end:
        page = await source.export(after=mark.after, limit=mark.page)
        mark = replace(mark, after=page.next, is_at_end=page.next is None, copied=mark.copied.plus(page))
        await target.load(page, bookmark=_written(mark))
        if progress is not None:
            progress(mark.copied)
    if mark.newest != newest or newest != await _newest(source):
        raise ConfigurationError(
            f"FROM: somebody used {source.location} since the copy began, and what they did may be missing in "
            f"{target.location}; stop all servers that use it, empty {target.location}, and copy again"
        )
    await target.load(Contents(), bookmark=None)
    return mark.copied, kept is not None


async def _newest(store: Store) -> str:
    """Tell by which event a store was used last: nothing that matters happens without one."""
    page = await store.events_of(None, after=None, limit=1)
    return sha256(msgspec.json.encode(page.events)).hexdigest()[:32]


async def is_empty(store: Store) -> bool:
    """Say whether nothing at all is kept in a store, which is made ready by the look."""
    after: str | None = None
    while True:
        page = await store.export(after=after, limit=1)
        is_used = any(state.epoch or state.subject for state in page.states)
        if is_used or page.accounts or page.sessions or page.counters or page.events or page.unreadable:
            return False
        after = page.next
        if after is None:
            return True


def _written(mark: _Mark) -> str:
    return msgspec.json.encode(mark).decode()


def _read(bookmark: str, target: Store) -> _Mark:
    try:
        return msgspec.json.decode(bookmark, type=_Mark)
    except msgspec.DecodeError:
        raise ConfigurationError(
            f"TO: {target.location} holds the beginning of a copy that another version made; empty it and begin anew"
        ) from None
