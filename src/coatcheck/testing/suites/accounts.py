# ruff: noqa: D102, S101 - the names of tests are their docstrings, assertions are what tests are made of
"""Accounts and their passwords: `AccountStore`."""

from __future__ import annotations

import msgspec
import pytest

from coatcheck.core.records import AccountRecord, EventRecord
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.core.throttle import Settlement
from coatcheck.errors import StoreConflict
from coatcheck.stores.protocols import Answer, Identified, Store
from coatcheck.testing.driving import Driver, Suite
from coatcheck.testing.samples import (
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
    change_password,
    fail,
    is_standing,
    start,
    started,
)

replace = msgspec.structs.replace


class AccountContract(Suite):
    """`AccountStore`."""

    async def test_an_account_is_read_back_as_it_went_in(self, store: Store) -> None:
        account = an_account(username="Ada", email="Ada@Example.org")

        answer = await store.create_account(account, a_password(), events=[an_event("signed_up")])

        assert answer is None
        assert await store.account("ada") == account
        assert await store.credential("ada") == a_password()
        assert (await store.events_of("ada", after=None, limit=9)).events == (an_event("signed_up"),)

    async def test_an_account_may_lack_a_name_or_an_address(self, store: Store) -> None:
        nameless = an_account("a", username=None, email="a@example.org")
        homeless = an_account("b", username="bob", email=None)
        another = an_account("c", username="carol", email=None)

        for account in (nameless, homeless, another):
            assert await store.create_account(account, a_password(account.subject), events=()) is None

        assert [await store.account(subject) for subject in "abc"] == [nameless, homeless, another]

    @pytest.mark.parametrize(
        ("second", "answer"),
        [
            (an_account("eve", username="ADA", email="eve@example.org"), Answer.USERNAME_TAKEN),
            (an_account("eve", username="eve", email="ADA@example.org"), Answer.EMAIL_TAKEN),
            (an_account("eve", username="ADA", email="ADA@example.org"), Answer.USERNAME_TAKEN),
        ],
        ids=["name", "address", "both"],
    )
    def test_acc_05_a_key_in_use_is_refused_and_nothing_written(
        self, store: Store, driver: Driver, second: AccountRecord, answer: Answer
    ) -> None:
        driver.run(store.create_account(an_account(email="ada@example.org"), a_password(), events=()))

        given = driver.run(store.create_account(second, a_password("eve"), events=[an_event()]))

        assert given is answer
        assert driver.run(store.account("eve")) is None
        assert driver.run(store.credential("eve")) is None
        assert driver.run(store.identify("eve")) is None
        assert driver.run(store.identify("eve@example.org")) is None
        assert driver.run(store.events_of(None, after=None, limit=9)).events == ()

    async def test_a_refused_sign_up_leaves_its_subject_and_other_names_free(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await store.create_account(an_account("eve", email="eve@example.org"), a_password("eve"), events=())

        again = an_account("eve", username="Eve", email="eve@example.org")

        assert await store.create_account(again, a_password("eve"), events=()) is None

    async def test_a_subject_that_has_an_account_is_a_conflict(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())

        with pytest.raises(StoreConflict):
            await store.create_account(an_account(username="other"), a_password(version=9), events=())

        assert await store.account("ada") == an_account()
        assert await store.credential("ada") == a_password()

    async def test_identify_finds_by_either_key(self, store: Store) -> None:
        account = an_account(email="Ada@Example.org")
        await store.create_account(account, a_password(), events=())

        by_name, by_address = await store.identify("ada"), await store.identify("ada@example.org")

        assert by_name == by_address == Identified(account, a_password())

    @pytest.mark.parametrize(
        "key", ["Ada", "ad_", "%", "ada ", "ada\x00", "' OR 1=1--", "", "\ud800", "*", "ADA@EXAMPLE.ORG"]
    )
    def test_dat_03_identifiers_compare_byte_by_byte(self, store: Store, driver: Driver, key: str) -> None:
        account = an_account(email="ada@example.org")
        driver.run(store.create_account(account, a_password(), events=()))

        assert driver.run(store.identify(key)) is None

    async def test_who_has_no_account_has_nothing(self, store: Store) -> None:
        await started(store, subject="stranger")

        assert await store.account("stranger") is None
        assert await store.credential("stranger") is None

    async def test_a_password_is_replaced_in_the_version_it_was_decided_on(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())

        assert await store.replace_password(a_password(version=2), was=1) is True
        assert await store.credential("ada") == a_password(version=2)

    async def test_a_password_that_moved_is_not_replaced(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(version=2), events=())

        assert await store.replace_password(a_password(version=9), was=1) is False
        assert await store.replace_password(a_password("nobody"), was=1) is False
        assert await store.credential("ada") == a_password(version=2)
        assert await store.credential("nobody") is None

    async def test_a_rehash_keeps_the_version(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())

        assert await store.rehash("ada", was="$hash$1", new="$better") is True
        assert await store.credential("ada") == replace(a_password(), hash="$better")

    async def test_a_rehash_of_a_password_that_changed_is_dropped(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(version=2), events=())

        assert await store.rehash("ada", was="$hash$1", new="$better") is False
        assert await store.rehash("nobody", was="$hash$1", new="$better") is False
        assert await store.credential("ada") == a_password(version=2)

    async def test_accounts_are_scanned_in_order_of_their_subject(self, store: Store) -> None:
        names = ["zoe", "Ada", "bob", "é", "carol"]
        for name in names:
            await store.create_account(an_account(name, username=f"user {name}"), a_password(name), events=())
        await started(store, subject="no account")
        met: list[str] = []
        after: str | None = None

        for _ in names:
            page = await store.scan_accounts(after=after, limit=2)
            met += [account.subject for account in page.accounts]
            after = page.next
            if after is None:
                break

        assert met == sorted(names)
        assert after is None

    async def test_rev_05_a_password_change_ends_all_sessions_but_the_one_it_is_made_in(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        here, there = await started(store, 1), await started(store, 2)

        changed = await change_password(store, keep=a_rotation(here, 3))

        assert changed is True
        assert await store.credential("ada") == a_password(version=2)
        assert (await is_standing(store, a_digest(3)), await is_standing(store, there.digest)) == (True, False)
        assert (await store.states_of(["ada"]))["ada"].credential_version == 2

    async def test_err_07_a_password_change_from_a_dead_session_changes_nothing(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        here, there = await started(store, 1), await started(store, 2)
        await store.end(here.digest, at=NOW, reason=LOGGED_OUT, events=())

        for keep in (a_rotation(here, 3), a_rotation(await started(store, 4, subject="bob"), 3)):
            assert await change_password(store, keep=keep) is False

        assert await store.credential("ada") == a_password()
        assert await is_standing(store, there.digest)
        assert (await store.events_of("ada", after=None, limit=9)).events == ()

    async def test_a_password_that_moved_is_not_changed(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(version=2), events=())
        here = await started(store, 1)

        assert await change_password(store, keep=a_rotation(here, 3)) is False

        assert await store.credential("ada") == a_password(version=2)
        assert await is_standing(store, here.digest)

    async def test_dat_07_a_deleted_account_leaves_no_trace(self, store: Store) -> None:
        await store.create_account(an_account(email="ada@example.org"), a_password(), events=[an_event("signed_up")])
        await started(store, 1)
        await started(store, 2)
        await store.end(a_digest(2), at=NOW, reason="logged_out", events=[an_event("logged_out")])
        gate = a_gate(free=1)
        await fail(store, gate)
        told = an_event("account_deleted", subject=None)

        assert await store.delete_account("ada", counters=[gate.key], events=[told]) is True

        assert await store.account("ada") is None
        assert await store.credential("ada") is None
        assert [await store.identify(key) for key in ("ada", "ada@example.org")] == [None, None]
        assert [await store.find(a_digest(number)) for number in (1, 2)] == [None, None]
        assert await store.states_of(["ada"]) == {}
        assert await admit(store, [gate]) == 0
        assert (await store.events_of("ada", after=None, limit=9)).events == ()
        assert (await store.events_of(None, after=None, limit=9)).events == (
            told,
            EventRecord(NOW, "logged_out", None, None, None, None, None, {}),
            EventRecord(NOW, "signed_up", None, None, None, None, None, {}),
        )

    async def test_ses_07_a_log_in_that_read_the_account_before_gets_no_session_after(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await store.delete_account("ada", counters=(), events=())

        assert await start(store, a_session(1), credential_version=1) is Answer.REFUSED
        assert await store.find(a_digest(1)) is None

    async def test_acc_01_deleting_harms_nobody_else_and_frees_the_names(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=[an_event()])
        await store.create_account(an_account("bob", username="Bob"), a_password("bob"), events=())
        await started(store, 1)
        kept = await started(store, 2, subject="bob")
        await store.delete_account("ada", counters=(), events=())

        reopened = await store.create_account(an_account("eve"), a_password("eve"), events=())

        assert reopened is None
        assert await is_standing(store, kept.digest)
        found = await store.find(kept.digest)
        assert found is not None
        assert found.session.user_agent == "Browser/1.0"
        assert await store.account("bob") == an_account("bob", username="Bob")

    async def test_only_an_account_is_deleted_and_only_once(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await started(store, 1, subject="somebody")

        answers = [
            await store.delete_account(subject, counters=(), events=[an_event("deleted", subject=None)])
            for subject in ("somebody", "nobody", "", "\ud800", "ada", "ada")
        ]

        assert answers == [False, False, False, False, True, False]
        assert len((await store.events_of(None, after=None, limit=9)).events) == 1
        assert await is_standing(store, a_digest(1))

    async def test_dat_07_what_was_under_way_at_the_deletion_leaves_nothing(self, store: Store) -> None:
        await store.create_account(an_account(), a_password(), events=())
        await store.delete_account("ada", counters=(), events=())
        lock = a_lock(free=1)

        answers = [
            await store.settle([Settlement(lock, "failure", NOW)], account=name, events=[an_event(subject=name)])
            for name in ("ada", "nobody")
        ]

        assert answers == [Answer.GONE, Answer.GONE]
        assert (await store.events_of(None, after=None, limit=9)).events == ()
        assert await store.settle([Settlement(lock, "success", NOW)], account=None, events=()) is None
        assert await store.states_of(["ada", "nobody"]) == {}
