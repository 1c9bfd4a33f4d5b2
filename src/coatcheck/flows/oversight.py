"""Seeing sessions and ending them from outside: the device list, revocation, and what operators need."""

from __future__ import annotations

from collections.abc import Callable

from coatcheck.core import sessions as decisions
from coatcheck.core.audit import EverybodyRevoked, SessionRevoked, SessionsRevoked, safe_label
from coatcheck.core.records import SessionRecord
from coatcheck.core.sessions import EVERYBODY_REVOKED, REVOKED, Rotation
from coatcheck.core.views import Client, Session
from coatcheck.errors import NotFound, SessionEnded
from coatcheck.flows.parts import Parts, check_count, records
from coatcheck.flows.sessions import check_subject
from coatcheck.stores.protocols import Cutoffs, Found, Purged, SessionPage


class OversightFlows:
    """The flows of this module over one desk's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._clock = parts.clock

    async def revoke(self, session_id: str, *, subject: str, note: str, client: Client | None) -> None:
        """End one session of a subject by its public id."""
        check_subject(subject)
        now, origin = self._clock(), self._parts.origin_of(client)
        event = SessionRevoked(
            at=now,
            subject=subject,
            session_id=session_id,
            **origin.told,
            note=safe_label(note) or "",
        )
        if not await self._store.end_by_id(session_id, subject=subject, at=now, reason=REVOKED, events=records(event)):
            raise NotFound("session_not_found")
        await self._parts.announce(event)

    async def revoke_all(self, subject: str, *, keep: str | None, note: str, client: Client | None) -> int:
        """End all sessions of a subject, but for `keep`; say how many live ones ended."""
        check_subject(subject)
        ended = await self._revoke_all(subject, keep=keep, note=note, client=client)
        if ended is None:
            # `keep` was given a new secret between the read and the step: look again, once.
            ended = await self._revoke_all(subject, keep=keep, note=note, client=client)
        if ended is None:
            raise SessionEnded
        return ended

    async def revoke_everybody(self, *, note: str) -> None:
        """End every session there is, of every subject and of none, in one step."""
        now = self._clock()
        event = EverybodyRevoked(at=now, note=safe_label(note) or "")
        await self._store.raise_everybody(at=now, reason=EVERYBODY_REVOKED, events=records(event))
        await self._parts.announce(event)

    async def _revoke_all(self, subject: str, *, keep: str | None, note: str, client: Client | None) -> int | None:
        now, origin = self._clock(), self._parts.origin_of(client)
        live = await self.live_sessions(subject)
        kept = next((session for session in live if session.id == keep), None)
        if keep is not None and kept is None:
            raise NotFound("session_not_found")
        event = SessionsRevoked(
            at=now,
            subject=subject,
            session_id=keep,
            **origin.told,
            kept_current=kept is not None,
            note=safe_label(note) or "",
        )
        done = await self._store.raise_epoch(
            subject,
            at=now,
            reason=REVOKED,
            keep=None if kept is None else unchanged(kept.record),
            credential_version=None,
            disabled_at=None,
            events=records(event),
        )
        if not done:
            return None
        await self._parts.announce(event)
        return len(live) - (kept is not None)

    async def live_sessions(self, subject: str) -> tuple[Session, ...]:
        """Read the live sessions of a subject, newest first."""
        check_subject(subject)
        now = self._clock()
        return tuple(
            Session(found.session)
            for found in await self._store.sessions_of(subject)
            if decisions.death_of(found.session, found.state, now=now) is None
        )

    async def find(self, session_id: str) -> tuple[Session, str | None] | None:
        """Read a session by public id, with the reason of its death if it is dead."""
        found = await self._store.find_by_id(session_id)
        return None if found is None else self._with_death(found)

    async def scan(self, *, after: str | None, limit: int) -> tuple[list[tuple[Session, str | None]], str | None]:
        """Read one page of all sessions, dead ones included, each with the reason of its death."""
        check_count("limit", limit)
        page: SessionPage = await self._store.scan_sessions(after=after, limit=limit)
        return [self._with_death(found) for found in page.sessions], page.next

    async def purge(self, *, batch: int, progress: Callable[[Purged], None] | None) -> Purged:
        """Delete what is dead for longer than the policy keeps it, batch by batch; give the totals."""
        check_count("batch", batch)
        cutoffs = self._cutoffs()
        total, after = Purged(0, 0, 0, None), None
        while True:
            step = await self._store.purge(cutoffs, after=after, limit=batch)
            total = Purged(
                total.sessions + step.sessions, total.counters + step.counters, total.events + step.events, None
            )
            if progress is not None:
                progress(total)
            after = step.next
            if after is None:
                return total

    def _cutoffs(self) -> Cutoffs:
        now, policy = self._clock(), self._parts.policy
        return Cutoffs(
            ended_before=now - policy.ended_kept,
            counters_before=now + 3600,  # a round comes every hour: none is kept for longer than a day (RAT-12)
            events_before=now - policy.events_kept,
        )

    def _with_death(self, found: Found) -> tuple[Session, str | None]:
        return Session(found.session), decisions.death_of(found.session, found.state, now=self._clock())


def unchanged(session: SessionRecord) -> Rotation:
    """A rotation that keeps everything, secret included: how `raise_epoch` is told which session survives."""
    return decisions.rotate(session, new_digest=session.digest, now=session.last_seen_at)
