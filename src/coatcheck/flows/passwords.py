"""Changing a password: the current one is asked for, every other session ends, this one gets a new secret."""

from __future__ import annotations

import msgspec

from coatcheck.core import passwords
from coatcheck.core import sessions as decisions
from coatcheck.core.audit import PasswordChanged
from coatcheck.core.records import PasswordCredential
from coatcheck.core.sessions import PASSWORD_CHANGED
from coatcheck.core.views import Account, Client, Login, Session
from coatcheck.errors import InvalidInput, NotAuthenticated, SessionEnded
from coatcheck.flows.accounts import problems_of_new_password
from coatcheck.flows.log_in import PASSWORD_METHOD, LogInFlows, presented_password
from coatcheck.flows.parts import Parts, records
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
        """Put a new password in place of the current one and end every other session, in one step.

        Refused while the old one still stands: whoever hears anything but success still has the old password.
        """
        parts, origin = self._parts, self._parts.origin_of(client)
        if session.subject is None:
            raise NotAuthenticated
        problems = problems_of_new_password(new_password, "/new_password", parts)
        if problems:
            raise InvalidInput(errors=problems)
        current = presented_password(current_password, "/current_password", parts)
        await self._sessions.check_time(session)
        account, credential, attempt = await self._log_ins.prove(session, current, "/current_password", origin)

        secret = passwords.normalised(new_password, parts.policy) or b""
        hashed = await parts.colour.hash(lambda: parts.hasher.hash(secret))
        now = parts.clock()
        changed = PasswordCredential(session.subject, hashed, version=credential.version + 1, changed_at=now)
        token, digest = parts.new_session_token(session.subject)
        rotation = decisions.reauthenticate(
            session.record, new_digest=digest, method=PASSWORD_METHOD, policy=parts.policy, now=now
        )
        event = PasswordChanged(at=now, subject=session.subject, session_id=session.id, **origin.told)
        done = await self._store.change_password(
            changed, at=now, reason=PASSWORD_CHANGED, keep=rotation, events=records(event)
        )
        if not done:
            raise SessionEnded  # ended meanwhile, or somebody else changed the password first, which ended it
        await parts.announce(event)
        # The note of the old password is void with it: the device that made the change stays a known one.
        device = self._log_ins.note_device(changed, msgspec.structs.replace(attempt, device=None))
        return Login(token, rotated(session, rotation), Account(account), device=device)
