"""Moving a site from one store to another: everything one keeps goes into the other, page by page.

What was reached is kept in the target with each page, so a copy that died goes on where it stood. Nobody may use either
of the two meanwhile: a session that is revoked after its page was read would live on in the target. In the end both are
read and compared (`coatcheck.flows.verifying`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from typing import Literal

import msgspec

from coatcheck.errors import ConfigurationError, StoreConflict, StoreError, StoreUnavailable
from coatcheck.flows.verifying import Heaped, Tally, differences
from coatcheck.stores.protocols import Contents, Extent, Store

PAGE = 500
NAMED = 20  # unreadable records, or differences, that are named; the others are counted
UNFINISHED = (
    "holds the beginning of a copy that was not finished: finish it (coatcheck store copy), or empty it and begin anew"
)
IN_USE = "is in use; name a store in which nothing is kept yet"
FROM, TO = "FROM", "TO"
_GOES_ON = ". Once that is mended start the copy again: it goes on where it stood"
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


class Reached(msgspec.Struct, frozen=True):
    """How far the work is: what was read so far of all that the source is said to hold, and of which kind just now.

    `doing` is "verifying" when what was copied is compared; then each is read twice, here and there.
    """

    doing: Literal["copying", "verifying"]
    kind: str
    done: int
    of: int
    share: float


class Outcome(msgspec.Struct, frozen=True):
    """What a copy came to: how much, whether it went on with one that died, and what was compared in the end."""

    copied: Copied
    went_on: bool
    verified: Extent | None


Progress = Callable[[Reached], None]


class _Mark(msgspec.Struct, frozen=True):
    """Where a copy stands: from where, what was newest there when it began, and how far it came."""

    source: str
    newest: str
    page: int
    after: str | None = None
    is_at_end: bool = False
    copied: Copied = Copied()


@contextmanager
def about_side(side: str, *, mend: str = "") -> Generator[None]:
    """Have errors of the block name the side they are about, `FROM` or `TO`; `mend` is added to those of an outage."""
    try:
        yield
    except ConfigurationError as error:
        raise type(error)(*(_of(side, problem) for problem in error.problems)) from error
    except StoreUnavailable as error:
        raise StoreUnavailable(_of(side, str(error)) + mend) from error
    except StoreError as error:
        raise (StoreConflict if isinstance(error, StoreConflict) else StoreError)(_of(side, str(error))) from error


def _of(side: str, words: str) -> str:
    return words if words.startswith(f"{side}: ") else f"{side}: {words.removeprefix('store: ')}"


async def copy_store(
    source: Store, target: Store, *, now: int, progress: Progress | None, verifies: bool = True
) -> Outcome:
    """Copy everything, or go on with a copy that died; then compare the two, unless told not to.

    Tokens stay valid, for digests are copied as they are. Costs a read and a write for each page, and two reads more to
    compare. A copy that died while it compared begins to compare anew. Whoever does not compare must know that nobody
    used the source meanwhile: not every use leaves an event, by which it would be noticed.

    A session or counter whose life is over by `now` is copied, and not compared: Redis drops those by itself.

    Raises:
        ConfigurationError: the two are one place; there is nothing in the source; the target is in use, or holds the
            beginning of another copy; somebody used the source since this one began; the two are not equal; one that
            was broken off shall not be compared.
        StoreError: one of them failed; says which.
    """
    if source.location == target.location:
        raise ConfigurationError("TO: is the same place as FROM; name another store")
    with about_side(FROM):
        if await source.bookmark() is not None:
            raise ConfigurationError(f"FROM: {source.location} {UNFINISHED}")
        newest = await _newest(source)
        if await is_empty(source):
            raise ConfigurationError(f"FROM: there is nothing in {source.location}; name the right store")
        extent = await source.extent()
    with about_side(TO):
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
    if kept is not None and not verifies:
        raise ConfigurationError(
            f"TO: {target.location} holds the beginning of this copy, which was broken off; go on without --no-verify: "
            "only comparing finds what was changed in the source since"
        )
    tell = _teller(progress, extent)
    while not mark.is_at_end:
        with about_side(FROM, mend=_GOES_ON):
            page = await source.export(after=mark.after, limit=mark.page)
        mark = replace(mark, after=page.next, is_at_end=page.next is None, copied=mark.copied.plus(page))
        with about_side(TO, mend=_GOES_ON):
            await target.load(page, bookmark=_written(mark))
        tell("copying", mark.copied, 0)
    await _require_unused(source, target, mark, newest)
    verified = await _verified(source, target, mark, newest, tell, now=now) if verifies else None
    with about_side(TO, mend=_GOES_ON):
        await target.load(Contents(), bookmark=None)
    return Outcome(mark.copied, kept is not None, verified)


async def _require_unused(source: Store, target: Store, mark: _Mark, newest: str) -> None:
    with about_side(FROM, mend=_GOES_ON):
        is_used = mark.newest != newest or newest != await _newest(source)
    if is_used:
        raise ConfigurationError(
            f"FROM: somebody used {source.location} since the copy began, and what they did may be missing in "
            f"{target.location}; stop all servers that use it, empty {target.location}, and copy again"
        )


async def _verified(source: Store, target: Store, mark: _Mark, newest: str, tell: _Tell, *, now: int) -> Extent:
    """Compare every entry of the two, and say how many there are of each kind."""
    here, there = Tally(now), Tally(now)
    for walks, (side, store, tally) in enumerate(((FROM, source, here), (TO, target, there))):
        so_far = Copied()
        async for page in _pages(side, store, mark.page):
            so_far = so_far.plus(page)
            tally.add(page)
            tell("verifying", so_far, walks)
    await _require_unused(source, target, mark, newest)
    if differing := here.differing(there):
        heaps = Heaped(differing, now), Heaped(differing, now)
        for side, store, heaped in ((FROM, source, heaps[0]), (TO, target, heaps[1])):
            async for page in _pages(side, store, mark.page):
                heaped.add(page)
        said = differences(*heaps)
        more = "" if len(said) <= NAMED else f", and {len(said) - NAMED} more at least"
        raise ConfigurationError(
            f"TO: {target.location} does not hold what {source.location} holds{more}; empty it and copy again",
            *(f"TO: {words}" for words in said[:NAMED]),
        )
    return here.extent


async def _pages(side: str, store: Store, limit: int) -> AsyncIterator[Contents]:
    after: str | None = None
    while True:
        with about_side(side, mend=_GOES_ON):
            page = await store.export(after=after, limit=limit)
        yield page
        after = page.next
        if after is None:
            return


_Tell = Callable[[Literal["copying", "verifying"], Copied, int], None]
_KINDS = ("accounts", "subjects", "sessions", "counters", "events")


def _teller(progress: Progress | None, extent: Extent) -> _Tell:
    whole = {kind: getattr(extent, kind) for kind in _KINDS}

    def tell(doing: Literal["copying", "verifying"], so_far: Copied, walks: int) -> None:
        if progress is None:
            return
        # By an estimate more may come than was expected.
        done = {kind: getattr(so_far, kind) for kind in _KINDS}
        of = {kind: max(whole[kind], done[kind]) for kind in _KINDS}
        kind = next((kind for kind in reversed(_KINDS) if done[kind]), _KINDS[0])
        share = (walks + sum(done.values()) / max(1, sum(of.values()))) / (1 if doing == "copying" else 2)
        progress(Reached(doing, kind, done[kind], of[kind], share))

    return tell


async def _newest(store: Store) -> str:
    """Tell by which event a store was used last. Data of sessions, and "last seen", change without one."""
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
