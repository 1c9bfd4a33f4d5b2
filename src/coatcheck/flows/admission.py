"""Letting an attempt through its gates, or telling it how long to wait."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from coatcheck.core import throttle
from coatcheck.core.audit import Throttled
from coatcheck.core.records import PasswordCredential
from coatcheck.core.throttle import Gate, Outcome, Settlement
from coatcheck.crypto.known_devices import KnownDevice
from coatcheck.errors import TooManyAttempts
from coatcheck.flows.parts import Origin, Parts
from coatcheck.stores.protocols import Answer


class Attempt(msgspec.Struct, frozen=True):
    """A try that was admitted: the gates it passed, the account it was at, if any, and the device if it is known.

    `refusal` is what was known then: `LOCKED` or `REFUSED` if the right password opens nothing either.
    """

    gates: tuple[Gate, ...]
    credential: PasswordCredential | None
    lock: Gate | None
    refusal: Answer | None
    device: KnownDevice | None

    @property
    def subject(self) -> str | None:
        """Whose account was tried; None for nobody's."""
        return None if self.credential is None else self.credential.subject

    def settled(self, outcome: Outcome, *, at: int) -> tuple[Settlement, ...]:
        """What the outcome means for every counter it concerns."""
        gates = self.gates if self.lock is None else (*self.gates, self.lock)
        return throttle.settlements_of(gates, outcome, at=at)


async def admit(
    parts: Parts, gates: Sequence[Gate], *, subject: str | None, named: str, origin: Origin
) -> Answer | None:
    """Count an attempt at every gate, or raise while one is closed; give what it will have to fail for, if anything.

    `named` is told to listeners as a keyed hash.
    """
    now = parts.clock()
    wait = await parts.store.admit(gates, subject=subject, now=now)
    if isinstance(wait, int) and wait > 0:
        event = Throttled(
            at=now,
            **origin.told,
            identifier_hash=parts.keys.identifier_hash(named),
            retry_after=wait,
        )
        await parts.announce(event)
        raise TooManyAttempts(retry_after=wait)
    return wait if isinstance(wait, Answer) else None
