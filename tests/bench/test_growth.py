"""Files that were grown by SQL are files as the store itself would have made them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bench.growth import bytes_of, grow, put, steps_of, unhurried
from bench.rows import stock as row
from bench.sides.ours import Stock, make_stock, new_token
from coatcheck import Coatcheck
from coatcheck.core.tokens import session_digest

SMALL, GROWN, EXPIRED = 5, 40, 15


@pytest.fixture
def grown(tmp_path: Path) -> Stock:
    """A file of five sessions with forty further ones, fifteen long expired, and one whose token is known."""
    stock, token = make_stock(tmp_path / "grown.db", count=SMALL), new_token()
    with unhurried(stock.path) as connection:
        row.add_accounts(connection, 10)
        pattern = row.growth_of_ours(connection)
        put(connection, pattern, "digest", [session_digest(token)])
        grow(connection, pattern, count=GROWN - EXPIRED, tick=lambda: None)
        grow(connection, pattern, count=EXPIRED, tick=lambda: None, changed=row.aged(row.LONG_AGO))
        row.recount_user_agents(connection)
    return Stock(stock.path, (*stock.tokens, token))


def test_sessions_that_were_there_and_those_put_by_key_are_live(grown: Stock) -> None:
    with Coatcheck(grown.url) as desk:
        visits = [desk.authenticate(token) for token in grown.tokens]

    assert len(visits) == SMALL + 1
    assert all(visits)


def test_the_store_reads_every_grown_session_and_its_account(grown: Stock) -> None:
    with Coatcheck(grown.url) as desk:
        sessions, _ = desk.all_sessions(limit=1000)
        owners = {session.subject for session, _ in sessions}
        accounts = [desk.account(owner) for owner in owners if owner is not None]

    assert len({session.id for session, _ in sessions}) == SMALL + 1 + GROWN
    assert len(accounts) == len(owners)
    assert all(accounts)


def test_a_purge_deletes_the_expired_and_no_other(grown: Stock) -> None:
    with Coatcheck(grown.url) as desk:
        assert desk.purge().sessions == EXPIRED
        assert desk.purge().sessions == 0
        assert all(desk.authenticate(token) for token in grown.tokens)


def test_user_agents_are_counted_as_often_as_they_are_used(grown: Stock) -> None:
    with closing(sqlite3.connect(grown.path)) as connection:
        wrong = connection.execute(
            """
            SELECT g.id FROM user_agents g
            WHERE uses <> (SELECT count(*) FROM sessions s WHERE s.user_agent = g.id)
            """
        ).fetchall()

    assert wrong == []


def test_a_grown_file_is_sound_and_in_wal_again(grown: Stock) -> None:
    with closing(sqlite3.connect(grown.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert bytes_of(connection) > 0


@pytest.mark.parametrize(("count", "steps"), [(1, 1), (100_000, 1), (100_001, 2), (3_000_000, 30)])
def test_growth_ticks_once_for_every_batch(count: int, steps: int) -> None:
    assert steps_of(count) == steps
