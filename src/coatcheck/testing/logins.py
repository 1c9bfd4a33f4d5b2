"""Somebody who is logged in, for tests: no password, no form, no hash, and the proof of identity as old as you like.

`login_as` starts a session through the desk and gives it; `cookie_of` says which cookie a browser would hold. What a
test client of a framework wants stands beside its door: `coatcheck.testing.clients`.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from coatcheck.colour import run_blocking
from coatcheck.core.sessions import timeout_of
from coatcheck.core.views import Account, Client, Login, Session
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.flows.parts import Parts
from coatcheck.flows.sessions import SessionFlows
from coatcheck.web.door import Door


def login_as(
    desk: Coatcheck,
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
        _started(desk, account, age=age, methods=methods, remember=remember, client=client),
    )


async def login_as_async(
    desk: AsyncCoatcheck,
    account: Account | str,
    *,
    age: timedelta | int = 0,
    methods: tuple[str, ...] = ("pwd",),
    remember: bool = False,
    client: Client | None = None,
) -> Login:
    """Do what `login_as` does, with the desk for an event loop."""
    return await _started(desk, account, age=age, methods=methods, remember=remember, client=client)


def cookie_of(login: Login, door: Door) -> tuple[str, str]:
    """Give the name and value of the cookie in which a door looks for the session."""
    return door.mount.site.session_cookie.name, login.token.reveal()


async def _started(
    desk: Coatcheck | AsyncCoatcheck,
    account: Account | str,
    *,
    age: timedelta | int,
    methods: tuple[str, ...],
    remember: bool,
    client: Client | None,
) -> Login:
    seconds = int(age.total_seconds()) if isinstance(age, timedelta) else age
    if seconds < 0:
        raise ValueError("age: nobody has logged in in the future")
    parts, now = desk.flows.parts, desk.clock()
    # The same flow over the same store; only the time is another one. Time is an argument, so nothing is patched.
    then = Parts(
        parts.store,
        policy=parts.policy,
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
    record = msgspec.structs.replace(login.session.record, last_seen_at=now)
    if timeout_of(record, now=now) is not None:
        raise ValueError("age: such a session would have reached its absolute timeout")
    await parts.store.touch(record.digest, seen_at=now)
    return Login(login.token, Session(record), login.account)
