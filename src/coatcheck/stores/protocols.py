"""What a store promises, method by method. `coatcheck.testing.contracts` holds every store to it.

General promises:

- G1. Each method is one step: one round trip or one transaction, all of it or nothing.
- G2. When a method has returned, its change survives the death of the process ("acknowledged"). Durable against loss
  of power too, except `admit`, `settle` and `touch`, which may lose their last second.
- G3. Whatever the engine says when it is down, locked, full or too slow (2 s) becomes `StoreUnavailable`, from the
  cause; nothing is changed then. One unreadable record becomes `CorruptRecord` and harms no other: lists leave it
  out.
- G4. Methods may be called from many threads, tasks and processes at once. A store opens nothing before first use
  and opens afresh in a forked child.
- G5. `events` given to a method are kept with its change, and only if it happens; where accounts and sessions live
  apart, right after it, and what keeps them from that undoes no change (LOG-07).
- G6. Text compares byte by byte; no value is folded, trimmed or interpreted. Values come back as they went in.

A session is *standing* while it is not marked ended, carries the present epoch, and its subject is not disabled. The
epoch is the sum of the subject's own and everybody's (`SubjectState`). That is equality of stored values, no judgement:
time never enters here.

A store that shards by subject announces `shelf_bits`; every digest it is then given for a subject falls on that
subject's shelf (`coatcheck.core.tokens.shelf_of`), so that a subject's sessions, state and index share a place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from coatcheck.core.records import (
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.sessions import Rotation
from coatcheck.core.throttle import Counter, Gate, Settlement

A_co = TypeVar("A_co", covariant=True)


class Answer(Enum):
    """Why a change did not happen. Nothing was written."""

    GONE = "gone"  # the session is not standing, or was never there
    TOO_LARGE = "too_large"
    NOT_AN_INTEGER = "not_an_integer"
    REFUSED = "refused"  # the subject may not have this session
    LOCKED = "locked"  # too many failures in a row: even the right password opens nothing
    USERNAME_TAKEN = "username_taken"
    EMAIL_TAKEN = "email_taken"


class Found(msgspec.Struct, frozen=True, gc=False):
    """A session, the state it stands under, and the account where the store holds both (None where it does not).

    The state is the subject's, raised by everybody's epoch; an anonymous session's is everybody's.
    """

    session: SessionRecord
    state: SubjectState | None
    account: AccountRecord | None


class Started(msgspec.Struct, frozen=True):
    """A session that was created: the record as kept (epoch stamped, data carried over), and the ids that made room."""

    session: SessionRecord
    evicted: tuple[str, ...]


class Identified(msgspec.Struct, frozen=True):
    """An account found by name, with its password."""

    account: AccountRecord
    credential: PasswordCredential | None


class AccountPage(msgspec.Struct, frozen=True):
    """Some accounts in order of their subject, and where the next page starts (None at the end)."""

    accounts: tuple[AccountRecord, ...]
    next: str | None


class SessionPage(msgspec.Struct, frozen=True):
    """Some sessions, and where the next page starts (None at the end)."""

    sessions: tuple[Found, ...]
    next: str | None


class EventPage(msgspec.Struct, frozen=True):
    """Some events, newest first, and where the next page starts (None at the end)."""

    events: tuple[EventRecord, ...]
    next: str | None


class Cutoffs(msgspec.Struct, frozen=True):
    """What `purge` may delete, as plain instants.

    `ended_before`: sessions ended, expired, outlived by their subject's epoch or idle past their timeout before it.
    `counters_before`: attempt counters to be kept until before it. `events_before`: events older than it.
    """

    ended_before: int
    counters_before: int
    events_before: int


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """Some of what a store keeps, exactly as it is kept, for another store to take in.

    `states` are the subjects' own, without everybody's epoch, whose own state is the one of the empty subject. The
    epochs of `sessions` are those stamped into them; ended ones are there, too. `events` come in their order, oldest
    first, each with its place in that order. `unreadable` names the records that could not be read and are left out.
    """

    accounts: tuple[tuple[AccountRecord, PasswordCredential | None], ...] = ()
    states: tuple[SubjectState, ...] = ()
    sessions: tuple[SessionRecord, ...] = ()
    counters: tuple[tuple[bytes, Counter], ...] = ()
    events: tuple[tuple[int, EventRecord], ...] = ()
    unreadable: tuple[str, ...] = ()
    next: str | None = None


class Extent(msgspec.Struct, frozen=True):
    """How much a store keeps of each kind."""

    accounts: int = 0
    subjects: int = 0
    sessions: int = 0
    counters: int = 0
    events: int = 0


class Purged(msgspec.Struct, frozen=True):
    """One batch of purging: how much went, and where to go on (None when the round is complete)."""

    sessions: int
    counters: int
    events: int
    next: str | None


class SessionStore(Protocol):
    """Sessions and the state of their subjects."""

    @property
    def shelf_bits(self) -> int:
        """How many leading bits of a digest place it (0: none; at most 8)."""
        ...

    async def find(self, digest: bytes) -> Found | None:
        """Read a session by the digest of its token, with its subject's state (and account, if held here).

        1. One step, and nothing is written. 2. Ended sessions are found until they are purged. 3. None if unknown.
        """
        ...

    async def start(
        self,
        session: SessionRecord,
        *,
        replaces: bytes | None,
        keep_at_login: Collection[str] | None,
        credential_version: int | None,
        most: int,
        settlements: Sequence[Settlement],
        events: Sequence[EventRecord],
        eviction: EventRecord | None,
    ) -> Started | Answer:
        """Create a session.

        1. Never overwrites: a digest or id that is there already raises `StoreConflict`.
        2. The subject's state is created if it is missing, and its epoch stamped into the session.
        3. `REFUSED` if the subject is disabled, or `credential_version` is older than the state's; if it is newer,
           the state takes it, and unless it is an account's first (1) the epoch is raised before: a password change
           that died half way is completed. A store that `holds_accounts` refuses a `credential_version` when the
           subject has no password any more: the account was deleted meanwhile.
        4. `replaces` is marked ended with reason `replaced` if it is standing. What of its data
           `coatcheck.core.sessions.carried` leaves to the new session, given `keep_at_login`, takes the place of the
           new one's in the same step, and no save that comes later is lost without being told `GONE`.
        5. If the subject has more than `most` standing sessions then, not counting those whose limits of time have
           passed at the new one's `created_at`, those seen longest ago are marked ended (`too_many_sessions`), never
           the new one; their ids come back. After the other events, `eviction` is kept for each, with its id.
        6. `settlements` are applied; `LOCKED` if `settle` would say so of them, and nothing happens then.
        """
        ...

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        """Move "last seen" forward, never back, of a standing session. False if it is not standing; never creates."""
        ...

    async def patch(
        self,
        digest: bytes,
        *,
        namespace: str,
        puts: Mapping[str, bytes],
        removes: Collection[str],
        limit: int,
    ) -> Answer | None:
        """Set and remove keys of a standing session's data in one step.

        1. Other keys are untouched, whoever changes them at the same time. 2. `GONE` if the session is not standing:
        a late save never revives (SES-05). 3. `TOO_LARGE` if it would grow beyond `limit` bytes
        (`session_data.size_of`); the old data stays whole.
        """
        ...

    async def increment(self, digest: bytes, *, namespace: str, key: str, by: int, limit: int) -> int | Answer:
        """Add to a counter in a standing session's data, absent meaning 0, and return the sum.

        1. Concurrent increments all count. 2. `GONE`, `TOO_LARGE` as in `patch`; `NOT_AN_INTEGER` if the value is
        none, or the sum leaves 64 bits; the value stays.
        """
        ...

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        """Give a standing session a new digest and what else the rotation says; id, data and epoch stay.

        1. From that step on only the new digest finds it. 2. Of several rotations of one digest one wins; the others
        get False. 3. False if it is not standing.
        """
        ...

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        """Mark a session ended; its data is dropped, digest and reason stay until purged.

        False, and no event, if it was ended or is unknown. Works on sessions that are no longer standing otherwise.
        """
        ...

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        """Mark a standing session ended, found by public id *and* owner in one condition (REV-03). False if none is."""
        ...

    async def raise_epoch(
        self,
        subject: str,
        *,
        at: int,
        reason: str,
        keep: Rotation | None,
        credential_version: int | None,
        disabled_at: int | None,
        events: Sequence[EventRecord],
    ) -> bool:
        """End every session of a subject at once, in constant time, by raising its epoch (SES-09, REV-06).

        1. `keep` survives, rotated as it says (its new digest may be the old one). If it is not standing, or belongs
        to somebody else, nothing happens and the answer is False. 2. `credential_version`, if given, becomes the
        state's unless that is newer. 3. `disabled_at`, if given, disables the subject: no session can be started.
        4. The state is created if it is missing.
        """
        ...

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        """End every session there is, anonymous ones too, in constant time (REV-06)."""
        ...

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        """Let a disabled subject have sessions again; its old ones stay dead. False if it was not disabled."""
        ...

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        """Read the standing sessions of a subject, newest first."""
        ...

    async def find_by_id(self, session_id: str) -> Found | None:
        """Read a session by its public id, for operators. Ended ones are found until they are purged."""
        ...

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        """Read all sessions page by page in a fixed order; ones that are there throughout come exactly once."""
        ...

    async def any_live(self, *, at: int) -> bool:
        """Say whether there is a standing session whose limits of time have not passed at an instant.

        For operators: the first one found is answer enough, but where all are dead each may be looked at.
        """
        ...

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        """Read the states of many subjects in one step; those without one are left out."""
        ...

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        """Delete what is past the cutoffs, looking at about `limit` records, and say where to go on.

        1. Nothing that a cutoff does not name is deleted. 2. A round from None to None deletes all that was past the
        cutoffs at its start. 3. Writers wait for one batch at most.
        """
        ...


class AttemptStore(Protocol):
    """Counters of failures. They live beside the sessions."""

    async def admit(self, gates: Sequence[Gate], *, subject: str | None, now: int) -> int | Answer:
        """Count one pending attempt at every gate, or none: seconds to wait if any gate is closed, else 0.

        A gate that locks counts nothing here and keeps nobody waiting; if it has locked, the answer of an attempt that
        is counted is `LOCKED` instead of 0. If none has, and `subject` is disabled, it is `REFUSED`.
        1. Atomic across processes: of many attempts at once no more are admitted than the gate has room for (RAT-06).
        2. A refused attempt changes nothing. 3. The arithmetic is that of `coatcheck.core.throttle`. 4. `subject` is
        whatever stands for who is tried, and may be nobody's and no text: how long it takes tells nothing of it.
        """
        ...

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        """Apply the outcome of an attempt to its counters (`coatcheck.core.throttle.settled`).

        `GONE` if `account` is the subject of an account that has no password (any more): nothing is kept of what was
        under way when it was deleted. Where accounts live elsewhere (`holds_accounts`) nobody is known to be gone.
        `LOCKED` if one of them refuses a success (`refuses_success`): then nothing is applied and no event kept. Also
        `LOCKED`, with all of it done, for the one failure by which a gate locks.
        """
        ...


class AccountStore(Protocol):
    """Accounts and their passwords."""

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        """Open an account. `USERNAME_TAKEN` or `EMAIL_TAKEN` if a key is used by another.

        Of several at once one wins: by a constraint, never by a read before (ACC-05).
        """
        ...

    async def identify(self, key: str) -> Identified | None:
        """Find an account by its user-name key or e-mail key, with its password."""
        ...

    async def account(self, subject: str) -> AccountRecord | None:
        """Read an account."""
        ...

    async def credential(self, subject: str) -> PasswordCredential | None:
        """Read an account's password."""
        ...

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        """Put a new password in place of version `was`; of several at once one wins. False if the version moved."""
        ...

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        """Replace a hash by another of the same password; the version stays. False if it is no longer `was`."""
        ...

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        """Read all accounts page by page, in order of their subject."""
        ...


class EventStore(Protocol):
    """Security events."""

    async def record(self, events: Sequence[EventRecord]) -> None:
        """Keep events that come with no change of their own."""
        ...

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        """Read events, newest first: those of a subject, or all when it is None.

        A cursor that no page has given leads to an empty page.
        """
        ...


class CopyStore(Protocol):
    """Moving everything a store keeps into another one, while nobody else writes to either."""

    async def export(self, *, after: str | None, limit: int) -> Contents:
        """Read all there is, page by page, about `limit` records each; `next` of a page begins the one after it.

        1. A round from None to None gives each record once, if nobody writes meanwhile, and so does one that is broken
        off and goes on later from a `next`. 2. Values are those that went in (G6), what derives from them is left out.
        """
        ...

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        """Take in what an `export` gave, and keep a bookmark with it, or none any more.

        1. What is there under the same key (subject, digest, counter's key, place of an event) is replaced: loading
        twice is loading once. 2. Sessions are found by their digests, whichever shelf these fall on. 3. The bookmark
        is kept with all of the contents, or later: what it says has been loaded is there. 4. Later events come after
        those loaded.
        """
        ...

    async def extent(self) -> Extent:
        """Say how much `export` will give, at once: exactly where that takes no longer, else the engine's estimate."""
        ...

    async def bookmark(self) -> str | None:
        """Read the bookmark: text while a copy into this store is under way, None if there is none."""
        ...


class AccountsHalf(AccountStore, EventStore, Protocol):
    """What a store needs to hold the accounts of sessions that live elsewhere: your own table of users, for one.

    The methods that are not of `AccountStore` and `EventStore` promise what they do in `AttemptStore` and `Store`.
    """

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        """Keep events, unless `account` has no password (any more): `GONE` then. There are no settlements here."""
        ...

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        """Delete an account, and what its events say of it. There are no counters here."""
        ...

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
        """Delete events older than the cutoff for them, about `limit` at a time. There is nothing else to purge."""
        ...

    @property
    def location(self) -> str:
        """Where it keeps things, the same for stores that share them; no secret is in it."""
        ...

    async def ready(self) -> None:
        """Return if the store can be read now; raise what any other method would."""
        ...

    async def advisories(self) -> tuple[str, ...]:
        """Say what about the engine is weaker than it should be, each in words, with the mend after a `; `."""
        ...

    async def close(self) -> None:
        """Let go of connections and files. A later call opens them again."""
        ...


class OwnAccounts(AccountsHalf, Protocol[A_co]):
    """A store of accounts that the application knows as objects of its own type, such as the rows of its table.

    A desk over one gives these where another gives `coatcheck.Account`: it is a `Coatcheck[User]` then.
    """

    async def own_accounts(self, subjects: Sequence[str]) -> Mapping[str, A_co]:
        """Read the application's objects for many subjects in one step; those without an account are left out."""
        ...


class Store(SessionStore, AttemptStore, AccountStore, EventStore, CopyStore, Protocol):
    """All of it in one, and the door to the engine behind it."""

    async def change_password(
        self,
        credential: PasswordCredential,
        *,
        at: int,
        reason: str,
        keep: Rotation,
        events: Sequence[EventRecord],
    ) -> bool:
        """Put a new password in place of the one before it (`version` - 1) and raise the epoch, in one step.

        1. All of `replace_password` and `raise_epoch` with this `keep` and version, or nothing: False if the version
        has moved or `keep` is not a standing session of this subject (where the new digest is taken besides,
        `StoreConflict` may be told as well). 2. Where accounts and sessions live apart it is
        those two, in this order; what a failure in between leaves undone, `start` completes (its promise 3).
        """
        ...

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        """Delete an account and every trace of its subject, in one step (DAT-07). False if there is no such account.

        1. Account, password, sessions (ended ones too), state and the attempt counters under these keys are gone.
        2. Events that named the subject keep their time and name, and lose everything else. 3. The subject's names
        are free. A log-in that read the account before gets no session after (`start`, promise 3). 4. Where accounts
        live elsewhere (`holds_accounts`) any subject is forgotten, and the answer is True.
        """
        ...

    @property
    def holds_accounts(self) -> bool:
        """Whether accounts are kept beside the sessions. Only there `find` brings them.

        False for a store of sessions whose accounts live elsewhere, which knows of nobody to be gone (`start`,
        `settle`, `delete_account`), and for one made of two.
        """
        ...

    @property
    def location(self) -> str:
        """Where it keeps things, the same for stores that share them; no secret is in it."""
        ...

    async def ready(self) -> None:
        """Return if the store can be read now; raise what any other method would."""
        ...

    async def advisories(self) -> tuple[str, ...]:
        """Say what about the engine is weaker than it should be, each in words, with the mend after a `; `."""
        ...

    async def close(self) -> None:
        """Let go of connections and files. A later call opens them again."""
        ...


Progress: TypeAlias = Callable[[int, int], None]
"""Told of the statements done so far, and their number."""


class VersionedStore(Protocol):
    """What an engine keeps has a version, by which programs of another version find out that it is not for them."""

    @property
    def schema_latest(self) -> int:
        """The version this Coatcheck works with."""
        ...

    async def schema_version(self) -> int:
        """Read the version of what is kept; 0 if nothing was kept yet. Changes and creates nothing.

        Raises SchemaMismatch if what is there is another program's.
        """
        ...


class UpgradableStore(VersionedStore, Protocol):
    """A store whose schema can be brought from one version to the next."""

    async def upgrade_schema(self, progress: Progress | None = None) -> tuple[int, int]:
        """Bring the schema to the latest version and give the versions before and after.

        `progress` is called with the statements done so far and their number. A newer schema is refused.
        """
        ...
