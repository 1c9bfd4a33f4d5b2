"""The settings that decisions obey, with named profiles and the floors and ceilings of each number.

All durations are integer seconds. `make_policy` is the one way in: it takes timedeltas too and reports every problem
at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, cast

import msgspec

from coatcheck.errors import ConfigurationError

DAY = 86_400


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Every number a decision may depend on. Defaults are the `standard` profile: NIST SP 800-63B-4, AAL2.

    Attributes:
        token_bytes: random bytes of a session token.
        idle_timeout, absolute_timeout: seconds of disuse, and seconds since log-in, that end a session.
        remembered_idle_timeout, remembered_absolute_timeout: the same when "remember me" was ticked.
        remember_allowed: whether a log-in may ask to be remembered.
        unsafe_long_sessions: whether timeouts may be longer than the 30 days that SP 800-63B-4 2.1.3 allows.
        anonymous_idle_timeout, anonymous_absolute_timeout: the same for sessions without a log-in.
        step_up_lifetime: seconds for which a proof of identity counts as fresh.
        sessions_per_subject: live sessions kept; opening one more ends the one idle longest.
        session_data_bytes: size of all session data of one session.
        ended_kept: seconds for which an ended or expired session can still say why it ended.
        events_kept: seconds for which security events are kept.
        password_min_length: code points after NFC.
        password_max_bytes: UTF-8 bytes; longer input is refused before any hashing.
        argon2_memory_kib, argon2_time, argon2_parallelism: Argon2id settings.
        hashing_queue: passwords that may wait for the hashing lane.
        hashing_nice: how far the lane lowers its own priority, where the system has it.
        account_free_failures, account_delay, account_delay_max: straight failures for one name before waiting starts,
            the first wait, and the longest; it doubles in between.
        network_free_failures, network_delay: the same for one network (IPv4 /32, IPv6 /64), which waits a fixed time.
        network_hourly_failures: failures of one network within an hour, at whichever accounts, before it waits for the
            next hour.
        network_free_sign_ups: sign-ups of one network before it waits as long as after straight failures.
        password_lock_failures: straight failures at one account, over all names and devices, that lock its password
            until an operator lifts it.
        known_device_lifetime: seconds for which a browser that has logged in to an account keeps its own budget of
            failures there; 0 turns that off.
        stored_addresses: what is kept of client addresses: `full`, `network` (/24, IPv6 /48) or `off`.
        keep_at_login: names of the data of an anonymous session that survive a log-in; None keeps all (FIX-02).
        same_site: SameSite of the session cookie.
    """

    token_bytes: int = 32
    idle_timeout: int = 3600
    absolute_timeout: int = DAY
    remembered_idle_timeout: int = 14 * DAY
    remembered_absolute_timeout: int = 30 * DAY
    remember_allowed: bool = True
    unsafe_long_sessions: bool = False
    anonymous_idle_timeout: int = 14 * DAY
    anonymous_absolute_timeout: int = 30 * DAY
    step_up_lifetime: int = 300
    sessions_per_subject: int = 100
    session_data_bytes: int = 16 * 1024
    ended_kept: int = 23 * 3600
    events_kept: int = 90 * DAY
    password_min_length: int = 15
    password_max_bytes: int = 1024
    argon2_memory_kib: int = 19_456
    argon2_time: int = 2
    argon2_parallelism: int = 1
    hashing_queue: int = 16
    hashing_nice: int = 5
    account_free_failures: int = 5
    account_delay: int = 30
    account_delay_max: int = 3600
    network_free_failures: int = 10
    network_delay: int = 600
    network_hourly_failures: int = 50
    network_free_sign_ups: int = 50
    password_lock_failures: int = 100
    known_device_lifetime: int = 90 * DAY
    stored_addresses: Literal["full", "network", "off"] = "full"
    keep_at_login: tuple[str, ...] | None = None
    same_site: Literal["Lax", "Strict"] = "Lax"


STANDARD = Policy()
STRICT = Policy(
    idle_timeout=900,
    absolute_timeout=43_200,
    remembered_idle_timeout=900,
    remembered_absolute_timeout=43_200,
    remember_allowed=False,
    same_site="Strict",
)
PROFILES: Mapping[str, Policy] = {"standard": STANDARD, "strict": STRICT}

# Setting: lowest, highest. The sources are the table of defaults in docs/configuration.md.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "token_bytes": (16, 64),
    "idle_timeout": (60, 30 * DAY),
    "absolute_timeout": (60, 30 * DAY),
    "remembered_idle_timeout": (60, 30 * DAY),
    "remembered_absolute_timeout": (60, 30 * DAY),
    "anonymous_idle_timeout": (60, 30 * DAY),
    "anonymous_absolute_timeout": (60, 30 * DAY),
    "step_up_lifetime": (30, 900),
    "sessions_per_subject": (1, 10_000),
    "session_data_bytes": (1024, 64 * 1024),
    "ended_kept": (0, 23 * 3600),
    "events_kept": (DAY, 3650 * DAY),
    "password_min_length": (8, 64),
    "password_max_bytes": (256, 4096),
    "argon2_memory_kib": (12_288, 1024 * 1024),
    "argon2_time": (1, 20),
    "argon2_parallelism": (1, 16),
    "hashing_queue": (1, 1024),
    "hashing_nice": (0, 19),
    "account_free_failures": (1, 100),
    "account_delay": (1, 3600),
    "account_delay_max": (1, DAY // 2),
    "network_free_failures": (1, 1000),
    "network_delay": (1, DAY // 2),
    "network_hourly_failures": (1, 10_000),
    "network_free_sign_ups": (1, 100_000),
    "password_lock_failures": (10, 100),
    "known_device_lifetime": (0, 400 * DAY),
}
UNSAFE_LONGEST = 400 * DAY  # what a browser keeps a cookie for (RFC 6265bis 5.5)
FLAGS = ("remember_allowed", "unsafe_long_sessions")
NAMES = ("keep_at_login",)
CHOICES: Mapping[str, tuple[str, ...]] = {
    "same_site": ("Lax", "Strict"),
    "stored_addresses": ("full", "network", "off"),
}
# Argon2id is strong enough at any one of these (memory in KiB, passes): OWASP Password Storage Cheat Sheet.
ARGON2_FLOORS = ((47_104, 1), (19_456, 2), (12_288, 3))


def make_policy(profile: str = "standard", overrides: Mapping[str, object] | None = None) -> Policy:
    """Build a policy from a profile and single settings.

    Args:
        profile: `standard` or `strict`.
        overrides: settings by name; durations as integer seconds or `timedelta`.

    Raises:
        ConfigurationError: listing every setting that is unknown, of the wrong type or outside its bounds.
    """
    base = PROFILES.get(profile, STANDARD)
    problems = [] if profile in PROFILES else [f"profile: {profile!r} is not one of {', '.join(PROFILES)}"]
    settings: dict[str, object] = {}
    for name, value in (overrides or {}).items():
        settings[name] = _seconds(value)
    is_unsafe = settings.get("unsafe_long_sessions") is True
    for name, value in settings.items():
        problems.extend(_problems_of_one(name, value, is_unsafe=is_unsafe))
    if not problems:
        merged = msgspec.structs.asdict(base) | settings
        policy = msgspec.convert(merged, Policy)
        problems.extend(_problems_between(policy, base if profile == "strict" else None))
        if not problems:
            return policy
    raise ConfigurationError(*problems)


def warnings_of(policy: Policy) -> list[str]:
    """Name each setting that is weaker than NIST SP 800-63B-4 at AAL2 asks, for start-up and `doctor` (TMO-06)."""
    weaker: list[str] = []
    if policy.password_min_length < STANDARD.password_min_length:
        weaker.append(
            f"password_min_length is {policy.password_min_length}: a password that is the only factor "
            f"should have at least {STANDARD.password_min_length} characters (SP 800-63B-4 3.1.1.2)"
        )
    if policy.idle_timeout > STANDARD.idle_timeout:
        weaker.append(f"idle_timeout is {policy.idle_timeout} s: AAL2 asks for at most {STANDARD.idle_timeout} s")
    if policy.absolute_timeout > STANDARD.absolute_timeout:
        weaker.append(
            f"absolute_timeout is {policy.absolute_timeout} s: AAL2 asks for at most {STANDARD.absolute_timeout} s"
        )
    if policy.remembered_absolute_timeout > STANDARD.remembered_absolute_timeout:
        weaker.append(
            f"remembered_absolute_timeout is {policy.remembered_absolute_timeout} s: AAL1 asks for at most "
            f"{STANDARD.remembered_absolute_timeout} s (SP 800-63B-4 2.1.3)"
        )
    return weaker


def _seconds(value: object) -> object:
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    return value


def _problems_of_one(name: str, value: object, *, is_unsafe: bool) -> list[str]:
    if name not in Policy.__struct_fields__:
        return [f"{name}: there is no such setting"]
    if name in FLAGS:
        return [] if isinstance(value, bool) else [f"{name}: must be true or false, not {value!r}"]
    if name in CHOICES:
        spelled = " or ".join(f'"{choice}"' for choice in CHOICES[name])
        return [] if value in CHOICES[name] else [f"{name}: must be {spelled}, spelled so, not {value!r}"]
    if name in NAMES:
        return _problems_of_names(name, value)
    lowest, highest = BOUNDS[name]
    can_be_longer = name.endswith("_timeout") and highest < UNSAFE_LONGEST
    if is_unsafe and can_be_longer:
        highest = UNSAFE_LONGEST
    if not isinstance(value, int) or isinstance(value, bool):
        return [f"{name}: must be a whole number, not {value!r}"]
    if not lowest <= value <= highest:
        mend = "; unsafe_long_sessions lifts that" if value > highest and can_be_longer and not is_unsafe else ""
        return [f"{name}: {value} is outside {lowest} to {highest}{mend}"]
    return []


def _problems_of_names(name: str, value: object) -> list[str]:
    # One text would be taken for a list of its letters.
    if value is None or (
        isinstance(value, list | tuple) and all(isinstance(one, str) for one in cast("list[object]", value))
    ):
        return []
    return [f'{name}: must be a list of names, like ["cart"], not {value!r}']


def _problems_between(policy: Policy, ceiling: Policy | None) -> list[str]:
    problems: list[str] = []
    for kind in ("", "remembered_", "anonymous_"):
        idle: int = getattr(policy, f"{kind}idle_timeout")
        absolute: int = getattr(policy, f"{kind}absolute_timeout")
        if idle > absolute:
            problems.append(
                f"{kind}idle_timeout: {idle} is longer than {kind}absolute_timeout ({absolute}); lower the first"
            )
    if not any(policy.argon2_memory_kib >= m and policy.argon2_time >= t for m, t in ARGON2_FLOORS):
        pairs = ", ".join(f"({m}, {t})" for m, t in ARGON2_FLOORS)
        problems.append(
            f"argon2_memory_kib, argon2_time: ({policy.argon2_memory_kib}, {policy.argon2_time}) is too weak; "
            f"choose at least one of {pairs}"
        )
    if policy.account_delay > policy.account_delay_max:
        problems.append("account_delay: is longer than account_delay_max; lower the first")
    if ceiling is not None:
        problems.extend(_problems_above(policy, ceiling))
    return problems


def _problems_above(policy: Policy, ceiling: Policy) -> list[str]:
    names = ("idle_timeout", "absolute_timeout", "remembered_idle_timeout", "remembered_absolute_timeout")
    problems = [
        f"{name}: the strict profile allows at most {getattr(ceiling, name)}"
        for name in names
        if getattr(policy, name) > getattr(ceiling, name)
    ]
    if policy.remember_allowed:
        problems.append("remember_allowed: the strict profile does not remember log-ins")
    if policy.same_site != "Strict":
        problems.append('same_site: the strict profile needs "Strict"')
    return problems
