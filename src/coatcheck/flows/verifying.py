"""Does one store keep what another keeps, entry by entry? Stores give theirs in different orders, and too many to hold.

So of each side the digests of all entries are summed up, in many small heaps: equal sums are equal contents, in
whichever order. Where heaps differ both sides are read once more, and what lies there is compared one by one and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from math import inf
from zlib import crc32

import msgspec

from coatcheck.core.records import SubjectState
from coatcheck.stores.protocols import Contents, Extent

HEAPS = 1024  # of each kind
TOGETHER = 50_000  # entries that are held at once to be compared one by one

_encode = msgspec.json.Encoder(order="deterministic").encode


class Entry(msgspec.Struct, frozen=True):
    """One thing that a store keeps: its kind and name, and the digest of all it says."""

    kind: str
    name: str
    digest: bytes
    until: float = inf  # when it is over, and a store may drop it by itself

    @property
    def heap(self) -> tuple[str, int]:
        """Where it is summed up."""
        return self.kind, crc32(self.name.encode()) % HEAPS

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else "the state of everybody"


class Tally:
    """How many entries there are of each kind, and the sums of the digests of those that are not over by `now`."""

    def __init__(self, now: int) -> None:
        self._now = now
        self.counts: dict[str, int] = {"account": 0, "subject": 0, "session": 0, "counter": 0, "event": 0}
        self._heaps: dict[tuple[str, int], tuple[int, int]] = {}

    def add(self, page: Contents) -> None:
        """Count and sum up a page."""
        for entry in entries_of(page):
            self.counts[entry.kind] += bool(entry.name)
            if entry.until <= self._now:
                continue
            count, total = self._heaps.get(entry.heap, (0, 0))
            self._heaps[entry.heap] = count + 1, total + int.from_bytes(entry.digest)

    @property
    def extent(self) -> Extent:
        """How many there are of each kind."""
        return Extent(*self.counts.values())

    def differing(self, other: Tally) -> frozenset[tuple[str, int]]:
        """Give heaps that are not the same here and there: all of them, or as many as can be held at once."""
        chosen: set[tuple[str, int]] = set()
        held = 0
        for heap in sorted(self._heaps.keys() | other._heaps.keys()):
            here, there = self._heaps.get(heap, (0, 0)), other._heaps.get(heap, (0, 0))
            if here != there and (not chosen or held + here[0] + there[0] <= TOGETHER):
                chosen.add(heap)
                held += here[0] + there[0]
        return frozenset(chosen)


def entries_of(page: Contents) -> Iterator[Entry]:
    """Give what is on a page. A state of everybody that says nothing is none: not every store keeps one."""
    for account, credential in page.accounts:
        yield _entry("account", account.subject, (account, credential))
    for state in page.states:
        if state != SubjectState(""):
            yield _entry("subject", state.subject, state)
    for session in page.sessions:
        yield _entry("session", session.id, session, until=session.expires_at)
    for key, counter in page.counters:
        yield _entry("counter", key.hex(), counter, until=counter.kept_until)
    for place, event in page.events:
        yield _entry("event", str(place), event)


def _entry(kind: str, name: str, record: object, *, until: float = inf) -> Entry:
    return Entry(kind, name, sha256(_encode((kind, name, record))).digest(), until)


class Heaped:
    """The entries of some heaps that are not over by `now`, each with all its digests."""

    def __init__(self, heaps: frozenset[tuple[str, int]], now: int) -> None:
        self._heaps = heaps
        self._now = now
        self.digests: dict[tuple[str, str], list[bytes]] = {}

    def add(self, page: Contents) -> None:
        """Keep what of a page lies in these heaps."""
        for entry in entries_of(page):
            if entry.until > self._now and entry.heap in self._heaps:
                self.digests.setdefault((entry.kind, entry.name), []).append(entry.digest)


def differences(source: Heaped, target: Heaped) -> list[str]:
    """Say of each entry that is not the same in both what is wrong with it in the target."""
    said: list[str] = []
    for key in sorted(source.digests.keys() | target.digests.keys()):
        here, there = sorted(source.digests.get(key, ())), sorted(target.digests.get(key, ()))
        if here != there:
            what = "is missing" if not there else "is there and should not be" if not here else "differs"
            said.append(f"{Entry(*key, b'')} {what}")
    return said
