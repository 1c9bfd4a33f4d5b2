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

HOUR = 3600
COUNTER_KEPT = DAY  # RAT-12: no counter outlives a day without attempts
LOCK_KEPT = 3650 * DAY  # but for one of each account: a hundred straight failures may be spread over years (RAT-02)
PENDING_KEPT = 60  # seconds after which an attempt that was never settled counts as a failure
NETWORK_CROWD = 32  # attempts of one network under way at once: an office at nine o'clock


class Gate(msgspec.Struct, frozen=True):
    """One counter an attempt has to pass. From the `free`-th failure on, `delay` doubles up to `delay_max` seconds.

    `is_cleared` says that a success forgets all failures. With `starts_over` a wait that was served wipes the slate:
    a network is many people, and their slips of a whole day are not one straight row. `crowd` is how many attempts
    may be pending beside those that count as failed.

    A gate that `locks` lets every attempt in and none out: it is not asked before the password is looked at, but from
    the `free`-th failure on even the right one is refused, until the counter is lifted (RAT-02).
    """

    key: bytes
    free: int
    delay: int
    delay_max: int
    is_cleared: bool
    starts_over: bool
    crowd: int
    locks: bool = False


class Counter(msgspec.Struct, frozen=True, gc=False):
    """Straight failures and pending attempts behind one key.

    `counted_at` is when it last changed; until `blocked_until` no attempt is admitted; at `kept_until` it may be
    forgotten.
    """

    failures: int = 0
    pending: int = 0
    counted_at: int = 0
    blocked_until: int = 0
    kept_until: int = 0


Outcome = Literal["success", "failure", "unread", "lifted"]


class Settlement(msgspec.Struct, frozen=True):
    """The outcome of an attempt at one gate: it succeeded, failed, or its password was never looked at.

    `lifted` is an operator's word: everything counted there is forgotten.
    """

    gate: Gate
    outcome: Outcome
    at: int


def gates_of(name_keys: Sequence[str], network: str | None, policy: Policy, *, now: int) -> tuple[Gate, ...]:
    """The counters that a try at an account, known by these names, has to pass from a network.

    Keys are digests of canonical names (RAT-05), of one size whatever was typed, and the same whether or not such an
    account exists (ENU-06): for that, the name and the address of one account have a budget each. A success lets the
    names start afresh but not the network, or one valid account would buy unlimited guesses at all the others.
    """
    gates = [_account_gate(_key("account", name), policy) for name in name_keys]
    if network is not None:
        straight = _network_gate(_key("network", network), policy.network_free_failures, policy.network_delay)
        # No more accounts can be tried than attempts fail, so the failures of each hour bound both (RAT-03).
        rest_of_hour = HOUR - now % HOUR
        hourly = _network_gate(_key("hour", f"{now // HOUR} {network}"), policy.network_hourly_failures, rest_of_hour)
        gates += [straight, hourly]
    return tuple(gates)


def known_device_gate(device: str, subject: str, policy: Policy) -> Gate:
    """The one counter that a browser which has logged in to this account before has to pass.

    It is nobody else's: whoever drives the others' waits to their longest does not lock the owner out (RAT-13).
    """
    return _account_gate(_key("device", f"{device} {subject}"), policy)


def lock_of(subject: str, policy: Policy) -> Gate:
    """The counter of an account that locks its password, whatever the names and devices it was tried by (RAT-02)."""
    return Gate(
        _key("password", subject),
        free=policy.password_lock_failures,
        delay=0,
        delay_max=0,
        is_cleared=True,
        starts_over=False,
        crowd=0,
        locks=True,
    )


def sign_up_gate(network: str, policy: Policy) -> Gate:
    """The counter that a sign-up has to pass: each costs a hash, and strangers may ask for it."""
    return _network_gate(_key("sign-up", network), policy.network_free_sign_ups, policy.network_delay)


def settlements_of(gates: Sequence[Gate], outcome: Outcome, *, at: int) -> tuple[Settlement, ...]:
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
    return Counter(failures, pending + 1, now, 0, now + COUNTER_KEPT)


def refuses_success(counter: Counter | None, settlement: Settlement) -> bool:
    """Say whether an attempt fails although its password is right: the gate locks, and has (RAT-02)."""
    return settlement.outcome == "success" and is_locked(counter, settlement.gate)


def is_locked(counter: Counter | None, gate: Gate) -> bool:
    """Say whether a gate that locks has done so."""
    return gate.locks and counter is not None and counter.failures >= gate.free


def locks_now(before: Counter | None, after: Counter | None, gate: Gate) -> bool:
    """Say whether this is the failure by which a gate locks."""
    return is_locked(after, gate) and not is_locked(before, gate)


def settled(counter: Counter | None, settlement: Settlement) -> Counter | None:
    """The counter when the outcome of an attempt is known; None when nothing is left to remember.

    What was never counted is left alone, but for a gate that locks: that counts failures only.
    """
    gate, at = settlement.gate, settlement.at
    if counter is None:
        if not gate.locks or settlement.outcome != "failure":
            return None
        counter = Counter()
    pending = max(0, counter.pending - 1)
    if settlement.outcome == "lifted":
        return None
    if settlement.outcome == "failure":
        failures = counter.failures + 1
        doublings = min(failures - gate.free, 30)
        wait = min(gate.delay << doublings, gate.delay_max) if doublings >= 0 else 0
        kept = LOCK_KEPT if gate.locks else COUNTER_KEPT
        return Counter(failures, pending, at, at + wait if wait else 0, at + kept)
    if settlement.outcome == "success" and gate.is_cleared:
        counter = msgspec.structs.replace(counter, failures=0, blocked_until=0)
    if counter.failures == 0 and pending == 0:
        return None
    return msgspec.structs.replace(counter, pending=pending)


def _account_gate(key: bytes, policy: Policy) -> Gate:
    return Gate(
        key,
        free=policy.account_free_failures,
        delay=policy.account_delay,
        delay_max=policy.account_delay_max,
        is_cleared=True,
        starts_over=False,
        crowd=0,
    )


def _network_gate(key: bytes, free: int, delay: int) -> Gate:
    return Gate(key, free, delay, delay_max=delay, is_cleared=False, starts_over=True, crowd=NETWORK_CROWD)


def _pending(counter: Counter, *, now: int) -> int:
    return counter.pending if abs(now - counter.counted_at) < PENDING_KEPT else 0


def _key(kind: str, value: str) -> bytes:
    return sha256(f"coatcheck:throttle:{kind}:".encode() + value.encode(errors="surrogatepass")).digest()
