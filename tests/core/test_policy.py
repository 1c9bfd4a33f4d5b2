"""Settings: each bound on both sides, every mistake told at once."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from coatcheck.core.policy import ARGON2_FLOORS, BOUNDS, DAY, STANDARD, STRICT, Policy, make_policy, warnings_of
from coatcheck.errors import ConfigurationError

# What must move along so that a setting may stand at its bound without contradicting another.
COMPANIONS = {
    "idle_timeout": {"absolute_timeout": 30 * DAY},
    "absolute_timeout": {"idle_timeout": 60},
    "remembered_idle_timeout": {"remembered_absolute_timeout": 30 * DAY},
    "remembered_absolute_timeout": {"remembered_idle_timeout": 60},
    "anonymous_idle_timeout": {"anonymous_absolute_timeout": 30 * DAY},
    "anonymous_absolute_timeout": {"anonymous_idle_timeout": 60},
    "argon2_memory_kib": {"argon2_time": 3},
    "argon2_time": {"argon2_memory_kib": 47_104},
    "account_delay_max": {"account_delay": 1},
}
EDGES = [(name, edge) for name, bounds in BOUNDS.items() for edge in bounds]


def problems(profile: str = "standard", **settings: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        make_policy(profile, settings)
    return refused.value.problems


@pytest.mark.parametrize(("name", "edge"), EDGES)
def test_setting_may_stand_at_its_bound(name, edge):
    settings = COMPANIONS.get(name, {}) | {name: edge}

    assert getattr(make_policy(overrides=settings), name) == edge


@pytest.mark.parametrize(("name", "edge"), EDGES)
def test_setting_beyond_its_bound_is_refused_by_name(name, edge):
    beyond = edge - 1 if edge == BOUNDS[name][0] else edge + 1

    mend = "; unsafe_long_sessions lifts that" if name.endswith("_timeout") and beyond > edge else ""
    assert problems(**(COMPANIONS.get(name, {}) | {name: beyond})) == (
        f"{name}: {beyond} is outside {BOUNDS[name][0]} to {BOUNDS[name][1]}{mend}",
    )


def test_tmo_06_longer_sessions_need_a_flag_that_says_so_and_are_told_at_start():
    sixty = 60 * 86_400

    assert problems(remembered_absolute_timeout=sixty) == (
        f"remembered_absolute_timeout: {sixty} is outside 60 to 2592000; unsafe_long_sessions lifts that",
    )
    allowed = make_policy(overrides={"remembered_absolute_timeout": sixty, "unsafe_long_sessions": True})
    assert [warning.split()[0] for warning in warnings_of(allowed)] == ["remembered_absolute_timeout"]
    beyond = 400 * 86_400 + 1
    assert problems(remembered_absolute_timeout=beyond, unsafe_long_sessions=True) == (
        f"remembered_absolute_timeout: {beyond} is outside 60 to {beyond - 1}",
    )


# What the security rules and docs promise, written out: each default of both profiles, and how far it may be moved.
NUMBERS = {
    # name: standard, strict, lowest, highest
    "token_bytes": (32, 32, 16, 64),
    "idle_timeout": (3600, 900, 60, 2_592_000),
    "absolute_timeout": (86_400, 43_200, 60, 2_592_000),
    "remembered_idle_timeout": (1_209_600, 900, 60, 2_592_000),
    "remembered_absolute_timeout": (2_592_000, 43_200, 60, 2_592_000),
    "anonymous_idle_timeout": (1_209_600, 1_209_600, 60, 2_592_000),
    "anonymous_absolute_timeout": (2_592_000, 2_592_000, 60, 2_592_000),
    "step_up_lifetime": (300, 300, 30, 900),
    "sessions_per_subject": (100, 100, 1, 10_000),
    "session_data_bytes": (16_384, 16_384, 1024, 65_536),
    "ended_kept": (82_800, 82_800, 0, 82_800),
    "events_kept": (7_776_000, 7_776_000, 86_400, 315_360_000),
    "password_min_length": (15, 15, 8, 64),
    "password_max_bytes": (1024, 1024, 256, 4096),
    "argon2_memory_kib": (19_456, 19_456, 12_288, 1_048_576),
    "argon2_time": (2, 2, 1, 20),
    "argon2_parallelism": (1, 1, 1, 16),
    "hashing_queue": (16, 16, 1, 1024),
    "hashing_nice": (5, 5, 0, 19),
    "account_free_failures": (5, 5, 1, 100),
    "account_delay": (30, 30, 1, 3600),
    "account_delay_max": (3600, 3600, 1, 43_200),
    "network_free_failures": (10, 10, 1, 1000),
    "network_delay": (600, 600, 1, 43_200),
    "network_hourly_failures": (50, 50, 1, 10_000),
    "network_free_sign_ups": (50, 50, 1, 100_000),
    "password_lock_failures": (100, 100, 10, 100),
    "known_device_lifetime": (7_776_000, 7_776_000, 0, 34_560_000),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_every_number_and_its_bounds_are_what_was_promised(name):
    assert (getattr(STANDARD, name), getattr(STRICT, name), *BOUNDS[name]) == NUMBERS[name]


def test_each_choice_is_what_was_promised():
    choices = ("remember_allowed", "unsafe_long_sessions", "same_site", "stored_addresses")

    assert [getattr(STANDARD, name) for name in choices] == [True, False, "Lax", "full"]
    assert [getattr(STRICT, name) for name in choices] == [False, False, "Strict", "full"]


def test_pwd_08_the_floors_of_argon2_are_those_of_owasp():
    assert ARGON2_FLOORS == ((47_104, 1), (19_456, 2), (12_288, 3))


def test_every_number_has_bounds_and_every_default_lies_within():
    numbers = {name for name in Policy.__struct_fields__ if type(getattr(STANDARD, name)) is int}

    assert numbers == BOUNDS.keys()
    for profile in (STANDARD, STRICT):
        assert all(low <= getattr(profile, name) <= high for name, (low, high) in BOUNDS.items())


def test_tok_01_fifteen_bytes_of_token_are_refused():
    assert problems(token_bytes=15)


@pytest.mark.parametrize(("memory", "passes"), ARGON2_FLOORS)
def test_pwd_08_each_floor_is_strong_enough_and_one_less_is_not(memory, passes):
    assert make_policy(overrides={"argon2_memory_kib": memory, "argon2_time": passes})
    if memory > BOUNDS["argon2_memory_kib"][0]:
        assert "too weak" in problems(argon2_memory_kib=memory - 1, argon2_time=passes)[0]
    if passes > 1:
        assert "too weak" in problems(argon2_memory_kib=memory, argon2_time=passes - 1)[0]


def test_pwd_08_eight_kibibytes_are_refused():
    assert problems(argon2_memory_kib=8)


@pytest.mark.parametrize("kind", ["", "remembered_", "anonymous_"])
def test_idle_timeout_may_equal_the_absolute_one_and_not_exceed_it(kind):
    same = {f"{kind}idle_timeout": 7200, f"{kind}absolute_timeout": 7200}

    assert make_policy(overrides=same)
    assert "is longer than" in problems(**(same | {f"{kind}idle_timeout": 7201}))[0]


def test_err_03_every_mistake_is_told_at_once():
    told = problems("lax", token_bytes=15, idle_timeout="1h", speed=9)

    assert [text.split(":")[0] for text in told] == ["profile", "token_bytes", "idle_timeout", "speed"]


REFUSALS = [
    ("lax", {}, "profile: 'lax' is not one of standard, strict"),
    ("standard", {"same_site": "lax"}, 'same_site: must be "Lax" or "Strict", spelled so, not \'lax\''),
    (
        "standard",
        {"argon2_memory_kib": 12_288, "argon2_time": 2},
        "argon2_memory_kib, argon2_time: (12288, 2) is too weak; choose at least one of "
        + ", ".join(f"({memory}, {passes})" for memory, passes in ARGON2_FLOORS),
    ),
    (
        "standard",
        {"account_delay": 61, "account_delay_max": 60},
        "account_delay: is longer than account_delay_max; lower the first",
    ),
    ("strict", {"remember_allowed": True}, "remember_allowed: the strict profile does not remember log-ins"),
    ("strict", {"same_site": "Lax"}, 'same_site: the strict profile needs "Strict"'),
]


@pytest.mark.parametrize(("profile", "settings", "told"), REFUSALS)
def test_err_03_a_refused_setting_is_named_with_what_it_may_be(profile, settings, told):
    assert problems(profile, **settings) == (told,)


def test_the_first_wait_may_be_the_longest():
    assert make_policy(overrides={"account_delay": 60, "account_delay_max": 60}).account_delay_max == 60


@pytest.mark.parametrize("value", ["60", 60.0, None, True, [60], b"60"])
def test_a_number_must_be_a_whole_number(value):
    assert "must be a whole number" in problems(idle_timeout=value)[0]


@pytest.mark.parametrize(("name", "value"), [("remember_allowed", 1), ("same_site", "lax"), ("same_site", "None")])
def test_choice_is_spelled_exactly(name, value):
    assert problems(**{name: value})[0].startswith(f"{name}: must be")


def test_duration_may_be_a_timedelta():
    assert make_policy(overrides={"idle_timeout": timedelta(minutes=30)}).idle_timeout == 1800


STRICT_CEILINGS = ["idle_timeout", "absolute_timeout", "remembered_idle_timeout", "remembered_absolute_timeout"]


@pytest.mark.parametrize("name", STRICT_CEILINGS)
def test_tmo_06_strict_profile_may_only_be_lowered(name):
    lowered = {name.replace("absolute", "idle"): 60, name: 600}

    assert getattr(make_policy("strict", lowered), name) == 600
    assert any("strict profile" in text for text in problems("strict", **{name: getattr(STRICT, name) + 1}))


@pytest.mark.parametrize(("name", "value"), [("remember_allowed", True), ("same_site", "Lax")])
def test_tmo_06_strict_profile_stays_strict(name, value):
    assert "strict profile" in problems("strict", **{name: value})[0]


def test_tmo_06_absolute_timeout_of_sixty_days_is_refused():
    assert problems(absolute_timeout=timedelta(days=60))


WEAKER = [{"password_min_length": 8}, {"idle_timeout": 3601}, {"absolute_timeout": DAY + 1}]


@pytest.mark.parametrize("settings", WEAKER)
def test_tmo_06_each_deviation_is_named_once(settings):
    told = warnings_of(make_policy(overrides=settings))

    assert len(told) == 1
    assert next(iter(settings)) in told[0]


def test_profiles_themselves_warn_of_nothing():
    assert warnings_of(STANDARD) == warnings_of(STRICT) == []


def test_a_policy_does_not_change():
    with pytest.raises(AttributeError):
        STANDARD.idle_timeout = 10**9  # type: ignore[misc]
    assert msgspec.structs.asdict(make_policy()) == msgspec.structs.asdict(Policy())


@pytest.mark.parametrize("names", [None, [], ["cart"], ("cart", "theme")])
def test_names_that_survive_a_log_in_are_a_list(names):
    assert make_policy(overrides={"keep_at_login": names}).keep_at_login == (None if names is None else tuple(names))


@pytest.mark.parametrize("names", ["cart", ["cart", 1], {"cart": 1}, 7])
def test_err_03_names_that_are_no_list_are_refused(names):
    with pytest.raises(ConfigurationError) as caught:
        make_policy(overrides={"keep_at_login": names})

    assert caught.value.problems == (f'keep_at_login: must be a list of names, like ["cart"], not {names!r}',)
