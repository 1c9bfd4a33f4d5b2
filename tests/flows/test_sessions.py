"""Sessions at the desk: how they start, live, change their secret and end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from coatcheck import (
    Coatcheck,
    CorruptRecord,
    InvalidCredentials,
    InvalidData,
    InvalidInput,
    NotFound,
    SessionEnded,
    StepUpRequired,
    StoreUnavailable,
)
from coatcheck.colour import run_blocking
from coatcheck.core.audit import (
    LoggedOut,
    SessionEvicted,
    SessionExpired,
    SessionRevoked,
    SessionRotated,
    SessionsRevoked,
)
from coatcheck.core.tokens import session_digest
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import MovableClock
from tests.flows.conftest import HERE

DAY = 86_400


async def started(world, subject="ada", **options):
    login = await world.desk.start_session(subject, methods=("oidc",) if subject else (), client=HERE, **options)
    world.steps.clear()
    world.events.clear()
    return login


async def data_of(world, token) -> dict[str, object]:
    return (await world.desk.authenticate(token)).session.data()


async def edit(world, session, **change: object) -> None:
    async with world.desk.edit(session) as data:
        data.update(change)


async def write_late(world, kind: str, session) -> None:
    """Do what a request may do with a session it read earlier."""
    if kind == "edit":
        await edit(world, session, k="late")
    elif kind == "increment":
        await world.desk.increment(session, "k")
    else:
        await getattr(world.desk, kind)(session)


# What it costs


async def test_authenticating_a_live_session_is_one_step_and_writes_nothing(world):
    login = await started(world)

    assert await world.is_live(login.token)

    assert world.steps == world.a_visit


MALFORMED = [
    None,
    "",
    "A" * 42,
    "A" * 44,
    "A" * 10**6,
    "A" * 42 + "\0",
    "A" * 42 + "'",
    "A" * 42 + "\u00e9",
    b"A" * 43,
    5,
]


@pytest.mark.parametrize("token", MALFORMED, ids=lambda token: repr(token)[:12])
async def test_tok_05_ses_01_what_cannot_be_a_token_costs_no_step(world, token):
    assert not await world.desk.authenticate(token)
    assert not await world.desk.log_out(token)

    assert world.steps == []


async def test_absence_has_a_reason(world):
    assert await world.absence(None) == "no_session"
    assert await world.absence("") == "no_session"
    assert await world.absence("nonsense") == "unknown_session"
    assert await world.absence("A" * 43) == "unknown_session"


async def test_tok_03_ses_01_digest_or_public_id_shown_as_token_opens_nothing(world):
    login = await started(world)
    digest = session_digest(login.token.reveal())

    for shown in (digest, digest.hex(), digest.hex()[:43], login.session.id, login.session.id.ljust(43, "A")):
        assert not await world.desk.authenticate(shown)


async def test_tok_09_public_id_has_no_part_in_the_token(world):
    login = await started(world)

    assert len(login.session.id) == 12
    assert login.session.id not in login.token.reveal()
    assert login.token.reveal()[:12] != login.session.id


async def test_tok_06_tokens_of_one_subject_have_nothing_in_common(quick):
    tokens = [(await quick.desk.start_session("ada")).token.reveal() for _ in range(200)]

    for place in range(43):
        assert len({token[place] for token in tokens}) > 4


# Timeouts


async def test_tmo_04_touch_is_written_once_a_minute(world):
    login = await started(world)

    for _ in range(121):
        assert await world.is_live(login.token)
        world.clock.move(1)

    assert world.steps.count("touch") == 2


async def test_touch_can_be_left_for_after_the_answer(world):
    login = await started(world)
    world.clock.move(60)

    visit = await world.desk.authenticate(login.token, touch=False)
    assert visit.is_touch_due
    assert world.steps == world.a_visit
    await world.desk.renew(visit.session)

    assert not (await world.desk.authenticate(login.token)).is_touch_due


@pytest.mark.parametrize(("remember", "idle", "absolute"), [(False, 3660, DAY), (True, 14 * DAY + 60, 30 * DAY)])
async def test_tmo_01_tmo_02_tmo_03_session_ends_on_its_second(world, remember, idle, absolute):
    unused, used = await started(world, remember=remember), await started(world, remember=remember)
    world.clock.move(idle - 1)
    assert await world.is_live(used.token)
    assert (await world.desk.authenticate(unused.token, touch=False)).is_touch_due

    world.clock.move(1)
    assert await world.absence(unused.token) == "idle_timeout"

    while world.clock() + idle // 2 < int(used.session.record.expires_at):
        assert await world.is_live(used.token)
        world.clock.move(idle // 2)
    world.clock.now = used.session.record.expires_at - 1
    assert await world.is_live(used.token)
    world.clock.move(1)
    assert await world.absence(used.token) == "absolute_timeout"
    assert world.clock() == used.session.record.created_at + absolute


@pytest.mark.parametrize("seen_by", ["authenticate", "log_out", "renew", "edit", "rotate", "replaces"])
async def test_tmo_07_expiry_that_was_seen_outlives_a_clock_set_back(world, seen_by):
    login = await started(world)
    world.clock.move(3660)
    desk = world.desk

    if seen_by == "authenticate":
        assert not await world.is_live(login.token)
    elif seen_by == "log_out":
        assert not await desk.log_out(login.token)
    elif seen_by == "replaces":
        await desk.start_session("ada", replaces=login.token)
    else:
        with pytest.raises(SessionEnded):
            await write_late(world, seen_by, login.session)

    world.clock.move(-2 * DAY)
    assert not await world.is_live(login.token)


async def test_log_01_expiry_is_told_once(world):
    login = await started(world)
    world.clock.move(DAY)

    for _ in range(3):
        assert await world.absence(login.token) == "absolute_timeout"

    (event,) = world.events
    assert isinstance(event, SessionExpired)
    assert (event.cause, event.session_id) == ("absolute_timeout", login.session.id)


# A request that outlives its session


@pytest.mark.parametrize("end", ["log out", "revoke", "revoke all", "disable", "idle", "absolute"])
@pytest.mark.parametrize("late", ["edit", "increment", "renew", "rotate"])
async def test_ses_05_late_call_brings_nothing_back_and_is_told(world, end, late):
    subject = await world.member()
    login = await started(world, subject)
    visit = await world.desk.authenticate(login.token)
    desk = world.desk
    if end == "log out":
        await desk.log_out(login.token)
    elif end == "revoke":
        await desk.revoke(login.session.id, of=subject)
    elif end == "revoke all":
        await desk.revoke_all(of=subject)
    elif end == "disable":
        await desk.disable(subject)
    else:
        world.clock.move(3660 if end == "idle" else DAY)

    with pytest.raises(SessionEnded):
        await write_late(world, late, visit.session)

    assert not await world.is_live(login.token)
    assert await desk.sessions(of=subject) == ()


@pytest.mark.parametrize("late", ["renew", "rotate"])
def test_tmo_03_nor_does_that_of_a_machine_which_falls_asleep_amid_it(late):
    """Whether a session lives and when it was used are questions of one instant."""
    clock, is_sleepy = MovableClock(), False

    def sleepy() -> int:
        now = clock()
        if is_sleepy:
            clock.move(3660)
        return now

    with Coatcheck("memory://", clock=sleepy) as desk:
        login = desk.start_session("ada")
        used_at = clock() + 3000
        clock.now, is_sleepy = used_at, True
        token = desk.rotate(login.session).token if late == "rotate" else desk.renew(login.session) or login.token
        clock.now, is_sleepy = used_at + 3660, False

        assert not desk.authenticate(token)


async def test_slow_request_may_save_while_others_keep_its_session_alive(world):
    login = await started(world)
    slow = await world.desk.authenticate(login.token)
    world.clock.move(3000)
    assert await world.is_live(login.token)
    world.clock.move(3000)

    async with world.desk.edit(slow.session) as data:
        data["k"] = "slow but in time"

    assert await data_of(world, login.token) == {"k": "slow but in time"}


# Data


async def test_ses_06_edits_of_different_keys_at_once_all_survive(make_world):
    world = make_world("sqlite")
    login = await started(world)
    session = (await world.desk.authenticate(login.token)).session
    ready = threading.Barrier(10)

    def edit(n: int) -> None:
        if n < 10:
            ready.wait()
        with world.desk.desk.edit(session) as data:
            data[f"key{n}"] = n
        world.desk.desk.increment(session, "count")

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(edit, range(50)))

    assert await data_of(world, login.token) == {f"key{n}": n for n in range(50)} | {"count": 50}


async def test_edit_saves_nested_changes_and_removals_as_one_patch(world):
    login = await started(world)
    async with world.desk.edit(login.session) as data:
        data.update(cart={"items": [1]}, gone=1, kept=1)
    session = (await world.desk.authenticate(login.token)).session
    world.steps.clear()

    async with world.desk.edit(session) as data:
        data["cart"]["items"].append(2)
        del data["gone"]

    assert world.steps == ["patch"]
    assert await data_of(world, login.token) == {"cart": {"items": [1, 2]}, "kept": 1}


async def test_edit_that_changes_nothing_costs_no_step(world):
    login = await started(world)

    async with world.desk.edit(login.session) as data:
        data["k"] = 1
        del data["k"]

    assert world.steps == []


async def test_edit_whose_block_raises_saves_nothing(world):
    login = await started(world)

    async def failing() -> None:
        async with world.desk.edit(login.session) as data:
            data["k"] = 1
            raise LookupError

    with pytest.raises(LookupError):
        await failing()

    assert world.steps == []


TOO_MUCH = [
    {"k": float("nan")},
    {"k": "x" * 20 * 1024},
    {"k": (1,)},
    {"": 1},
    {"k": object()},
    {"fine": 1, "k": {1: 2}},
]


@pytest.mark.parametrize("change", TOO_MUCH, ids=lambda change: repr(change)[:20])
async def test_ses_08_data_that_cannot_be_kept_is_refused_and_the_old_stays_whole(world, change):
    login = await started(world)
    async with world.desk.edit(login.session) as data:
        data["old"] = "stays"
    session = (await world.desk.authenticate(login.token)).session

    with pytest.raises(InvalidData):
        await edit(world, session, **change)

    assert await data_of(world, login.token) == {"old": "stays"}


@pytest.mark.parametrize("value", ["text", 1.5, True, None, [1]])
async def test_increment_of_what_is_no_integer_is_refused(world, value):
    login = await started(world)
    async with world.desk.edit(login.session) as data:
        data["k"] = value

    with pytest.raises(InvalidData) as refusal:
        await world.desk.increment(login.session, "k")

    assert refusal.value.reason == "data_not_an_integer"
    assert await data_of(world, login.token) == {"k": value}


@pytest.mark.parametrize("by", [True, 1.0, "1", None, 2**63])
async def test_increment_by_what_is_no_integer_is_refused(quick, by):
    login = await started(quick)

    with pytest.raises(InvalidData):
        await quick.desk.increment(login.session, "k", by)


async def test_counter_stays_within_64_bits(world):
    login = await started(world)
    assert await world.desk.increment(login.session, "k", 2**63 - 1) == 2**63 - 1

    with pytest.raises(InvalidData):
        await world.desk.increment(login.session, "k")

    assert await data_of(world, login.token) == {"k": 2**63 - 1}


@pytest.mark.parametrize("namespace", ["", "a b", "a.b", "\u00e9", "x" * 65, None, 5, "a\0"])
async def test_namespace_is_a_plain_name(quick, namespace):
    login = await started(quick)

    with pytest.raises(InvalidData):
        await quick.desk.increment(login.session, "k", namespace=namespace)


async def test_err_05_corrupt_data_is_named_and_harms_no_other(quick):
    broken, whole = await started(quick), await started(quick)
    memory = quick.desk.flows.parts.store._inner
    digest = session_digest(broken.token.reveal())
    memory._sessions[digest] = type(memory._sessions[digest])(
        **{f: getattr(memory._sessions[digest], f) for f in memory._sessions[digest].__struct_fields__}
        | {"data": b"\x80\x04K\x01."}
    )

    session = (await quick.desk.authenticate(broken.token)).session
    with pytest.raises(CorruptRecord):
        session.data()
    with pytest.raises(CorruptRecord):
        await edit(quick, session)

    assert await data_of(quick, whole.token) == {}


# Starting


async def test_ses_10_start_for_another_subject_ends_the_shown_session_and_takes_nothing_over(world):
    old = await started(world, "ada")
    async with world.desk.edit(old.session) as data:
        data["private"] = "of ada"

    new = await started(world, "bob", replaces=old.token)

    assert await world.absence(old.token) == "replaced"
    assert await data_of(world, new.token) == {}


@pytest.mark.parametrize("before", [None, "ada"])
@pytest.mark.parametrize("shown_as", ["token", "text", "session"])
async def test_fix_01_fix_02_data_moves_on_to_the_new_secret_and_the_planted_one_dies(world, before, shown_as):
    old = await started(world, before)
    async with world.desk.edit(old.session) as data:
        data.update(cart=[1], user_id="root", is_admin=True, _auth_user_id="1")
    session = (await world.desk.authenticate(old.token)).session
    shown = {"token": old.token, "text": old.token.reveal(), "session": session}[shown_as]

    new = await started(world, "ada", replaces=shown)

    assert await world.absence(old.token) == "replaced"
    visit = await world.desk.authenticate(new.token)
    assert visit.session.data()["cart"] == [1]
    assert (visit.subject, visit.session.methods) == ("ada", ("oidc",))
    assert new.session.id != old.session.id


async def test_fix_02_anonymous_session_takes_over_nothing_of_a_subject(world):
    old = await started(world, "ada")
    async with world.desk.edit(old.session) as data:
        data["private"] = "of ada"

    new = await started(world, None, replaces=old.token)

    assert await data_of(world, new.token) == {}
    assert not await world.is_live(old.token)


async def test_data_of_an_expired_session_is_not_taken_over(world):
    old = await started(world, "ada")
    async with world.desk.edit(old.session) as data:
        data["old"] = 1
    world.clock.move(3660)

    new = await started(world, "ada", replaces=old.token)

    assert await data_of(world, new.token) == {}


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\nb", "a\0b", "\ud800", 5, b"ada", ["ada"], "a\u202eb"])
async def test_subject_is_printable_text(quick, subject):
    with pytest.raises(InvalidInput):
        await quick.desk.start_session(subject)

    assert quick.steps == []


@pytest.mark.parametrize("methods", ["oidc", ("a b",), ("",), (None,), ("a\n",), ("\u00e9",), None, 5])
async def test_methods_are_a_tuple_of_names(quick, methods):
    with pytest.raises(InvalidInput):
        await quick.desk.start_session("ada", methods=methods)


@pytest.mark.parametrize("call", ["sessions", "revoke", "revoke_all"])
async def test_rev_03_nobody_is_not_a_subject_whose_sessions_can_be_listed_or_ended(world, call):
    login = await started(world, None)

    shown = (login.session.id,) if call == "revoke" else ()

    with pytest.raises(InvalidInput):
        await getattr(world.desk, call)(*shown, of=None)

    assert await world.is_live(login.token)


async def test_ses_07_disabled_subject_starts_nothing(world):
    subject = await world.member()
    await world.desk.disable(subject)

    with pytest.raises(InvalidCredentials):
        await world.desk.start_session(subject)

    assert await world.desk.all_sessions() == ([], None)


# Rotation


async def test_fix_01_stp_06_rotation_kills_the_old_secret_and_keeps_id_and_data(world):
    login = await started(world)
    async with world.desk.edit(login.session) as data:
        data["k"] = 1

    rotated = await world.desk.rotate(login.session)

    assert await world.absence(login.token) == "unknown_session"
    visit = await world.desk.authenticate(rotated.token)
    assert (visit.session.id, visit.session.data()) == (login.session.id, {"k": 1})
    assert [type(event) for event in world.events] == [SessionRotated]
    with pytest.raises(SessionEnded):
        await world.desk.rotate(login.session)


async def test_dat_09_of_fifty_rotations_at_once_one_wins(make_world):
    world = make_world("sqlite")
    login = await started(world)

    def rotate(_: int) -> object:
        try:
            return world.desk.desk.rotate(login.session)
        except SessionEnded:
            return None

    with ThreadPoolExecutor(10) as pool:
        winners = [won for won in pool.map(rotate, range(50)) if won is not None]

    assert len(winners) == 1
    assert await world.is_live(winners[0].token)


# Ending


async def test_ses_02_ses_04_log_out_ends_at_once_and_twice_is_no_error(world):
    login = await started(world)

    assert await world.desk.log_out(login.token.reveal())
    assert not await world.desk.log_out(login.token)

    assert await world.absence(login.token) == "logged_out"
    assert [type(event) for event in world.events] == [LoggedOut]


async def test_ses_02_log_out_wins_over_a_rotation_that_came_between_its_steps():
    class Racing(MemoryStore):
        """Rotates the session right after it was read."""

        rotate_now = None

        async def find(self, digest):
            found = await super().find(digest)
            if self.rotate_now is not None:
                self.rotate_now, rotate = None, self.rotate_now
                rotate()
            return found

    from coatcheck import Coatcheck

    store = Racing()
    desk = Coatcheck(store)
    login = desk.start_session("ada")
    rotated = []
    store.rotate_now = lambda: rotated.append(desk.rotate(login.session))

    assert desk.log_out(login.token)
    assert not desk.authenticate(rotated[0].token)


async def test_rev_03_somebody_elses_session_is_like_none(world):
    victim = await started(world, "victim")

    answers = []
    for name in (victim.session.id, "no-such-id", "", "\0", "x" * 10_000):
        with pytest.raises(NotFound) as refusal:
            await world.desk.revoke(name, of="attacker")
        answers.append((refusal.value.reason, refusal.value.status))
    with pytest.raises(NotFound):
        await world.desk.revoke_all(of="attacker", keep=victim.session.id)

    assert set(answers) == {("session_not_found", 404)}
    assert world.events == []
    assert await world.is_live(victim.token)


async def test_rev_06_all_sessions_end_in_one_step_however_many(world):
    logins = [await started(world) for _ in range(5)]

    assert await world.desk.revoke_all(of="ada", note="lost\r\nphone") == 5

    assert world.steps.writes == ["raise_epoch"]
    for login in logins:
        assert await world.absence(login.token) == "revoked"
    (event,) = world.events
    assert isinstance(event, SessionsRevoked)
    assert event.note == "lost phone"


async def test_ses_09_raised_epoch_ends_every_session_by_the_next_request(world):
    login = await started(world)

    await world.store.raise_epoch(
        "ada",
        at=world.clock(),
        reason="revoked",
        keep=None,
        credential_version=None,
        disabled_at=None,
        events=(),
    )

    assert await world.absence(login.token) == "revoked"


async def test_rev_07_hundred_and_first_session_ends_the_one_idle_longest(world):
    logins = []
    for _ in range(100):
        world.clock.move(1)
        logins.append(await world.desk.start_session("ada"))
    world.clock.move(60)
    assert await world.is_live(logins[0].token)  # used: no longer the one idle longest
    world.events.clear()

    newcomer = await world.desk.start_session("ada")

    assert len(await world.desk.sessions(of="ada")) == 100
    assert await world.absence(logins[1].token) == "too_many_sessions"
    assert await world.is_live(logins[0].token)
    assert await world.is_live(newcomer.token)
    assert [event.session_id for event in world.events if isinstance(event, SessionEvicted)] == [logins[1].session.id]


async def test_rev_07_wrong_password_evicts_nobody(make_world):
    world = make_world(settings={"sessions_per_subject": 1})
    await world.member()
    login = await world.log_in()

    with pytest.raises(InvalidCredentials):
        await world.log_in(password="not the passphrase at all")

    assert await world.is_live(login.token)


async def test_rev_01_list_shows_live_sessions_newest_first_and_no_secret(world):
    first = await started(world)
    world.clock.move(10)
    second = await started(world)
    ended = await started(world)
    await world.desk.log_out(ended.token)

    listed = await world.desk.sessions(of="ada")

    assert [session.id for session in listed] == [second.session.id, first.session.id]
    for secret in (first.token.reveal(), session_digest(first.token.reveal()).hex()):
        assert secret not in repr(listed)


async def test_log_01_revocation_is_told_with_its_note(world):
    login = await started(world)

    await world.desk.revoke(login.session.id, of="ada", note="stolen\x1b[2J", client=HERE)

    (event,) = world.events
    assert isinstance(event, SessionRevoked)
    assert (event.session_id, event.note, event.ip) == (login.session.id, "stolen [2J", HERE.ip)


# Operators


async def test_ended_session_can_still_say_why_until_it_is_purged(world):
    login = await started(world)
    await world.desk.log_out(login.token)

    session, death = await world.desk.session(login.session.id)
    assert (session.id, death) == (login.session.id, "logged_out")

    world.clock.move(25 * 3600)
    purged = await world.desk.purge()
    assert purged.sessions == 1
    assert await world.desk.session(login.session.id) is None
    assert await world.absence(login.token) == "unknown_session"


async def test_pages_of_all_sessions_show_each_once(world):
    ids = {(await started(world)).session.id for _ in range(7)}

    seen, after = [], None
    while True:
        page, after = await world.desk.all_sessions(after=after, limit=3)
        seen += [session.id for session, _ in page]
        if after is None:
            break

    assert sorted(seen) == sorted(ids)


# Step-up


@pytest.mark.parametrize(("age", "is_fresh"), [(0, True), (299, True), (300, False), (301, False), (-1, False)])
async def test_stp_01_proof_is_fresh_for_five_minutes_in_its_own_session(quick, age, is_fresh):
    login = await started(quick)
    quick.clock.move(age)

    if is_fresh:
        await quick.desk.require_fresh(login.session)
    else:
        with pytest.raises(StepUpRequired) as refusal:
            await quick.desk.require_fresh(login.session)
        assert (refusal.value.max_age, refusal.value.status) == (300, 401)


async def test_stp_04_rotation_and_renewal_are_no_proof(quick):
    login = await started(quick, remember=True)
    quick.clock.move(301)
    await quick.desk.renew(login.session)

    rotated = await quick.desk.rotate(login.session)

    with pytest.raises(StepUpRequired):
        await quick.desk.require_fresh(rotated.session)


# Failing closed


class Down(MemoryStore):
    down = False

    async def find(self, digest):
        if self.down:
            raise StoreUnavailable("gone")
        return await super().find(digest)


def test_err_01_store_that_is_down_is_never_anonymous():
    from coatcheck import Coatcheck

    store = Down()
    desk = Coatcheck(store)
    login = desk.start_session("ada")
    store.down = True

    with pytest.raises(StoreUnavailable):
        desk.authenticate(login.token)
    with pytest.raises(StoreUnavailable):
        desk.log_out(login.token)
    assert run_blocking(store.ready()) is None
