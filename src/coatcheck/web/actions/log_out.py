"""Log out: end the session and take the cookie away. Doing it twice answers the same (SES-04)."""

from __future__ import annotations

from coatcheck.http.messages import Reply
from coatcheck.web.exchange import Exchange, Fields, FormTrouble, Outcome
from coatcheck.web.showing import show


class NoFields(Fields):
    """Nothing but, from a page, the form's token."""


async def log_out(exchange: Exchange, fields: NoFields) -> Outcome:
    """End the session that was shown, if there is one."""
    if isinstance(exchange.token, str):
        await exchange.flows.sessions.log_out(exchange.token, client=exchange.client)
    return Outcome(status=204, to="log_in", notice="logged_out", ended=True)


async def log_out_page(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Show a button: logging out by a mere link would let any page do it (SES-03)."""
    return await show(exchange, "log_out.html", trouble)
