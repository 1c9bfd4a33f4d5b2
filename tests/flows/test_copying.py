"""Moving everything from one store to another: what must hold before, what remains after, and going on amid it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

import msgspec
import pytest

from coatcheck import Coatcheck, ConfigurationError, StoreUnavailable
from coatcheck.colour import run_blocking
from coatcheck.core.records import SubjectState
from coatcheck.errors import CorruptRecord, SchemaMismatch, StoreConflict, StoreError
from coatcheck.flows.copying import NAMED, Copied, Outcome, Reached, copy_store
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Contents, Extent, Store
from coatcheck.testing.samples import NOW, a_password, a_session, an_account, an_event, put, raise_epoch, start, started
from coatcheck.testing.suites.copying import everything, fill

replace = msgspec.structs.replace
PASSWORD = "a long enough passphrase"


def run(flow: Coroutine[Any, Any, Any]) -> Any:
    return run_blocking(flow)


@pytest.fixture
def source() -> MemoryStore:
    store = MemoryStore()
    run(fill(store))
    return store


class Stopping:
    """A store whose loads stop working after some, before or after the last of them was done."""

    def __init__(self, inner: Store, loads: int, *, after: bool) -> None:
        self._inner, self._left, self._after = inner, loads, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        self._left -= 1
        if self._left >= 0 or self._after:
            await self._inner.load(contents, bookmark=bookmark)
        if self._left < 0:
            raise StoreUnavailable("killed")


class Small:
    """A store that gives pages of two, however many are asked for."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def export(self, *, after: str | None, limit: int) -> Contents:  # noqa: ARG002 - the point of it
        return await self._inner.export(after=after, limit=2)


def copy(
    source: object,
    target: object,
    progress: Callable[[Reached], None] | None = None,
    *,
    verifies: bool = True,
    now: int = NOW,
) -> Outcome:
    return run(copy_store(cast(Store, source), cast(Store, target), now=now, progress=progress, verifies=verifies))


def parts(outcome: Outcome) -> tuple[Copied, bool, Extent | None]:
    return outcome.copied, outcome.went_on, outcome.verified


def refusal(source: object, target: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        copy(source, target)
    return str(refused.value)


def test_everything_arrives_and_the_source_stays(source: MemoryStore) -> None:
    target, before = MemoryStore(), run(everything(source))

    copied, went_on, verified = parts(copy(source, target))

    assert run(everything(target)) == run(everything(source)) == before
    assert run(target.bookmark()) is None
    assert verified == run(source.extent())
    assert (copied.accounts, copied.subjects, copied.sessions, copied.counters, copied.events) == (2, 2, 5, 3, 3)
    assert (copied.left_out, went_on) == (0, False)


def test_tokens_stay_valid_and_the_revoked_stay_revoked() -> None:
    old, new = MemoryStore(), MemoryStore()
    with Coatcheck(old) as desk:
        desk.sign_up(username="ada", password=PASSWORD)
        here, gone = desk.log_in("ada", PASSWORD), desk.log_in("ada", PASSWORD)
        with desk.edit(here.session) as data:
            data["theme"] = "dark"
        desk.log_out(gone.token)

    copy(old, new)

    with Coatcheck(new) as desk:
        visit = desk.authenticate(here.token)
        assert visit
        assert visit.session.data() == {"theme": "dark"}
        assert visit.account == here.account
        assert getattr(desk.authenticate(gone.token), "reason", None) == "logged_out"
        assert desk.log_in("ada", PASSWORD)


@pytest.mark.parametrize("after", [False, True], ids=["before it is done", "after it is done"])
def test_a_copy_stopped_at_any_page_goes_on_and_ends_complete_and_equal(source: MemoryStore, after: bool) -> None:
    pages: list[Reached] = []
    whole = copy(Small(source), MemoryStore(), pages.append)
    pages = [page for page in pages if page.doing == "copying"]
    assert len(pages) > 5

    # One load begins it and one ends it; after that nothing is left to go on with.
    for loads in range(len(pages) + 2 - after):
        target = MemoryStore()
        with pytest.raises(StoreUnavailable):
            copy(Small(source), Stopping(target, loads, after=after))
        copied, went_on, verified = parts(copy(Small(source), target))

        assert went_on == (loads > 0 or after)
        assert copied == whole.copied
        assert verified == whole.verified
        assert run(everything(target)) == run(everything(source))
        assert run(target.bookmark()) is None


def test_a_target_in_use_is_refused_and_left_alone(source: MemoryStore) -> None:
    target = MemoryStore()
    run(target.create_account(an_account("eve"), a_password("eve"), events=()))
    before = run(everything(target))

    assert "in use" in refusal(source, target)
    assert run(everything(target)) == before


@pytest.mark.parametrize("use", ["session", "event", "subject", "everybody"])
def test_a_target_counts_as_used_whatever_is_in_it(source: MemoryStore, use: str) -> None:
    target = MemoryStore()
    run(
        {
            "session": lambda: started(target, subject=None),
            "event": lambda: target.record([an_event()]),
            "subject": lambda: raise_epoch(target),
            "everybody": lambda: target.raise_everybody(at=NOW, reason="", events=()),
        }[use]()
    )

    assert "in use" in refusal(source, target)


def test_one_place_is_not_copied_onto_itself(source: MemoryStore) -> None:
    assert "same place" in refusal(source, source)


def test_an_empty_source_is_a_mistake() -> None:
    assert "there is nothing in" in refusal(MemoryStore(), MemoryStore())


def test_the_beginning_of_a_copy_is_no_source(source: MemoryStore) -> None:
    half = MemoryStore()
    with pytest.raises(StoreUnavailable):
        copy(source, Stopping(half, 1, after=False))

    assert "not finished" in refusal(half, MemoryStore())


def test_the_beginning_of_another_copy_is_no_target(source: MemoryStore) -> None:
    target, other = MemoryStore(), MemoryStore()
    run(fill(other))
    with pytest.raises(StoreUnavailable):
        copy(source, Stopping(target, 1, after=False))

    assert f"a copy from {source.location}" in refusal(other, target)


def test_a_bookmark_that_cannot_be_read_is_told(source: MemoryStore) -> None:
    target = MemoryStore()
    run(target.load(Contents(), bookmark="from a later version"))

    assert "another version" in refusal(source, target)


def test_a_source_that_was_used_since_the_copy_began_is_told_and_the_copy_stays_unfinished(source: MemoryStore) -> None:
    target = MemoryStore()
    with pytest.raises(StoreUnavailable):
        copy(Small(source), Stopping(target, 2, after=False))
    run(start(source, a_session(77), events=[an_event("logged_in")]))

    assert "somebody used" in refusal(Small(source), target)
    assert run(target.bookmark()) is not None


def test_a_source_that_is_used_amid_the_copy_is_told(source: MemoryStore) -> None:
    target = MemoryStore()

    def use(_reached: Reached) -> None:
        run(source.record([an_event("logged_in")]))

    with pytest.raises(ConfigurationError, match="somebody used"):
        copy(source, target, use)


def test_two_become_one_and_one_becomes_two(source: MemoryStore) -> None:
    two = ApartStore(MemoryStore(), MemoryStore(holds_accounts=False))
    one = MemoryStore()

    copy(source, two)
    copy(two, one)

    assert run(everything(one)) == run(everything(two)) == run(everything(source))


def test_what_cannot_be_read_is_left_out_named_and_counted(source: MemoryStore) -> None:
    class Damaged(Small):
        async def export(self, *, after: str | None, limit: int) -> Contents:
            page = await super().export(after=after, limit=limit)
            names = tuple(f"session {number}" for number in range(NAMED + 5)) if after is None else ()
            return Contents(**{**{f: getattr(page, f) for f in page.__struct_fields__}, "unreadable": names})

    copied, _, verified = parts(copy(Damaged(source), MemoryStore()))

    assert copied.left_out == NAMED + 5
    assert copied.unreadable == tuple(f"session {number}" for number in range(NAMED))
    assert verified == run(source.extent())


# How far it is


def test_progress_is_done_of_total_and_ends_when_all_was_copied_and_when_all_was_compared(source: MemoryStore) -> None:
    reached: list[Reached] = []

    copy(Small(source), MemoryStore(), reached.append)

    for doing in ("copying", "verifying"):
        shares = [one.share for one in reached if one.doing == doing]
        assert shares == sorted(shares)
        assert (shares[0] < 0.5, shares[-1]) == (True, 1.0)
    assert [one.doing for one in reached] == sorted(one.doing for one in reached)
    assert {(one.kind, one.of) for one in reached} == {
        ("accounts", 2), ("subjects", 2), ("sessions", 5), ("counters", 3), ("events", 3)
    }  # fmt: skip
    assert [one for one in reached if not 0 <= one.done <= one.of] == []


def test_a_guess_that_was_too_low_never_shows_more_than_all(source: MemoryStore) -> None:
    class Guessing(Small):
        async def extent(self) -> Extent:
            return Extent(sessions=1)

    reached: list[Reached] = []

    copy(Guessing(source), MemoryStore(), reached.append)

    assert max(one.share for one in reached) == 1.0
    assert [one for one in reached if one.done > one.of] == []


# Is it all there?


class Spoiling:
    """Spoils a store when what was copied into it begins to be compared."""

    def __init__(self, target: MemoryStore, change: Contents | Callable[[MemoryStore], None]) -> None:
        self._target, self._change = target, change
        self._is_done = False

    def __call__(self, reached: Reached) -> None:
        if reached.doing == "verifying" and not self._is_done:
            self._is_done = True
            if isinstance(self._change, Contents):
                run(self._target.load(self._change, bookmark=run(self._target.bookmark())))
            else:
                self._change(self._target)


def mistakes(source: MemoryStore, change: Contents | Callable[[MemoryStore], None]) -> list[str]:
    """Copy, spoil the target, and give what is said of it after the first sentence."""
    target = MemoryStore()
    with pytest.raises(ConfigurationError) as caught:
        copy(Small(source), target, Spoiling(target, change))
    summary, *named = caught.value.problems
    assert summary.startswith(f"TO: {target.location} does not hold what {source.location} holds")
    assert summary.endswith("empty it and copy again")
    assert run(target.bookmark()) is not None, "and no server starts on it"
    return named


def test_an_entry_that_differs_is_named_whatever_it_is(source: MemoryStore) -> None:
    all_of_it = run(everything(source))
    account, credential = all_of_it.accounts[0]
    session = all_of_it.sessions[0]
    key, counter = all_of_it.counters[0]
    state = next(state for state in all_of_it.states if state.subject)
    place, event = run(source.export(after=None, limit=1000)).events[0]
    spoilt = {
        f"account {account.subject}": Contents(accounts=((account, replace(credential, hash="$other")),)),
        f"subject {state.subject}": Contents(states=(replace(state, epoch=state.epoch + 1),)),
        "the state of everybody": Contents(states=(SubjectState("", 99),)),
        f"session {session.id}": Contents(sessions=(replace(session, last_seen_at=1),)),
        f"counter {key.hex()}": Contents(counters=((key, replace(counter, failures=77)),)),
        f"event {place}": Contents(events=((place, replace(event, name="other")),)),
    }

    for name, change in spoilt.items():
        assert mistakes(source, change) == [f"TO: {name} differs"]


def test_an_entry_that_is_missing_and_one_too_many_are_named(source: MemoryStore) -> None:
    gone = run(everything(source)).sessions[0]

    def lose(target: MemoryStore) -> None:
        del target._sessions[gone.digest]

    assert mistakes(source, lose) == [f"TO: session {gone.id} is missing"]
    assert mistakes(source, Contents(sessions=(a_session(99),))) == [
        f"TO: session {a_session(99).id} is there and should not be"
    ]


def test_of_very_many_differences_some_are_named_and_the_others_counted(source: MemoryStore) -> None:
    named = mistakes(source, Contents(sessions=tuple(a_session(number) for number in range(100, 200))))

    assert len(named) == NAMED
    target = MemoryStore()
    with pytest.raises(ConfigurationError, match=f"and {100 - NAMED} more at least; empty it"):
        copy(source, target, Spoiling(target, Contents(sessions=tuple(a_session(n) for n in range(100, 200)))))


def test_what_was_found_wrong_and_then_mended_is_found_right(source: MemoryStore) -> None:
    target, extra = MemoryStore(), a_session(99)
    with pytest.raises(ConfigurationError):
        copy(source, target, Spoiling(target, Contents(sessions=(extra,))))
    del target._sessions[extra.digest]

    outcome = copy(source, target)

    assert (outcome.went_on, outcome.verified) == (True, run(source.extent()))
    assert run(target.bookmark()) is None


def test_nothing_is_compared_when_that_is_not_wanted(source: MemoryStore) -> None:
    reached: list[Reached] = []

    outcome = copy(source, MemoryStore(), reached.append, verifies=False)

    assert outcome.verified is None
    assert {one.doing for one in reached} == {"copying"}


def test_a_copy_that_was_broken_off_is_finished_with_a_comparison_only(source: MemoryStore) -> None:
    """What leaves no event, such as data of a session, may have changed in what was copied before."""
    target, reached = MemoryStore(), list[Reached]()
    copy(source, MemoryStore(), reached.append, verifies=False)
    with pytest.raises(StoreUnavailable):
        copy(source, Stopping(target, 1 + len(reached), after=False), verifies=False)
    used = next(found for found in run(source.scan_sessions(after=None, limit=9)).sessions)
    assert run(put(source, used.session.digest, cart=b"5")) is None

    with pytest.raises(ConfigurationError, match=r"^TO: .*go on without --no-verify"):
        copy(source, target, verifies=False)
    with pytest.raises(ConfigurationError, match=f"session {used.session.id} differs"):
        copy(source, target)


def test_what_the_source_forgot_meanwhile_because_its_life_was_over_is_no_difference(source: MemoryStore) -> None:
    """Redis drops by itself what died long ago: it may be copied, and gone when the two are compared."""
    target = MemoryStore()
    found = run(everything(source))
    over = max(*(session.expires_at for session in found.sessions), *(one.kept_until for _, one in found.counters))

    def forget(reached: Reached) -> None:
        if reached.kind == "events":
            source._sessions.pop(found.sessions[0].digest, None)
            source._counters.pop(found.counters[0][0], None)

    with pytest.raises(ConfigurationError, match="is there and should not be"):
        copy(source, target, forget, now=NOW)
    assert copy(source, target, now=over).went_on


def test_a_source_that_is_used_while_it_is_compared_is_told_as_that(source: MemoryStore) -> None:
    target = MemoryStore()

    def use(reached: Reached) -> None:
        if reached.doing == "verifying":
            run(start(source, a_session(77), events=[an_event("logged_in")]))

    with pytest.raises(ConfigurationError, match="somebody used"):
        copy(source, target, Once(use))


class Once:
    """Does its work at the first moment of comparing, and never again."""

    def __init__(self, work: Callable[[Reached], None]) -> None:
        self._work = work
        self._is_done = False

    def __call__(self, reached: Reached) -> None:
        if reached.doing == "verifying" and not self._is_done:
            self._is_done = True
            self._work(reached)


def test_a_copy_stopped_amid_comparing_compares_anew_and_ends(source: MemoryStore) -> None:
    class Killed(Exception):
        pass

    for moment in range(1, 20):
        target, left = MemoryStore(), [moment]

        def stop(reached: Reached, left: list[int] = left) -> None:
            left[0] -= reached.doing == "verifying"
            if left[0] == 0 and reached.doing == "verifying":
                raise Killed

        with suppress(Killed):
            copy(Small(source), Small(target), stop)
            assert moment > 10, "there are as many moments as pages, twice"
            return
        assert run(target.bookmark()) is not None
        reached: list[Reached] = []
        outcome = copy(Small(source), Small(target), reached.append)

        assert {one.doing for one in reached} == {"verifying"}, "what was copied is not copied again"
        assert (outcome.went_on, outcome.verified) == (True, run(source.extent()))
        assert run(everything(target)) == run(everything(source))
    pytest.fail("it never came to its end")


# Whose trouble it is


class Failing(Small):
    """A store that cannot be read, or written, after a while."""

    def __init__(self, inner: Store, error: StoreError, *, reads: int = 1000, loads: int = 1000) -> None:
        super().__init__(inner)
        self._error, self._reads, self._loads = error, reads, loads

    async def export(self, *, after: str | None, limit: int) -> Contents:
        self._reads -= limit > 1  # not the look whether it is empty
        if self._reads < 0:
            raise self._error
        return await super().export(after=after, limit=limit)

    async def load(self, contents: Contents, *, bookmark: str | None) -> None:
        self._loads -= 1
        if self._loads < 0:
            raise self._error
        await self._inner.load(contents, bookmark=bookmark)


DOWN = StoreUnavailable("the store there cannot be reached (no answer); is it running, and is the setting store right?")


@pytest.mark.parametrize("reads", [0, 3, 12])
def test_trouble_with_the_source_is_told_of_the_source(source: MemoryStore, reads: int) -> None:
    target = MemoryStore()

    with pytest.raises(StoreUnavailable, match=r"^FROM: the store there .*right\?\. .* it goes on where it stood$"):
        copy(Failing(source, DOWN, reads=reads), target)

    assert copy(Small(source), target).went_on


@pytest.mark.parametrize("broken", [{"loads": 1}, {"loads": 3}, {"reads": 0}, {"reads": 3}])
def test_trouble_with_the_target_is_told_of_the_target(source: MemoryStore, broken: dict[str, int]) -> None:
    target = MemoryStore()

    with pytest.raises(StoreUnavailable, match=r"^TO: the store there .* it goes on where it stood$"):
        copy(Small(source), Failing(target, DOWN, **broken))

    assert copy(Small(source), target).went_on


def test_other_trouble_bears_the_side_too(source: MemoryStore) -> None:
    with pytest.raises(StoreConflict, match=r"^TO: a constraint"):
        copy(source, Failing(MemoryStore(), StoreConflict("a constraint refused it"), loads=2))
    with pytest.raises(StoreError, match=r"^FROM: corrupt record in the store: everybody$"):
        copy(Failing(source, CorruptRecord("everybody"), reads=1), MemoryStore())
    with pytest.raises(SchemaMismatch, match=r"^FROM: it is older; run: coatcheck schema upgrade$"):
        copy(
            Failing(source, SchemaMismatch("store: it is older; run: coatcheck schema upgrade"), reads=1), MemoryStore()
        )
