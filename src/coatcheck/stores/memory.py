"""The reference store: the shortest truth. Read this first; other stores must be indistinguishable from it.

It keeps everything in dicts under one lock and forgets it when the process ends. Good for tests and demonstrations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from threading import RLock
from typing import Any

import msgspec

from coatcheck.core import session_data, throttle
from coatcheck.core.audit import one_for_each
from coatcheck.core.records import (
    EMPTY_DATA,
    AccountRecord,
    EventRecord,
    PasswordCredential,
    SessionRecord,
    SubjectState,
)
from coatcheck.core.sessions import (
    EVICTED,
    REPLACED,
    Rotation,
    carried,
    death_of,
    idle_deadline,
    standing_under,
    timeout_of,
)
from coatcheck.core.throttle import Counter, Gate, Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import (
    AccountPage,
    Answer,
    Contents,
    Cutoffs,
    EventPage,
    Extent,
    Found,
    Identified,
    Purged,
    SessionPage,
    Started,
)

replace = msgspec.structs.replace


class MemoryStore:
    """Keeps the contract of `coatcheck.stores.protocols.Store` in this process's memory."""

    shelf_bits = 0

    def __init__(self, *, holds_accounts: bool = True) -> None:
        self.holds_accounts = holds_accounts
        self._lock = RLock()
        self._sessions: dict[bytes, SessionRecord] = {}
        self._states: dict[str, SubjectState] = {}
        self._everybody = SubjectState("")
        self._counters: dict[bytes, Counter] = {}
        self._accounts: dict[str, AccountRecord] = {}
        self._credentials: dict[str, PasswordCredential] = {}
        self._keys: dict[str, str] = {}
        self._events: list[tuple[int, EventRecord]] = []
        self._event_count = 0
        self._bookmark: str | None = None

    # Sessions

    async def find(self, digest: bytes) -> Found | None:
        with self._lock:
            session = self._sessions.get(digest)
            return None if session is None else self._found(session)

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
        with self._lock:
            state = SubjectState("")
            if session.subject is not None:
                state = self._states.get(session.subject, SubjectState(session.subject))
                if state.disabled_at is not None:
                    return Answer.REFUSED
                if credential_version is not None and self._is_gone(session.subject):
                    return Answer.REFUSED
                if credential_version is not None and credential_version != state.credential_version:
                    if credential_version < state.credential_version:
                        return Answer.REFUSED
                    state = _completed(state, credential_version, at=session.created_at)
            if any(throttle.refuses_success(self._counters.get(one.gate.key), one) for one in settlements):
                return Answer.LOCKED
            if session.digest in self._sessions or self._by_id(session.id) is not None:
                raise StoreConflict("a session with this digest or id exists already")
            if session.subject is not None:
                self._states[session.subject] = state
            session = replace(session, epoch=standing_under(state, self._everybody).epoch)
            old = None if replaces is None else self._standing(replaces)
            if old is not None:
                data = carried(old, session, keep_at_login)
                session = session if data is None else replace(session, data=data)
                self._mark_ended(old, at=session.created_at, reason=REPLACED)
            self._sessions[session.digest] = session
            evicted = self._evict(session, most)
            self._settle(settlements)
            self._append((*events, *one_for_each(eviction, evicted)))
            return Started(session, evicted)

    async def touch(self, digest: bytes, *, seen_at: int) -> bool:
        with self._lock:
            session = self._standing(digest)
            if session is None:
                return False
            self._sessions[digest] = replace(session, last_seen_at=max(session.last_seen_at, seen_at))
            return True

    async def patch(
        self, digest: bytes, *, namespace: str, puts: Mapping[str, bytes], removes: Collection[str], limit: int
    ) -> Answer | None:
        with self._lock:
            session = self._standing(digest)
            if session is None:
                return Answer.GONE
            data = session_data.patched(session.data, namespace, puts, removes, limit=limit)
            if data is None:
                return Answer.TOO_LARGE
            self._sessions[digest] = replace(session, data=data)
            return None

    async def increment(self, digest: bytes, *, namespace: str, key: str, by: int, limit: int) -> int | Answer:
        with self._lock:
            session = self._standing(digest)
            if session is None:
                return Answer.GONE
            total = session_data.integer_at(session.data, namespace, key)
            if total is None or abs(total + by) > session_data.INTEGER_MAX:
                return Answer.NOT_AN_INTEGER
            total += by
            data = session_data.patched(session.data, namespace, {key: str(total).encode()}, (), limit=limit)
            if data is None:
                return Answer.TOO_LARGE
            self._sessions[digest] = replace(session, data=data)
            return total

    async def rotate(self, rotation: Rotation, *, events: Sequence[EventRecord]) -> bool:
        with self._lock:
            session = self._standing(rotation.digest)
            if session is None:
                return False
            self._rotate(session, rotation)
            self._append(events)
            return True

    async def end(self, digest: bytes, *, at: int, reason: str, events: Sequence[EventRecord]) -> bool:
        with self._lock:
            session = self._sessions.get(digest)
            if session is None or session.ended_at is not None:
                return False
            self._mark_ended(session, at=at, reason=reason)
            self._append(events)
            return True

    async def end_by_id(
        self, session_id: str, *, subject: str, at: int, reason: str, events: Sequence[EventRecord]
    ) -> bool:
        with self._lock:
            session = self._by_id(session_id)
            if session is None or session.subject != subject or self._standing(session.digest) is None:
                return False
            self._mark_ended(session, at=at, reason=reason)
            self._append(events)
            return True

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
        with self._lock:
            kept = None if keep is None else self._standing(keep.digest)
            if keep is not None and (kept is None or kept.subject != subject):
                return False
            if keep is not None:
                self._check_free(keep)
            state = self._states.get(subject, SubjectState(subject))
            state = replace(
                state,
                epoch=state.epoch + 1,
                epoch_at=at,
                epoch_reason=reason,
                disabled_at=state.disabled_at if disabled_at is None else disabled_at,
                credential_version=max(state.credential_version, credential_version or 0),
            )
            self._states[subject] = state
            if keep is not None and kept is not None:
                self._rotate(replace(kept, epoch=standing_under(state, self._everybody).epoch), keep)
            self._append(events)
            return True

    async def raise_everybody(self, *, at: int, reason: str, events: Sequence[EventRecord]) -> None:
        with self._lock:
            epoch = self._everybody.epoch + 1
            self._everybody = replace(self._everybody, epoch=epoch, epoch_at=at, epoch_reason=reason)
            self._append(events)

    async def enable(self, subject: str, *, events: Sequence[EventRecord]) -> bool:
        with self._lock:
            state = self._states.get(subject)
            if state is None or state.disabled_at is None:
                return False
            self._states[subject] = replace(state, disabled_at=None)
            self._append(events)
            return True

    async def sessions_of(self, subject: str) -> tuple[Found, ...]:
        with self._lock:
            standing = [s for s in self._sessions.values() if s.subject == subject and self._standing(s.digest)]
            newest_first = sorted(standing, key=lambda s: (s.created_at, s.id), reverse=True)
            return tuple(self._found(session) for session in newest_first)

    async def find_by_id(self, session_id: str) -> Found | None:
        with self._lock:
            session = self._by_id(session_id)
            return None if session is None else self._found(session)

    async def scan_sessions(self, *, after: str | None, limit: int) -> SessionPage:
        with self._lock:
            ids = sorted(session.id for session in self._sessions.values() if after is None or session.id > after)
            by_id = {session.id: session for session in self._sessions.values()}
            page = tuple(self._found(by_id[name]) for name in ids[:limit])
            return SessionPage(page, page[-1].session.id if len(ids) > limit else None)

    async def any_live(self, *, at: int) -> bool:
        with self._lock:
            return any(
                death_of(session, self._found(session).state, now=at) is None for session in self._sessions.values()
            )

    async def states_of(self, subjects: Sequence[str]) -> Mapping[str, SubjectState]:
        with self._lock:
            found = {subject: self._state(subject) for subject in subjects}
            return {subject: state for subject, state in found.items() if state is not None}

    async def purge(self, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:  # noqa: ARG002 - one batch does
        with self._lock:
            past = [s.digest for s in self._sessions.values() if self._is_past(s, cutoffs.ended_before)]
            for digest in past:
                del self._sessions[digest]
            stale = [key for key, counter in self._counters.items() if counter.kept_until < cutoffs.counters_before]
            for key in stale:
                del self._counters[key]
            kept = [entry for entry in self._events if entry[1].at >= cutoffs.events_before]
            gone, self._events = len(self._events) - len(kept), kept
            return Purged(len(past), len(stale), gone, None)

    # Attempts

    async def admit(self, gates: Sequence[Gate], *, subject: str | None, now: int) -> int | Answer:
        with self._lock:
            locked = any(throttle.is_locked(self._counters.get(gate.key), gate) for gate in gates)
            gates = [gate for gate in gates if not gate.locks]
            counters = [self._counters.get(gate.key, Counter()) for gate in gates]
            wait = max(
                (throttle.wait_of(counter, gate, now=now) for gate, counter in zip(gates, counters, strict=True)),
                default=0,
            )
            if wait > 0:
                return wait
            for gate, counter in zip(gates, counters, strict=True):
                self._counters[gate.key] = throttle.counted(counter, gate, now=now)
            if locked:
                return Answer.LOCKED
            state = None if subject is None else self._states.get(subject)
            return 0 if state is None or state.disabled_at is None else Answer.REFUSED

    async def settle(
        self, settlements: Sequence[Settlement], *, account: str | None, events: Sequence[EventRecord]
    ) -> Answer | None:
        with self._lock:
            if account is not None and self._is_gone(account):
                return Answer.GONE
            if any(throttle.refuses_success(self._counters.get(one.gate.key), one) for one in settlements):
                return Answer.LOCKED
            locks = self._settle(settlements)
            self._append(events)
            return Answer.LOCKED if locks else None

    # Accounts

    async def create_account(
        self, account: AccountRecord, credential: PasswordCredential, *, events: Sequence[EventRecord]
    ) -> Answer | None:
        with self._lock:
            if account.username_key in self._keys:
                return Answer.USERNAME_TAKEN
            if account.email_key in self._keys:
                return Answer.EMAIL_TAKEN
            if account.subject in self._accounts:
                raise StoreConflict("an account with this subject exists already")
            self._accounts[account.subject] = account
            self._credentials[account.subject] = credential
            for key in (account.username_key, account.email_key):
                if key is not None:
                    self._keys[key] = account.subject
            self._append(events)
            return None

    async def identify(self, key: str) -> Identified | None:
        with self._lock:
            subject = self._keys.get(key)
            if subject is None:
                return None
            return Identified(self._accounts[subject], self._credentials.get(subject))

    async def account(self, subject: str) -> AccountRecord | None:
        with self._lock:
            return self._accounts.get(subject)

    async def credential(self, subject: str) -> PasswordCredential | None:
        with self._lock:
            return self._credentials.get(subject)

    async def replace_password(self, credential: PasswordCredential, *, was: int) -> bool:
        with self._lock:
            present = self._credentials.get(credential.subject)
            if present is None or present.version != was:
                return False
            self._credentials[credential.subject] = credential
            return True

    async def rehash(self, subject: str, *, was: str, new: str) -> bool:
        with self._lock:
            present = self._credentials.get(subject)
            if present is None or present.hash != was:
                return False
            self._credentials[subject] = replace(present, hash=new)
            return True

    async def scan_accounts(self, *, after: str | None, limit: int) -> AccountPage:
        with self._lock:
            subjects = sorted(subject for subject in self._accounts if after is None or subject > after)
            page = tuple(self._accounts[subject] for subject in subjects[:limit])
            return AccountPage(page, page[-1].subject if len(subjects) > limit else None)

    # Events

    async def record(self, events: Sequence[EventRecord]) -> None:
        with self._lock:
            self._append(events)

    async def events_of(self, subject: str | None, *, after: str | None, limit: int) -> EventPage:
        with self._lock:
            last = len(self._events)
            if after is not None:
                last = bisect_right(self._events, _event_position(after) - 1, key=lambda entry: entry[0])
            newest_first = reversed(self._events[:last])
            matching = [entry for entry in newest_first if subject is None or entry[1].subject == subject]
            page = matching[:limit]
            return EventPage(tuple(e for _, e in page), str(page[-1][0]) if len(matching) > limit else None)

    # Accounts and sessions together

    async def change_password(
        self,
        credential: PasswordCredential,
        *,
        at: int,
        reason: str,
        keep: Rotation,
        events: Sequence[EventRecord],
    ) -> bool:
        with self._lock:
            present = self._credentials.get(credential.subject)
            if present is None or present.version != credential.version - 1:
                return False
            kept = await self.raise_epoch(
                credential.subject,
                at=at,
                reason=reason,
                keep=keep,
                credential_version=credential.version,
                disabled_at=None,
                events=events,
            )
            if kept:
                self._credentials[credential.subject] = credential
            return kept

    async def delete_account(self, subject: str, *, counters: Sequence[bytes], events: Sequence[EventRecord]) -> bool:
        with self._lock:
            account = self._accounts.pop(subject, None)
            if account is None and self.holds_accounts:
                return False
            if account is not None:
                for name in (account.username_key, account.email_key):
                    self._keys.pop(name or "", None)
            self._credentials.pop(subject, None)
            self._states.pop(subject, None)
            self._sessions = {digest: s for digest, s in self._sessions.items() if s.subject != subject}
            for key in counters:
                self._counters.pop(key, None)
            self._events = [
                (n, EventRecord(e.at, e.name, None, None, None, None, None, {}) if e.subject == subject else e)
                for n, e in self._events
            ]
            self._append(events)
            return True

    # The engine

    @property
    def location(self) -> str:
        return f"memory {id(self):x}"

    async def ready(self) -> None:
        return None

    async def advisories(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        return None

    # Moving it all

    async def export(self, *, after: str | None, limit: int) -> Contents:
        with self._lock:
            kinds: dict[str, list[Any]] = {
                "accounts": [(account, self._credentials.get(name)) for name, account in self._accounts.items()],
                "states": [self._everybody, *self._states.values()],
                "sessions": list(self._sessions.values()),
                "counters": list(self._counters.items()),
                "events": self._events,
            }
            everything = [(kind, record) for kind, kept in kinds.items() for record in kept]
            begin = int(after or 0)
            page: dict[str, list[Any]] = {}
            for kind, record in everything[begin : begin + limit]:
                page.setdefault(kind, []).append(record)
            following = str(begin + limit) if begin + limit < len(everything) else None
            return Contents(**{kind: tuple(kept) for kind, kept in page.items()}, next=following)

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        with self._lock:
            for account, credential in contents.accounts:
                self._load_account(account, credential)
            self._everybody = next((s for s in contents.states if not s.subject), self._everybody)
            self._states |= {state.subject: state for state in contents.states if state.subject}
            self._sessions |= {session.digest: session for session in contents.sessions}
            self._counters |= dict(contents.counters)
            self._events = sorted((dict(self._events) | dict(contents.events)).items())
            self._event_count = max([self._event_count, *(place for place, _ in contents.events)])
            self._bookmark = bookmark

    async def extent(self) -> Extent:
        with self._lock:
            return Extent(
                len(self._accounts), len(self._states), len(self._sessions), len(self._counters), len(self._events)
            )

    async def bookmark(self) -> str | None:
        with self._lock:
            return self._bookmark

    # Under the lock

    def _is_gone(self, subject: str) -> bool:
        return self.holds_accounts and subject not in self._credentials

    def _load_account(self, account: AccountRecord, credential: PasswordCredential | None) -> None:
        self._accounts[account.subject] = account
        self._keys |= {key: account.subject for key in (account.username_key, account.email_key) if key is not None}
        if credential is not None:
            self._credentials[account.subject] = credential

    def _found(self, session: SessionRecord) -> Found:
        subject = session.subject
        if subject is None:
            return Found(session, self._everybody, None)
        return Found(session, self._state(subject), self._accounts.get(subject))

    def _state(self, subject: str) -> SubjectState | None:
        own = self._states.get(subject)
        return None if own is None else standing_under(own, self._everybody)

    def _standing(self, digest: bytes) -> SessionRecord | None:
        session = self._sessions.get(digest)
        if session is None or session.ended_at is not None:
            return None
        state = self._found(session).state
        return session if state is not None and state.disabled_at is None and state.epoch == session.epoch else None

    def _by_id(self, session_id: str) -> SessionRecord | None:
        return next((s for s in self._sessions.values() if s.id == session_id), None)

    def _mark_ended(self, session: SessionRecord, *, at: int, reason: str) -> None:
        self._sessions[session.digest] = replace(session, ended_at=at, end_reason=reason, data=EMPTY_DATA)

    def _check_free(self, rotation: Rotation) -> None:
        if rotation.new_digest != rotation.digest and rotation.new_digest in self._sessions:
            raise StoreConflict("a session with this digest exists already")

    def _rotate(self, session: SessionRecord, rotation: Rotation) -> None:
        self._check_free(rotation)
        del self._sessions[rotation.digest]
        self._sessions[rotation.new_digest] = replace(
            session,
            digest=rotation.new_digest,
            last_seen_at=max(session.last_seen_at, rotation.last_seen_at),
            auth_time=rotation.auth_time,
            expires_at=rotation.expires_at,
            methods=rotation.methods,
        )

    def _evict(self, newcomer: SessionRecord, most: int) -> tuple[str, ...]:
        if newcomer.subject is None:
            return ()
        others = [
            s
            for s in self._sessions.values()
            if s.subject == newcomer.subject
            and s.digest != newcomer.digest
            and self._standing(s.digest)
            and timeout_of(s, now=newcomer.created_at) is None
        ]
        surplus = sorted(others, key=lambda s: (s.last_seen_at, s.id))[: max(0, len(others) + 1 - most)]
        for session in surplus:
            self._mark_ended(session, at=newcomer.created_at, reason=EVICTED)
        return tuple(session.id for session in surplus)

    def _settle(self, settlements: Sequence[Settlement]) -> bool:
        """Apply them; say whether one made a gate lock."""
        locks = False
        for settlement in settlements:
            counter = self._counters.pop(settlement.gate.key, None)
            left = throttle.settled(counter, settlement)
            if left is not None:
                self._counters[settlement.gate.key] = left
            locks = locks or throttle.locks_now(counter, left, settlement.gate)
        return locks

    def _append(self, events: Sequence[EventRecord]) -> None:
        for event in events:
            self._event_count += 1
            self._events.append((self._event_count, event))

    def _is_past(self, session: SessionRecord, cutoff: int) -> bool:
        died = [session.expires_at, idle_deadline(session)]
        if session.ended_at is not None:
            died.append(session.ended_at)
        state = self._found(session).state
        if state is not None and state.epoch != session.epoch:
            died.append(state.epoch_at)
        return min(died) < cutoff


def _event_position(after: str) -> int:
    # A cursor that no page has given stands at the end: what follows it is an empty page.
    return int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else 0


def _completed(state: SubjectState, credential_version: int, *, at: int) -> SubjectState:
    raised = credential_version > max(state.credential_version, 1)  # version 1 is an account's first password
    return replace(
        state,
        credential_version=credential_version,
        epoch=state.epoch + raised,
        epoch_at=at if raised else state.epoch_at,
        epoch_reason="password_changed" if raised else state.epoch_reason,
    )
