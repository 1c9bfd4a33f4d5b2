"""Changing a password: the current one is asked for, every other session ends, this one gets a new secret."""

from __future__ import annotations

from coatcheck.core import passwords, throttle
from coatcheck.core import sessions as decisions
from coatcheck.core.audit import PasswordChanged
from coatcheck.core.records import PasswordCredential
from coatcheck.core.sessions import PASSWORD_CHANGED
from coatcheck.core.views import Account, Client, Login, Session
from coatcheck.errors import InvalidInput, NotAuthenticated, SessionEnded
from coatcheck.flows.accounts import problems_of_new_password
from coatcheck.flows.log_in import PASSWORD_METHOD, LogInFlows, presented_password
from coatcheck.flows.parts import Parts, origin_of, records
from coatcheck.flows.sessions import SessionFlows, rotated


class PasswordFlows:
    """The flows of this module over one desk's parts."""

    def __init__(self, parts: Parts, sessions: SessionFlows, log_ins: LogInFlows) -> None:
        self._parts = parts
        self._store = parts.store
        self._sessions = sessions
        self._log_ins = log_ins

    async def change(
        self, session: Session, *, current_password: str, new_password: str, client: Client | None
    ) -> Login:
        """Put a new password in place of the current one, in two steps.

        First the password, then the epoch: if we die in between, the next log-in with the new password raises the
        epoch (`SessionStore.start`, promise 3), and no session can be started with the old one.
        """
        parts, origin = self._parts, origin_of(client)
        if session.subject is None:
            raise NotAuthenticated
        problems = problems_of_new_password(new_password, "/new_password", parts)
        if problems:
            raise InvalidInput(errors=problems)
        current = presented_password(current_password, "/current_password", parts)
        await self._sessions.check_time(session)
        account, credential, gates = await self._log_ins.prove(session, current, "/current_password", origin)

        secret = passwords.normalised(new_password, parts.policy) or b""
        hashed = await self._log_ins.hash_admitted(lambda: parts.hasher.hash(secret), gates)
        now = parts.clock()
        changed = PasswordCredential(session.subject, hashed, version=credential.version + 1, changed_at=now)
        if not await self._store.replace_password(changed, was=credential.version):
            raise SessionEnded  # somebody else changed it first, and that ended this session
        token, digest = parts.new_session_token(session.subject)
        rotation = decisions.reauthenticate(
            session.record, new_digest=digest, method=PASSWORD_METHOD, policy=parts.policy, now=now
        )
        event = PasswordChanged(
            at=now, subject=session.subject, session_id=session.id, ip=origin.ip, user_agent=origin.user_agent
        )
        kept = await self._raise_epoch(session.subject, now, changed.version, rotation, gates, event)
        if not kept:
            # This very session was ended meanwhile: the others must still go.
            await self._raise_epoch(session.subject, now, changed.version, None, gates, event)
        await parts.announce(event)
        if not kept:
            raise SessionEnded
        return Login(token, rotated(session, rotation), Account(account))

    async def _raise_epoch(
        self,
        subject: str,
        now: int,
        version: int,
        keep: decisions.Rotation | None,
        gates: tuple[throttle.Gate, ...],
        event: PasswordChanged,
    ) -> bool:
        return await self._store.raise_epoch(
            subject,
            at=now,
            reason=PASSWORD_CHANGED,
            keep=keep,
            credential_version=version,
            disabled_at=None,
            settlements=throttle.settlements_of(gates, "success", at=now),
            events=records(event),
        )
