# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Using sessions: `touch`, `patch`, `increment`, `rotate`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.records import EMPTY_DATA
from coatcheck.core.session_data import INTEGER_MAX
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import Answer, Store
from coatcheck.testing.driving import Driver, Suite
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_rotation,
    a_session,
    an_event,
    data_of,
    is_standing,
    put,
    raise_epoch,
    started,
)

replace = msgspec.structs.replace


class TouchContract(Suite):
    """`touch`."""

    async def test_touch_moves_last_seen_forward_and_never_back(self, store: Store) -> None:
        session = await started(store)

        answers = [await store.touch(session.digest, seen_at=at) for at in (NOW + 60, NOW + 30)]

        found = await store.find(session.digest)
        assert answers == [True, True]
        assert found is not None
        assert found.session == replace(session, last_seen_at=NOW + 60)

    async def test_touch_creates_nothing(self, store: Store) -> None:
        assert await store.touch(a_digest(1), seen_at=NOW) is False
        assert await store.find(a_digest(1)) is None

    async def test_touch_leaves_a_session_that_is_not_standing_alone(self, store: Store) -> None:
        ended = await started(store, 1)
        outlived = await started(store, 2)
        await store.end(ended.digest, at=NOW, reason=LOGGED_OUT, events=())
        await raise_epoch(store)

        for digest in (ended.digest, outlived.digest):
            found = await store.find(digest)
            assert await store.touch(digest, seen_at=NOW + 60) is False
            assert await store.find(digest) == found


class DataContract(Suite):
    """`patch` and `increment`."""

    async def test_a_patch_sets_and_removes_keys_and_leaves_the_others(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1", b=b'"two"', c=b"[3]")

        answer = await store.patch(session.digest, namespace="app", puts={"a": b"null"}, removes=["b", "z"], limit=1000)

        assert answer is None
        assert await data_of(store, session.digest) == {"app": {"a": b"null", "c": b"[3]"}}

    async def test_namespaces_do_not_see_each_other(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1")

        await store.patch(session.digest, namespace="django", puts={"a": b"2"}, removes=(), limit=1000)

        assert await data_of(store, session.digest) == {"app": {"a": b"1"}, "django": {"a": b"2"}}

    async def test_removing_the_last_key_leaves_empty_data(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1")

        await store.patch(session.digest, namespace="app", puts={}, removes=["a"], limit=1000)

        found = await store.find(session.digest)
        assert found is not None
        assert found.session.data == EMPTY_DATA

    async def test_a_patch_changes_the_data_and_nothing_else(self, store: Store) -> None:
        session = await started(store)

        await put(store, session.digest, a=b"1")

        found = await store.find(session.digest)
        assert found is not None
        assert replace(found.session, data=EMPTY_DATA) == session

    async def test_ses_05_a_late_save_neither_revives_nor_creates(self, store: Store) -> None:
        ended = await started(store, 1)
        outlived = await started(store, 2)
        await store.end(ended.digest, at=NOW, reason=LOGGED_OUT, events=())
        await raise_epoch(store)

        for digest in (ended.digest, outlived.digest, a_digest(3)):
            assert await put(store, digest, a=b"1") is Answer.GONE
            assert await store.increment(digest, namespace="app", key="n", by=1, limit=1000) is Answer.GONE
            assert not await is_standing(store, digest)
        assert await data_of(store, ended.digest) == {}
        assert await store.find(a_digest(3)) is None

    async def test_ses_08_data_that_would_grow_too_large_is_refused_and_the_old_stays_whole(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1" * 9, limit=10)

        answer = await store.patch(session.digest, namespace="app", puts={"b": b"1"}, removes=(), limit=10)

        assert answer is Answer.TOO_LARGE
        assert await data_of(store, session.digest) == {"app": {"a": b"1" * 9}}

    async def test_the_limit_speaks_of_all_namespaces_together(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1" * 9, limit=10)

        answer = await store.patch(session.digest, namespace="other", puts={"b": b"1"}, removes=(), limit=10)

        assert answer is Answer.TOO_LARGE

    async def test_what_fits_exactly_passes(self, store: Store) -> None:
        session = await started(store)

        assert await put(store, session.digest, a=b"1" * 9, limit=10) is None

    async def test_shrinking_passes_above_a_limit_that_was_lowered(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1" * 500)

        assert await put(store, session.digest, a=b"1" * 400, limit=10) is None

    async def test_a_counter_begins_at_zero_and_gives_its_sum(self, store: Store) -> None:
        session = await started(store)

        sums = [
            await store.increment(session.digest, namespace="app", key="n", by=by, limit=1000) for by in (1, 41, -50)
        ]

        assert sums == [1, 42, -8]
        assert await data_of(store, session.digest) == {"app": {"n": b"-8"}}

    @pytest.mark.parametrize("value", [b'"1"', b"1.5", b"null", b"true", b"[1]"])
    def test_what_is_no_integer_is_not_counted_and_stays(self, store: Store, driver: Driver, value: bytes) -> None:
        session = driver.run(started(store))
        driver.run(put(store, session.digest, n=value))

        answer = driver.run(store.increment(session.digest, namespace="app", key="n", by=1, limit=1000))

        assert answer is Answer.NOT_AN_INTEGER
        assert driver.run(data_of(store, session.digest)) == {"app": {"n": value}}

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_sum_beyond_64_bits_is_refused_and_the_value_stays(self, store: Store, driver: Driver, sign: int) -> None:
        session = driver.run(started(store))
        largest = sign * INTEGER_MAX
        driver.run(store.increment(session.digest, namespace="app", key="n", by=largest, limit=1000))

        answer = driver.run(store.increment(session.digest, namespace="app", key="n", by=sign, limit=1000))

        assert answer is Answer.NOT_AN_INTEGER
        assert driver.run(data_of(store, session.digest)) == {"app": {"n": str(largest).encode()}}

    async def test_a_counter_that_would_grow_beyond_the_limit_is_refused(self, store: Store) -> None:
        session = await started(store)
        await store.increment(session.digest, namespace="app", key="n", by=9, limit=2)

        assert await store.increment(session.digest, namespace="app", key="n", by=1, limit=2) is Answer.TOO_LARGE
        assert await data_of(store, session.digest) == {"app": {"n": b"9"}}


class RotateContract(Suite):
    """`rotate`."""

    async def test_after_a_rotation_only_the_new_digest_finds_the_session(self, store: Store) -> None:
        session = await started(store)
        await put(store, session.digest, a=b"1")
        rotation = replace(
            a_rotation(session, 2), last_seen_at=NOW + 5, auth_time=NOW + 5, expires_at=NOW + 99, methods="pwd otp"
        )

        rotated = await store.rotate(rotation, events=[an_event()])

        found = await store.find(a_digest(2))
        assert rotated is True
        assert await store.find(session.digest) is None
        assert found is not None
        assert found.session == replace(
            session,
            digest=a_digest(2),
            last_seen_at=NOW + 5,
            auth_time=NOW + 5,
            expires_at=NOW + 99,
            methods="pwd otp",
            data=b'{"app":{"a":1}}',
        )
        assert (await store.events_of("ada", after=None, limit=9)).events == (an_event(),)

    async def test_only_a_standing_session_is_rotated(self, store: Store) -> None:
        ended = await started(store, 1)
        outlived = await started(store, 2)
        await store.end(ended.digest, at=NOW, reason=LOGGED_OUT, events=())
        await raise_epoch(store)

        for session in (ended, outlived, a_session(3)):
            assert await store.rotate(a_rotation(session, 9), events=[an_event()]) is False
        assert await store.find(a_digest(9)) is None
        assert (await store.events_of(None, after=None, limit=9)).events == ()

    async def test_rotating_onto_another_sessions_digest_is_a_conflict_that_changes_nothing(self, store: Store) -> None:
        first, second = await started(store, 1), await started(store, 2, subject="bob")

        with pytest.raises(StoreConflict):
            await store.rotate(a_rotation(first, 2), events=())

        assert [found.session for found in await store.sessions_of("ada")] == [first]
        assert [found.session for found in await store.sessions_of("bob")] == [second]
