"""A random life of the SQLite store beside the reference: after every step both answer the same."""

import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coatcheck.colour import Blocking, HashingLane, run_blocking
from coatcheck.core.session_data import decode
from coatcheck.core.throttle import Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Cutoffs, Found, Store
from coatcheck.stores.sqlite import SqliteStore
from coatcheck.testing.samples import (
    DAY,
    NOW,
    a_digest,
    a_gate,
    a_handle,
    a_password,
    a_rotation,
    a_session,
    an_account,
    an_event,
    purge_round,
    raise_epoch,
    start,
)

replace = msgspec.structs.replace

NUMBERS = st.integers(0, 7)
SUBJECTS = st.sampled_from(["ada", "bob", None])
PEOPLE = st.sampled_from(["ada", "bob", "carol"])
TIMES = st.integers(NOW, NOW + 2 * DAY)
VERSIONS = st.one_of(st.none(), st.integers(0, 3))
KEYS = st.sampled_from(["a", "b", "n"])
VALUES = st.sampled_from([b"1", b'"text"', b"[1,2]", b"123456789"])
EVENTS = st.lists(st.builds(an_event, st.sampled_from(["x", "y"]), subject=SUBJECTS, at=TIMES), max_size=2)
GATES = st.lists(
    st.builds(
        a_gate,
        st.sampled_from(["g", "h"]),
        free=st.integers(1, 3),
        is_cleared=st.booleans(),
        starts_over=st.booleans(),
        crowd=st.integers(0, 2),
    ),
    max_size=2,
    unique_by=lambda g: g.key,
)
SETTLEMENTS = st.lists(
    st.builds(
        Settlement,
        st.sampled_from([a_gate("g", free=1), a_gate("h", is_cleared=False)]),
        st.sampled_from(["success", "failure", "unread"]),
        TIMES,
    ),
    max_size=2,
)

Call = Callable[[Store], Coroutine[Any, Any, object]]


class SideBySide(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "store.db"
        self.reference: Store = MemoryStore()
        self.store: Store = SqliteStore(str(self._path), Blocking(HashingLane(queue=1, nice=0)))

    def teardown(self) -> None:
        run_blocking(self.store.close())
        self._folder.cleanup()

    def both(self, call: Call) -> None:
        outcomes = [_outcome(call(store)) for store in (self.reference, self.store)]
        assert outcomes[0] == outcomes[1]

    @rule(
        number=NUMBERS, digest=NUMBERS, subject=SUBJECTS, at=TIMES, agent=st.sampled_from(["A", "B", None]),
        replaces=st.one_of(st.none(), NUMBERS), carry=st.booleans(), version=VERSIONS, most=st.integers(1, 3),
        settlements=SETTLEMENTS, events=EVENTS,
    )  # fmt: skip
    def start(self, number, digest, subject, at, agent, replaces, carry, version, most, settlements, events):  # type: ignore[no-untyped-def]
        session = replace(a_session(number, subject=subject, at=at, user_agent=agent), digest=a_digest(digest))
        self.both(
            lambda store: start(
                store,
                session,
                replaces=None if replaces is None else a_digest(replaces),
                carry=carry,
                credential_version=None if subject is None else version,
                most=most,
                settlements=settlements,
                events=events,
            )
        )

    @rule(number=NUMBERS, at=TIMES)
    def touch(self, number: int, at: int) -> None:
        self.both(lambda store: store.touch(a_digest(number), seen_at=at))

    @rule(
        number=NUMBERS,
        namespace=st.sampled_from(["app", "x"]),
        puts=st.dictionaries(KEYS, VALUES, max_size=2),
        removes=st.lists(KEYS, max_size=2),
        limit=st.sampled_from([8, 30]),
    )
    def patch(self, number, namespace, puts, removes, limit):  # type: ignore[no-untyped-def]
        self.both(
            lambda store: store.patch(a_digest(number), namespace=namespace, puts=puts, removes=removes, limit=limit)
        )

    @rule(number=NUMBERS, key=KEYS, by=st.sampled_from([1, -3, 2**63 - 1]), limit=st.sampled_from([8, 30]))
    def increment(self, number: int, key: str, by: int, limit: int) -> None:
        self.both(lambda store: store.increment(a_digest(number), namespace="app", key=key, by=by, limit=limit))

    @rule(number=NUMBERS, new=NUMBERS, at=TIMES, events=EVENTS)
    def rotate(self, number, new, at, events):  # type: ignore[no-untyped-def]
        rotation = replace(a_rotation(a_session(number), new), last_seen_at=at, expires_at=at + DAY)
        self.both(lambda store: store.rotate(rotation, events=events))

    @rule(number=NUMBERS, at=TIMES, events=EVENTS)
    def end(self, number, at, events):  # type: ignore[no-untyped-def]
        self.both(lambda store: store.end(a_digest(number), at=at, reason="logged_out", events=events))

    @rule(number=NUMBERS, subject=PEOPLE, at=TIMES, events=EVENTS)
    def end_by_id(self, number, subject, at, events):  # type: ignore[no-untyped-def]
        self.both(
            lambda store: store.end_by_id(a_handle(number), subject=subject, at=at, reason="revoked", events=events)
        )

    @rule(
        subject=PEOPLE, at=TIMES, keep=st.one_of(st.none(), st.tuples(NUMBERS, NUMBERS)), version=VERSIONS,
        disabled_at=st.one_of(st.none(), st.none(), TIMES), events=EVENTS,
    )  # fmt: skip
    def raise_epoch(self, subject, at, keep, version, disabled_at, events):  # type: ignore[no-untyped-def]
        self.both(
            lambda store: raise_epoch(
                store,
                subject,
                at=at,
                keep=None if keep is None else a_rotation(a_session(keep[0]), keep[1]),
                credential_version=version,
                disabled_at=disabled_at,
                events=events,
            )
        )

    @rule(subject=PEOPLE, events=EVENTS)
    def enable(self, subject, events):  # type: ignore[no-untyped-def]
        self.both(lambda store: store.enable(subject, events=events))

    @rule(ended=TIMES, counted=TIMES, events=TIMES, limit=st.integers(1, 5))
    def purge(self, ended: int, counted: int, events: int, limit: int) -> None:
        self.both(lambda store: purge_round(store, Cutoffs(ended, counted, events), limit=limit))

    @rule(gates=GATES, at=TIMES)
    def admit(self, gates, at):  # type: ignore[no-untyped-def]
        self.both(lambda store: store.admit(gates, now=at))

    @rule(settlements=SETTLEMENTS, events=EVENTS)
    def settle(self, settlements, events):  # type: ignore[no-untyped-def]
        self.both(lambda store: store.settle(settlements, account=None, events=events))

    @rule(
        subject=PEOPLE,
        name=st.sampled_from(["Ada", "ADA", "Bob", None]),
        email=st.sampled_from(["A@x.org", "b@x.org", None]),
        events=EVENTS,
    )
    def create_account(self, subject, name, email, events):  # type: ignore[no-untyped-def]
        account = an_account(subject, username=name, email=email)
        self.both(lambda store: store.create_account(account, a_password(subject), events=events))

    @rule(subject=PEOPLE, version=st.integers(1, 4), was=st.integers(1, 4))
    def replace_password(self, subject: str, version: int, was: int) -> None:
        self.both(lambda store: store.replace_password(a_password(subject, version=version), was=was))

    @rule(subject=PEOPLE, was=st.sampled_from(["$hash$1", "$hash$2", "$new"]))
    def rehash(self, subject: str, was: str) -> None:
        self.both(lambda store: store.rehash(subject, was=was, new="$new"))

    @rule()
    def close(self) -> None:
        run_blocking(self.store.close())

    @invariant()
    def every_reading_is_the_same(self) -> None:
        for number in range(8):
            self.both(lambda store, number=number: store.find(a_digest(number)))  # type: ignore[misc]
            self.both(lambda store, number=number: store.find_by_id(a_handle(number)))  # type: ignore[misc]
        for subject in ("ada", "bob", "carol"):
            self.both(lambda store, subject=subject: store.sessions_of(subject))  # type: ignore[misc]
            self.both(lambda store, subject=subject: store.account(subject))  # type: ignore[misc]
            self.both(lambda store, subject=subject: store.credential(subject))  # type: ignore[misc]
            self.both(lambda store, subject=subject: _events(store, subject))  # type: ignore[misc]
        for key in ("ada", "bob", "a@x.org", "b@x.org"):
            self.both(lambda store, key=key: store.identify(key))  # type: ignore[misc]
        self.both(lambda store: store.states_of(["ada", "bob", "carol"]))
        self.both(lambda store: store.scan_accounts(after=None, limit=2))
        self.both(lambda store: _events(store, None))


async def _events(store: Store, subject: str | None) -> list[object]:
    met: list[object] = []
    after: str | None = None
    while True:
        page = await store.events_of(subject, after=after, limit=4)
        met += page.events
        after = page.next
        if after is None:
            return met


def _outcome(flow: Coroutine[Any, Any, object]) -> object:
    try:
        outcome = run_blocking(flow)
    except StoreConflict:
        return StoreConflict
    if isinstance(outcome, Found):
        # Stores may write the same data in another order.
        return outcome, decode(outcome.session.data)
    return outcome


TestSideBySide = SideBySide.TestCase
TestSideBySide.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
