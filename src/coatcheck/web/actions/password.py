"""Change the password: all other sessions end, this one gets a new secret."""

from __future__ import annotations

from coatcheck.web.exchange import Exchange, Fields, Outcome


class ChangePasswordFields(Fields):
    """The present password, which is the proof that it is you, and the new one."""

    current_password: str
    new_password: str


async def change_password(exchange: Exchange, fields: ChangePasswordFields) -> Outcome:
    """Put a new password in place of the present one."""
    session, _ = await exchange.require_session()
    login = await exchange.flows.passwords.change(
        session,
        current_password=fields.current_password,
        new_password=fields.new_password,
        client=exchange.client,
    )
    return Outcome(status=204, notice="password_changed", login=login)
