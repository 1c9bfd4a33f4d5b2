"""What only the PostgreSQL store promises: round trips, cheap touches, batches of purging, texts and damaged rows."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from coatcheck.core.sessions import Rotation
from coatcheck.core.throttle import Settlement
from coatcheck.errors import CorruptRecord, StoreUnavailable
from coatcheck.stores.postgres import statements, texts
from coatcheck.stores.postgres import store as store_module
from coatcheck.stores.postgres.exchange import numbered
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.stores.protocols import Cutoffs
from coatcheck.testing.driving import Driver
from coatcheck.testing.patience import eventually, stores_waiting
from coatcheck.testing.samples import (
    HOUR,
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
    change_password,
    purge_round,
    put,
    raise_epoch,
    start,
    started,
)
from coatcheck.testing.servers import PostgresServer
from tests.engines.relay import Relay

replace = msgspec.structs.replace


@pytest.fixture
def postgres_url(stocked_postgres_url: str) -> str:
    """How a store makes its tables is asked in `test_postgres_schema.py`."""
    return stocked_postgres_url


@pytest.fixture
def store(postgres_url: str, driver: Driver) -> Iterator[PostgresStore]:
    store = PostgresStore(postgres_url, driver.colour)
    yield store
    driver.run(store.close())


def execute(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


# Round trips

Call = Callable[[PostgresStore, int], Awaitable[object]]
GATE = a_gate()
FAILED = [Settlement(GATE, "failure", NOW)]


def turned(number: int) -> Rotation:
    """Give the session of that number the digest of the next."""
    return a_rotation(replace(a_session(1), digest=a_digest(number)), number + 1)


async def sign_up(store: PostgresStore, name: str) -> None:
    assert await store.create_account(an_account(name, username=name), a_password(name), events=[an_event()]) is None


ROUND_TRIPS: dict[str, tuple[int, Call]] = {
    "find": (1, lambda s, n: s.find(a_digest(1))),
    "find, nothing there": (1, lambda s, n: s.find(a_digest(99))),
    "find_by_id": (1, lambda s, n: s.find_by_id(a_handle(1))),
    "sessions_of": (1, lambda s, n: s.sessions_of("ada")),
    "scan_sessions": (1, lambda s, n: s.scan_sessions(after=None, limit=9)),
    "any_live": (1, lambda s, n: s.any_live(at=NOW)),
    "extent": (1, lambda s, n: s.extent()),
    "states_of": (1, lambda s, n: s.states_of(["ada", "bob"])),
    "identify": (1, lambda s, n: s.identify("ada")),
    "account": (1, lambda s, n: s.account("ada")),
    "credential": (1, lambda s, n: s.credential("ada")),
    "scan_accounts": (1, lambda s, n: s.scan_accounts(after=None, limit=9)),
    "events_of": (1, lambda s, n: s.events_of("ada", after=None, limit=9)),
    "ready": (1, lambda s, n: s.ready()),
    "touch": (1, lambda s, n: s.touch(a_digest(1), seen_at=NOW + 60)),
    "rotate": (1, lambda s, n: s.rotate(turned(n), events=[an_event()])),
    "end": (1, lambda s, n: s.end(a_digest(1), at=NOW, reason="r", events=[an_event()])),
    "end_by_id": (1, lambda s, n: s.end_by_id(a_handle(1), subject="ada", at=NOW, reason="r", events=[an_event()])),
    "raise_epoch": (1, lambda s, n: raise_epoch(s, events=[an_event()])),
    "raise_everybody": (1, lambda s, n: s.raise_everybody(at=NOW, reason="r", events=[an_event()])),
    "enable": (1, lambda s, n: s.enable("ada", events=[an_event()])),
    "replace_password": (1, lambda s, n: s.replace_password(a_password(version=n + 1), was=n)),
    "rehash": (1, lambda s, n: s.rehash("ada", was="$hash$1", new="$hash$other")),
    "record": (1, lambda s, n: s.record([an_event(), an_event()])),
    "purge": (1, lambda s, n: s.purge(Cutoffs(NOW, NOW, NOW), after=None, limit=100)),
    "create_account": (1, lambda s, n: sign_up(s, f"b{n}")),
    "patch": (2, lambda s, n: put(s, a_digest(1), key=b"1")),
    "patch, gone": (2, lambda s, n: put(s, a_digest(99), key=b"1")),
    "increment": (2, lambda s, n: s.increment(a_digest(1), namespace="app", key="n", by=1, limit=99)),
    "raise_epoch, one kept": (2, lambda s, n: raise_epoch(s, keep=turned(n), events=[an_event()])),
    "change_password": (2, lambda s, n: change_password(s, keep=turned(n), version=n + 1)),
    "delete_account": (2, lambda s, n: s.delete_account("ada", counters=[GATE.key], events=[an_event()])),
    "admit": (2, lambda s, n: admit(s, [GATE, a_gate("another")], subject="ada")),
    "settle": (2, lambda s, n: s.settle(FAILED, account="ada", events=[an_event()])),
    "start": (
        2,
        lambda s, n: start(
            s, a_session(9 + n), replaces=a_digest(8 + n), credential_version=1, settlements=FAILED,
            events=[an_event()], most=1, eviction=an_event(),
        ),
    ),
    "start, anonymous": (2, lambda s, n: start(s, a_session(9 + n, subject=None))),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_g1_each_method_is_one_round_trip_or_one_transaction_of_two(
    postgres_url: str, driver: Driver, name: str
) -> None:
    most, call = ROUND_TRIPS[name]
    with Relay(postgres_url) as relay:
        # Of one connection, whose statements the first call prepares.
        store = PostgresStore(f"{relay.url}?connections=1", driver.colour)
        driver.run(store.create_account(an_account(), a_password(), events=()))
        driver.run(started(store, 1))
        driver.run(call(store, 1))  # type: ignore[arg-type]
        with relay.counted() as counts:
            driver.run(call(store, 2))  # type: ignore[arg-type]
        driver.run(store.close())

    assert counts == [most]


# Cheap touches


def test_a_touch_moves_no_row_and_touches_no_index(store: PostgresStore, driver: Driver, postgres_url: str) -> None:
    """A "heap-only" update: the new version of the row lies on the page of the old one, found by the old entries."""
    for number in range(60):
        driver.run(started(store, number, subject="ada" if number % 2 else None))
    for seen in range(1, 6):
        for number in range(60):
            assert driver.run(store.touch(a_digest(number), seen_at=NOW + seen * 60))
    driver.run(store.close())  # the server counts when a connection ends
    eventually(lambda: updates(postgres_url, "sessions")[0] == 300, "the server does not count")

    changed, in_place = updates(postgres_url, "sessions")
    assert changed == 300
    assert in_place >= 295  # pages filled to the brim by insertions before this table's vacuum make the rest


def test_a_log_in_changes_its_subject_in_place(store: PostgresStore, driver: Driver, postgres_url: str) -> None:
    for number in range(50):
        driver.run(started(store, number))
    driver.run(store.close())
    eventually(lambda: updates(postgres_url, "subjects")[0] == 49, "the server does not count")

    changed, in_place = updates(postgres_url, "subjects")
    assert changed == in_place


def updates(url: str, table: str) -> tuple[int, int]:
    found = execute(
        url,
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'coatcheck' AND relname = %s",
        table,
    )
    return found[0][0], found[0][1]


# Plans

NO_QUESTION = {"ANY_LIVE", "READY", "SELECT_EVENT"}  # for operators; ends at once; a beginning
STATEMENTS = {
    name: sql
    for name, sql in vars(statements).items()
    if isinstance(sql, str) and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", sql)
}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - NO_QUESTION))
def test_no_statement_reads_a_whole_table_though_it_was_planned_when_there_was_nothing_in_it(
    stocked_postgres_url: str, name: str
) -> None:
    """A connection keeps its plans: those of a store that has just begun are used until the server looks again."""
    query = numbered(statements.within("coatcheck", STATEMENTS[name]))[0].decode()

    plan = "\n".join(line for (line,) in execute(stocked_postgres_url, f"EXPLAIN (GENERIC_PLAN) {query}"))

    assert [table for table in re.findall(r"Seq Scan on (\w+)", plan) if table != "everybody"] == []


# Much of it


def test_its_extent_is_the_planners_estimate_where_there_is_much(
    store: PostgresStore, driver: Driver, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        driver.run(started(store, number, subject="ada"))
    execute(postgres_url, "ANALYZE coatcheck.sessions")
    execute(postgres_url, "DELETE FROM coatcheck.sessions WHERE id = %s", a_handle(1))

    exact = driver.run(store.extent())
    monkeypatch.setattr(store_module, "COUNTED", 20)
    guessed = driver.run(store.extent())

    assert (exact.sessions, guessed.sessions) == (29, 30)
    assert guessed.subjects == exact.subjects == 1


# Purging


def test_purging_waits_for_nobody_and_comes_back_for_what_others_held(
    store: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    for number in range(9):
        driver.run(started(store, number, subject=None))
    held = sorted(a_digest(number) for number in range(9))[4]
    cutoffs = Cutoffs(ended_before=NOW + 99 * HOUR, counters_before=0, events_before=0)
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM coatcheck.sessions WHERE digest = %s FOR UPDATE", (held,))

        first = driver.run(store.purge(cutoffs, after=None, limit=100))

        assert first.sessions == 8
        assert first.next == f"sessions={held.hex()}"
    rest = driver.run(store.purge(cutoffs, after=first.next, limit=100))
    assert rest.sessions == 1
    assert execute(postgres_url, "SELECT count(*) FROM coatcheck.sessions") == [(0,)]


def test_two_purges_at_once_share_the_work(store: PostgresStore, driver: Driver, postgres_url: str) -> None:
    for number in range(60):
        driver.run(started(store, number, subject=None))
    cutoffs = Cutoffs(ended_before=NOW + 99 * HOUR, counters_before=0, events_before=0)

    rounds = driver.crowd([purge_round(store, cutoffs, limit=7) for _ in range(4)])

    assert sum(done.sessions for done in rounds) == 60  # type: ignore[union-attr]
    assert execute(postgres_url, "SELECT count(*) FROM coatcheck.sessions") == [(0,)]


# Durability


@pytest.fixture
def unsafe_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def test_g2_only_touch_admit_and_settle_go_on_when_the_log_cannot_be_made_safe(
    unsafe_server: PostgresServer, driver: Driver
) -> None:
    """With a replica that never confirms, whoever asks for durability waits; a server's default is not believed."""
    url = unsafe_server.fresh()
    store = PostgresStore(f"{url}?connections=1", driver.colour)
    driver.run(started(store, 1))
    driver.run(store.close())
    database = url.rpartition("/")[2]
    execute(url, f'ALTER DATABASE "{database}" SET synchronous_commit = off')
    execute(url, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    execute(url, "SELECT pg_reload_conf()")
    eventually(lambda: execute(url, "SHOW synchronous_standby_names") == [("nobody",)], "the server has not read it")

    assert driver.run(store.touch(a_digest(1), seen_at=NOW + 60))
    assert driver.run(admit(store, [GATE])) == 0
    assert driver.run(store.settle(FAILED, account=None, events=[an_event()])) is None
    for durable in (put(store, a_digest(1), key=b"1"), store.record([an_event()])):
        with stores_waiting(0.5), pytest.raises(StoreUnavailable):
            driver.run(durable)
    driver.run(store.close())


# Texts and damaged rows


@pytest.mark.parametrize("text", ["", "\0", "\1", "\1\1", "\0\1\2", "a\0", "a\1b", "\1\2", "plain", "\ud7ff\U0010ffff"])
def test_g6_every_text_comes_back_as_it_went_in(text: str) -> None:
    assert texts.given(texts.kept(text)) == text
    assert "\0" not in texts.kept(text)


def test_g6_texts_keep_their_order_and_their_difference() -> None:
    alphabet = ["", "\0", "\1", "\2", "a"]
    words = sorted({a + b + c for a in alphabet for b in alphabet for c in alphabet})

    written = [texts.kept(word) for word in words]

    assert sorted(set(written)) == written


def test_g6_texts_with_nul_go_through_the_database(store: PostgresStore, driver: Driver) -> None:
    odd = replace(a_session(1, subject="a\0b\1c"), methods="\1", user_agent="\0", ip="\1\2")

    driver.run(start(store, odd, events=[an_event("e\0", subject="a\0b\1c")]))

    found = driver.run(store.find(odd.digest))
    assert found is not None
    assert found.session == odd
    assert driver.run(store.states_of(["a\0b\1c"])).keys() == {"a\0b\1c"}
    assert driver.run(store.events_of("a\0b\1c", after=None, limit=9)).events[0].name == "e\0"


@pytest.mark.parametrize("odd", ["\ud800", "a\udfff"])
def test_dat_03_what_is_no_text_names_nothing(store: PostgresStore, driver: Driver, odd: str) -> None:
    driver.run(started(store, 1))

    assert driver.run(store.identify(odd)) is None
    assert driver.run(store.account(odd)) is None
    assert driver.run(store.sessions_of(odd)) == ()
    assert driver.run(store.enable(odd, events=())) is False
    assert driver.run(store.delete_account(odd, counters=(), events=())) is False
    assert driver.run(store.end_by_id(odd, subject="ada", at=NOW, reason="r", events=())) is False


@pytest.fixture
def two(store: PostgresStore, driver: Driver) -> PostgresStore:
    """Ada and bob, each with an account and a session."""
    for number, name in ((1, "ada"), (2, "bob")):
        driver.run(store.create_account(an_account(name, username=name), a_password(name), events=[an_event(name)]))
        driver.run(started(store, number, subject=name))
    return store


def test_err_05_a_session_whose_subject_has_no_state_is_never_anonymous(
    two: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    execute(postgres_url, "UPDATE coatcheck.subjects SET epoch = NULL WHERE subject = 'ada'")

    with pytest.raises(CorruptRecord, match=a_handle(1)):
        driver.run(two.find(a_digest(1)))
    assert driver.run(two.find(a_digest(2))) is not None
    assert [found.session.id for found in driver.run(two.scan_sessions(after=None, limit=9)).sessions] == [a_handle(2)]


def test_err_05_damaged_data_is_refused_by_name_and_harms_no_other(
    two: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    execute(postgres_url, "UPDATE coatcheck.sessions SET data = 'no JSON' WHERE id = %s", a_handle(1))

    for call in (
        put(two, a_digest(1), key=b"1"),
        two.increment(a_digest(1), namespace="app", key="n", by=1, limit=99),
    ):
        with pytest.raises(CorruptRecord, match=a_handle(1)):
            driver.run(call)
    assert driver.run(put(two, a_digest(2), key=b"1")) is None


def test_err_05_damaged_details_leave_their_event_out(two: PostgresStore, driver: Driver, postgres_url: str) -> None:
    execute(postgres_url, "UPDATE coatcheck.events SET details = '[' WHERE name = 'ada'")

    page = driver.run(two.events_of(None, after=None, limit=9))

    assert [event.name for event in page.events] == ["bob"]


def test_err_05_a_counter_beyond_all_counting_is_refused(two: PostgresStore, driver: Driver, postgres_url: str) -> None:
    driver.run(admit(two, [GATE]))
    execute(postgres_url, "UPDATE coatcheck.counters SET failures = 2 ^ 40")

    with pytest.raises(CorruptRecord, match="counter"):
        driver.run(admit(two, [GATE]))
    assert driver.run(admit(two, [a_gate("another")])) == 0


def test_err_05_without_everybodys_row_nobody_is_let_in(two: PostgresStore, driver: Driver, postgres_url: str) -> None:
    execute(postgres_url, "DELETE FROM coatcheck.everybody")

    with pytest.raises(CorruptRecord, match="everybody"):
        driver.run(two.find(a_digest(1)))
    for subject in ("ada", None):
        with pytest.raises(CorruptRecord, match="everybody"):
            driver.run(start(two, a_session(9, subject=subject)))


# One winner, no circles


def test_starts_that_replace_each_others_sessions_all_end(store: PostgresStore, driver: Driver) -> None:
    """Two browsers swap accounts while both are full: the server finds the circle and one of them begins again."""
    for number, name in ((1, "ada"), (2, "bob")):
        driver.run(started(store, number, subject=name))
    flows = [
        start(store, a_session(10 * turn + number, subject=name), replaces=a_digest(3 - number), most=1)
        for turn in range(1, 11)
        for number, name in ((1, "ada"), (2, "bob"))
    ]

    outcomes = driver.crowd(flows)

    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    for name in ("ada", "bob"):
        assert len(driver.run(store.sessions_of(name))) == 1


def test_a_database_whose_transactions_are_stricter_by_default_refuses_nobody(
    store: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    """Elsewhere who comes second at the same row is told to begin again; here the row is looked at again."""
    name = postgres_url.rpartition("/")[2]
    execute(postgres_url, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    driver.run(started(store, 1))

    outcomes = driver.crowd(
        [
            *(store.increment(a_digest(1), namespace="app", key="n", by=1, limit=99) for _ in range(20)),
            *(store.touch(a_digest(1), seen_at=NOW + number) for number in range(20)),
            *(raise_epoch(store, "bob") for _ in range(20)),
        ]
    )

    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert driver.run(store.states_of(["bob"]))["bob"].epoch == 20


def test_a_password_change_and_a_deletion_at_once_leave_nothing_half_done(
    store: PostgresStore, driver: Driver, postgres_url: str
) -> None:
    driver.run(store.create_account(an_account(), a_password(), events=()))
    session = driver.run(started(store, 1))

    outcomes = driver.crowd(
        [
            change_password(store, keep=a_rotation(session, 2)),
            store.delete_account("ada", counters=(), events=()),
            store.settle(FAILED, account="ada", events=[an_event()]),
            start(store, a_session(3), credential_version=1),
        ]
    )

    assert outcomes[1] is True
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert driver.run(store.account("ada")) is None
    assert execute(postgres_url, "SELECT count(*) FROM coatcheck.sessions") == [(0,)]
