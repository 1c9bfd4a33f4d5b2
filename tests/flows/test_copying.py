"""Moving everything from one store to another: what must hold before, what remains after, and going on amid it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from coatcheck import Coatcheck, ConfigurationError, StoreUnavailable
from coatcheck.colour import run_blocking
from coatcheck.flows.copying import NAMED, Copied, copy_store
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Contents, Store
from coatcheck.testing.samples import NOW, a_password, a_session, an_account, an_event, raise_epoch, start, started
from coatcheck.testing.suites.copying import everything, fill

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


def copy(source: object, target: object, progress: Callable[[Copied], None] | None = None) -> tuple[Copied, bool]:
    return run(copy_store(cast(Store, source), cast(Store, target), progress=progress))


def refusal(source: object, target: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        copy(source, target)
    return str(refused.value)


def test_everything_arrives_and_the_source_stays(source: MemoryStore) -> None:
    target, before = MemoryStore(), run(everything(source))

    copied, went_on = copy(source, target)

    assert run(everything(target)) == run(everything(source)) == before
    assert run(target.bookmark()) is None
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
    pages: list[Copied] = []
    copy(Small(source), MemoryStore(), pages.append)
    assert len(pages) > 5

    # One load begins it and one ends it; after that nothing is left to go on with.
    for loads in range(len(pages) + 2 - after):
        target = MemoryStore()
        with pytest.raises(StoreUnavailable):
            copy(Small(source), Stopping(target, loads, after=after))
        copied, went_on = copy(Small(source), target)

        assert went_on == (loads > 0 or after)
        assert copied == pages[-1]
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

    def use(_so_far: Copied) -> None:
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

    copied, _ = copy(Damaged(source), MemoryStore())

    assert copied.left_out == NAMED + 5
    assert copied.unreadable == tuple(f"session {number}" for number in range(NAMED))
