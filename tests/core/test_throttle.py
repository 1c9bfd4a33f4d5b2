"""Slowing guesses down, attempt by attempt."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import throttle
from coatcheck.core.policy import STANDARD, make_policy
from coatcheck.core.throttle import Counter, Gate

T = 1_800_000_000
DAY = 86_400
ACCOUNT, NETWORK, HOURLY = throttle.gates_of(["ada"], "192.0.2.7", STANDARD, now=T)
LOCK = throttle.lock_of("subject-1", STANDARD)


def fail(times: int, *, gate: Gate = ACCOUNT, now: int = T) -> Counter:
    counter = Counter()
    for _ in range(times):
        counter = settled(throttle.counted(counter, gate, now=now), gate, "failure", at=now)
    return counter


def settled(counter: Counter, gate: Gate, outcome, *, at: int = T) -> Counter:
    (settlement,) = throttle.settlements_of([gate], outcome, at=at)
    return throttle.settled(counter, settlement) or Counter()


@pytest.mark.parametrize(
    ("failures", "wait"),
    [
        *[(0, 0), (1, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 240), (9, 480), (10, 960), (11, 1920)],
        *[(12, 3600), (13, 3600), (99, 3600), (10_000, 3600)],
    ],
)
def test_rat_01_fifth_straight_failure_waits_30_s_doubling_to_an_hour(failures, wait):
    assert throttle.wait_of(fail(failures), ACCOUNT, now=T) == wait


@pytest.mark.parametrize(("age", "wait"), [(0, 30), (1, 29), (29, 1), (30, 0), (31, 0)])
def test_rat_01_the_wait_ends_at_its_exact_second(age, wait):
    assert throttle.wait_of(fail(5), ACCOUNT, now=T + age) == wait


@pytest.mark.parametrize(("failures", "wait"), [(9, 0), (10, 600)])
def test_rat_03_tenth_failure_of_a_network_waits_ten_minutes(failures, wait):
    assert throttle.wait_of(fail(failures, gate=NETWORK), NETWORK, now=T) == wait


def test_rat_03_network_that_served_its_wait_starts_over_and_a_name_does_not():
    served = T + 600

    assert throttle.counted(fail(10, gate=NETWORK), NETWORK, now=served) == Counter(0, 1, served, 0, served + DAY)
    assert throttle.counted(fail(5), ACCOUNT, now=served).failures == 5


@pytest.mark.parametrize(("age", "failures"), [(DAY - 1, 4), (DAY, 0)])
def test_rat_12_failures_are_forgotten_after_a_day_without_attempts(age, failures):
    assert throttle.counted(fail(4), ACCOUNT, now=T + age).failures == failures


def test_success_clears_the_name_and_leaves_the_failures_of_the_network():
    assert settled(throttle.counted(fail(4), ACCOUNT, now=T), ACCOUNT, "success") == Counter()
    kept = Counter(7, 0, T, 0, T + DAY)
    assert settled(throttle.counted(fail(7, gate=NETWORK), NETWORK, now=T), NETWORK, "success") == kept


def test_rat_03_one_valid_account_does_not_buy_guesses_at_others():
    counter, guesses = Counter(), 0
    while throttle.wait_of(counter, NETWORK, now=T) == 0:
        counter, guesses = settled(throttle.counted(counter, NETWORK, now=T), NETWORK, "failure"), guesses + 1
        if throttle.wait_of(counter, NETWORK, now=T) == 0:  # logs in to an account of their own after each guess
            counter = settled(throttle.counted(counter, NETWORK, now=T), NETWORK, "success")

    assert guesses == 10


def test_rat_03_success_that_was_under_way_does_not_open_a_network_that_closed_meanwhile():
    counter = throttle.counted(fail(9, gate=NETWORK), NETWORK, now=T)
    counter = settled(throttle.counted(counter, NETWORK, now=T), NETWORK, "failure")

    counter = settled(counter, NETWORK, "success")

    assert throttle.wait_of(counter, NETWORK, now=T) == 600


def test_rat_06_pending_attempts_count_as_failures_until_they_are_settled():
    counter = Counter()
    for _ in range(5):
        assert throttle.wait_of(counter, ACCOUNT, now=T) == 0
        counter = throttle.counted(counter, ACCOUNT, now=T)

    assert throttle.wait_of(counter, ACCOUNT, now=T) == 1
    assert throttle.wait_of(settled(counter, ACCOUNT, "unread"), ACCOUNT, now=T) == 0


@pytest.mark.parametrize(("age", "failures", "pending"), [(59, 0, 2), (60, 1, 1)])
def test_attempt_that_is_never_settled_becomes_a_failure_after_a_minute(age, failures, pending):
    counter = throttle.counted(throttle.counted(Counter(), ACCOUNT, now=T), ACCOUNT, now=T + age)

    assert (counter.failures, counter.pending) == (failures, pending)


def test_office_at_nine_has_thirty_two_log_ins_under_way_beside_its_free_failures():
    counter, admitted = Counter(), 0
    while throttle.wait_of(counter, NETWORK, now=T) == 0:
        counter, admitted = throttle.counted(counter, NETWORK, now=T), admitted + 1

    assert admitted == 10 + 32


def test_a_counter_begins_with_nothing():
    assert Counter() == Counter(failures=0, pending=0, counted_at=0, blocked_until=0, kept_until=0)


def test_settling_the_only_attempt_leaves_nothing():
    (unread,) = throttle.settlements_of([ACCOUNT], "unread", at=T)

    assert throttle.settled(Counter(0, 1, T, 0), unread) is None


@pytest.mark.parametrize("back", [1, 29, 30])
def test_tmo_07_small_step_back_of_the_clock_does_not_open_a_closed_gate(back):
    assert throttle.wait_of(fail(5), ACCOUNT, now=T - back) == 30 + back


@pytest.mark.parametrize("back", [31, 3600, 2 * DAY])
def test_tmo_07_clock_set_back_makes_no_endless_wait(back):
    assert throttle.wait_of(fail(5), ACCOUNT, now=T - back) == 0


def test_tmo_07_try_after_the_clock_was_set_back_is_counted_and_waits_under_the_new_clock():
    counter = settled(throttle.counted(fail(5), ACCOUNT, now=T - DAY), ACCOUNT, "failure", at=T - DAY)

    assert throttle.wait_of(counter, ACCOUNT, now=T - DAY) == 60


@pytest.mark.parametrize("age", [30, 31, 59])
def test_rat_06_a_wait_that_is_over_admits_nobody_beside_an_attempt_still_under_way(age):
    guessed_five_times_while_one_was_slow = Counter(5, 1, T, T + 30, T + DAY)

    assert throttle.wait_of(guessed_five_times_while_one_was_slow, ACCOUNT, now=T + age) == 1


@pytest.mark.parametrize("outcome", ["success", "unread"])
def test_rat_06_one_outcome_settles_one_attempt(outcome):
    assert settled(Counter(2, 3, T, 0, T + DAY), NETWORK, outcome) == Counter(2, 2, T, 0, T + DAY)


def test_rat_06_one_failure_settles_one_attempt():
    assert settled(Counter(2, 3, T, 0, T + DAY), NETWORK, "failure") == Counter(3, 2, T, 0, T + DAY)


def test_success_lifts_the_wait_of_a_name_and_leaves_what_is_under_way():
    waiting = Counter(6, 2, T, T + 60, T + DAY)

    assert settled(waiting, ACCOUNT, "success") == Counter(0, 1, T, 0, T + DAY)


@given(st.lists(st.tuples(st.integers(-4000, 4000), st.booleans()), max_size=60))
def test_no_wait_is_ever_longer_than_twice_the_longest(history):
    counter, now = Counter(), T
    for step, succeeds in history:
        now += step
        wait = throttle.wait_of(counter, ACCOUNT, now=now)
        assert 0 <= wait <= 2 * STANDARD.account_delay_max
        if wait == 0:
            counter = throttle.counted(counter, ACCOUNT, now=now)
            counter = settled(counter, ACCOUNT, "success" if succeeds else "failure", at=now)


def test_enu_06_rat_12_keys_have_one_size_whatever_was_typed():
    keys = {throttle.gates_of([name], None, STANDARD, now=T)[0].key for name in ("", "ada", "x" * 1000, "\ud800", "\0")}

    assert {len(key) for key in keys} == {32}
    assert len(keys) == 5


def test_a_name_and_a_network_that_look_alike_have_different_keys():
    gates = throttle.gates_of(["192.0.2.7"], "192.0.2.7", STANDARD, now=T)

    assert len({gate.key for gate in gates}) == 3


UNLIKE = make_policy(
    overrides={
        "account_free_failures": 3,
        "account_delay": 20,
        "account_delay_max": 40,
        "network_free_failures": 7,
        "network_delay": 500,
        "network_hourly_failures": 30,
        "network_free_sign_ups": 11,
        "password_lock_failures": 70,
    }
)
INTO_THE_HOUR = 1234
NOW = T - T % 3600 + INTO_THE_HOUR
GATES = {
    # which gate: how to make it, what its key is a digest of, and everything else about it
    "name": (
        lambda: throttle.gates_of(["ada"], "192.0.2.7", UNLIKE, now=NOW)[0],
        "account:ada",
        {"free": 3, "delay": 20, "delay_max": 40, "is_cleared": True, "starts_over": False, "crowd": 0},
    ),
    "network": (
        lambda: throttle.gates_of(["ada"], "192.0.2.7", UNLIKE, now=NOW)[1],
        "network:192.0.2.7",
        {"free": 7, "delay": 500, "delay_max": 500, "is_cleared": False, "starts_over": True, "crowd": 32},
    ),
    "network in this hour": (
        lambda: throttle.gates_of(["ada"], "192.0.2.7", UNLIKE, now=NOW)[2],
        f"hour:{NOW // 3600} 192.0.2.7",
        {"free": 30, "delay": 2366, "delay_max": 2366, "is_cleared": False, "starts_over": True, "crowd": 32},
    ),
    "known device": (
        lambda: throttle.known_device_gate("d1", "subject-1", UNLIKE),
        "device:d1 subject-1",
        {"free": 3, "delay": 20, "delay_max": 40, "is_cleared": True, "starts_over": False, "crowd": 0},
    ),
    "sign-up": (
        lambda: throttle.sign_up_gate("192.0.2.7", UNLIKE),
        "sign-up:192.0.2.7",
        {"free": 11, "delay": 500, "delay_max": 500, "is_cleared": False, "starts_over": True, "crowd": 32},
    ),
    "lock": (
        lambda: throttle.lock_of("subject-1", UNLIKE),
        "password:subject-1",
        {"free": 70, "delay": 0, "delay_max": 0, "is_cleared": True, "starts_over": False, "crowd": 0, "locks": True},
    ),
}


@pytest.mark.parametrize(("make", "kind_and_value", "rest"), GATES.values(), ids=GATES.keys())
def test_rat_01_rat_03_each_gate_obeys_its_settings_and_keeps_its_key_from_release_to_release(
    make, kind_and_value, rest
):
    assert make() == Gate(sha256(f"coatcheck:throttle:{kind_and_value}".encode()).digest(), **rest)


def test_rat_03_all_tries_of_one_hour_meet_one_counter():
    keys = {throttle.gates_of([], "192.0.2.7", STANDARD, now=now)[1].key for now in (NOW, NOW + 1, NOW + 2365)}

    assert len(keys) == 1


def test_without_a_known_address_only_the_name_is_counted():
    assert throttle.gates_of(["ada"], None, STANDARD, now=T) == (ACCOUNT,)


def test_rat_03_the_fiftieth_failure_of_an_hour_closes_a_network_until_the_next():
    into_the_hour = 1200
    now = T - T % 3600 + into_the_hour
    *_, hourly = throttle.gates_of(["ada"], "192.0.2.7", STANDARD, now=now)

    almost, full = fail(49, gate=hourly, now=now), fail(50, gate=hourly, now=now)

    assert throttle.wait_of(almost, hourly, now=now) == 0
    assert throttle.wait_of(full, hourly, now=now) == 3600 - into_the_hour
    *_, next_hour = throttle.gates_of(["ada"], "192.0.2.7", STANDARD, now=now + 3600 - into_the_hour)
    assert next_hour.key != hourly.key


def test_rat_02_a_lock_closes_at_its_hundredth_failure_and_refuses_success_only():
    almost, locked = fail_lock(99), fail_lock(100)

    assert not throttle.is_locked(almost, LOCK)
    assert throttle.is_locked(locked, LOCK)
    assert throttle.locks_now(almost, locked, LOCK)
    assert not throttle.locks_now(locked, fail_lock(101), LOCK)
    for counter, outcome, refused in (
        (almost, "success", False), (locked, "success", True), (locked, "failure", False), (locked, "unread", False),
        (None, "success", False),
    ):  # fmt: skip
        assert throttle.refuses_success(counter, throttle.Settlement(LOCK, outcome, T)) is refused


def test_rat_02_a_lock_counts_for_years_what_other_counters_forget_in_a_day():
    assert fail_lock(1).kept_until == T + 3650 * DAY
    assert fail(1).kept_until == T + DAY


def test_rat_02_only_a_failure_begins_a_lock_counter():
    for outcome in ("success", "unread", "lifted"):
        assert throttle.settled(None, throttle.Settlement(LOCK, outcome, T)) is None
    for outcome in ("success", "unread", "lifted", "failure"):
        assert throttle.settled(None, throttle.Settlement(ACCOUNT, outcome, T)) is None


def test_rat_01_an_operator_lifts_what_was_counted():
    for counter, gate in ((fail(7), ACCOUNT), (fail_lock(100), LOCK)):
        assert throttle.settled(counter, throttle.Settlement(gate, "lifted", T)) is None


def test_rat_13_a_known_device_has_a_counter_of_its_own_for_each_account():
    keys = {
        throttle.known_device_gate(device, subject, STANDARD).key
        for device, subject in (("d1", "ada"), ("d2", "ada"), ("d1", "bob"))
    }

    assert len(keys | {ACCOUNT.key, LOCK.key}) == 5


def fail_lock(times: int) -> Counter:
    counter = None
    for _ in range(times):
        counter = throttle.settled(counter, throttle.Settlement(LOCK, "failure", T))
    assert counter is not None
    return counter
