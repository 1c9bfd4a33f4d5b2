# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Moving everything from one store into another: `CopyStore`; the other one is the reference."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from coatcheck.core.records import SubjectState
from coatcheck.core.sessions import EVERYBODY_REVOKED, LOGGED_OUT, REVOKED
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Answer, Contents, CopyStore, Cutoffs, Extent, Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    DAY,
    NOW,
    a_digest,
    a_gate,
    a_lock,
    a_password,
    a_rotation,
    a_session,
    admit,
    an_account,
    an_event,
    data_of,
    fail,
    is_standing,
    purge_round,
    put,
    raise_epoch,
    start,
    started,
)

replace = msgspec.structs.replace
GATE = a_gate(free=1)
LOCK = a_lock(free=2)


async def fill(store: Store) -> None:
    """Put one of everything into an empty store, in every state it can have."""
    await store.create_account(
        an_account(email="Ada@Example.org"), a_password(), events=[an_event("signed_up", at=NOW + 9)]
    )
    await store.create_account(an_account("bob", username="Bob"), a_password("bob", version=3), events=())
    await started(store, 1, subject=None)
    await store.raise_everybody(at=NOW + 1, reason=EVERYBODY_REVOKED, events=[an_event("everybody", subject=None)])
    await started(store, 2)
    await raise_epoch(store, at=NOW + 2, credential_version=2)
    await start(store, replace(a_session(3), is_persistent=True, methods="pwd otp", ip=None, user_agent=None))
    await put(store, a_digest(3), theme=b'"dark"', visits=b"7")
    await started(store, 4)
    await store.end(a_digest(4), at=NOW + 3, reason=LOGGED_OUT, events=[an_event("logged_out")])
    await start(store, a_session(5, subject=None, user_agent="Ünï\u202e\x00 browser"))
    await raise_epoch(store, "eve: a subject without an account", at=NOW + 4, disabled_at=NOW + 4)
    await fail(store, GATE)
    await fail(store, LOCK)
    await admit(store, [a_gate("pending")])


async def everything(store: CopyStore, *, limit: int = 1000) -> Contents:
    """Read all pages and put them together, sorted; events without their places, which every store gives its own."""
    pages: list[Contents] = []
    after: str | None = None
    while True:
        page = await store.export(after=after, limit=limit)
        pages.append(page)
        after = page.next
        if after is None:
            break
    return Contents(
        accounts=tuple(sorted((one for page in pages for one in page.accounts), key=lambda one: one[0].subject)),
        states=tuple(sorted((one for page in pages for one in page.states), key=lambda one: one.subject)),
        sessions=tuple(sorted((one for page in pages for one in page.sessions), key=lambda one: one.id)),
        counters=tuple(sorted((one for page in pages for one in page.counters), key=lambda one: one[0])),
        events=tuple((0, event) for page in pages for _, event in page.events),
        unreadable=tuple(name for page in pages for name in page.unreadable),
    )


async def copy(source: CopyStore, target: CopyStore, *, limit: int) -> None:
    """Copy everything, page by page."""
    after: str | None = None
    while True:
        page = await source.export(after=after, limit=limit)
        after = page.next
        await target.load(page, bookmark=after)
        if after is None:
            return


class CopyContract(Suite):
    """`CopyStore`."""

    async def test_what_comes_out_is_what_the_reference_would_give(self, store: Store) -> None:
        reference = MemoryStore()
        await fill(reference)

        await fill(store)

        assert await everything(store) == await everything(reference)

    async def test_what_went_in_comes_out_alike(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)

        await copy(source, store, limit=1000)

        assert await everything(store) == await everything(source)

    async def test_there_and_back_in_small_pages_changes_nothing(self, store: Store) -> None:
        await fill(store)
        back = MemoryStore()

        await copy(store, back, limit=2)

        assert await everything(back) == await everything(store)

    async def test_an_empty_store_gives_nothing_but_everybodys_state(self, store: Store) -> None:
        assert await everything(store) in (Contents(), Contents(states=(SubjectState(""),)))

    async def test_pages_are_small_and_the_same_in_every_round(self, store: Store) -> None:
        await fill(store)

        rounds = [[page async for page in _pages(store, limit=2)] for _ in range(2)]

        assert rounds[0] == rounds[1]
        assert len(rounds[0]) > 5
        assert max(len(page.sessions) for page in rounds[0]) < 5

    async def test_loading_twice_is_loading_once(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)

        for _ in range(2):
            await copy(source, store, limit=1000)

        assert await everything(store) == await everything(source)

    async def test_loading_again_replaces_what_is_there_under_the_same_key(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)
        await copy(source, store, limit=1000)
        await source.replace_password(a_password(version=2), was=1)
        await put(source, a_digest(3), theme=b'"light"')
        await source.end(a_digest(5), at=NOW + 5, reason=REVOKED, events=())
        await source.enable("eve: a subject without an account", events=())
        await fail(source, LOCK)

        await copy(source, store, limit=1000)

        assert await everything(store) == await everything(source)

    async def test_ses_09_live_sessions_live_on_and_the_dead_stay_dead(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)

        await copy(source, store, limit=1000)

        standing = [number for number in range(1, 6) if await is_standing(store, a_digest(number))]
        assert standing == [3, 5]
        assert await data_of(store, a_digest(3)) == {"app": {"theme": b'"dark"', "visits": b"7"}}
        ended = await store.find(a_digest(4))
        assert ended is not None
        assert ended.session.end_reason == LOGGED_OUT
        assert await start(store, a_session(9, subject="eve: a subject without an account")) is Answer.REFUSED

    async def test_a_loaded_session_does_all_that_one_does_that_was_started_here(self, store: Store) -> None:
        source = MemoryStore()
        session = await started(source, 1)
        await started(source, 2)
        await started(source, 3)
        await copy(source, store, limit=1000)

        assert await store.touch(session.digest, seen_at=NOW + 60)
        assert await put(store, session.digest, theme=b"1") is None
        assert await store.increment(session.digest, namespace="app", key="visits", by=2, limit=999) == 2
        assert await store.rotate(a_rotation(session, 7), events=())
        assert await store.find(session.digest) is None
        assert {found.session.id for found in await store.sessions_of("ada")} == {a_session(n).id for n in (1, 2, 3)}
        by_id = await store.find_by_id(session.id)
        assert by_id is not None
        assert by_id.session.digest == a_digest(7)
        assert await store.end_by_id(a_session(2).id, subject="ada", at=NOW, reason=REVOKED, events=())
        assert await raise_epoch(store)
        assert await store.sessions_of("ada") == ()

    async def test_rev_07_loaded_sessions_count_among_the_most_a_subject_may_have(self, store: Store) -> None:
        source = MemoryStore()
        for number in (1, 2, 3):
            await start(source, a_session(number, at=NOW + number))
        await copy(source, store, limit=1000)

        await start(store, a_session(4, at=NOW + 4), most=2)

        assert [found.session.id for found in await store.sessions_of("ada")] == [a_session(n).id for n in (4, 3)]

    async def test_acc_05_loaded_names_are_taken_and_found(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)

        await copy(source, store, limit=1000)

        found = await store.identify("ada@example.org")
        assert found is not None
        assert (found.account.subject, found.credential) == ("ada", a_password())
        again = await store.create_account(an_account("eve", username="ADA"), a_password("eve"), events=())
        assert again is Answer.USERNAME_TAKEN

    async def test_rat_02_loaded_counters_count_on(self, store: Store) -> None:
        source = MemoryStore()
        await fail(source, GATE)
        await fail(source, LOCK)
        await copy(source, store, limit=1000)

        assert await admit(store, [GATE]) == 30
        await fail(store, LOCK)
        assert await admit(store, [LOCK]) is Answer.LOCKED

    async def test_dat_06_what_was_loaded_is_purged_in_its_time(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)
        await copy(source, store, limit=1000)

        await purge_round(store, Cutoffs(NOW + 30 * DAY, NOW + 5000 * DAY, NOW + 30 * DAY))

        left = await everything(store)
        assert (left.sessions, left.counters, left.events) == ((), (), ())
        assert len(left.accounts) == 2

    async def test_dat_07_a_loaded_account_is_deleted_with_every_trace(self, store: Store) -> None:
        source = MemoryStore()
        await fill(source)
        await copy(source, store, limit=1000)

        assert await store.delete_account("ada", counters=[GATE.key, LOCK.key], events=())

        left = await everything(store)
        assert b"ada" not in msgspec.json.encode([left.accounts, left.states, left.events]).lower()
        assert "ada" not in [session.subject for session in left.sessions]

    async def test_later_events_come_after_those_that_were_loaded(self, store: Store) -> None:
        source = MemoryStore()
        await source.record([an_event(f"old {number}") for number in range(20)])
        await copy(source, store, limit=1000)

        await store.record([an_event("new")])

        newest = (await store.events_of("ada", after=None, limit=2)).events
        assert [event.name for event in newest] == ["new", "old 19"]

    async def test_its_extent_is_what_there_is_of_each_kind(self, store: Store) -> None:
        nothing = await store.extent()
        await fill(store)

        kept = await everything(store)

        assert nothing == Extent()
        assert await store.extent() == Extent(
            accounts=len(kept.accounts),
            subjects=sum(1 for state in kept.states if state.subject),
            sessions=len(kept.sessions),
            counters=len(kept.counters),
            events=len(kept.events),
        )

    async def test_a_bookmark_is_kept_until_it_is_taken_away(self, store: Store) -> None:
        seen = [await store.bookmark()]

        for text in ("first", 'sec"ond\u2028', None, "again"):
            await store.load(Contents(), bookmark=text)
            seen.append(await store.bookmark())

        assert seen == [None, "first", 'sec"ond\u2028', None, "again"]

    async def test_a_bookmark_is_nothing_that_is_copied(self, store: Store) -> None:
        before = await everything(store)

        await store.load(Contents(), bookmark="under way")

        assert await everything(store) == before
        assert await store.find(a_digest(1)) is None


class SessionsHalfContract(Suite):
    """A store that was opened to hold sessions whose accounts live elsewhere: `holds_accounts` is False."""

    async def test_it_says_so(self, store: Store) -> None:
        assert store.holds_accounts is False

    async def test_a_log_in_needs_no_account_here(self, store: Store) -> None:
        await start(store, a_session(1), credential_version=1)

        assert await is_standing(store, a_digest(1))

    async def test_rev_05_versions_of_passwords_count_all_the_same(self, store: Store) -> None:
        await start(store, a_session(1), credential_version=1)
        await start(store, a_session(2), credential_version=2)

        assert await start(store, a_session(3), credential_version=1) is Answer.REFUSED
        assert [found.session.id for found in await store.sessions_of("ada")] == [a_session(2).id]

    async def test_nobody_is_known_to_be_gone(self, store: Store) -> None:
        assert await store.settle((), account="ada", events=[an_event()]) is None
        assert (await store.events_of("ada", after=None, limit=9)).events == (an_event(),)

    async def test_dat_07_any_subject_is_forgotten(self, store: Store) -> None:
        await started(store, 1)
        await started(store, 2)
        await store.end(a_digest(2), at=NOW, reason=LOGGED_OUT, events=())
        kept = await started(store, 3, subject="bob")
        await fail(store, GATE)

        answers = [await store.delete_account(name, counters=[GATE.key], events=()) for name in ("ada", "ada", "eve")]

        assert answers == [True, True, True]
        assert [await store.find(a_digest(number)) for number in (1, 2)] == [None, None]
        assert await store.states_of(["ada", "eve"]) == {}
        assert await admit(store, [GATE]) == 0
        assert await is_standing(store, kept.digest)


async def _pages(store: CopyStore, *, limit: int) -> AsyncIterator[Contents]:
    after: str | None = None
    while True:
        page = await store.export(after=after, limit=limit)
        yield page
        after = page.next
        if after is None:
            return
