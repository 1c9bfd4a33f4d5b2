"""Deleting what is past its cutoff, batch by batch along the primary keys: no index is kept for it.

A round walks three tables one after the other. Each batch is a transaction of its own, so other writers wait for one
batch at most. Where a round stands is in the cursor that goes back to the caller: `table:last key looked at`.
"""

# ruff: noqa: S608 - what is put into SQL are constants of these modules; values are always parameters (DAT-03)

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from coatcheck.stores.protocols import Cutoffs, Purged
from coatcheck.stores.rows import IDLE_DEADLINE
from coatcheck.stores.sqlite.steps import release_user_agents


class _Walk(NamedTuple):
    table: str
    key: str
    past: str  # what a row must meet to be deleted; its parameter is the cutoff
    names_user_agent: bool
    parse: Callable[[str], bytes | int]
    first: str  # below every key


# The earliest of the deaths that apply.
_DIED_AT = f"""
    min(
        expires_at,
        {IDLE_DEADLINE},
        ifnull(ended_at, expires_at),
        ifnull(
            (
                SELECT max(e.epoch_at, ifnull(u.epoch_at, 0))
                FROM everybody e LEFT JOIN subjects u ON u.id = sessions.subject
                WHERE sessions.epoch <> e.epoch + ifnull(u.epoch, 0)
            ),
            expires_at
        )
    )
"""

_WALKS = (
    _Walk("sessions", "digest", f"{_DIED_AT} < ?", names_user_agent=True, parse=bytes.fromhex, first=""),
    _Walk("counters", "key", "kept_until < ?", names_user_agent=False, parse=bytes.fromhex, first=""),
    _Walk("events", "id", "at < ?", names_user_agent=True, parse=int, first="0"),
)


def purge_batch(cursor: sqlite3.Cursor, cutoffs: Cutoffs, *, after: str | None, limit: int) -> Purged:
    """Look at up to `limit` rows of one table and delete those past their cutoff."""
    name, _, position = (after or "sessions:").partition(":")
    place = next(place for place, walk in enumerate(_WALKS) if walk.table == name)
    walk = _WALKS[place]
    cutoff = (cutoffs.ended_before, cutoffs.counters_before, cutoffs.events_before)[place]
    start = walk.parse(position or walk.first)
    end = cursor.execute(
        f"SELECT {walk.key} FROM {walk.table} WHERE {walk.key} > ? ORDER BY {walk.key} LIMIT 1 OFFSET ?",
        (start, max(1, limit) - 1),
    ).fetchone()
    gone = _delete(cursor, walk, start, None if end is None else end[0], cutoff)
    sessions, counters, events = (gone if walk is other else 0 for other in _WALKS)
    return Purged(sessions, counters, events, _next(place, None if end is None else end[0]))


def _delete(cursor: sqlite3.Cursor, walk: _Walk, start: bytes | int, end: bytes | int | None, cutoff: int) -> int:
    upper, bounds = ("", (start,)) if end is None else (f"AND {walk.key} <= ?", (start, end))
    returning = "user_agent" if walk.names_user_agent else "NULL"
    rows = cursor.execute(
        f"DELETE FROM {walk.table} WHERE {walk.key} > ? {upper} AND {walk.past} RETURNING {returning}",
        (*bounds, cutoff),
    ).fetchall()
    release_user_agents(cursor, (key for (key,) in rows))
    return len(rows)


def _next(place: int, end: bytes | int | None) -> str | None:
    if end is not None:
        return f"{_WALKS[place].table}:{end.hex() if isinstance(end, bytes) else end}"
    return f"{_WALKS[place + 1].table}:" if place + 1 < len(_WALKS) else None
