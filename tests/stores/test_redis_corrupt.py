"""What cannot be read in a Redis store harms its owner only (ERR-05)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest

from coatcheck import (
    CorruptRecord,
    StoreError,
)
from coatcheck.core.throttle import Settlement
from coatcheck.stores.protocols import Answer, Cutoffs, Started
from coatcheck.stores.redis.store import RedisStore
from coatcheck.testing.driving import BlockingDriver, Driver
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_gate,
    a_password,
    a_rotation,
    a_session,
    admit,
    an_account,
    an_event,
    change_password,
    data_of,
    fail,
    is_standing,
    put,
    start,
    started,
)
from tests.stores.keyspace import client_of, everything, of_kind, place_of
from tests.stores.redis_calls import (
    FAR,
    READS,
    WRITES,
    lived_in,
    told,
)

replace = msgspec.structs.replace


@pytest.fixture
def store(any_redis_url: str, driver: Driver) -> Iterator[RedisStore]:
    store = RedisStore(any_redis_url, driver.colour)
    yield store
    driver.run(store.close())


# What cannot be read

GARBAGE = [b"", b"\xff\xfe", b"garbage", b"-", b"0 0", b"1 x y z"]
HALF = [b"0 2 3 4 - - 1 1 1\nabc", b"0 1 1 1 - - 999 999 999\nabc", b"0 2 3 4 - - 0 0 0\n", b"0 2 3 4 5 6 0 0 0\n"]


@pytest.mark.parametrize(
    ("kind", "garbage"),
    [
        *((kind, garbage) for kind in ("session", "subject", "everybody") for garbage in GARBAGE),
        *(("session", garbage) for garbage in HALF),
    ],
)
def test_err_05_what_cannot_be_read_harms_its_owner_only(
    any_redis_url: str, store: RedisStore, driver: Driver, kind: str, garbage: bytes
) -> None:
    driver.run(lived_in(store))
    dump = everything(any_redis_url)
    place = place_of(a_digest(1))
    with client_of(any_redis_url) as client:
        if kind == "session":
            client.set(b"coatcheck:session:" + place, garbage)
        elif kind == "everybody":
            client.set(b"coatcheck:everybody:" + place[:4], garbage)
        else:
            owner = next(key for key, fields in of_kind(dump, "subject").items() if b"account" in fields)
            client.hset(owner, "state", garbage)

    with pytest.raises(CorruptRecord):
        driver.run(store.find(a_digest(1)))
    for call in (
        store.touch(a_digest(1), seen_at=NOW + 60),
        put(store, a_digest(1), b=b"1"),
        store.increment(a_digest(1), namespace="app", key="n", by=1, limit=99),
        store.rotate(a_rotation(a_session(1), 9), events=()),
        change_password(store, keep=a_rotation(a_session(1), 9)),
    ):
        # What has the form of a record and the wrong content may have no owner to stand under.
        with suppress(CorruptRecord):
            assert driver.run(call) in (False, Answer.GONE) or garbage in HALF

    assert driver.run(is_standing(store, a_digest(4)))
    assert driver.run(is_standing(store, a_digest(3)))
    listed = [found.session.id for found in driver.run(store.scan_sessions(after=None, limit=99)).sessions]
    assert {a_session(3).id, a_session(4).id} <= set(listed)
    assert a_session(1).id not in listed
    driver.run(store.sessions_of("ada"))
    assert "bob" in driver.run(store.states_of(["ada", "bob"]))
    after: str | None = None
    while True:
        after = driver.run(store.purge(Cutoffs(0, 0, 0), after=after, limit=2)).next
        if after is None:
            break


KINDS = ["session", "data", "subject", "live", "ended", "everybody", "handles", "subjects", "name", "accounts",
         "counter", "counters", "event", "event-of", "event-count"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_err_05_a_key_of_another_type_is_a_corrupt_record_and_never_a_crash(
    any_redis_url: str, store: RedisStore, driver: Driver, kind: str
) -> None:
    driver.run(lived_in(store))
    driver.run(store.end(a_digest(2), at=NOW, reason="logged_out", events=()))
    with client_of(any_redis_url) as client:
        for key in of_kind(everything(any_redis_url), kind):
            client.delete(key)
            client.rpush(key, "not what it was")
    before = everything(any_redis_url)

    for name, call in (READS | WRITES).items():
        try:
            driver.run(call(store))
        except (CorruptRecord, StoreError) as error:
            assert type(error) is CorruptRecord, (name, error)  # noqa: PT017 - most of them raise nothing

    left = everything(any_redis_url)
    assert all(left.get(key, value) == value for key, value in of_kind(before, kind).items())  # deleted, at most


@pytest.mark.parametrize("kind", KINDS)
def test_err_05_a_change_that_meets_a_key_of_another_type_changes_nothing(any_redis_url: str, kind: str) -> None:
    """In one colour: what is looked at are the scripts."""
    driver = BlockingDriver()
    store = RedisStore(any_redis_url, driver.colour)
    for name, write in WRITES.items():
        driver.run(lived_in(store))
        with client_of(any_redis_url) as client:
            for key in of_kind(everything(any_redis_url), kind):
                client.delete(key)
                client.rpush(key, "not what it was")
        before = everything(any_redis_url)

        try:
            driver.run(write(store))
        except CorruptRecord:
            assert everything(any_redis_url) == before or name == "purge", name  # which goes on with the others
        told(any_redis_url, "FLUSHDB")
    driver.run(store.close())


ODD_FIELDS = [
    b"", b"garbage", b":app", b"4:app", b"99999999999999999999:app", b"-1:app", b"3:app\xff", b"1:\xc3\xa9",
    b"3:app\xc0\xaf", b"3:app\xed\xa0\x80", b"3:app\xe0\x80\xaf", b"3:app\xf4\x90\x80\x80", b"3:app\xe2\x82",
    b"3:app\x80",
]  # fmt: skip


@pytest.mark.parametrize("owner", [None, "ada"], ids=["a stranger's", "one's own"])
@pytest.mark.parametrize("odd", ODD_FIELDS)
def test_err_05_data_that_cannot_be_read_stay_behind_when_their_session_is_replaced(
    any_redis_url: str, store: RedisStore, driver: Driver, odd: bytes, owner: str | None
) -> None:
    """A log-in that has ended one session has begun another that can be read."""
    driver.run(started(store, 1, subject=owner))
    driver.run(put(store, a_digest(1), a=b"1", **{"\u00e9\u20ac\U0001f36a": b"2"}))
    with client_of(any_redis_url) as client:
        client.hset(b"coatcheck:data:" + place_of(a_digest(1)), odd, b"3")

    begun = driver.run(start(store, a_session(2), replaces=a_digest(1)))

    assert isinstance(begun, Started)
    found = driver.run(store.find(a_digest(2)))
    assert found is not None
    assert found.session.data == begun.session.data
    assert driver.run(data_of(store, a_digest(2))) == {"app": {"a": b"1", "\u00e9\u20ac\U0001f36a": b"2"}}


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff", b"1", b"1 2 3 4", b"-1 0 0 0 0", b"9999999999 0 0 0 0", b"a b c d e"]
)
def test_err_05_a_counter_that_cannot_be_read_harms_nobody_else(
    any_redis_url: str, store: RedisStore, driver: Driver, garbage: bytes
) -> None:
    driver.run(fail(store, a_gate("mine")))
    told(any_redis_url, "SET", f"coatcheck:counter:{{attempts}}:{a_gate('mine').key.hex()}", garbage)

    for call in (
        admit(store, [a_gate("mine"), a_gate("other")]),
        store.settle([Settlement(a_gate("mine"), "success", NOW)], account=None, events=()),
        start(store, a_session(1), settlements=[Settlement(a_gate("mine"), "success", NOW)]),
    ):
        with pytest.raises(CorruptRecord, match="counter"):
            driver.run(call)

    assert driver.run(admit(store, [a_gate("other")])) == 0
    assert driver.run(store.find(a_digest(1))) is None


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"\x91", b"\xc0", b"\x96\x01\xc0\xc0\xc0\xc0\x00", b"null"])
def test_err_05_an_account_that_cannot_be_read_harms_its_owner_only(
    any_redis_url: str, store: RedisStore, driver: Driver, garbage: bytes
) -> None:
    driver.run(store.create_account(an_account(), a_password(), events=()))
    driver.run(store.create_account(an_account("bob", username="Bob"), a_password("bob"), events=()))
    driver.run(started(store, 1))
    with client_of(any_redis_url) as client:
        owner = next(key for key, fields in of_kind(everything(any_redis_url), "subject").items() if b"state" in fields)
        client.hset(owner, "account", garbage)

    for call in (store.account("ada"), store.identify("ada"), store.find(a_digest(1))):
        with pytest.raises(CorruptRecord, match="account"):
            driver.run(call)

    page = driver.run(store.scan_accounts(after=None, limit=9))
    assert page.accounts == (an_account("bob", username="Bob"),)
    assert driver.run(store.scan_accounts(after=None, limit=1)).next == "ada"
    assert driver.run(store.sessions_of("ada")) == ()
    assert driver.run(store.identify("bob")) is not None


def test_err_05_events_that_cannot_be_read_are_left_out(any_redis_url: str, store: RedisStore, driver: Driver) -> None:
    driver.run(store.record([an_event("first"), an_event("second")]))
    with client_of(any_redis_url) as client:
        client.zadd("coatcheck:event:{log}", {b"3 \xff": 3, b"4 5 - 1:xgarbage": 4, b"": 5, b"6 NOW - 1:x": 6})
        client.set("coatcheck:event-count:{log}", 6)
    driver.run(store.record([an_event("last")]))

    page = driver.run(store.events_of(None, after=None, limit=99))
    assert [event.name for event in page.events] == ["last", "second", "first"]
    driver.run(store.purge(FAR, after="events:0", limit=99))
    assert len(driver.run(store.events_of(None, after=None, limit=99)).events) == 0


def test_err_05_session_data_that_cannot_be_read_harms_its_session_only(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    driver.run(lived_in(store))
    with client_of(any_redis_url) as client:
        client.hset(b"coatcheck:data:" + place_of(a_digest(1)), b"no length", b"1")

    for call in (store.find(a_digest(1)), put(store, a_digest(1), b=b"1")):
        with pytest.raises(CorruptRecord):
            driver.run(call)
    assert a_session(2).id in {found.session.id for found in driver.run(store.sessions_of("ada"))}


def test_err_05_of_data_that_was_nobodys_what_cannot_be_read_does_not_cross_a_log_in(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    driver.run(lived_in(store))
    with client_of(any_redis_url) as client:
        client.hset(b"coatcheck:data:" + place_of(a_digest(3)), b"no length", b"1")

    outcome = driver.run(start(store, a_session(9), replaces=a_digest(3)))

    assert isinstance(outcome, Started)
    assert driver.run(data_of(store, a_digest(9))) == {"app": {"a": b"1"}}


@pytest.mark.parametrize("how", ["garbage", "another type"])
def test_err_05_one_session_that_cannot_be_read_keeps_nobody_from_logging_in(
    any_redis_url: str, store: RedisStore, driver: Driver, how: str
) -> None:
    driver.run(lived_in(store))
    key = b"coatcheck:session:" + place_of(a_digest(1))
    told(any_redis_url, "DEL", key)
    told(any_redis_url, *(("SET", key, "garbage") if how == "garbage" else ("LPUSH", key, "garbage")))

    outcome = driver.run(start(store, a_session(9), most=1))

    assert isinstance(outcome, Started)
    assert outcome.evicted == (a_session(2).id,)


def test_dat_01_what_somebody_pickled_is_never_loaded(any_redis_url: str, store: RedisStore, driver: Driver) -> None:
    driver.run(started(store, 1))
    told(any_redis_url, "SET", b"coatcheck:session:" + place_of(a_digest(1)), b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.")

    with pytest.raises(CorruptRecord):
        driver.run(store.find(a_digest(1)))
