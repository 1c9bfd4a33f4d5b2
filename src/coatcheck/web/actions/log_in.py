"""Log in with a password."""

from __future__ import annotations

from typing import Literal

from coatcheck.http.cookies import Duplicate
from coatcheck.http.messages import Reply
from coatcheck.web.answers import LogInAnswer, account_answer, session_answer
from coatcheck.web.exchange import Exchange, Fields, FormTrouble, Next, Outcome
from coatcheck.web.showing import redirect, show


class LogInFields(Fields):
    """A user name or e-mail address, and the password."""

    identifier: str
    password: str
    remember: bool = False
    transport: Literal["cookie"] = "cookie"
    next: Next = None


async def log_in(exchange: Exchange, fields: LogInFields) -> Outcome:
    """Start a session; the one that was shown ends."""
    if isinstance(exchange.token, Duplicate):
        await exchange.visit()  # costs no step, and tells of it (CKY-10)
    login = await exchange.flows.log_ins.log_in(
        fields.identifier,
        fields.password,
        client=exchange.client,
        remember=fields.remember,
        # Not by way of `visit`: an expired session that is noted as such would cost a fifth step.
        replaces=exchange.token if isinstance(exchange.token, str) else None,
    )
    account = login.account
    return Outcome(
        body=LogInAnswer(
            None if account is None else account_answer(account),
            session_answer(login.session, current=login.session.id),
        ),
        target=exchange.target(fields.next),
        login=login,
    )


async def log_in_page(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Show the form, or send on whoever is logged in; a refusal is always shown, for a redirect looks like success."""
    next_ = trouble.values.get("next") or exchange.query("next")
    visit = await exchange.visit()
    if visit and visit.subject is not None and not trouble.errors:
        return redirect(exchange.target(next_))
    if not trouble.errors and exchange.carried:
        trouble = FormTrouble(values={"identifier": exchange.carried})  # the name of who has just signed up
    return await show(
        exchange, "log_in.html", trouble, next=next_, remember_allowed=exchange.flows.parts.policy.remember_allowed
    )
