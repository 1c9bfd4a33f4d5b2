"""What transactions of the PostgreSQL store are made of: statements with their parameters, by names for their rows.

The arithmetic of attempt counters is that of `coatcheck.core.throttle`; here it is only read, and what it says written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from coatcheck.core import throttle
from coatcheck.core.records import EventRecord
from coatcheck.core.sessions import Rotation
from coatcheck.core.throttle import Counter, Settlement
from coatcheck.stores import rows
from coatcheck.stores.postgres import statements
from coatcheck.stores.postgres.exchange import Statement
from coatcheck.stores.postgres.statements import encoded
from coatcheck.stores.rows import Row


class Settled(msgspec.Struct, frozen=True):
    """What outcomes change, and whether one of them made a gate lock."""

    changes: dict[str, Statement]
    locks: bool


def settled(settlements: Sequence[Settlement], heard: Mapping[str, list[Row]]) -> Settled | None:
    """Say what outcomes change of the counters that were read; None if a lock refuses one."""
    counters = counters_of(heard)
    if any(throttle.refuses_success(counters.get(one.gate.key), one) for one in settlements):
        return None
    left: dict[bytes, Counter | None] = {}
    locks = False
    for one in settlements:
        before = left[one.gate.key] if one.gate.key in left else counters.get(one.gate.key)
        after = left[one.gate.key] = throttle.settled(before, one)
        locks = locks or throttle.locks_now(before, after, one.gate)
    gone = [key for key, counter in left.items() if counter is None and key in counters]
    changes = writing({key: counter for key, counter in left.items() if counter is not None})
    if gone:
        changes["counters forgotten"] = (statements.FORGET_COUNTERS, (gone,))
    return Settled(changes, locks)


def locking(keys: Sequence[bytes]) -> dict[str, Statement]:
    """Lock counters, those too that do not exist yet."""
    # In one order, whoever asks for them.
    places = sorted({int.from_bytes(key[:8], "big", signed=True) for key in keys})
    return {"counters locked": (statements.LOCK_COUNTERS, (places,))}


def reading(keys: Sequence[bytes]) -> dict[str, Statement]:
    """Lock counters and read them, for `counters_of`."""
    return locking(keys) | {"counters": (statements.READ_COUNTERS, (list(keys),))} if keys else {}


def counters_of(heard: Mapping[str, list[Row]]) -> dict[bytes, Counter]:
    """Give the counters that were read, by their keys; those that do not exist are left out."""
    return {row[0]: rows.counter_of(row[1:]) for row in heard.get("counters", ())}


def writing(counters: Mapping[bytes, Counter]) -> dict[str, Statement]:
    """Keep counters."""
    if not counters:
        return {}
    written = [{"key": key.hex(), **msgspec.structs.asdict(counter)} for key, counter in counters.items()]
    return {"counters written": (statements.WRITE_COUNTERS, (msgspec.json.encode(written).decode(),))}


def raising(
    subject: str,
    *,
    at: int,
    reason: str,
    keep: Rotation | None,
    credential_version: int | None,
    disabled_at: int | None,
) -> dict[str, object]:
    """Give the parameters of raising a subject's epoch."""
    return {
        "subject": subject,
        "at": at,
        "reason": reason,
        "credential_version": credential_version,
        "disabled_at": disabled_at,
        "keeps": keep is not None,
        **({} if keep is None else msgspec.structs.asdict(keep)),
    }


def raised_but_kept(values: Mapping[str, object]) -> dict[str, Statement]:
    """Raise a subject's epoch and take one session along, for `has_kept`."""
    return {"raised": (statements.RAISE_AND_KEEP, values), "kept": (statements.ROTATE_KEPT, values)}


def has_kept(heard: Mapping[str, list[Row]]) -> bool:
    """Tell whether the session stood and is theirs.

    Of a disabled subject nothing is raised; what goes along then is a session that ended when it was disabled.
    """
    return bool(heard["raised"] and heard["kept"])


def appending(events: Sequence[EventRecord]) -> dict[str, Statement]:
    """Keep events, in their order."""
    return {"events": (statements.APPEND_EVENTS, {"events": encoded(events)})} if events else {}
