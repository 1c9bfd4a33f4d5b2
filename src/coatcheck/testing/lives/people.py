"""Who is in a random life at the desk, and what they have in hand: the records of `coatcheck.testing.lives.town`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from coatcheck.core.tokens import Token
from coatcheck.core.views import Session

Data = dict[str, dict[str, object]]


@dataclass(eq=False)
class Person:
    """Whoever sessions belong to. `password` is None for those who have no account of ours, or no more."""

    subject: str
    username: str | None = None
    email: str | None = None
    password: str | None = None
    version: int = 1
    is_disabled: bool = False
    cut_at: int = 0
    cut_reason: str = ""

    @property
    def keys(self) -> list[str]:
        """What this person can be called at the log-in."""
        return [name.lower() for name in (self.username, self.email) if name]


@dataclass(eq=False)
class Device:
    """A session: `token` is what finds it now; `is_gone` once it was deleted, `is_cut` when it ended with many."""

    id: str
    token: str
    person: Person | None
    created_at: int
    seen_at: int
    idle: int
    expires_at: int
    auth_at: int | None
    is_persistent: bool
    methods: tuple[str, ...]
    data: Data = field(default_factory=dict[str, dict[str, object]])
    ended_at: int | None = None
    reason: str | None = None
    is_cut: bool = False
    is_gone: bool = False

    @property
    def grace(self) -> int:
        """How long "last seen" may go unwritten, which no life is shortened by."""
        return min(60, self.idle // 20)

    @property
    def idle_deadline(self) -> int:
        """When disuse ends it."""
        return self.seen_at + self.idle + self.grace

    @property
    def subject(self) -> str | None:
        """Whose it is."""
        return None if self.person is None else self.person.subject


@dataclass(eq=False)
class Note:
    """What a browser that has logged in keeps beside the session: failures of its own. `secret` is what it shows."""

    person: Person
    version: int
    made_at: int
    secret: Token | None = None


@dataclass(eq=False)
class Tries:
    """Straight failures."""

    failures: int
    at: int
    until: int = 0


class Hold(NamedTuple):
    """What one request of a visitor has in hand: a token, and the session as it was when it was read."""

    device: Device
    token: str
    session: Session
    seen_at: int
    expires_at: int
    auth_at: int | None
    data: Data
    note: Note | None

    @property
    def deadline(self) -> int:
        """When it runs out of time, as far as this request knows."""
        return min(self.expires_at, self.seen_at + self.device.idle + self.device.grace)

    @property
    def is_over(self) -> bool:
        """Say whether this token opens nothing any more, whatever the time."""
        device = self.device
        return self.token != device.token or device.reason is not None or device.is_cut or device.is_gone

    def __repr__(self) -> str:
        return f"Hold({self.device.id}, {self.token[:6]})"


class Noted(NamedTuple):
    """A security event, as far as the model follows it."""

    at: int
    name: str
    subject: str | None
    session_id: str | None
