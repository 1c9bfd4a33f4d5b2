"""The device list: see sessions, end one, end the others, end all."""

from __future__ import annotations

from coatcheck.web.actions.account import PageFields
from coatcheck.web.actions.log_out import NoFields
from coatcheck.web.answers import RevokedAnswer, SessionsAnswer, session_answer
from coatcheck.web.exchange import Exchange, Fields, Outcome


class RevokeFields(Fields):
    """The public id of a session, from the device list."""

    session_id: str


async def list_sessions(exchange: Exchange, fields: PageFields) -> Outcome:
    """The account's live sessions, newest first."""
    session, subject = await exchange.require_session()
    asked = fields.checked()
    live = await exchange.flows.oversight.live_sessions(subject)
    ids = [one.id for one in live]
    first = 0 if asked.cursor is None else ids.index(asked.cursor) + 1 if asked.cursor in ids else len(ids)
    page = live[first : first + asked.limit]
    following = page[-1].id if first + asked.limit < len(live) else None
    return Outcome(body=SessionsAnswer([session_answer(one, current=session.id) for one in page], following))


async def revoke(exchange: Exchange, fields: RevokeFields) -> Outcome:
    """End one session. One's own needs no further proof, another does (REV-02)."""
    session, subject = await exchange.require_session()
    if fields.session_id == session.id:
        await exchange.flows.sessions.log_out(exchange.token, client=exchange.client)
        return Outcome(status=204, to="log_in", notice="logged_out", ended=True)
    exchange.flows.sessions.require_fresh(session)
    await exchange.flows.oversight.revoke(fields.session_id, subject=subject, note="", client=exchange.client)
    return Outcome(status=204, notice="session_revoked")


async def revoke_by_path(exchange: Exchange, fields: NoFields) -> Outcome:
    """End the session named in the address."""
    return await revoke(exchange, RevokeFields(exchange.params["id"]))


async def revoke_others(exchange: Exchange, fields: NoFields) -> Outcome:
    """End all sessions of the account but this one."""
    session, subject = await exchange.require_session()
    exchange.flows.sessions.require_fresh(session)
    revoked = await exchange.flows.oversight.revoke_all(subject, keep=session.id, note="", client=exchange.client)
    return Outcome(body=RevokedAnswer(revoked), notice="others_revoked")


async def revoke_everywhere(exchange: Exchange, fields: NoFields) -> Outcome:
    """End all sessions of the account, this one too."""
    session, subject = await exchange.require_session()
    exchange.flows.sessions.require_fresh(session)
    await exchange.flows.oversight.revoke_all(subject, keep=None, note="", client=exchange.client)
    return Outcome(status=204, to="log_in", notice="logged_out", ended=True)
