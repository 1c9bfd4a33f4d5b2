# ruff: noqa: D102, S101 - rules bear the names of the methods they call, and assertions are what they are made of
"""A random life of a store beside the reference: after each call both answer alike, and all that can be read is alike.

A store that is made of two (`coatcheck.stores.apart`) is asked for nothing that it promises only as one step.

To add a method of the protocol, add a rule that bears its name; what can be read of it belongs into `watching`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coatcheck.colour import Colour
from coatcheck.core.records import AccountRecord, EventRecord, PasswordCredential, SessionRecord, SubjectState
from coatcheck.core.throttle import Gate, Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Answer, Contents, Cutoffs, Found, Purged, Store
from coatcheck.testing.driving import Driver
from coatcheck.testing.lives import values, watching
from coatcheck.testing.lives.tally import Tally
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_handle,
    a_password,
    a_session,
    admit,
    an_account,
    fail,
    purge_round,
    start,
)
from coatcheck.testing.samples import raise_epoch as raise_epoch_of

Call = Callable[[Store], Awaitable[object]]
# Where several things forbid a call, any of them may be told.
UNDONE: Mapping[str, tuple[object, ...]] = {
    "start": (Answer.REFUSED, Answer.LOCKED, StoreConflict.__name__),
    "change_password": (False, StoreConflict.__name__),
}
VERSION_OR_NOT = st.none() | st.none() | st.integers(1, 4)  # None: the present one
WALKS = ("sessions", "accounts", "events")

# What ends everything happens seldom, or little else would.
rarely = precondition(lambda life: life.calls % 4 == 0)


class StoreLife(RuleBasedStateMachine):
    """Calls every method with arguments that are right, wrong, taken, unknown and odd, through two doors by turns.

    Args:
        open_store: opens the store under test; all it has opened share their data.
        driver: runs the calls, in its colour.
        tally: counts the calls, by method and answer.
    """

    def __init__(self, open_store: Callable[[Colour], Store], driver: Driver, tally: Tally) -> None:
        super().__init__()
        self._open: Callable[[], Store] = lambda: open_store(driver.colour)
        self._run = driver.run
        self._tally = tally
        self._doors = [self._open(), self._open()]
        self._is_apart = not self._doors[0].holds_accounts
        reference = _AccountsElsewhere() if self._is_apart else MemoryStore()
        reference.shelf_bits = self._bits  # to be asked for the same digests
        self._reference: Store = reference
        self.calls = 0
        self._events = 0
        self._counted_at: int | None = None  # a time near which counters have just changed
        self._walks: dict[str, _Walk] = {}
        self._keys: dict[str, set[object]] = {name: set() for name in WALKS}

    def teardown(self) -> None:
        for store in self._doors:
            self._run(store.close())

    @initialize(
        people=st.lists(values.people, min_size=1, max_size=4, unique=True),
        owners=st.lists(values.owners, min_size=4, max_size=values.MANY),
        at=values.instants,
    )
    def begin(self, people: list[str], owners: list[str | None], at: int) -> None:
        for subject in people:
            account = an_account(subject, username=subject)
            credential = a_password(subject)
            self._both("create_account", partial(_create_account, account=account, credential=credential))
        for number, owner in enumerate(owners):
            session = a_session(number, subject=owner, at=at)
            session = values.replace(session, digest=self._on_shelf(session.digest, owner))
            self._both("start", partial(start, session=session))

    # Sessions

    @rule(
        session=values.sessions(),
        replaces=st.none() | values.picks,
        keep_at_login=st.none() | st.lists(values.keys, max_size=3),
        version=values.versions,
        most=st.integers(1, 4),
        settlements=values.settlements,
        events=values.events,
        eviction=st.none() | values.event,
    )
    def start(
        self,
        session: SessionRecord,
        replaces: int | None,
        keep_at_login: list[str] | None,
        version: int | None,
        most: int,
        settlements: list[Settlement],
        events: list[EventRecord],
        eviction: EventRecord | None,
    ) -> None:
        self._counted_at = session.created_at if settlements else None
        session = values.replace(session, digest=self._on_shelf(session.digest, session.subject))
        old = None if replaces is None else self._session(replaces).digest
        kept = self._numbered(events)
        if session.subject is None or (
            self._is_apart and not self._run(_password_of(self._reference, session.subject))
        ):
            version = None
        self._both(
            "start",
            lambda store: start(
                store,
                session,
                replaces=old,
                keep_at_login=keep_at_login,
                credential_version=version,
                most=most,
                settlements=settlements,
                events=kept,
                eviction=None if eviction is None or session.subject is None else eviction,
            ),
        )

    @rule(pick=values.picks, at=values.instants)
    def touch(self, pick: int, at: int) -> None:
        digest = self._session(pick).digest
        self._both("touch", lambda store: store.touch(digest, seen_at=at))

    @rule(
        pick=values.picks,
        namespace=values.namespaces,
        puts=st.dictionaries(values.keys, values.json_texts, max_size=2),
        removes=st.lists(values.keys, max_size=2),
        limit=values.limits,
    )
    def patch(self, pick: int, namespace: str, puts: dict[str, bytes], removes: list[str], limit: int) -> None:
        digest = self._session(pick).digest
        self._both(
            "patch", lambda store: store.patch(digest, namespace=namespace, puts=puts, removes=removes, limit=limit)
        )

    @rule(
        pick=values.picks, namespace=values.namespaces, key=values.keys, by=values.addends, limit=values.limits
    )  # fmt: skip
    def increment(self, pick: int, namespace: str, key: str, by: int, limit: int) -> None:
        digest = self._session(pick).digest
        self._both("increment", lambda store: store.increment(digest, namespace=namespace, key=key, by=by, limit=limit))

    @rule(pick=values.picks, turn=values.turns, events=values.events)
    def rotate(self, pick: int, turn: values.Turn, events: list[EventRecord]) -> None:
        session, kept = self._session(pick), self._numbered(events)
        rotation = turn.of(session.digest, session.owner, self._bits)
        self._both("rotate", lambda store: store.rotate(rotation, events=kept))

    @rule(pick=values.picks, at=values.instants, reason=values.words, events=values.events)
    def end(self, pick: int, at: int, reason: str, events: list[EventRecord]) -> None:
        digest, kept = self._session(pick).digest, self._numbered(events)
        self._both("end", lambda store: store.end(digest, at=at, reason=reason, events=kept))

    @rule(
        pick=values.picks,
        subject=st.none() | values.people | st.sampled_from(values.NOBODY),
        at=values.instants,
        reason=values.words,
        events=values.events,
    )
    def end_by_id(self, pick: int, subject: str | None, at: int, reason: str, events: list[EventRecord]) -> None:
        session, kept = self._session(pick), self._numbered(events)
        who = subject or session.owner or ""
        self._both(
            "end_by_id",
            lambda store: store.end_by_id(session.public_id, subject=who, at=at, reason=reason, events=kept),
        )

    @rule(
        subject=values.people,
        at=values.instants,
        reason=values.words,
        keep=st.none() | values.picks,
        is_hers=st.booleans(),
        turn=values.turns,
        version=values.versions,
        disabled_at=values.disabled_at,
        events=values.events,
    )
    def raise_epoch(
        self,
        subject: str,
        at: int,
        reason: str,
        keep: int | None,
        is_hers: bool,
        turn: values.Turn,
        version: int | None,
        disabled_at: int | None,
        events: list[EventRecord],
    ) -> None:
        session = None if keep is None else self._session(keep)
        who = session.owner or subject if session is not None and is_hers else subject
        rotation = None if session is None else turn.of(session.digest, session.owner, self._bits)
        kept = self._numbered(events)
        self._both(
            "raise_epoch",
            lambda store: raise_epoch_of(
                store,
                who,
                at=at,
                reason=reason,
                keep=rotation,
                credential_version=version,
                disabled_at=disabled_at,
                events=kept,
            ),
        )

    @rarely
    @rule(at=values.instants, reason=values.words, events=values.events)
    def raise_everybody(self, at: int, reason: str, events: list[EventRecord]) -> None:
        kept = self._numbered(events)
        self._both("raise_everybody", lambda store: store.raise_everybody(at=at, reason=reason, events=kept))

    @rule(pick=values.picks, events=values.events)
    def enable(self, pick: int, events: list[EventRecord]) -> None:
        states = self._run(_states(self._reference))
        subject = _pick(pick, [name for name, state in states.items() if state.disabled_at is not None])
        kept = self._numbered(events)
        self._both("enable", lambda store: store.enable(subject, events=kept))

    @rule(
        cutoffs=st.builds(Cutoffs, values.instants, values.instants, values.instants),
        limit=st.integers(1, 5),
        meanwhile=st.lists(values.numbers, max_size=3),
    )
    def purge(self, cutoffs: Cutoffs, limit: int, meanwhile: list[int]) -> None:
        """Purge in batches, with sessions that begin and that are used between them."""
        self._counted_at = NOW
        expected = self._run(purge_round(self._reference, cutoffs))
        total, after, batches = Purged(0, 0, 0, None), None, 0
        while True:
            batch = self._run(self._next_door().purge(cutoffs, after=after, limit=limit))
            total = Purged(
                total.sessions + batch.sessions, total.counters + batch.counters, total.events + batch.events, None
            )
            after, batches = batch.next, batches + 1
            if after is None:
                break
            if meanwhile:
                self._live_on(meanwhile.pop(), cutoffs)
        self._tally.steps["purge"] += 1
        self._tally.events[f"purged {'some' if total.sessions else 'none'} in {min(batches, 4)} batches"] += 1
        assert total == expected

    def _live_on(self, number: int, cutoffs: Cutoffs) -> None:
        # Not what the round is about to delete: that is gone here and still there.
        session = a_session(number, at=max(cutoffs.ended_before, NOW))
        session = values.replace(session, digest=self._on_shelf(session.digest, session.subject))
        there = self._doors[0]
        if not self._run(there.find(session.digest)) and not self._run(there.find_by_id(session.id)):
            self._both("start", lambda store: start(store, session))
        elif self._run(self._reference.find(session.digest)):
            self._both("touch", lambda store: store.touch(session.digest, seen_at=session.created_at))

    # Attempts

    @rule(
        gates=values.several_gates,
        subject=st.none() | values.people | st.sampled_from(values.NOBODY),
        at=values.instants,
    )
    def admit(self, gates: list[Gate], subject: str | None, at: int) -> None:
        self._counted_at = at
        self._both("admit", lambda store: admit(store, gates, subject=subject, at=at))

    @rule(settlements=values.settlements, account=values.owners, events=values.events)
    def settle(self, settlements: list[Settlement], account: str | None, events: list[EventRecord]) -> None:
        self._counted_at = settlements[0].at if settlements else None
        kept = self._numbered(events)
        if self._is_apart:  # an attempt has one outcome
            settlements = [values.replace(one, outcome=settlements[0].outcome) for one in settlements]
        self._both("settle", lambda store: store.settle(settlements, account=account, events=kept))

    @rule(gate=values.gates, at=values.instants, passed=st.sampled_from([0, 1, 29, 30, 31, 59, 60, 86_400]))
    def fail_until_it_closes(self, gate: Gate, at: int, passed: int) -> None:
        async def tries(store: Store) -> list[int | Answer]:
            waits = [await fail(store, gate, at=at) for _ in range(gate.free + 1)]
            return [*waits, await admit(store, [gate], at=at + passed)]

        self._counted_at = at + passed
        self._both("fail", tries)

    # Accounts

    @rule(account=values.accounts(), events=values.events)
    def create_account(self, account: AccountRecord, events: list[EventRecord]) -> None:
        credential = PasswordCredential(account.subject, "$hash$1", 1, account.created_at)
        kept = self._numbered(events)
        self._both("create_account", lambda store: store.create_account(account, credential, events=kept))

    @rule(pick=values.picks, was=VERSION_OR_NOT, at=values.instants)
    def replace_password(self, pick: int, was: int | None, at: int) -> None:
        present = self._password(pick)
        before = present.version if was is None else was
        credential = PasswordCredential(present.subject, f"$hash${before + 1}", before + 1, at)
        self._both("replace_password", lambda store: store.replace_password(credential, was=before))

    @rule(pick=values.picks, was=st.none() | st.just("$other"), new=st.sampled_from(["$new", "$"]))
    def rehash(self, pick: int, was: str | None, new: str) -> None:
        present = self._password(pick)
        self._both("rehash", lambda store: store.rehash(present.subject, was=was or present.hash, new=new))

    @rule(
        pick=values.picks,
        keep=values.picks,
        is_hers=st.booleans(),
        was=VERSION_OR_NOT,
        turn=values.turns,
        at=values.instants,
        events=values.events,
    )
    def change_password(
        self,
        pick: int,
        keep: int,
        is_hers: bool,
        was: int | None,
        turn: values.Turn,
        at: int,
        events: list[EventRecord],
    ) -> None:
        session, present = self._session(keep), self._password(pick)
        if is_hers:
            present = self._run(_password_of(self._reference, session.owner)) or present
        version = (present.version if was is None else was) + 1
        credential = PasswordCredential(present.subject, f"$hash${version}", version, at)
        rotation = turn.of(session.digest, session.owner, self._bits)
        if self._is_apart and self._run(self._reference.find(rotation.new_digest)):
            rotation = values.replace(rotation, new_digest=rotation.digest)  # a secret is never drawn twice
        kept = self._numbered(events)
        self._both(
            "change_password",
            lambda store: store.change_password(
                credential, at=at, reason="password_changed", keep=rotation, events=kept
            ),
        )

    @rarely
    @rule(
        pick=values.picks,
        nobody=st.none() | st.none() | st.sampled_from(values.NOBODY),
        counters=st.lists(st.sampled_from(values.GATES), max_size=2),
        events=values.events,
    )
    def delete_account(self, pick: int, nobody: str | None, counters: list[bytes], events: list[EventRecord]) -> None:
        self._counted_at = NOW
        subject = self._password(pick).subject if nobody is None else nobody
        kept = self._numbered(events)
        self._both("delete_account", lambda store: store.delete_account(subject, counters=counters, events=kept))

    # Events

    @rule(events=values.events)
    def record(self, events: list[EventRecord]) -> None:
        kept = self._numbered(events)
        self._both("record", lambda store: store.record(kept))

    # The engine

    @rarely
    @rule(limit=st.integers(1, 7))
    def load(self, limit: int) -> None:
        """What a store gives out is all there is, and taking it in once more changes nothing."""
        self._both("load", lambda store: _taken_in_again(store, limit))

    @rule(door=st.integers(0, 1))
    def close(self, door: int) -> None:
        self._run(self._doors[door].close())
        self._tally.steps["close"] += 1

    @rule(door=st.integers(0, 1))
    def open_anew(self, door: int) -> None:
        self._run(self._doors[door].close())
        self._doors[door] = self._open()
        self._tally.steps["open"] += 1

    # Reading

    @rule(name=st.sampled_from(values.NOBODY))
    def look_up_nobody(self, name: str) -> None:
        self._both("look_up_nobody", lambda store: watching.nothing_of(store, name))

    @rule(name=st.sampled_from(WALKS), limit=st.integers(1, 3))
    def read_on(self, name: str, limit: int) -> None:
        """Read one more page of a list, other things having happened since the one before."""
        walk = self._walks.setdefault(name, _Walk(self._keys[name]))
        store = self._next_door()
        pages = {
            "sessions": watching.session_pages(store, limit),
            "accounts": watching.account_pages(store, limit),
            "events": watching.event_pages(store, None, limit),
        }
        page, walk.after = self._run(_as_flow(pages[name](walk.after)))
        walk.met += [_key_of(entry) for entry in page]
        walk.pages += 1
        self._tally.steps[f"read on: {name}"] += 1
        if walk.after is None:
            del self._walks[name]
            self._tally.events[f"{name} read in {'one page' if walk.pages == 1 else 'several pages'}"] += 1
            walk.throughout.discard(None)
            assert {key: walk.met.count(key) for key in walk.throughout} == dict.fromkeys(walk.throughout, 1)

    @invariant()
    def all_that_can_be_read_is_alike(self) -> None:
        limit = 1 + self.calls % 5
        here, there = self._next_door(), self._reference
        sight, expected = (
            self._run(watching.everything(store, shelf_bits=self._bits, limit=limit)) for store in (here, there)
        )
        assert watching.differences(sight, expected) == []
        if self._counted_at is not None:
            now, self._counted_at = self._counted_at, None
            assert self._run(watching.waits(here, now=now)) == self._run(watching.waits(there, now=now))
        self._keep_watch()

    def _keep_watch(self) -> None:
        pages = {
            "sessions": watching.session_pages(self._reference, 1000),
            "accounts": watching.account_pages(self._reference, 1000),
            "events": watching.event_pages(self._reference, None, 1000),
        }
        for name, page in pages.items():
            self._keys[name] = {_key_of(entry) for entry in self._run(_as_flow(page(None)))[0]}
        for name, walk in self._walks.items():
            walk.throughout &= self._keys[name]

    # Calling

    def _both(self, name: str, call: Call) -> None:
        self.calls += 1
        expected = self._run(_outcome(call(self._reference)))
        answer = self._run(_outcome(call(self._next_door())))
        self._tally.steps[f"{name}: {_kind_of(expected)}"] += 1
        undone = UNDONE.get(name, ())
        if answer in undone and expected in undone:
            return
        assert watching.differences(answer, expected) == []

    def _next_door(self) -> Store:
        self._doors.reverse()
        return self._doors[0]

    def _numbered(self, drawn: Sequence[EventRecord]) -> tuple[EventRecord, ...]:
        self._events += len(drawn)
        return values.numbered(drawn, self._events - len(drawn))

    # Choosing

    def _session(self, pick: int) -> _Picked:
        """Give a session that is standing, any other, or one that may not be there."""
        found = self._run(self._reference.scan_sessions(after=None, limit=1000)).sessions
        standing = [one for one in found if _is_standing(one)]
        for limit, choice in ((values.ANY, standing), (values.UNKNOWN, found)):
            if pick < limit and choice:
                record = choice[pick % len(choice)].session
                return _Picked(record.digest, record.id, record.subject)
        number = pick % values.MANY
        return _Picked(a_digest(number), a_handle(number), None)

    def _password(self, pick: int) -> PasswordCredential:
        """Give somebody's password, or one of somebody who may have none."""
        known = [account.subject for account in self._run(self._reference.scan_accounts(after=None, limit=99)).accounts]
        subject = _pick(pick, known)
        return self._run(_password_of(self._reference, subject)) or a_password(subject)

    @property
    def _bits(self) -> int:
        return self._doors[0].shelf_bits

    def _on_shelf(self, digest: bytes, owner: str | None) -> bytes:
        return values.on_shelf_of(digest, owner, self._bits)


class _AccountsElsewhere(MemoryStore):
    """The reference where a look at a session brings no account."""

    def _found(self, session: SessionRecord) -> Found:
        return values.replace(super()._found(session), account=None)


class _Picked(NamedTuple):
    digest: bytes
    public_id: str
    owner: str | None


class _Walk:
    """A list that is being read page by page: `throughout` are the entries that were there all the time."""

    def __init__(self, present: set[object]) -> None:
        self.after: str | None = None
        self.met: list[object] = []
        self.pages = 0
        self.throughout = set(present)


def _key_of(entry: Any) -> object:
    if isinstance(entry, AccountRecord):
        return entry.subject
    if isinstance(entry, EventRecord):
        return entry.details.get("count")  # of the deleted nothing is told any more
    return entry.session.id


async def _create_account(store: Store, account: AccountRecord, credential: PasswordCredential) -> object:
    return await store.create_account(account, credential, events=())


def _pick(pick: int, fitting: Sequence[str]) -> str:
    choice = fitting if pick < values.ANY and fitting else values.SUBJECTS
    return choice[pick % len(choice)]


def _is_standing(found: Found) -> bool:
    session, state = found.session, found.state
    return session.ended_at is None and (
        state is None or (state.disabled_at is None and state.epoch == session.epoch)
    )  # fmt: skip


async def _taken_in_again(store: Store, limit: int) -> tuple[object, ...]:
    """Give all that a store keeps, but for the places of events, which are its own; and load it where it came from."""
    after: str | None = None
    pages: list[Contents] = []
    while after is not None or not pages:
        pages.append(await store.export(after=after, limit=limit))
        after = pages[-1].next
    for page in pages:
        await store.load(page, bookmark=None)
    kinds = ("accounts", "states", "sessions", "counters", "unreadable")
    kept = [sorted((one for page in pages for one in getattr(page, kind)), key=repr) for kind in kinds]
    return (*kept, [event for page in pages for _, event in page.events])


async def _states(store: Store) -> Mapping[str, SubjectState]:
    return await store.states_of(values.SUBJECTS)


async def _password_of(store: Store, subject: str | None) -> PasswordCredential | None:
    return None if subject is None else await store.credential(subject)


async def _as_flow(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _outcome(awaitable: Awaitable[object]) -> object:
    try:
        return await awaitable
    except StoreConflict:
        return StoreConflict.__name__


def _kind_of(answer: object) -> str:
    if answer is None or isinstance(answer, bool | str):
        return str(answer)
    if isinstance(answer, int):
        return "0" if answer == 0 else "a number"
    return str(getattr(answer, "value", type(answer).__name__))
