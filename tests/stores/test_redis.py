"""The Redis store: one round trip for each method, versions of what is kept, exact numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from coatcheck import (
    SchemaMismatch,
)
from coatcheck.core.records import AccountRecord
from coatcheck.stores.protocols import Answer, Started
from coatcheck.stores.redis.store import RedisStore
from coatcheck.testing.driving import Driver
from coatcheck.testing.samples import (
    a_digest,
    a_password,
    a_session,
    an_account,
    is_standing,
    put,
    start,
    started,
)
from tests.stores.keyspace import client_of, disagreements, everything
from tests.stores.redis_calls import (
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


# One round trip


@contextmanager
def watched(url: str) -> Iterator[list[str]]:
    """Collect what clients of a server send meanwhile, leaving out what scripts do."""
    sent: list[str] = []
    mark = "that was all"
    with client_of(url) as client, client_of(url) as other, client.monitor() as monitor:
        other.ping()
        yield sent
        other.execute_command("ECHO", mark)
        for entry in monitor.listen():
            if mark in entry["command"]:
                return
            if entry["client_type"] != "lua" and "PING" not in sent:
                sent.append(entry["command"].split(" ", 1)[0])
            if sent[-1:] == ["PING"]:
                sent.clear()  # the other client has introduced itself


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_every_method_is_one_round_trip(any_redis_url: str, store: RedisStore, driver: Driver, call: str) -> None:
    driver.run(lived_in(store))
    driver.run((READS | WRITES)[call](store))  # the server knows the script then
    with client_of(any_redis_url) as client:
        client.flushdb()
        client.set("coatcheck:version", 1)
    driver.run(lived_in(store))

    with watched(any_redis_url) as sent:
        driver.run((READS | WRITES)[call](store))

    assert len(sent) == 1
    assert sent[0] in {"EVALSHA", "HGET", "HMGET", "EXISTS", "ZREVRANGEBYSCORE"}


@pytest.mark.parametrize("cursor", ["", "x", "zz.id", "3f", "40.id", "-1.id", "9" * 30, "\ud800"])
def test_a_cursor_that_no_page_of_sessions_gave_leads_to_an_empty_page(
    store: RedisStore, driver: Driver, cursor: str
) -> None:
    driver.run(lived_in(store))

    page = driver.run(store.scan_sessions(after=cursor, limit=9))

    assert (page.sessions, page.next) == ((), None)


@pytest.mark.parametrize("last", ["", "\ud800", "\x00", "z" * 10_000])
def test_a_cursor_may_name_an_id_that_is_gone_or_never_was(store: RedisStore, driver: Driver, last: str) -> None:
    driver.run(lived_in(store))

    pages = [driver.run(store.scan_sessions(after=f"{shard:02x}.{last}", limit=9)) for shard in (0, 63)]

    assert len(pages[0].sessions) <= 4
    assert pages[1].next is None


def test_a_script_that_the_server_has_forgotten_is_sent_again(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    driver.run(lived_in(store))
    for call in (READS | WRITES).values():
        told(any_redis_url, "SCRIPT", "FLUSH")
        driver.run(call(store))

    assert disagreements(any_redis_url) == []


# Versions


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("999", "has schema version 999, newer than the 1 this Coatcheck knows; run the newer Coatcheck"),
        ("0", "another program has keys that begin with coatcheck:"),
        ("one", "another program has keys that begin with coatcheck:"),
        ("", "another program has keys that begin with coatcheck:"),
    ],
)
def test_dat_08_an_unknown_version_is_refused_and_nothing_written(
    any_redis_url: str, store: RedisStore, driver: Driver, version: str, words: str
) -> None:
    told(any_redis_url, "SET", "coatcheck:version", version)

    with pytest.raises(SchemaMismatch) as caught:
        driver.run(started(store, 1))

    assert words in str(caught.value)
    assert everything(any_redis_url) == {b"coatcheck:version": version.encode()}


def test_dat_08_a_version_of_another_type_is_another_programs(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    told(any_redis_url, "LPUSH", "coatcheck:version", "1")

    with pytest.raises(SchemaMismatch, match="another program"):
        driver.run(store.ready())


def test_dat_08_another_programs_keys_under_our_prefix_are_refused(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    told(any_redis_url, "SET", "coatcheck:cache:17", "theirs")

    with pytest.raises(SchemaMismatch, match=r"name a prefix or database of Coatcheck's own \(\?prefix=\.\.\.\)"):
        driver.run(started(store, 1))

    assert everything(any_redis_url) == {b"coatcheck:cache:17": b"theirs"}


def test_keys_beside_our_prefix_are_nobodys_business(any_redis_url: str, store: RedisStore, driver: Driver) -> None:
    told(any_redis_url, "SET", "coatcheckers:session", "theirs")
    told(any_redis_url, "SET", "celery", "theirs")

    driver.run(started(store, 1))

    assert everything(any_redis_url)[b"coatcheckers:session"] == b"theirs"


def test_a_database_that_was_emptied_under_a_running_process_is_ours_again(
    any_redis_url: str, store: RedisStore, driver: Driver
) -> None:
    driver.run(started(store, 1))
    told(any_redis_url, "FLUSHDB")

    assert driver.run(store.find(a_digest(1))) is None
    driver.run(started(store, 2))  # through the connection that was there before

    driver.run(store.close())
    assert driver.run(is_standing(store, a_digest(2)))
    assert everything(any_redis_url)[b"coatcheck:version"] == b"1"


def test_the_version_can_be_read_of_any_store(any_redis_url: str, store: RedisStore, driver: Driver) -> None:
    versions = [driver.run(store.schema_version())]
    driver.run(store.ready())
    versions.append(driver.run(store.schema_version()))
    told(any_redis_url, "SET", "coatcheck:version", "7")
    versions.append(driver.run(store.schema_version()))

    assert versions == [0, 1, 7]


# Exact numbers


def test_a_counter_in_session_data_is_exact_to_64_bits(store: RedisStore, driver: Driver) -> None:
    driver.run(started(store, 1))

    def count(by: int) -> int | Answer:
        return driver.run(store.increment(a_digest(1), namespace="app", key="n", by=by, limit=999))

    largest = 2**63 - 1
    assert [count(2**53), count(1), count(-(2**53)), count(largest - 1), count(1), count(-largest)] == [
        2**53, 2**53 + 1, 1, largest, Answer.NOT_AN_INTEGER, 0,
    ]  # fmt: skip
    assert [count(-largest), count(-1), count(2**63), count(largest)] == [
        -largest, Answer.NOT_AN_INTEGER, Answer.NOT_AN_INTEGER, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "sum_"),
    [(b"-0", 1), (b"10", 11), (b"0", 1), (b"1e2", Answer.NOT_AN_INTEGER), (b"1.0", Answer.NOT_AN_INTEGER)],
)
def test_a_counter_may_have_been_written_in_any_way_json_has(
    store: RedisStore, driver: Driver, value: bytes, sum_: int | Answer
) -> None:
    driver.run(started(store, 1))
    driver.run(put(store, a_digest(1), n=value))

    assert driver.run(store.increment(a_digest(1), namespace="app", key="n", by=1, limit=999)) == sum_


def test_versions_of_passwords_beyond_what_a_double_holds_are_told_apart(store: RedisStore, driver: Driver) -> None:
    driver.run(store.create_account(an_account(), a_password(), events=()))
    driver.run(start(store, a_session(1), credential_version=2**62))

    assert driver.run(start(store, a_session(2), credential_version=2**62 - 1)) is Answer.REFUSED
    assert isinstance(driver.run(start(store, a_session(3), credential_version=2**62 + 1)), Started)
    assert driver.run(is_standing(store, a_digest(1))) is False


def test_the_account_of_a_session_is_as_it_went_in(store: RedisStore, driver: Driver) -> None:
    account = AccountRecord("ada", "\x00Ada\u202e", "\x00ada", "Ü@example.org", "ü@example.org", 2**40)
    driver.run(store.create_account(account, a_password(), events=()))
    driver.run(started(store, 1))

    found = driver.run(store.find(a_digest(1)))

    assert found is not None
    assert found.account == account
