"""Slowing guesses down: counters of straight failures, each with a wait once its free tries are used (RAT-01, RAT-03).

An attempt is counted before the password is looked at (RAT-06): `admit` raises every counter it passes, a success
takes it back. The arithmetic stands here once; stores without Python inside (Lua, SQL) repeat it and prove it with the
same conformance tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from coatcheck.core.policy import DAY, Policy

COUNTER_KEPT = DAY  # RAT-12: no counter outlives a day without attempts


class Gate(msgspec.Struct, frozen=True):
    """One counter an attempt has to pass. From the `free`-th failure on, `delay` doubles up to `delay_max` seconds.

    `on_success` says what a success means here: `clear` forgets all failures, `uncount` takes back only the attempt
    just counted. With `starts_over` a wait that was served wipes the slate: a network is many people, and their
    slips of a whole day are not one straight row of failures.
    """

    key: bytes
    free: int
    delay: int
    delay_max: int
    on_success: Literal["clear", "uncount"]
    starts_over: bool


class Counter(msgspec.Struct, frozen=True, gc=False):
    """Straight failures behind one key, when the last was counted, and until when no attempt is admitted."""

    failures: int = 0
    counted_at: int = 0
    blocked_until: int = 0


class Settlement(msgspec.Struct, frozen=True):
    """What a success does to one counter (`Gate.on_success`)."""

    key: bytes
    kind: Literal["clear", "uncount"]


def gates_of(name_keys: Sequence[str], network: str | None, policy: Policy) -> tuple[Gate, ...]:
    """The counters that a try at an account, known by these names, has to pass from a network.

    Keys are digests of canonical names (RAT-05), of one size whatever was typed, and the same whether or not such an
    account exists (ENU-06). A success lets the names start afresh but gives the network only this try back, or one
    valid account would buy unlimited guesses at all the others.
    """
    gates = [
        Gate(
            _key("account", name),
            free=policy.account_free_failures,
            delay=policy.account_delay,
            delay_max=policy.account_delay_max,
            on_success="clear",
            starts_over=False,
        )
        for name in name_keys
    ]
    if network is not None:
        by_network = Gate(
            _key("network", network),
            free=policy.network_free_failures,
            delay=policy.network_delay,
            delay_max=policy.network_delay,
            on_success="uncount",
            starts_over=True,
        )
        gates.append(by_network)
    return tuple(gates)


def settlements_of(gates: Sequence[Gate]) -> tuple[Settlement, ...]:
    """What a success means for the gates it passed."""
    return tuple(Settlement(gate.key, gate.on_success) for gate in gates)


def uncounted(gates: Sequence[Gate]) -> tuple[Settlement, ...]:
    """What it means for the gates when an attempt was counted but its password never looked at."""
    return tuple(Settlement(gate.key, "uncount") for gate in gates)


def wait_of(counter: Counter, *, now: int) -> int:
    """Seconds until this counter admits an attempt; 0 when it does so now.

    A clock set back at most doubles a wait: one that would last longer was counted under another clock and is void,
    or it would not end before the clock is back where it was (TMO-07).
    """
    meant = counter.blocked_until - counter.counted_at
    wait = counter.blocked_until - now
    return wait if 0 < wait <= 2 * meant else 0


def counted(counter: Counter, gate: Gate, *, now: int) -> Counter:
    """The counter after one more attempt, which the gate has admitted."""
    is_over = now - counter.counted_at >= COUNTER_KEPT or (gate.starts_over and counter.blocked_until > 0)
    failures = (0 if is_over else counter.failures) + 1
    if failures < gate.free:
        return Counter(failures, now, 0)
    doublings = min(failures - gate.free, 30)
    return Counter(failures, now, now + min(gate.delay << doublings, gate.delay_max))


def settled(counter: Counter, settlement: Settlement) -> Counter | None:
    """The counter after a success; None when nothing is left to remember."""
    if settlement.kind == "clear" or counter.failures <= 1:
        return None
    return Counter(counter.failures - 1, counter.counted_at, 0)


def _key(kind: str, value: str) -> bytes:
    return sha256(f"coatcheck:throttle:{kind}:".encode() + value.encode(errors="surrogatepass")).digest()
