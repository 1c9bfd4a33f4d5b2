"""The life of a session, second by second."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import sessions
from coatcheck.core.policy import STANDARD, STRICT, make_policy
from coatcheck.core.records import EMPTY_DATA, SessionRecord, SubjectState

T = 1_800_000_000
DAY = 86_400
STATE = SubjectState("ada")
EVERYBODY = SubjectState("")
replace = msgspec.structs.replace


def issue(subject: str | None = "ada", *, remember: bool = False, policy=STANDARD, now: int = T) -> SessionRecord:
    return sessions.issue(
        digest=b"d" * 32,
        session_id="handle",
        subject=subject,
        methods=("pwd",) if subject else (),
        remember=remember,
        ip=None,
        user_agent=None,
        policy=policy,
        now=now,
    )


LIVES = [
    # which session, seconds after its start, why it is dead
    ("plain", 0, None),
    ("plain", 3599, None),
    ("plain", 3600, None),  # "last seen" may lag by one touch step of 60 s
    ("plain", 3659, None),
    ("plain", 3660, "idle_timeout"),
    ("plain", DAY - 1, "idle_timeout"),
    ("plain", DAY, "absolute_timeout"),
    ("remembered", 14 * DAY + 59, None),
    ("remembered", 14 * DAY + 60, "idle_timeout"),
    ("remembered", 30 * DAY, "absolute_timeout"),
    ("anonymous", 14 * DAY + 59, None),
    ("anonymous", 14 * DAY + 60, "idle_timeout"),
    ("strict", 900 + 44, None),  # a twentieth of 900 s is 45 s
    ("strict", 900 + 45, "idle_timeout"),
    ("strict", 43_200, "absolute_timeout"),
]


@pytest.mark.parametrize(("kind", "age", "death"), LIVES)
def test_tmo_01_tmo_03_unused_session_dies_at_the_exact_second(kind, age, death):
    session = {
        "plain": issue(),
        "remembered": issue(remember=True),
        "anonymous": issue(None),
        "strict": issue(remember=True, policy=STRICT),
    }[kind]

    assert sessions.death_of(session, STATE, now=T + age) == death


@pytest.mark.parametrize(("age", "death"), [(DAY - 1, None), (DAY, "absolute_timeout"), (DAY + 1, "absolute_timeout")])
def test_tmo_02_use_never_extends_the_absolute_timeout(age, death):
    in_use = replace(issue(), last_seen_at=T + age)

    assert sessions.death_of(in_use, STATE, now=T + age) == death


def test_a_new_session_holds_what_it_was_issued_with_and_no_data():
    session = sessions.issue(
        digest=b"d" * 32,
        session_id="handle",
        subject="ada",
        methods=("oidc", "pwd"),
        remember=True,
        ip="192.0.2.7",
        user_agent="Browser/1",
        policy=STANDARD,
        now=T,
    )

    assert session == SessionRecord(
        digest=b"d" * 32,
        id="handle",
        subject="ada",
        epoch=0,
        created_at=T,
        auth_time=T,
        last_seen_at=T,
        idle_timeout=14 * DAY,
        expires_at=T + 30 * DAY,
        is_persistent=True,
        methods="oidc pwd",
        ip="192.0.2.7",
        user_agent="Browser/1",
        data=EMPTY_DATA,
    )


def test_sessions_of_a_strict_policy_are_never_persistent():
    assert not issue(remember=True, policy=STRICT).is_persistent


def test_anonymous_sessions_are_never_persistent_and_have_no_auth_time():
    session = issue(None, remember=True)

    assert not session.is_persistent
    assert session.auth_time is None


DEATHS = [
    (replace(issue(), ended_at=T + 5, end_reason="logged_out"), STATE, "logged_out"),
    (replace(issue(), ended_at=T + 5, end_reason=None), STATE, "revoked"),
    (replace(issue(None), ended_at=T + 5, end_reason="replaced"), EVERYBODY, "replaced"),
    (issue(), None, "revoked"),
    (issue(), replace(STATE, disabled_at=T), "account_disabled"),
    (issue(), replace(STATE, epoch=1, epoch_reason="password_changed"), "password_changed"),
    (issue(), replace(STATE, epoch=1), "revoked"),
    (replace(issue(), epoch=2), replace(STATE, epoch=1), "revoked"),
    (issue(None), EVERYBODY, None),
    (issue(None), None, "revoked"),
    (issue(None), replace(EVERYBODY, epoch=1, epoch_reason="everybody_revoked"), "everybody_revoked"),
    (issue(), STATE, None),
]


@pytest.mark.parametrize(("session", "state", "death"), DEATHS)
def test_ses_09_session_is_dead_when_any_check_says_so(session, state, death):
    assert sessions.death_of(session, state, now=T + 10) == death


OWN = SubjectState("ada", epoch=4, epoch_at=T, epoch_reason="password_changed", credential_version=7)
STANDINGS = [
    # everybody's epoch and its instant; the epoch, instant and reason under which a session of ada's stands
    (0, 0, (4, T, "password_changed")),
    (1, T - 1, (5, T, "password_changed")),
    (1, T, (5, T, "password_changed")),  # of two reasons of one second, hers
    (1, T + 1, (5, T + 1, "everybody_revoked")),
    (3, T + 1, (7, T + 1, "everybody_revoked")),
]


@pytest.mark.parametrize(("epoch", "at", "standing"), STANDINGS)
def test_ses_09_everybodys_epoch_adds_to_the_subjects_own_and_the_later_reason_is_told(epoch, at, standing):
    everybody = replace(EVERYBODY, epoch=epoch, epoch_at=at, epoch_reason="everybody_revoked" if epoch else "")

    state = sessions.standing_under(OWN, everybody)

    assert (state.epoch, state.epoch_at, state.epoch_reason) == standing
    assert (state.subject, state.credential_version, state.disabled_at) == ("ada", 7, None)


def test_who_comes_back_late_hears_of_the_password_change_and_not_of_the_timeout():
    state = replace(STATE, epoch=1, epoch_at=T + 60, epoch_reason="password_changed")

    assert sessions.death_of(issue(), state, now=T + 2 * DAY) == "password_changed"


@pytest.mark.parametrize(("age", "due"), [(0, False), (59, False), (60, True), (61, True), (-1, False), (-DAY, False)])
def test_tmo_04_touch_is_due_once_a_minute(age, due):
    assert sessions.is_touch_due(issue(), now=T + age) is due


@pytest.mark.parametrize(("idle", "step"), [(60, 3), (900, 45), (1199, 59), (1200, 60), (3600, 60), (14 * DAY, 60)])
def test_tmo_04_touch_step_is_a_minute_or_a_twentieth_of_the_idle_timeout(idle, step):
    assert sessions.touch_step(idle) == step


@pytest.mark.parametrize(("idle", "age", "death"), [(19, 18, None), (19, 19, "idle_timeout"), (20, 20, None)])
def test_tmo_03_an_idle_timeout_too_short_for_a_step_ends_to_the_second(idle, age, death):
    session = replace(issue(), idle_timeout=idle)

    assert sessions.timeout_of(session, now=T + age) == death


def test_tmo_04_one_request_a_second_writes_once_a_minute_and_dies_within_the_step():
    session, writes = issue(), 0
    for now in range(T, T + 600):
        if sessions.is_touch_due(session, now=now):
            session, writes = replace(session, last_seen_at=now), writes + 1
    last_use = T + 599

    assert writes == 9
    assert sessions.death_of(session, STATE, now=last_use + 3600 - 1) is None
    assert sessions.death_of(session, STATE, now=last_use + 3600 + 60) == "idle_timeout"


FRESH = [(0, True), (299, True), (300, False), (301, False), (-1, False), (-DAY, False)]


@pytest.mark.parametrize(("age", "fresh"), FRESH)
def test_stp_01_proof_of_identity_is_fresh_for_five_minutes_and_never_from_the_future(age, fresh):
    assert sessions.is_fresh(issue(), max_age=300, now=T + age) is fresh


def test_stp_01_anonymous_session_is_never_fresh():
    assert not sessions.is_fresh(issue(None), max_age=300, now=T)


def test_rotation_moves_no_limit_but_the_idle_one():
    session = issue(remember=True)

    rotation = sessions.rotate(session, new_digest=b"n" * 32, now=T + 100)

    assert rotation == sessions.Rotation(
        digest=session.digest,
        new_digest=b"n" * 32,
        last_seen_at=T + 100,
        auth_time=T,
        expires_at=session.expires_at,
        methods="pwd",
    )


def test_tmo_07_rotation_after_the_clock_was_set_back_does_not_move_last_seen_back():
    assert sessions.rotate(issue(), new_digest=b"n" * 32, now=T - DAY).last_seen_at == T


@pytest.mark.parametrize(("remember", "absolute"), [(False, DAY), (True, 30 * DAY)])
def test_tmo_05_full_reauthentication_starts_both_limits_again(remember, absolute):
    session = issue(remember=remember)

    rotation = sessions.reauthenticate(session, new_digest=b"n" * 32, method="pwd", policy=STANDARD, now=T + 1000)

    assert rotation == sessions.Rotation(
        digest=session.digest,
        new_digest=b"n" * 32,
        last_seen_at=T + 1000,
        auth_time=T + 1000,
        expires_at=T + 1000 + absolute,
        methods="pwd",
    )


def test_reauthentication_adds_its_method_once():
    session = replace(issue(), methods="oidc")

    once = sessions.reauthenticate(session, new_digest=b"n" * 32, method="pwd", policy=STANDARD, now=T)
    twice = sessions.reauthenticate(
        replace(session, methods=once.methods), new_digest=b"n" * 32, method="pwd", policy=STANDARD, now=T
    )

    assert once.methods == twice.methods == "oidc pwd"


@given(
    idle=st.integers(60, 3600),
    uses=st.lists(st.integers(0, 4000), max_size=30),
    leap=st.integers(-3 * DAY, 0),
)
def test_tmo_07_clock_set_back_grants_no_more_life_than_the_jump(idle, uses, leap):
    policy = make_policy(overrides={"idle_timeout": idle})
    session, now = issue(policy=policy), T
    for wait in uses:
        now += wait
        if sessions.death_of(session, STATE, now=now) is None and sessions.is_touch_due(session, now=now):
            session = replace(session, last_seen_at=now)
    dies_at = min(sessions.idle_deadline(session), session.expires_at)

    rotated = sessions.rotate(session, new_digest=b"n", now=now + leap)

    assert rotated.last_seen_at <= max(now, session.last_seen_at)
    assert rotated.expires_at == session.expires_at
    assert dies_at <= session.last_seen_at + idle + sessions.touch_step(idle)


DATA = b'{"app":{"_flashes":[],"cart":1,"theme":2}}'
CROSSED = b'{"app":{"cart":1,"theme":2}}'
LEAVINGS = [
    # whose it was, whose takes over, seconds later, what may cross a log-in, what is left to it
    (None, "ada", 0, None, CROSSED),
    (None, "ada", 0, ("theme",), b'{"app":{"theme":2}}'),
    (None, "ada", 0, (), EMPTY_DATA),
    (None, None, 0, (), DATA),
    ("ada", "ada", 0, (), DATA),
    ("eve", "ada", 0, None, None),
    ("eve", None, 0, None, None),
    ("ada", "ada", 3659, None, DATA),
    ("ada", "ada", 3660, None, None),
    (None, "ada", 14 * DAY + 59, None, CROSSED),
    (None, "ada", 14 * DAY + 60, None, None),
]


@pytest.mark.parametrize(("before", "after", "later", "keep", "left"), LEAVINGS)
def test_fix_02_ses_10_what_a_session_leaves_to_the_one_that_replaces_it(before, after, later, keep, left):
    old = replace(issue(before), data=DATA)

    assert sessions.carried(old, issue(after, now=T + later), keep) == left
