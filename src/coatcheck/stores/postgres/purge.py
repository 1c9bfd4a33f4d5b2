"""Deleting what is past its cutoff, batch by batch along the primary keys: no index is kept for it.

A round walks three tables one after the other, each batch one statement. It waits for nobody: rows that others have
locked are skipped, and then taken one by one, each in a call of its own, so that waiting for one holds up no other.
Where a round stands is in the cursor that goes back to the caller: `table:key` after which to go on, or `table=key` of
a row that was skipped.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from coatcheck.stores.protocols import Cutoffs, Purged
from coatcheck.stores.rows import IDLE_DEADLINE, Row


class _Walk(NamedTuple):
    table: str
    key: str
    past: str  # what a row must meet to be deleted
    parse: Callable[[str], bytes | int]
    first: str  # below every key


# The earliest of the deaths that apply; LEAST and GREATEST pass over NULL.
_DIED_AT = f"""
    least(
        t.expires_at,
        {IDLE_DEADLINE},
        t.ended_at,
        (
            SELECT greatest(e.epoch_at, u.epoch_at)
            FROM everybody e LEFT JOIN subjects u ON u.id = t.subject
            WHERE t.epoch <> e.epoch + coalesce(u.epoch, 0)
        )
    )
"""

_WALKS = (
    _Walk("sessions", "digest", f"{_DIED_AT} < %(cutoff)s", parse=bytes.fromhex, first=""),
    _Walk("counters", "key", "t.kept_until < %(cutoff)s", parse=bytes.fromhex, first=""),
    _Walk("events", "id", "t.at < %(cutoff)s", parse=int, first="0"),
)


class Batch(NamedTuple):
    """One statement of purging and its parameters. `outcome` makes of its row what `purge` answers."""

    sql: str
    parameters: dict[str, bytes | int]
    outcome: Callable[[Row], Purged]


def next_batch(cutoffs: Cutoffs, *, after: str | None, limit: int) -> Batch:
    """Say how to go on with a round: with up to `limit` rows of one table, or with one that was skipped."""
    cursor = after or "sessions:"
    place = next(place for place, walk in enumerate(_WALKS) if cursor.startswith(walk.table))
    walk = _WALKS[place]
    is_one, position = cursor[len(walk.table)] == "=", cursor[len(walk.table) + 1 :]
    cutoff = (cutoffs.ended_before, cutoffs.counters_before, cutoffs.events_before)[place]
    parameters = {"start": walk.parse(position or walk.first), "cutoff": cutoff, "limit": max(1, limit)}

    def outcome_of_one(row: Row) -> Purged:
        return _purged(place, row[0], f"{walk.table}:{position}")

    def outcome(row: Row) -> Purged:
        gone, last, skipped = row
        if skipped is not None:
            return _purged(place, gone, f"{walk.table}={_written(skipped)}")
        return _purged(place, gone, _next(place, last))

    return Batch(_one(walk), parameters, outcome_of_one) if is_one else Batch(_batch(walk), parameters, outcome)


def _batch(walk: _Walk) -> str:
    table, key = walk.table, walk.key
    # All parts see the table as it was before: what was past and is not gone was skipped. A row that was locked is
    # looked at again, for it may have changed.
    return f"""
        WITH seen AS MATERIALIZED (
            SELECT {key} FROM {table} WHERE {key} > %(start)s ORDER BY {key} LIMIT %(limit)s
        ),
        due AS MATERIALIZED (SELECT t.{key} FROM {table} t JOIN seen ON t.{key} = seen.{key} WHERE {walk.past}),
        held AS (
            SELECT t.{key} FROM {table} t JOIN due ON t.{key} = due.{key} WHERE {walk.past}
            FOR UPDATE OF t SKIP LOCKED
        ),
        gone AS (DELETE FROM {table} t USING held WHERE t.{key} = held.{key} RETURNING t.{key})
        SELECT
            (SELECT count(*) FROM gone),
            (SELECT {key} FROM seen ORDER BY {key} OFFSET %(limit)s - 1 LIMIT 1),
            (SELECT {key} FROM due EXCEPT SELECT {key} FROM gone ORDER BY {key} LIMIT 1)
    """


def _one(walk: _Walk) -> str:
    return f"""
        WITH gone AS (DELETE FROM {walk.table} t WHERE t.{walk.key} = %(start)s AND {walk.past} RETURNING 1)
        SELECT count(*) FROM gone WHERE %(limit)s > 0
    """


def _purged(place: int, gone: int, cursor: str | None) -> Purged:
    sessions, counters, events = (gone if place == other else 0 for other in range(len(_WALKS)))
    return Purged(sessions, counters, events, cursor)


def _next(place: int, last: bytes | int | None) -> str | None:
    if last is not None:
        return f"{_WALKS[place].table}:{_written(last)}"
    return f"{_WALKS[place + 1].table}:" if place + 1 < len(_WALKS) else None


def _written(key: bytes | int) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)
