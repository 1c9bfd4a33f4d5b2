"""What a connection of the PostgreSQL store says and hears: marks, names of statements, batches and their errors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from time import monotonic
from typing import Any

import psycopg
import pytest

from coatcheck.stores.postgres.address import address_of
from coatcheck.stores.postgres.driver import AsyncLink, BlockingLink, Link
from coatcheck.stores.postgres.exchange import numbered
from coatcheck.testing.driving import BlockingDriver, Driver
from tests.faults.wire import Wire

NAMES = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s"


@pytest.fixture
def link(driver: Driver, postgres_url: str) -> Iterator[Link]:
    link = opened(driver, postgres_url)
    yield link
    link.drop()


def opened(driver: Driver, url: str) -> Link:
    """Connect, with statements kept by name."""
    kind = BlockingLink if isinstance(driver, BlockingDriver) else AsyncLink
    link: Link = driver.run(kind.open(address_of(url), monotonic() + 60))
    link.until(monotonic() + 60)
    link.prepare(named=True)
    return link


# Marks


@pytest.mark.parametrize(
    ("sql", "text", "names"),
    [
        ("SELECT 1", b"SELECT 1", ()),
        ("SELECT %s, %s::text[]", b"SELECT $1, $2::text[]", None),
        ("SELECT %(b)s, %(a)s, %(b)s", b"SELECT $1, $2, $1", ("b", "a")),
        ("SELECT %(limit)s - 1", b"SELECT $1 - 1", ("limit",)),
    ],
)
def test_marks_become_numbers(sql: str, text: bytes, names: tuple[str, ...] | None) -> None:
    assert numbered(sql) == (text, names)


def test_values_go_out_and_come_back_as_they_are(driver: Driver, link: Link) -> None:
    values = {
        "text": "Ünï\u202e'%s",
        "number": 2**62,
        "bytes": b"\0\xff",
        "none": None,
        "yes": True,
        "list": ["a", "b"],
    }
    casts = {"text": "text", "number": "bigint", "bytes": "bytea", "none": "bigint", "yes": "boolean", "list": "text[]"}
    sql = "SELECT " + ", ".join(f"%({name})s::{cast}" for name, cast in casts.items())

    for named in (True, False):
        link.prepare(named=named)
        assert driver.run(link.rows(sql, values)) == [tuple(values.values())]
        assert driver.run(link.batch([(sql, values), (sql, values)])) == [[tuple(values.values())]] * 2


def test_parameters_that_a_statement_has_no_mark_for_are_left_out(driver: Driver, link: Link) -> None:
    values = {"here": 1, "elsewhere": 2}

    said = [("SELECT %(here)s::bigint", values), ("SELECT 'none'", values)]
    assert driver.run(link.batch(said)) == [[(1,)], [("none",)]]


# Names


def test_a_statement_is_kept_by_name_once_however_often_it_is_said(driver: Driver, link: Link) -> None:
    for number in range(3):
        assert driver.run(link.rows("SELECT 'kept', %s::bigint", (number,))) == [("kept", number)]
        assert driver.run(link.batch([("SELECT 'kept', %s::bigint", (number,))])) == [[("kept", number)]]

    assert driver.run(link.rows(NAMES, ("SELECT 'kept'%",))) == [(1,)]


def test_without_names_nothing_is_kept_at_the_server(driver: Driver, link: Link) -> None:
    link.prepare(named=False)

    driver.run(link.rows("SELECT 'kept', %s::bigint", (1,)))
    driver.run(link.batch([("SELECT 'kept', %s::bigint", (1,)), ("SELECT 1", ())]))

    assert driver.run(link.rows(NAMES, ("SELECT 'kept'%",))) == [(0,)]


@pytest.mark.parametrize("say", ["rows", "batch"])
def test_a_statement_that_could_not_be_understood_is_understood_later(driver: Driver, link: Link, say: str) -> None:
    def ask() -> Coroutine[Any, Any, Any]:
        return link.rows("SELECT x FROM late", ()) if say == "rows" else link.batch([("SELECT x FROM late", ())])

    with pytest.raises(psycopg.errors.UndefinedTable):
        driver.run(ask())
    driver.run(link.rows("CREATE TABLE late (x text)", ()))

    assert driver.run(ask()) in ([], [[]])
    assert link.is_idle()


# Batches


def test_a_batch_gives_the_rows_of_each_statement(driver: Driver, link: Link) -> None:
    said = [("SELECT 1 UNION SELECT 2 ORDER BY 1", ()), ("SET search_path = public", ()), ("SELECT %s::text", ("a",))]

    assert driver.run(link.batch(said)) == [[(1,), (2,)], [], [("a",)]]


def test_a_batch_is_one_exchange_however_many_statements_are_in_it(driver: Driver, postgres_url: str) -> None:
    with Wire(int(postgres_url.rpartition(":")[2].partition("/")[0])) as wire:
        link = opened(driver, wire.instead_of(postgres_url))
        said = [("SELECT %s::bigint", (number,)) for number in range(30)]
        driver.run(link.batch(said))
        before = wire.exchanges

        assert driver.run(link.batch(said)) == [[(number,)] for number in range(30)]

        assert wire.exchanges - before == 1
        link.drop()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_first_error_of_a_batch_is_the_one_that_is_raised_and_nothing_of_it_is_done(
    driver: Driver, link: Link, place: int
) -> None:
    driver.run(link.rows("CREATE TABLE things (x bigint)", ()))
    said: list[tuple[str, tuple[object, ...]]] = [("INSERT INTO things VALUES (%s)", (1,))] * 3
    said[place] = ("SELECT 1 / %s::bigint", (0,))
    said.append(("SELECT nonsense", ()))

    for _ in range(2):  # known by name or not
        with pytest.raises(psycopg.errors.DivisionByZero):
            driver.run(link.batch(said))

    assert link.is_idle()
    assert driver.run(link.rows("SELECT count(*) FROM things", ())) == [(0,)]


def test_what_cannot_be_written_as_a_parameter_leaves_the_connection_as_it_was(driver: Driver, link: Link) -> None:
    for say in SAYING:
        with pytest.raises(UnicodeEncodeError):
            driver.run(say(link, "SELECT %s::text", ("\ud800",)))

    assert link.is_idle()
    assert driver.run(link.batch([("SELECT 1", ())])) == [[(1,)]]


SAYING: list[Callable[[Link, str, tuple[object, ...]], Coroutine[Any, Any, Any]]] = [
    lambda link, sql, values: link.rows(sql, values),
    lambda link, sql, values: link.batch([("SELECT 1", ()), (sql, values)]),
]


@pytest.mark.parametrize("say", SAYING, ids=["alone", "in a batch"])
def test_a_connection_that_is_ended_under_a_statement_is_lost(
    driver: Driver, link: Link, say: Callable[[Link, str, tuple[object, ...]], Coroutine[Any, Any, Any]]
) -> None:
    with pytest.raises(psycopg.OperationalError):
        driver.run(say(link, "SELECT pg_terminate_backend(pg_backend_pid()), %s::text", ("last words",)))

    assert link.is_lost()
    with pytest.raises(psycopg.OperationalError):
        driver.run(link.rows("SELECT 1", ()))
    with pytest.raises(psycopg.OperationalError):
        driver.run(link.batch([("SELECT 1", ())]))
