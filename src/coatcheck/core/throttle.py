"""Slowing guesses down: counters of straight failures, each with a wait once its free tries are used (RAT-01, RAT-03).

An attempt is counted before the password is looked at (RAT-06) and settled when its outcome is known. In between it is
pending: it takes up room as if it had failed, so that no burst gets more tries than a row of them would, but it closes
nothing, so that a crowd of right passwords locks nobody out. One that is never settled (its process died) becomes a
failure. The arithmetic stands here once; stores without Python inside (Lua, SQL) repeat it and prove it with the same
conformance tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from coatcheck.core.policy import DAY, Policy

COUNTER_KEPT = DAY  # RAT-12: no counter outlives a day without attempts
PENDING_KEPT = 60  # seconds after which an attempt that was never settled counts as a failure
NETWORK_CROWD = 32  # attempts of one network under way at once: an office at nine o'clock


class Gate(msgspec.Struct, frozen=True):
    """One counter an attempt has to pass. From the `free`-th failure on, `delay` doubles up to `delay_max` seconds.

    `is_cleared` says that a success forgets all failures. With `starts_over` a wait that was served wipes the slate:
    a network is many people, and their slips of a whole day are not one straight row. `crowd` is how many attempts
    may be pending beside those that count as failed.
    """

    key: bytes
    free: int
    delay: int
    delay_max: int
    is_cleared: bool
    starts_over: bool
    crowd: int


class Counter(msgspec.Struct, frozen=True, gc=False):
    """Straight failures and pending attempts behind one key.

    `counted_at` is when it last changed; until `blocked_until` no attempt is admitted.
    """

    failures: int = 0
    pending: int = 0
    counted_at: int = 0
    blocked_until: int = 0


class Settlement(msgspec.Struct, frozen=True):
    """The outcome of an attempt at one gate: it succeeded, failed, or its password was never looked at."""

    gate: Gate
    outcome: Literal["success", "failure", "unread"]
    at: int


def gates_of(name_keys: Sequence[str], network: str | None, policy: Policy) -> tuple[Gate, ...]:
    """The counters that a try at an account, known by these names, has to pass from a network.

    Keys are digests of canonical names (RAT-05), of one size whatever was typed, and the same whether or not such an
    account exists (ENU-06). A success lets the names start afresh but not the network, or one valid account would buy
    unlimited guesses at all the others.
    """
    gates = [
        Gate(
            _key("account", name),
            free=policy.account_free_failures,
            delay=policy.account_delay,
            delay_max=policy.account_delay_max,
            is_cleared=True,
            starts_over=False,
            crowd=0,
        )
        for name in name_keys
    ]
    if network is not None:
        by_network = Gate(
            _key("network", network),
            free=policy.network_free_failures,
            delay=policy.network_delay,
            delay_max=policy.network_delay,
            is_cleared=False,
            starts_over=True,
            crowd=NETWORK_CROWD,
        )
        gates.append(by_network)
    return tuple(gates)


def sign_up_gate(network: str, policy: Policy) -> Gate:
    """The counter that a sign-up has to pass: each costs a hash, and strangers may ask for it."""
    return Gate(
        _key("sign-up", network),
        free=policy.network_free_sign_ups,
        delay=policy.network_delay,
        delay_max=policy.network_delay,
        is_cleared=False,
        starts_over=True,
        crowd=NETWORK_CROWD,
    )


def settlements_of(
    gates: Sequence[Gate], outcome: Literal["success", "failure", "unread"], *, at: int
) -> tuple[Settlement, ...]:
    """What the outcome of an attempt means for the gates it passed."""
    return tuple(Settlement(gate, outcome, at) for gate in gates)


def wait_of(counter: Counter, gate: Gate, *, now: int) -> int:
    """Seconds until this gate admits an attempt; 0 when it does so now, 1 while those under way fill it.

    A clock set back at most doubles a wait: one that would last longer was counted under another clock and is void,
    or it would not end before the clock is back where it was (TMO-07).
    """
    meant = counter.blocked_until - counter.counted_at
    wait = counter.blocked_until - now
    if 0 < wait <= 2 * meant:
        return wait
    pending = _pending(counter, now=now)
    is_full = pending > 0 and counter.failures + pending - gate.crowd >= gate.free
    return 1 if is_full else 0


def counted(counter: Counter, gate: Gate, *, now: int) -> Counter:
    """The counter with one more attempt pending, which the gate has admitted."""
    pending = _pending(counter, now=now)
    is_over = now - counter.counted_at >= COUNTER_KEPT or (gate.starts_over and counter.blocked_until > 0)
    failures = 0 if is_over else counter.failures + counter.pending - pending
    return Counter(failures, pending + 1, now, 0)


def settled(counter: Counter, settlement: Settlement) -> Counter | None:
    """The counter when the outcome of an attempt is known; None when nothing is left to remember."""
    gate, at = settlement.gate, settlement.at
    pending = max(0, counter.pending - 1)
    if settlement.outcome == "failure":
        failures = counter.failures + 1
        doublings = min(failures - gate.free, 30)
        wait = min(gate.delay << doublings, gate.delay_max) if doublings >= 0 else 0
        return Counter(failures, pending, at, at + wait if wait else 0)
    if settlement.outcome == "success" and gate.is_cleared:
        counter = Counter(0, pending, counter.counted_at, 0)
    if counter.failures == 0 and pending == 0:
        return None
    return Counter(counter.failures, pending, counter.counted_at, counter.blocked_until)


def _pending(counter: Counter, *, now: int) -> int:
    return counter.pending if abs(now - counter.counted_at) < PENDING_KEPT else 0


def _key(kind: str, value: str) -> bytes:
    return sha256(f"coatcheck:throttle:{kind}:".encode() + value.encode(errors="surrogatepass")).digest()
