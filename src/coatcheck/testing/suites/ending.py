# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Ending sessions: `end`, `end_by_id`, `raise_epoch`, `enable`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.records import SubjectState
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import Answer, Started, Store
from coatcheck.testing.driving import Suite
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_handle,
    a_rotation,
    a_session,
    an_event,
    is_standing,
    put,
    raise_epoch,
    start,
    started,
)

replace = msgspec.structs.replace


class EndContract(Suite):
    """`end` and `end_by_id`."""

    async def test_ses_02_an_ended_session_keeps_digest_and_reason_and_loses_its_data(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1")

        ended = await store.end(session.digest, at=NOW + 5, reason=LOGGED_OUT, events=[an_event()])

        found = await store.find(session.digest)
        assert ended is True
        assert found is not None
        assert found.session == replace(session, ended_at=NOW + 5, end_reason=LOGGED_OUT)
        assert (await store.events_of("ada", after=None, limit=9)).events == (an_event(),)

    async def test_what_has_ended_does_not_end_again(self, store: Store) -> None:
        session = await started(store)
        await store.end(session.digest, at=NOW, reason=LOGGED_OUT, events=())
        before = await store.find(session.digest)

        again = await store.end(session.digest, at=NOW + 9, reason="other", events=[an_event()])

        assert again is False
        assert await store.find(session.digest) == before
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_an_unknown_session_does_not_end(self, store: Store) -> None:
        assert await store.end(a_digest(1), at=NOW, reason=LOGGED_OUT, events=[an_event()]) is False
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_a_session_outlived_by_its_epoch_can_still_be_marked_ended(self, store: Store) -> None:
        session = await started(store)
        await raise_epoch(store)

        assert await store.end(session.digest, at=NOW, reason=LOGGED_OUT, events=()) is True

    async def test_rev_03_a_session_ends_by_id_for_its_owner(self, store: Store) -> None:
        session = await started(store)
        other = await started(store, 2)

        ended = await store.end_by_id(session.id, subject="ada", at=NOW, reason="revoked", events=[an_event()])

        assert ended is True
        assert not await is_standing(store, session.digest)
        assert await is_standing(store, other.digest)
        assert len((await store.events_of("ada", after=None, limit=9)).events) == 1

    async def test_rev_03_somebody_elses_session_is_as_unknown_as_none(self, store: Store) -> None:
        await started(store, 1)
        await started(store, 2, subject="eve")
        await started(store, 3, subject=None)
        ids = (a_handle(1), a_handle(3), a_handle(4), "%", "", "\ud800")

        answers = [
            await store.end_by_id(name, subject="eve", at=NOW, reason="revoked", events=[an_event()]) for name in ids
        ]

        assert answers == [False] * len(ids)
        assert await is_standing(store, a_digest(1))
        assert await is_standing(store, a_digest(3))
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_a_session_that_is_not_standing_does_not_end_by_id(self, store: Store) -> None:
        session = await started(store)
        await raise_epoch(store)

        assert not await store.end_by_id(session.id, subject="ada", at=NOW, reason="revoked", events=())


class EpochContract(Suite):
    """`raise_epoch` and `enable`."""

    async def test_rev_06_raising_the_epoch_ends_all_sessions_of_the_subject_and_of_nobody_else(
        self, store: Store
    ) -> None:
        for number in (1, 2, 3):
            await started(store, number)
        await started(store, 4, subject="bob")
        await started(store, 5, subject=None)

        raised = await raise_epoch(store, at=NOW + 5, reason="revoked", events=[an_event()])

        standing = [number for number in range(1, 6) if await is_standing(store, a_digest(number))]
        assert raised is True
        assert standing == [4, 5]
        assert await store.sessions_of("ada") == ()
        assert await store.states_of(["ada"]) == {"ada": SubjectState("ada", 1, NOW + 5, "revoked")}
        assert len((await store.events_of("ada", after=None, limit=9)).events) == 1

    async def test_the_state_is_created_if_it_is_missing(self, store: Store) -> None:
        await raise_epoch(store, "nobody", credential_version=4)

        assert await store.states_of(["nobody"]) == {
            "nobody": SubjectState("nobody", 1, NOW, "revoked", credential_version=4)
        }

    async def test_the_session_to_keep_survives_under_its_new_digest(self, store: Store) -> None:
        session = await started(store, 1)
        await started(store, 2)
        await put(store, session.digest, a=b"1")

        raised = await raise_epoch(store, keep=a_rotation(session, 9))

        kept = replace(session, digest=a_digest(9), epoch=1, data=b'{"app":{"a":1}}')
        assert raised is True
        assert [found.session for found in await store.sessions_of("ada")] == [kept]
        assert await store.find(session.digest) is None

    async def test_the_session_to_keep_may_keep_its_digest(self, store: Store) -> None:
        session = await started(store, 1)

        await raise_epoch(store, keep=a_rotation(session, 1))

        assert await is_standing(store, session.digest)

    async def test_nothing_happens_if_the_session_to_keep_has_ended(self, store: Store) -> None:
        session = await started(store, 1)
        await started(store, 2)
        await store.end(session.digest, at=NOW, reason=LOGGED_OUT, events=())

        raised = await raise_epoch(store, keep=a_rotation(session, 9), credential_version=5, events=[an_event()])

        assert raised is False
        assert await is_standing(store, a_digest(2))
        assert await store.states_of(["ada"]) == {"ada": SubjectState("ada")}
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_rev_03_nothing_happens_if_the_session_to_keep_is_somebody_elses(self, store: Store) -> None:
        await started(store, 1)
        others = await started(store, 2, subject="bob")

        raised = await raise_epoch(store, "ada", keep=a_rotation(others, 9))

        assert raised is False
        assert await is_standing(store, a_digest(1))
        assert await is_standing(store, others.digest)

    async def test_a_conflict_over_the_new_digest_changes_nothing(self, store: Store) -> None:
        session = await started(store, 1)
        await started(store, 2)

        with pytest.raises(StoreConflict):
            await raise_epoch(store, keep=a_rotation(session, 2))

        assert await store.states_of(["ada"]) == {"ada": SubjectState("ada")}
        assert await is_standing(store, session.digest)

    async def test_the_credential_version_never_goes_back(self, store: Store) -> None:
        versions: list[int] = []

        for told in (3, 2, None):
            await raise_epoch(store, credential_version=told)
            versions.append((await store.states_of(["ada"]))["ada"].credential_version)

        assert versions == [3, 3, 3]

    async def test_ses_07_a_disabled_subject_has_no_sessions_and_gets_none(self, store: Store) -> None:
        await started(store, 1)

        await raise_epoch(store, reason="account_disabled", disabled_at=NOW + 5)

        assert not await is_standing(store, a_digest(1))
        assert await start(store, a_session(2)) is Answer.REFUSED
        assert (await store.states_of(["ada"]))["ada"].disabled_at == NOW + 5

    async def test_ses_07_a_session_kept_by_the_disabling_is_not_standing_either(self, store: Store) -> None:
        session = await started(store, 1)

        await raise_epoch(store, keep=a_rotation(session, 2), disabled_at=NOW)

        assert await store.touch(a_digest(2), seen_at=NOW + 60) is False
        assert await store.rotate(a_rotation(a_session(2), 3), events=()) is False
        assert await store.sessions_of("ada") == ()

    async def test_rev_05_a_session_that_ended_with_the_disabling_is_kept_by_nothing_that_comes_after(
        self, store: Store
    ) -> None:
        session = await started(store, 1)
        await raise_epoch(store, disabled_at=NOW)

        raised = await raise_epoch(store, keep=a_rotation(session, 9), credential_version=5, events=[an_event()])

        assert raised is False
        assert (await store.states_of(["ada"]))["ada"] == SubjectState("ada", 1, NOW, "revoked", disabled_at=NOW)
        assert (await store.events_of(None, after=None, limit=9)).events == ()
        await store.enable("ada", events=())
        assert await store.find(a_digest(9)) is None
        assert not await is_standing(store, session.digest)

    async def test_raising_the_epoch_again_leaves_a_subject_disabled(self, store: Store) -> None:
        await raise_epoch(store, disabled_at=NOW)

        await raise_epoch(store)

        assert (await store.states_of(["ada"]))["ada"].disabled_at == NOW

    async def test_an_enabled_subject_starts_afresh_and_its_old_sessions_stay_dead(self, store: Store) -> None:
        await started(store, 1)
        await raise_epoch(store, disabled_at=NOW)

        enabled = await store.enable("ada", events=[an_event()])

        assert enabled is True
        assert not await is_standing(store, a_digest(1))
        assert isinstance(await start(store, a_session(2)), Started)
        assert len((await store.events_of("ada", after=None, limit=9)).events) == 1

    async def test_who_is_not_disabled_is_not_enabled(self, store: Store) -> None:
        await started(store, 1)

        answers = [await store.enable(subject, events=[an_event()]) for subject in ("ada", "nobody")]

        assert answers == [False, False]
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_rev_06_everybodys_sessions_end_in_one_step(self, store: Store) -> None:
        await started(store, 1)
        await started(store, 2, subject="bob")
        await started(store, 3, subject=None)

        await store.raise_everybody(at=NOW + 5, reason="everybody_revoked", events=[an_event("all", subject=None)])

        assert [await is_standing(store, a_digest(number)) for number in (1, 2, 3)] == [False, False, False]
        assert await store.sessions_of("ada") == ()
        found = await store.find(a_digest(1))
        assert found is not None
        assert found.state == SubjectState("ada", 1, NOW + 5, "everybody_revoked")
        assert [event.name for event in (await store.events_of(None, after=None, limit=9)).events] == ["all"]

    async def test_rev_06_a_dead_session_takes_no_touch_no_data_and_no_rotation(self, store: Store) -> None:
        sessions = [await started(store, 1), await started(store, 2, subject=None)]

        await store.raise_everybody(at=NOW, reason="everybody_revoked", events=())

        for session in sessions:
            assert await store.touch(session.digest, seen_at=NOW + 9) is False
            assert await put(store, session.digest, key=b"1") is Answer.GONE
            assert await store.rotate(a_rotation(session, 9), events=()) is False

    async def test_sessions_start_stand_and_end_under_everybodys_epoch(self, store: Store) -> None:
        await store.raise_everybody(at=NOW, reason="everybody_revoked", events=())
        await raise_epoch(store)
        await store.raise_everybody(at=NOW, reason="everybody_revoked", events=())
        session, other = await started(store, 1), await started(store, 2)
        anonymous = await started(store, 3, subject=None)

        assert [await is_standing(store, one.digest) for one in (session, other, anonymous)] == [True, True, True]
        assert await put(store, anonymous.digest, key=b"1") is None
        assert await raise_epoch(store, keep=a_rotation(session, 9)) is True

        assert [await is_standing(store, a_digest(number)) for number in (9, 2, 3)] == [True, False, True]
        assert [found.session.id for found in await store.sessions_of("ada")] == [session.id]

    async def test_the_later_of_two_reasons_is_told(self, store: Store) -> None:
        await started(store, 1)
        await raise_epoch(store, at=NOW + 9, reason="password_changed")

        await store.raise_everybody(at=NOW + 5, reason="everybody_revoked", events=())

        assert (await store.states_of(["ada"]))["ada"] == SubjectState("ada", 2, NOW + 9, "password_changed")
