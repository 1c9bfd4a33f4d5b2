"""Step-up: prove identity again inside a session."""

from __future__ import annotations

from coatcheck.http.messages import Reply
from coatcheck.web.exchange import Exchange, Fields, FormTrouble, Next, Outcome
from coatcheck.web.showing import show


class ReauthenticateFields(Fields):
    """The account's password."""

    password: str
    next: Next = None


async def reauthenticate(exchange: Exchange, fields: ReauthenticateFields) -> Outcome:
    """Check the password of the session's own account; the session gets a new secret."""
    session, _ = await exchange.require_session()
    login = await exchange.flows.log_ins.reauthenticate(session, fields.password, client=exchange.client)
    target = exchange.target(fields.next)
    # On the account page, the usual way back, it is said that it worked.
    elsewhere = target if target != exchange.target(None) else None
    return Outcome(status=204, target=elsewhere, notice="reauthenticated", login=login)


async def reauthenticate_page(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Ask for the password. What was about to be done is not repeated for the visitor (STP-08)."""
    await exchange.require_session()
    return await show(
        exchange, "reauthenticate.html", trouble, next=trouble.values.get("next") or exchange.query("next")
    )
