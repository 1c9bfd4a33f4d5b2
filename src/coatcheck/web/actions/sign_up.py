"""Sign up: open an account. The visitor logs in afterwards."""

from __future__ import annotations

from coatcheck.http.messages import Reply
from coatcheck.web.answers import SignedUpAnswer, account_answer
from coatcheck.web.exchange import Exchange, Fields, FormTrouble, Next, Outcome
from coatcheck.web.showing import redirect, show


class SignUpFields(Fields):
    """A user name, an e-mail address, or both; and a password."""

    password: str
    username: str | None = None
    email: str | None = None
    next: Next = None


async def sign_up(exchange: Exchange, fields: SignUpFields) -> Outcome:
    """Open an account."""
    account = await exchange.flows.accounts.sign_up(
        username=fields.username, email=fields.email, password=fields.password, client=exchange.client
    )
    return Outcome(
        status=201,
        body=SignedUpAnswer(account_answer(account)),
        to="log_in",
        notice="signed_up",
        # Checked here too: what is too long for a redirect must not become one (RED-03).
        query={"next": exchange.target(fields.next) if fields.next else None},
        carried=fields.username or fields.email or "",
    )


async def sign_up_page(exchange: Exchange, trouble: FormTrouble) -> Reply:
    """Show the form, or send home whoever is logged in; a refusal is always shown."""
    next_ = trouble.values.get("next") or exchange.query("next")
    if not trouble.errors and await exchange.account_of_visitor() is not None:
        return redirect(exchange.target(next_))
    return await show(
        exchange, "sign_up.html", trouble, next=next_, minimum_length=exchange.flows.parts.policy.password_min_length
    )
