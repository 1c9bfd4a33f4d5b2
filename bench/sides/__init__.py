"""Coatcheck and its peers, each on an SQLite file of its own, at the same durability and with the same checks.

A side fills its file with the same people and can authenticate a `Cookie` field and log somebody in, the hash left out.
Peers are imported only where they are measured; `peers` says which of them are installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from bench.measure import Crowd

PEERS = {
    "Django": ("django",),
    "Flask": ("flask_login", "flask_sqlalchemy", "flask_session"),
    "fastapi-users": ("fastapi_users", "fastapi_users_db_sqlalchemy", "aiosqlite"),
    "Starlette": ("starlette", "itsdangerous"),
}
# WAL and FULL for every contestant; a writer that finds the file busy waits as long as it takes.
PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
PATIENCE = 20


class Side(Protocol):
    """A library at work on a file."""

    @property
    def cookie_fields(self) -> Sequence[bytes]:
        """What the people's browsers send: one live session each."""
        ...

    def authenticate_all(self, fields: Sequence[bytes]) -> int:
        """`Cookie` field in, live session and account out, for each of them. Raises RuntimeError at a stranger."""
        ...

    def log_in_all(self, numbers: Sequence[int]) -> int:
        """Log these people in one after the other: account by name, checks, new session; any password is right."""
        ...

    def log_in_at_once(self, crowd: Crowd, shares: Sequence[Sequence[int]]) -> int:
        """The same, everybody's share at the same time: in the crowd's threads, or as tasks of a loop."""
        ...


def peers() -> tuple[str, ...]:
    """The peers that are installed."""
    return tuple(name for name, modules in PEERS.items() if all(find_spec(module) for module in modules))


def absent_remarks() -> tuple[str, ...]:
    """What to say of those that are not."""
    absent = [name for name in PEERS if name not in peers()]
    return (f"Not installed here, so missing: {', '.join(absent)}. `./dev bench` installs them.",) if absent else ()


def fresh(path: Path) -> Path:
    """Make sure that nothing is left of an earlier file."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path
