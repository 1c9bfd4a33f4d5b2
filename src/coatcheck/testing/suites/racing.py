# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""DAT-09: every step that one of several may win, taken by fifty at once."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from coatcheck.core.session_data import decode
from coatcheck.core.sessions import EVICTED, LOGGED_OUT
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import Answer, Started, Store
from coatcheck.testing.driving import Driver, Suite
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_gate,
    a_handle,
    a_password,
    a_rotation,
    a_session,
    admit,
    an_account,
    an_event,
    is_standing,
    raise_epoch,
    start,
    started,
)

T = TypeVar("T")
replace = msgspec.structs.replace

WORKERS = 50


def _outcomes(driver: Driver, flows: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    outcomes: list[T] = []
    for outcome in driver.crowd(flows):
        if isinstance(outcome, BaseException):
            raise outcome
        outcomes.append(outcome)
    return outcomes


class RaceContract(Suite):
    """Real contention: threads under the blocking colour, tasks under the other."""

    def test_dat_09_of_fifty_starts_with_one_digest_one_wins(self, store: Store, driver: Driver) -> None:
        flows = [start(store, replace(a_session(n), digest=a_digest(0))) for n in range(WORKERS)]

        outcomes = driver.crowd(flows)

        winners = [outcome for outcome in outcomes if isinstance(outcome, Started)]
        losers = [outcome for outcome in outcomes if isinstance(outcome, StoreConflict)]
        listed = driver.run(store.sessions_of("ada"))
        assert (len(winners), len(losers)) == (1, WORKERS - 1)
        assert [found.session for found in listed] == [winners[0].session]

    def test_acc_05_of_fifty_sign_ups_with_one_name_one_wins(self, store: Store, driver: Driver) -> None:
        spellings = ["ada", "ADA", "Ada", "aDA", "AdA"]
        flows = [
            store.create_account(
                an_account(f"subject {n}", username=spellings[n % 5], email=f"{n}@example.org"),
                a_password(f"subject {n}"),
                events=[an_event()],
            )
            for n in range(WORKERS)
        ]

        outcomes = _outcomes(driver, flows)

        page = driver.run(store.scan_accounts(after=None, limit=WORKERS))
        assert outcomes.count(None) == 1
        assert outcomes.count(Answer.USERNAME_TAKEN) == WORKERS - 1
        assert len(page.accounts) == 1
        assert len(driver.run(store.events_of(None, after=None, limit=WORKERS)).events) == 1

    def test_acc_05_of_fifty_sign_ups_with_one_address_one_wins(self, store: Store, driver: Driver) -> None:
        spellings = ["ada@example.org", "Ada@Example.org", "ADA@EXAMPLE.ORG"]
        flows = [
            store.create_account(
                an_account(f"subject {n}", username=f"user{n}", email=spellings[n % 3]),
                a_password(f"subject {n}"),
                events=(),
            )
            for n in range(WORKERS)
        ]

        outcomes = _outcomes(driver, flows)

        assert outcomes.count(None) == 1
        assert outcomes.count(Answer.EMAIL_TAKEN) == WORKERS - 1

    def test_dat_09_of_fifty_rotations_of_one_digest_one_wins(self, store: Store, driver: Driver) -> None:
        session = driver.run(started(store, 0))
        flows = [store.rotate(a_rotation(session, n), events=[an_event()]) for n in range(1, WORKERS + 1)]

        outcomes = _outcomes(driver, flows)

        listed = driver.run(store.sessions_of("ada"))
        assert outcomes.count(True) == 1
        assert [found.session.digest for found in listed] == [a_digest(outcomes.index(True) + 1)]
        assert len(driver.run(store.events_of(None, after=None, limit=WORKERS)).events) == 1

    def test_dat_09_of_fifty_ends_one_wins_and_tells(self, store: Store, driver: Driver) -> None:
        session = driver.run(started(store))
        by_digest = [
            store.end(session.digest, at=NOW, reason=LOGGED_OUT, events=[an_event()]) for _ in range(WORKERS // 2)
        ]
        by_id = [
            store.end_by_id(session.id, subject="ada", at=NOW, reason="revoked", events=[an_event()])
            for _ in range(WORKERS // 2)
        ]

        outcomes = _outcomes(driver, [*by_digest, *by_id])

        assert outcomes.count(True) == 1
        assert len(driver.run(store.events_of(None, after=None, limit=WORKERS)).events) == 1

    def test_dat_09_of_fifty_password_changes_one_wins(self, store: Store, driver: Driver) -> None:
        driver.run(store.create_account(an_account(), a_password(version=1), events=()))
        flows = [
            store.replace_password(replace(a_password(version=2), hash=f"$hash {n}"), was=1) for n in range(WORKERS)
        ]

        outcomes = _outcomes(driver, flows)

        credential = driver.run(store.credential("ada"))
        assert outcomes.count(True) == 1
        assert credential is not None
        assert credential.hash == f"$hash {outcomes.index(True)}"

    def test_dat_09_of_fifty_rehashes_one_wins(self, store: Store, driver: Driver) -> None:
        driver.run(store.create_account(an_account(), a_password(), events=()))
        flows = [store.rehash("ada", was="$hash$1", new=f"$hash {n}") for n in range(WORKERS)]

        assert _outcomes(driver, flows).count(True) == 1

    def test_dat_09_of_fifty_replacements_of_one_session_one_carries_its_data(
        self, store: Store, driver: Driver
    ) -> None:
        old = driver.run(started(store, 0, subject=None))
        driver.run(store.patch(old.digest, namespace="app", puts={"cart": b"[1]"}, removes=(), limit=99))
        flows = [start(store, a_session(n, subject=None), replaces=old.digest) for n in range(1, WORKERS + 1)]

        outcomes = _outcomes(driver, flows)

        carried = [outcome for outcome in outcomes if isinstance(outcome, Started) and decode(outcome.session.data)]
        assert len(carried) == 1

    def test_all_of_fifty_increments_count(self, store: Store, driver: Driver) -> None:
        session = driver.run(started(store))
        flows = [store.increment(session.digest, namespace="app", key="n", by=1, limit=99) for _ in range(WORKERS)]

        outcomes = _outcomes(driver, flows)

        assert set(outcomes) == set(range(1, WORKERS + 1))

    def test_ses_06_fifty_saves_of_different_keys_all_stay(self, store: Store, driver: Driver) -> None:
        session = driver.run(started(store))
        flows = [
            store.patch(session.digest, namespace=f"app{n % 2}", puts={f"key{n}": b"1"}, removes=(), limit=9999)
            for n in range(WORKERS)
        ]

        outcomes = _outcomes(driver, flows)

        found = driver.run(store.find(session.digest))
        assert outcomes == [None] * WORKERS
        assert found is not None
        assert sum(len(values) for values in decode(found.session.data).values()) == WORKERS

    def test_ses_05_saves_that_race_with_the_end_leave_a_dead_empty_session(self, store: Store, driver: Driver) -> None:
        session = driver.run(started(store))
        saves = [
            store.patch(session.digest, namespace="app", puts={f"key{n}": b"1"}, removes=(), limit=9999)
            for n in range(WORKERS - 1)
        ]

        outcomes = driver.crowd(
            [*saves[:20], store.end(session.digest, at=NOW, reason=LOGGED_OUT, events=()), *saves[20:]]
        )

        found = driver.run(store.find(session.digest))
        assert outcomes.count(True) == 1
        assert set(outcomes) <= {None, Answer.GONE, True}
        assert found is not None
        assert (found.session.end_reason, decode(found.session.data)) == (LOGGED_OUT, {})

    def test_rat_06_of_fifty_attempts_no_more_than_the_free_ones_are_admitted(
        self, store: Store, driver: Driver
    ) -> None:
        both = [a_gate("account", free=5), a_gate("network", free=10)]

        outcomes = _outcomes(driver, [admit(store, both) for _ in range(WORKERS)])

        assert outcomes.count(0) == 5
        assert set(outcomes) == {0, 1}

    def test_rev_07_fifty_log_ins_at_once_leave_the_allowed_number(self, store: Store, driver: Driver) -> None:
        outcomes = _outcomes(driver, [start(store, a_session(n), most=10) for n in range(WORKERS)])

        evicted = [name for outcome in outcomes if isinstance(outcome, Started) for name in outcome.evicted]
        listed = {found.session.id for found in driver.run(store.sessions_of("ada"))}
        assert len(listed) == 10
        assert len(evicted) == len(set(evicted)) == WORKERS - 10
        assert listed.isdisjoint(evicted)
        found = driver.run(store.find_by_id(evicted[0]))
        assert found is not None
        assert found.session.end_reason == EVICTED

    def test_rev_05_no_log_in_with_the_old_password_outlives_its_change(self, store: Store, driver: Driver) -> None:
        """Whoever is late is refused, whoever was early is outlived; there is no gap between the two."""
        driver.run(store.create_account(an_account(), a_password(), events=()))
        starts = [start(store, a_session(n), credential_version=1) for n in range(WORKERS - 1)]

        outcomes = driver.crowd([*starts[:25], raise_epoch(store, credential_version=2), *starts[25:]])

        refused = [outcome for outcome in outcomes if outcome is Answer.REFUSED]
        begun = [outcome for outcome in outcomes if isinstance(outcome, Started)]
        assert len(refused) + len(begun) == WORKERS - 1
        assert driver.run(store.sessions_of("ada")) == ()

    def test_ses_07_no_log_in_outlives_the_disabling(self, store: Store, driver: Driver) -> None:
        starts = [start(store, a_session(n)) for n in range(WORKERS - 1)]

        driver.crowd([*starts[:25], raise_epoch(store, disabled_at=NOW), *starts[25:]])

        standing = [n for n in range(WORKERS) if driver.run(is_standing(store, a_digest(n)))]
        assert standing == []

    def test_ses_09_all_of_fifty_raises_of_the_epoch_count(self, store: Store, driver: Driver) -> None:
        outcomes = _outcomes(driver, [raise_epoch(store) for _ in range(WORKERS)])

        assert outcomes == [True] * WORKERS
        assert driver.run(store.states_of(["ada"]))["ada"].epoch == WORKERS

    def test_touches_that_race_with_rotations_lose_no_session(self, store: Store, driver: Driver) -> None:
        session = driver.run(started(store, 0))
        touches = [store.touch(session.digest, seen_at=NOW + n) for n in range(WORKERS - 1)]

        driver.crowd([*touches, store.rotate(a_rotation(session, 1), events=())])

        assert [found.session.id for found in driver.run(store.sessions_of("ada"))] == [a_handle(0)]
