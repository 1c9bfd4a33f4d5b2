"""What the Redis store leaves in a database: names of keys, indexes, times to live, what a thief would find."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from coatcheck import Coatcheck
from coatcheck.core.sessions import LOGGED_OUT
from coatcheck.core.tokens import shelf_of
from coatcheck.stores.protocols import Cutoffs, Store
from coatcheck.stores.redis.keys import GRACE
from coatcheck.stores.redis.store import RedisStore
from coatcheck.testing.driving import Driver
from coatcheck.testing.lives.values import on_shelf_of
from coatcheck.testing.samples import (
    DAY,
    HOUR,
    NEVER,
    NOW,
    a_digest,
    a_gate,
    a_lock,
    a_password,
    a_rotation,
    a_session,
    an_account,
    an_event,
    fail,
    is_standing,
    purge_round,
    put,
    raise_epoch,
    start,
    started,
)
from coatcheck.testing.scene import the_hasher
from tests.stores.keyspace import client_of, disagreements, everything, of_kind, place_of

replace = msgspec.structs.replace
KEY = re.compile(rb"coatcheck:[a-z-]+(:\{(?:[0-3][0-9a-f]|attempts|log)\})?(:[0-9a-f]{64})?")
HOSTILE = "*\r\nFLUSHALL\r\n"
ODD = [HOSTILE, "a:b", "{a}", "ada'\"]] --\n\0", "KEYS[1]", "é\u202e"]


@pytest.fixture
def store(any_redis_url: str, driver: Driver) -> Iterator[RedisStore]:
    store = RedisStore(any_redis_url, driver.colour)
    yield store
    driver.run(store.close())


async def lived_in(store: Store, odd: str = "ada") -> None:
    """Leave one of everything, with one text wherever a text may go."""
    account = replace(an_account(odd, username=odd, email=f"{odd}@example.org"), created_at=NOW)
    await store.create_account(account, a_password(odd), events=[an_event(odd, subject=odd)])
    for number, subject in ((1, odd), (2, odd), (3, None), (4, None)):
        digest = on_shelf_of(a_digest(number), subject, store.shelf_bits)
        session = a_session(number, subject=subject, user_agent=odd)
        await start(
            store, replace(session, digest=digest, methods=odd, ip=odd), credential_version=1 if subject else None
        )
        await store.patch(digest, namespace=odd, puts={odd.replace("\0", ""): b"1"}, removes=(), limit=1000)
    await store.end(on_shelf_of(a_digest(2), odd, store.shelf_bits), at=NOW, reason=odd, events=[an_event()])
    await store.raise_everybody(at=NOW, reason=odd, events=[an_event(subject=None)])
    await start(store, replace(a_session(5, subject=odd), digest=on_shelf_of(a_digest(5), odd, store.shelf_bits)))
    await fail(store, a_gate(odd))


@pytest.mark.parametrize("odd", ["ada", *ODD])
def test_dat_04_keys_are_prefix_kind_and_digest_whatever_texts_say(
    any_redis_url: str, store: RedisStore, driver: Driver, odd: str
) -> None:
    with client_of(any_redis_url) as client:
        client.set("somebody else's", "stays")

    driver.run(lived_in(store, odd))

    keys = set(everything(any_redis_url)) - {b"somebody else's"}
    assert {key for key in keys if not KEY.fullmatch(key)} == set()
    assert {key.split(b":")[1] for key in keys} == {
        b"session", b"data", b"subject", b"live", b"ended", b"everybody", b"handles", b"subjects", b"name", b"accounts",
        b"counter", b"counters", b"event", b"event-of", b"event-count", b"version",
    }  # fmt: skip
    assert everything(any_redis_url)[b"somebody else's"] == b"stays"
    assert disagreements(any_redis_url) == []


def test_dat_04_no_text_is_in_a_script() -> None:
    """Scripts are files that are sent as they are, by their digest; what varies goes as an argument."""
    from coatcheck.stores.redis.scripts import script

    assert script("start") == script("start")
    assert "%s" not in script("start").text.replace("'%shandles", "")


def test_two_prefixes_in_one_database_are_two_stores(any_redis_url: str, driver: Driver) -> None:
    one, other = (RedisStore(f"{any_redis_url}?prefix={prefix}", driver.colour) for prefix in ("one", "other"))
    driver.run(lived_in(one))
    driver.run(started(other, 9))

    driver.run(one.raise_everybody(at=NOW, reason="revoked", events=()))
    driver.run(one.delete_account("ada", counters=(), events=()))

    assert driver.run(is_standing(other, a_digest(9)))
    assert driver.run(other.account("ada")) is None
    driver.run(one.close())
    driver.run(other.close())


def test_tok_06_what_a_session_needs_of_its_subject_lies_on_one_shelf(any_redis_url: str, store: RedisStore) -> None:
    with Coatcheck(any_redis_url) as desk:
        for subject in ("ada", "bob", "carol"):
            login = desk.start_session(subject, methods=("pwd",))
            with desk.edit(login.session) as data:
                data["a"] = 1

    tags = {}
    for kind in ("session", "data", "subject", "live"):
        tags[kind] = sorted(key.split(b":")[2] for key in of_kind(everything(any_redis_url), kind))

    shelves = sorted(b"{%02x}" % shelf_of(subject, store.shelf_bits) for subject in ("ada", "bob", "carol"))
    assert tags == dict.fromkeys(tags, shelves)


def test_tok_06_tokens_of_one_subject_share_nothing_though_their_digests_share_a_shelf(any_redis_url: str) -> None:
    with Coatcheck(any_redis_url) as desk:
        tokens = [desk.start_session("ada", methods=("pwd",)).token.reveal() for _ in range(100)]

    assert len(set(tokens)) == 100
    assert all(len({token[place] for token in tokens}) > 10 for place in range(42))


def test_tok_03_a_stolen_database_opens_no_session(any_redis_url: str) -> None:
    with Coatcheck(any_redis_url) as desk:
        desk.flows.parts.hasher = the_hasher()
        desk.sign_up(username="ada", password="a long enough passphrase")
        login = desk.log_in("ada", "a long enough passphrase", remember=True)
        token = login.token.reveal()

        stolen = repr(everything(any_redis_url)).encode()

        assert token.encode() not in stolen
        assert b"long enough passphrase" not in stolen
        sessions = of_kind(everything(any_redis_url), "session")
        digests = [key.rpartition(b":")[2].decode() for key in sessions]
        assert [desk.authenticate(digest) for digest in digests] == [desk.authenticate("x")]
        assert desk.authenticate(token)


# Indexes

Change = Callable[[Store], Any]
CHANGES: dict[str, Change] = {
    "end": lambda store: store.end(a_digest(1), at=NOW, reason=LOGGED_OUT, events=()),
    "end nobody's": lambda store: store.end(a_digest(3), at=NOW, reason=LOGGED_OUT, events=()),
    "end by id": lambda store: store.end_by_id(a_session(1).id, subject="ada", at=NOW, reason="revoked", events=()),
    "rotate": lambda store: store.rotate(a_rotation(a_session(1), 9), events=()),
    "rotate nobody's": lambda store: store.rotate(a_rotation(a_session(3), 9), events=()),
    "replace": lambda store: start(store, a_session(9), replaces=a_digest(3)),
    "replace one's own": lambda store: start(store, a_session(9), replaces=a_digest(1)),
    "evict": lambda store: start(store, a_session(9), most=1),
    "keep": lambda store: raise_epoch(store, keep=a_rotation(a_session(1), 9)),
    "keep in place": lambda store: raise_epoch(store, keep=a_rotation(a_session(1), 1)),
    "delete": lambda store: store.delete_account("ada", counters=[a_gate("one").key], events=()),
    "settle": lambda store: fail(store, a_gate("one", free=1)),
    "purge some": lambda store: purge_round(store, replace(NEVER, ended_before=NOW + 2), limit=1),
    "purge all": lambda store: purge_round(store, Cutoffs(NOW + 9 * DAY, NOW + 9 * DAY, NOW + 9 * DAY)),
}


async def some_sessions(store: Store) -> None:
    await store.create_account(an_account(), a_password(), events=())
    for number, subject in ((1, "ada"), (2, "ada"), (3, None), (4, "bob")):
        await started(store, number, subject=subject)
        await put(store, a_digest(number), a=b"1")
    await started(store, 5)
    await store.end(a_digest(5), at=NOW, reason=LOGGED_OUT, events=[an_event()])
    await fail(store, a_gate("one"))
    await fail(store, a_lock("two"))


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_leaves_indexes_that_agree_with_what_they_name(
    any_redis_url: str, store: RedisStore, driver: Driver, change: str
) -> None:
    driver.run(some_sessions(store))
    assert disagreements(any_redis_url) == []

    before = everything(any_redis_url)
    driver.run(CHANGES[change](store))

    assert everything(any_redis_url) != before
    assert disagreements(any_redis_url) == []


def test_all_that_is_past_leaves_no_key_behind(any_redis_url: str, store: RedisStore, driver: Driver) -> None:
    driver.run(some_sessions(store))
    driver.run(store.delete_account("ada", counters=(), events=()))

    driver.run(purge_round(store, Cutoffs(NOW + 9 * DAY, NOW + 9000 * DAY, NOW + 9 * DAY)))

    left = {key.split(b":")[1] for key in everything(any_redis_url)}
    assert left == {b"version", b"subject", b"subjects", b"event-count"}  # bob's state, and the events' numbers go on


@pytest.mark.parametrize("number", [1, 3, 5], ids=["live", "nobody's", "ended"])
def test_the_entries_of_a_session_whose_key_ran_out_go_with_the_next_purge(
    any_redis_url: str, store: RedisStore, driver: Driver, number: int
) -> None:
    driver.run(some_sessions(store))
    with client_of(any_redis_url) as client:
        client.delete(
            b"coatcheck:session:" + place_of(a_digest(number)), b"coatcheck:data:" + place_of(a_digest(number))
        )
    assert len(disagreements(any_redis_url)) in (1, 2)
    sessions = driver.run(store.scan_sessions(after=None, limit=99)).sessions
    assert len(sessions) == 4

    purged = driver.run(purge_round(store, NEVER))

    assert purged.sessions == 0
    assert disagreements(any_redis_url) == []
    assert len(driver.run(store.scan_sessions(after=None, limit=99)).sessions) == 4


def test_a_counter_whose_key_ran_out_leaves_the_index_with_the_next_purge(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    driver.run(some_sessions(store))
    with client_of(any_redis_url) as client:
        client.delete(b"coatcheck:counter:{attempts}:" + a_gate("one").key.hex().encode())

    purged = driver.run(purge_round(store, replace(NEVER, counters_before=NOW + 2 * DAY)))

    assert purged.counters == 0
    assert disagreements(any_redis_url) == []


# Times to live


def test_tmo_08_nothing_runs_out_before_its_life_and_a_week_are_over(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    """By the caller's clock, which need not be the server's: these sessions began in the year 2025, or in 1970."""
    driver.run(start(store, a_session(1, at=0, lifetime=30 * DAY)))
    driver.run(put(store, a_digest(1), a=b"1"))
    driver.run(start(store, a_session(2, lifetime=HOUR)))
    driver.run(fail(store, a_gate("one")))
    driver.run(fail(store, a_lock("two")))

    with client_of(any_redis_url) as client:
        left = {key: client.ttl(key) for key in everything(any_redis_url)}

    def seconds(kind: str) -> list[int]:
        return sorted(time for key, time in left.items() if key.split(b":")[1] == kind.encode())

    assert seconds("session") == pytest.approx([HOUR + GRACE, 30 * DAY + GRACE], abs=60)
    assert seconds("data") == pytest.approx([30 * DAY + GRACE], abs=60)
    assert seconds("live") == pytest.approx([30 * DAY + GRACE], abs=60)  # as the longest-lived of both
    assert seconds("counter") == pytest.approx([DAY + GRACE, 3650 * DAY + GRACE], abs=60)
    assert {time for key, time in left.items() if key.split(b":")[1] in (b"subject", b"everybody", b"version")} == {-1}


def test_tmo_08_a_longer_life_lengthens_the_time_to_live_of_all_its_keys(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    session = driver.run(started(store, 1))
    driver.run(put(store, a_digest(1), a=b"1"))

    driver.run(store.rotate(replace(a_rotation(session, 2), expires_at=NOW + 30 * DAY), events=()))
    driver.run(store.touch(a_digest(2), seen_at=NOW + 60))
    driver.run(put(store, a_digest(2), b=b"2"))

    with client_of(any_redis_url) as client:
        place = place_of(a_digest(2))
        kept = [client.ttl(key) for key in (b"coatcheck:session:" + place, b"coatcheck:data:" + place)]
        kept += [client.ttl(key) for key in of_kind(everything(any_redis_url), "live")]
    assert kept == pytest.approx([30 * DAY + GRACE] * 3, abs=60)


@pytest.mark.parametrize("at", [0, 2**31, 2**36, 2**62])
def test_no_instant_is_too_odd_for_a_time_to_live(store: RedisStore, driver: Driver, at: int) -> None:
    driver.run(start(store, replace(a_session(1), created_at=at, expires_at=2**62)))
    driver.run(start(store, replace(a_session(2), created_at=2**62, expires_at=at)))

    assert driver.run(is_standing(store, a_digest(1)))
    assert driver.run(is_standing(store, a_digest(2)))
    assert driver.run(store.touch(a_digest(1), seen_at=2**62 + 1))
    found = driver.run(store.find(a_digest(1)))
    assert found is not None
    assert (found.session.last_seen_at, found.session.expires_at) == (2**62 + 1, 2**62)
