"""Letting an attempt through its gates, or telling it how long to wait."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.core.audit import Throttled
from coatcheck.core.throttle import Gate
from coatcheck.core.views import Client
from coatcheck.errors import TooManyAttempts
from coatcheck.flows.parts import Parts


async def admit(parts: Parts, gates: Sequence[Gate], *, named: str, origin: Client) -> None:
    """Count an attempt at every gate, or raise while one is closed. `named` is told to listeners as a keyed hash."""
    now = parts.clock()
    wait = await parts.store.admit(gates, now=now)
    if wait:
        event = Throttled(
            at=now,
            ip=origin.ip,
            user_agent=origin.user_agent,
            identifier_hash=parts.keys.identifier_hash(named),
            retry_after=wait,
        )
        await parts.announce(event)
        raise TooManyAttempts(retry_after=wait)
