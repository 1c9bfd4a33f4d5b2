"""Accounts in one store, sessions in another: the published suite, and what happens between the two."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from coatcheck import Coatcheck, ConfigurationError, InvalidCredentials, StoreUnavailable
from coatcheck.colour import Blocking, Colour, HashingLane, run_blocking
from coatcheck.core.records import SubjectState
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.errors import SchemaMismatch
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.opening import open_store
from coatcheck.stores.protocols import Answer, Contents, Store
from coatcheck.stores.sqlite.store import SqliteStore
from coatcheck.testing.contracts import StoreContract
from coatcheck.testing.counting import Steps
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_lock,
    a_password,
    a_rotation,
    a_session,
    an_account,
    an_event,
    change_password,
    fail,
    is_standing,
    raise_epoch,
    start,
    started,
)
from coatcheck.testing.suites.copying import copy, everything, fill

Flow = Coroutine[Any, Any, Any]
PASSWORD = "a long enough passphrase"
EVERYTHING = [name for name, method in vars(MemoryStore).items() if iscoroutinefunction(method) and name != "close"]


class ApartContract(StoreContract):
    """All that can hold where a read asks one of the two."""

    def test_find_brings_the_account_where_the_store_has_it(self) -> None:
        pytest.skip("the account lives elsewhere: reading it with every request would be a second round trip")


class TestMemory(ApartContract):
    @pytest.fixture
    def make_store(self) -> Callable[[Colour], Store]:
        return lambda _colour: ApartStore(MemoryStore(), MemoryStore(holds_accounts=False))


class TestSqlite(ApartContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[Colour], Store]:
        return lambda colour: ApartStore(
            SqliteStore(str(tmp_path / "accounts.db"), colour),
            SqliteStore(str(tmp_path / "sessions.db"), colour, holds_accounts=False),
        )


@pytest.mark.long
class TestPostgresAndValkey(ApartContract):
    @pytest.fixture
    def make_store(self, stocked_postgres_url: str, redis_url: str) -> Callable[[Colour], Store]:
        return lambda colour: ApartStore(
            open_store(stocked_postgres_url, colour), open_store(redis_url, colour, holds_accounts=False)
        )


class Halves(NamedTuple):
    accounts: MemoryStore
    sessions: MemoryStore
    both: ApartStore


@pytest.fixture
def halves() -> Halves:
    accounts, sessions = MemoryStore(), MemoryStore(holds_accounts=False)
    return Halves(accounts, sessions, ApartStore(accounts, sessions))


class Broken:
    """A store of which some methods fail, before or after they have done their work."""

    def __init__(self, inner: Store, *names: str, after: bool = False) -> None:
        self._inner, self._names, self._after = inner, names, after

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name not in self._names:
            return attribute

        async def broken(*args: Any, **kwargs: Any) -> Any:
            if self._after:
                await attribute(*args, **kwargs)
            raise StoreUnavailable("out of order")

        return broken


class Meanwhile:
    """A store beside which something else happens once, right before or after one of its methods."""

    def __init__(self, inner: Store, name: str, happens: Callable[[], Flow], *, after: bool = False) -> None:
        self._inner, self._name, self._happens, self._after = inner, name, happens, after

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if name != self._name:
            return attribute

        async def step(*args: Any, **kwargs: Any) -> Any:
            self._name = ""
            if not self._after:
                await self._happens()
            answer = await attribute(*args, **kwargs)
            if self._after:
                await self._happens()
            return answer

        return step


def run(flow: Flow) -> Any:
    return run_blocking(flow)


def events_in(store: Store) -> list[str]:
    return [event.name for event in run(store.events_of(None, after=None, limit=99)).events]


def test_each_half_keeps_its_own(halves: Halves) -> None:
    run(fill(halves.both))

    accounts, sessions = run(everything(halves.accounts)), run(everything(halves.sessions))
    assert (len(accounts.accounts), accounts.sessions, accounts.counters) == (2, (), ())
    assert [state for state in accounts.states if state != SubjectState("")] == []
    assert (sessions.accounts, sessions.events) == ((), ())
    assert len(sessions.sessions) == 5
    assert len(accounts.events) == 3


def test_it_is_where_both_are(halves: Halves) -> None:
    assert halves.both.location == f"{halves.accounts.location}, sessions in {halves.sessions.location}"


def test_one_place_is_not_two() -> None:
    store = MemoryStore()

    with pytest.raises(ConfigurationError, match=r"^sessions: .*same place as store"):
        ApartStore(store, store)


def test_a_store_that_would_look_for_accounts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^sessions: .*holds_accounts=False"):
        ApartStore(MemoryStore(), MemoryStore())


@pytest.mark.parametrize("half", ["accounts", "sessions"])
def test_it_is_ready_when_both_are_and_says_which_is_not(halves: Halves, half: str) -> None:
    stores = halves._asdict() | {half: Broken(getattr(halves, half), "ready")}

    with pytest.raises(StoreUnavailable, match="^sessions: out" if half == "sessions" else "^out"):
        run(ApartStore(stores["accounts"], stores["sessions"]).ready())


@pytest.mark.parametrize("half", ["accounts", "sessions"])
def test_both_are_closed_though_one_complains(tmp_path: Path, half: str) -> None:
    colour = Blocking(HashingLane(queue=1, nice=0))
    stores: dict[str, Any] = {
        "accounts": SqliteStore(str(tmp_path / "accounts.db"), colour),
        "sessions": SqliteStore(str(tmp_path / "sessions.db"), colour, holds_accounts=False),
    }
    run(ApartStore(**stores).ready())

    with pytest.raises(StoreUnavailable):
        run(ApartStore(**stores | {half: Broken(stores[half], "close", after=True)}).close())

    assert list(tmp_path.glob("*-wal")) == []


def test_log_07_an_event_that_cannot_be_kept_undoes_nothing_and_is_told(
    halves: Halves, caplog: pytest.LogCaptureFixture
) -> None:
    session = run(started(halves.both))
    deaf = ApartStore(cast(Store, Broken(halves.accounts, "record")), halves.sessions)

    ended = run(deaf.end(session.digest, at=NOW, reason=LOGGED_OUT, events=[an_event("logged_out")]))

    assert ended
    assert not run(is_standing(halves.sessions, session.digest))
    assert "logged_out" in caplog.text


def test_a_log_in_whose_account_cannot_be_looked_at_leaves_no_session(halves: Halves) -> None:
    run(halves.both.create_account(an_account(), a_password(), events=()))
    blind = ApartStore(cast(Store, Broken(halves.accounts, "settle")), halves.sessions)

    with pytest.raises(StoreUnavailable):
        run(start(blind, a_session(), credential_version=1))

    assert run(halves.sessions.sessions_of("ada")) == ()


def test_rev_05_a_password_change_that_dies_half_way_is_completed_by_the_next_log_in(halves: Halves) -> None:
    run(halves.both.create_account(an_account(), a_password(), events=()))
    old = run(started(halves.both))
    dying = ApartStore(halves.accounts, cast(Store, Broken(halves.sessions, "raise_epoch")))

    with pytest.raises(StoreUnavailable):
        run(change_password(dying, keep=a_rotation(old, 2)))
    run(start(halves.both, a_session(3), credential_version=2))

    assert run(halves.both.credential("ada")) == a_password(version=2)
    assert [found.session.id for found in run(halves.both.sessions_of("ada"))] == [a_session(3).id]
    assert run(start(halves.both, a_session(4), credential_version=1)) is Answer.REFUSED


def test_rev_05_a_session_that_ends_amid_the_change_of_its_password_takes_the_others_along(halves: Halves) -> None:
    run(halves.both.create_account(an_account(), a_password(), events=()))
    here, there = run(started(halves.both, 1)), run(started(halves.both, 2))

    async def log_out() -> None:
        await halves.both.end(here.digest, at=NOW, reason=LOGGED_OUT, events=())

    racing = ApartStore(cast(Store, Meanwhile(halves.accounts, "replace_password", log_out)), halves.sessions)
    assert run(change_password(racing, keep=a_rotation(here, 3)))

    assert run(halves.both.credential("ada")) == a_password(version=2)
    assert not any(run(is_standing(halves.both, digest)) for digest in (here.digest, there.digest, a_digest(3)))
    assert events_in(halves.both) == ["password_changed"]


def test_dat_07_a_password_change_that_meets_the_deletion_leaves_no_trace(halves: Halves) -> None:
    run(halves.both.create_account(an_account(), a_password(), events=()))
    here = run(started(halves.both))

    async def delete() -> None:
        await halves.both.delete_account("ada", counters=(), events=())

    racing = ApartStore(
        cast(Store, Meanwhile(halves.accounts, "replace_password", delete, after=True)), halves.sessions
    )
    run(change_password(racing, keep=a_rotation(here, 3)))

    left = run(everything(halves.both))
    assert (left.accounts, left.sessions, left.events) == ((), (), ())
    assert [state.subject for state in left.states] == [""]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["identify", "start", "settle"])
def test_ses_07_a_log_in_that_meets_the_deletion_gets_no_live_session(halves: Halves, step: str, after: bool) -> None:
    run(halves.both.create_account(an_account(), a_password(), events=()))

    async def delete() -> None:
        await halves.both.delete_account("ada", counters=(), events=())

    accounts = (
        halves.accounts if step == "start" else cast(Store, Meanwhile(halves.accounts, step, delete, after=after))
    )
    sessions = (
        cast(Store, Meanwhile(halves.sessions, step, delete, after=after)) if step == "start" else halves.sessions
    )
    racing = ApartStore(accounts, sessions)
    run(racing.identify("ada"))
    answer = run(start(racing, a_session(), credential_version=1, events=[an_event("logged_in")]))

    left = run(everything(halves.both))
    assert not run(is_standing(halves.both, a_digest(1)))
    assert (left.accounts, left.sessions) == ((), ())
    assert [state.subject for state in left.states] == [""]
    assert all(event.subject is None for _, event in left.events)
    # Only a log-in that was done before the deletion hears that it succeeded.
    assert (answer is Answer.REFUSED) == ((step, after) != ("settle", True))


@pytest.mark.parametrize(
    ("half", "step", "after"),
    [
        ("sessions", "raise_epoch", True),
        ("accounts", "delete_account", False),
        ("accounts", "delete_account", True),
        ("sessions", "delete_account", False),
    ],
)
def test_ses_07_a_deletion_that_dies_half_way_has_ended_everything_and_is_completed_by_the_next(
    halves: Halves, half: str, step: str, after: bool
) -> None:
    gate = a_lock()
    run(halves.both.create_account(an_account(), a_password(), events=()))
    run(started(halves.both))
    run(fail(halves.both, gate))
    stores: dict[str, Any] = {"accounts": halves.accounts, "sessions": halves.sessions}
    dying = ApartStore(**stores | {half: Broken(stores[half], step, after=after)})

    with pytest.raises(StoreUnavailable):
        run(dying.delete_account("ada", counters=[gate.key], events=[an_event("account_deleted", subject=None)]))

    assert not run(is_standing(halves.both, a_digest(1)))
    assert run(start(halves.both, a_session(2), credential_version=1)) is Answer.REFUSED
    run(halves.both.delete_account("ada", counters=[gate.key], events=()))
    left = run(everything(halves.both))
    assert (left.accounts, left.sessions, left.counters) == ((), (), ())
    assert [state.subject for state in left.states] == [""]


def test_a_disabled_subject_without_an_account_is_not_taken_for_a_deleted_one(halves: Halves) -> None:
    run(raise_epoch(halves.both, "theirs", disabled_at=NOW))

    assert not run(halves.both.delete_account("theirs", counters=(), events=()))

    assert run(start(halves.both, a_session(subject="theirs"))) is Answer.REFUSED


@pytest.mark.parametrize("half", ["accounts", "sessions"])
def test_a_copy_that_dies_between_the_two_goes_on_where_both_are(halves: Halves, half: str) -> None:
    source = MemoryStore()
    run(fill(source))
    stores: dict[str, Any] = {"accounts": halves.accounts, "sessions": halves.sessions}
    dying = ApartStore(**stores | {half: Broken(stores[half], "load", after=half == "accounts")})
    run(halves.both.load(Contents(), bookmark="0"))

    with pytest.raises(StoreUnavailable):
        run(dying.load(run(source.export(after=None, limit=99)), bookmark="1"))

    assert run(halves.both.bookmark()) == "0"
    run(copy(source, halves.both, limit=2))
    assert run(everything(halves.both)) == run(everything(source))
    assert run(halves.both.bookmark()) is None


class TestDesk:
    """A desk over two stores does what it does over one, and asks no more often than it must."""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[Coatcheck]:
        with Coatcheck(f"sqlite:///{tmp_path}/app.db", sessions=f"sqlite:///{tmp_path}/sessions.db") as desk:
            desk.sign_up(username="ada", password=PASSWORD)
            yield desk

    def test_a_visit_has_its_account(self, desk: Coatcheck) -> None:
        login = desk.log_in("ada", PASSWORD)

        visit = desk.authenticate(login.token)

        assert visit
        assert visit.account == login.account == desk.find_account("ada")

    def test_a_visit_that_wants_no_account_asks_for_none(self, desk: Coatcheck) -> None:
        login = desk.log_in("ada", PASSWORD)
        steps = Steps()
        desk.flows.sessions._store = steps.of(desk.flows.parts.store)

        visits = [desk.authenticate(login.token, with_account=wanted) for wanted in (True, False)]

        assert steps == ["find", "account", "find"]
        assert [visit.account is None for visit in visits if visit] == [False, True]

    def test_err_06_while_accounts_are_down_who_is_logged_in_goes_on_and_can_be_thrown_out(
        self, halves: Halves, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Coatcheck(halves.both) as desk:
            desk.sign_up(username="ada", password=PASSWORD)
            here, there = desk.log_in("ada", PASSWORD), desk.log_in("ada", PASSWORD)
        down = Broken(halves.accounts, *EVERYTHING)

        with Coatcheck(ApartStore(cast(Store, down), halves.sessions)) as desk:
            visit = desk.authenticate(here.token, with_account=False)
            assert visit
            with desk.edit(visit.session) as data:
                data["theme"] = "dark"
            desk.revoke(there.session.id, of=there.subject or "")
            assert not desk.authenticate(there.token)
            assert desk.log_out(here.token)
            for asking in (
                lambda: desk.authenticate(desk.start_session("somebody").token),
                lambda: desk.log_in("ada", PASSWORD),
                lambda: desk.sign_up(username="eve", password=PASSWORD),
            ):
                with pytest.raises(StoreUnavailable):
                    asking()

        assert "logged_out" in caplog.text

    def test_err_06_while_sessions_are_down_nobody_is_taken_for_a_stranger(self, halves: Halves) -> None:
        with Coatcheck(halves.both) as desk:
            desk.sign_up(username="ada", password=PASSWORD)
            login = desk.log_in("ada", PASSWORD)
        down = Broken(halves.sessions, *EVERYTHING)

        with Coatcheck(ApartStore(halves.accounts, cast(Store, down))) as desk:
            for asking in (lambda: desk.authenticate(login.token), lambda: desk.log_in("ada", PASSWORD)):
                with pytest.raises(StoreUnavailable):
                    asking()

    def test_ses_07_a_disabled_account_is_refused_and_its_event_says_why(self, desk: Coatcheck) -> None:
        ada = desk.find_account("ada")
        assert ada is not None
        desk.disable(ada.subject)

        with pytest.raises(InvalidCredentials):
            desk.log_in("ada", PASSWORD)

        events, _ = desk.events(of=ada.subject)
        assert (events[0].name, events[0].details["cause"]) == ("log_in_failed", "account_disabled")
        assert desk.enable(ada.subject)
        assert desk.log_in("ada", PASSWORD)

    def test_everything_else_works_as_over_one_store(self, desk: Coatcheck) -> None:
        login = desk.log_in("ada", PASSWORD)
        other = desk.log_in("ada", PASSWORD)
        with desk.edit(login.session) as data:
            data["theme"] = "dark"
        changed = desk.change_password(login.session, current_password=PASSWORD, new_password=PASSWORD + "!")
        fresh = desk.reauthenticate(changed.session, PASSWORD + "!")

        assert not desk.authenticate(other.token)
        visit = desk.authenticate(fresh.token)
        assert visit
        assert visit.session.data() == {"theme": "dark"}
        assert desk.revoke_all(of=visit.subject or "", keep=visit.session.id) == 0
        assert desk.log_out(fresh.token)
        assert desk.delete_account(visit.subject or "")
        assert not desk.delete_account(visit.subject or "")

    def test_both_urls_are_judged_at_once(self) -> None:
        with pytest.raises(ConfigurationError) as refused:
            Coatcheck("oracle://db", sessions="sqlite://nothing")

        assert [problem.partition(":")[0] for problem in refused.value.problems] == ["store", "sessions"]

    def test_one_url_twice_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"^sessions: is the same place"):
            Coatcheck(f"sqlite:///{tmp_path}/app.db", sessions=f"sqlite:///{tmp_path}/app.db")

    def test_another_schema_in_the_second_store_is_told_as_the_setting_it_is(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "sessions.db")) as foreign:
            foreign.execute("CREATE TABLE theirs (x)")

        with (
            Coatcheck(f"sqlite:///{tmp_path}/app.db", sessions=f"sqlite:///{tmp_path}/sessions.db") as desk,
            pytest.raises(SchemaMismatch, match=r"^sessions: .*another program"),
        ):
            desk.ready()
