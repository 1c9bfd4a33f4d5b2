"""Somebody who is logged in, for tests: no password, no form, no hash, and the proof of identity as old as you like.

`login_as` starts a session through the desk and gives it; its token belongs into the session's cookie. Test clients of
frameworks get it there by `coatcheck.testing.clients`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from coatcheck.colour import run_blocking
from coatcheck.core.views import Account, Client, Login, Session
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.flows.bundle import Flows
from coatcheck.flows.parts import Parts
from coatcheck.flows.sessions import SessionFlows


def login_as(
    desk: Coatcheck[Any],
    account: Account | str,
    *,
    age: timedelta | int = 0,
    methods: tuple[str, ...] = ("pwd",),
    remember: bool = False,
    client: Client | None = None,
) -> Login:
    """Log somebody in as if they had done it `age` ago and been active since.

    Args:
        desk: the blocking desk; its clock says what "ago" means.
        account: the account, or the subject of anybody (who needs no account of ours).
        age: how long ago identity was proven, as seconds or `timedelta`. Guards that want a recent proof refuse after
            five minutes; everything else goes on until the absolute timeout.
        methods: how identity was proven, as `amr` values (RFC 8176).
        remember: with the longer timeouts of a remembered session.
        client: where the log-in came from.

    Raises:
        ValueError: `age` is negative, or such a session would have reached its absolute timeout.
        InvalidCredentials: the subject is disabled.
    """
    return run_blocking(
        started(desk.flows, account, age=age, methods=methods, remember=remember, client=client),
    )


async def login_as_async(
    desk: AsyncCoatcheck[Any],
    account: Account | str,
    *,
    age: timedelta | int = 0,
    methods: tuple[str, ...] = ("pwd",),
    remember: bool = False,
    client: Client | None = None,
) -> Login:
    """Do what `login_as` does, with the desk for an event loop."""
    return await started(desk.flows, account, age=age, methods=methods, remember=remember, client=client)


def cookie_name(*, secure: bool) -> str:
    """Name the session cookie of a door that was told no other: in production, or in development over plain http."""
    return "__Host-coatcheck" if secure else "coatcheck-dev"


async def started(
    flows: Flows[Any],
    account: Account | str,
    *,
    age: timedelta | int,
    methods: tuple[str, ...],
    remember: bool,
    client: Client | None,
) -> Login:
    """Start the session, as a flow for either colour."""
    parts, policy = flows.parts, flows.parts.policy
    seconds, now = int(age.total_seconds()) if isinstance(age, timedelta) else age, parts.clock()
    is_remembered = remember and policy.remember_allowed
    most = policy.remembered_absolute_timeout if is_remembered else policy.absolute_timeout
    if not 0 <= seconds < most:
        raise ValueError(f"age: a session is between 0 and {most} seconds old; {seconds} is the age of none")
    # The same flow over the same store; only the time is another one. Time is an argument, so nothing is patched.
    then = Parts(
        parts.store,
        policy=policy,
        colour=parts.colour,
        clock=lambda: now - seconds,
        entropy=parts.entropy,
        keys=parts.keys,
    )
    login = await SessionFlows(then).start(
        account if isinstance(account, str) else account.subject,
        methods=methods,
        client=client,
        remember=remember,
        replaces=None,
        account=None if isinstance(account, str) else account,
    )
    if seconds:
        await parts.store.touch(login.session.record.digest, seen_at=now)
    record = msgspec.structs.replace(login.session.record, last_seen_at=now)
    return Login(login.token, Session(record), login.account)
