"""What an application sees of our records: thin views with datetimes, without digests.

Making one costs next to nothing; datetimes and session data are made when they are looked at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, Literal

import msgspec

from coatcheck.core import session_data
from coatcheck.core.records import AccountRecord, SessionRecord
from coatcheck.core.sessions import idle_deadline
from coatcheck.core.tokens import Token

DEFAULT_NAMESPACE = "app"
LAST_INSTANT = 253_402_300_799  # the end of the year 9999


def instant(seconds: int) -> datetime:
    """Integer seconds UTC as an aware datetime; what no calendar has (a damaged record) is the first or last it has."""
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_INSTANT), UTC)


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from, as far as it says. Kept for the device list, never trusted.

    `device` is the secret that `Login.device` gave this browser at an earlier log-in, if it shows one: it has failures
    of its own, so that strangers who guess cannot lock the owner out (RAT-13). `request_id` goes into events.
    """

    ip: str | None = None
    user_agent: str | None = None
    device: Token | None = None
    request_id: str | None = None


class Account:
    """A person's account. `subject` is its stable id: it never changes and is never given to somebody else."""

    __slots__ = ("_record",)

    def __init__(self, record: AccountRecord) -> None:
        self._record = record

    @property
    def subject(self) -> str:
        """The opaque id by which sessions and claims know this person."""
        return self._record.subject

    @property
    def username(self) -> str | None:
        """The user name as typed at sign-up."""
        return self._record.username

    @property
    def email(self) -> str | None:
        """The address as typed."""
        return self._record.email

    @property
    def created_at(self) -> datetime:
        """When the account was opened, aware UTC."""
        return instant(self._record.created_at)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and other._record == self._record

    def __hash__(self) -> int:
        return hash(self._record.subject)

    def __repr__(self) -> str:
        return f"Account(subject={self.subject!r}, username={self.username!r})"


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    A = TypeVar("A", default=Account)
else:
    from typing import TypeVar

    # The default is for checkers, who know it without the package: `Coatcheck` alone is `Coatcheck[Account]`.
    A = TypeVar("A")


class Session:
    """A session as it was when it was read. It is safe to show: `id` is public, the secret is not in here."""

    __slots__ = ("record",)

    def __init__(self, record: SessionRecord) -> None:
        self.record = record

    @property
    def id(self) -> str:
        """The public handle for lists, logs and revocation. It opens nothing."""
        return self.record.id

    @property
    def subject(self) -> str | None:
        """Whose session this is; None for an anonymous one."""
        return self.record.subject

    @property
    def created_at(self) -> datetime:
        """When it began, aware UTC."""
        return instant(self.record.created_at)

    @property
    def auth_time(self) -> datetime | None:
        """When identity was last proven in it, aware UTC; None for an anonymous session."""
        return None if self.record.auth_time is None else instant(self.record.auth_time)

    @property
    def last_seen_at(self) -> datetime:
        """When it was last used, to the minute, aware UTC."""
        return instant(self.record.last_seen_at)

    @property
    def expires_at(self) -> datetime:
        """When it ends if it is not used again, aware UTC; use moves it until the absolute timeout."""
        return instant(min(self.record.expires_at, idle_deadline(self.record)))

    @property
    def is_persistent(self) -> bool:
        """Whether the browser was asked to remember it beyond its own end."""
        return self.record.is_persistent

    @property
    def methods(self) -> tuple[str, ...]:
        """How identity was proven, as `amr` values (RFC 8176)."""
        return tuple(self.record.methods.split())

    @property
    def ip(self) -> str | None:
        """The address it began from."""
        return self.record.ip

    @property
    def user_agent(self) -> str | None:
        """What the client called itself when the session began, made safe to show."""
        return self.record.user_agent

    def data(self, namespace: str = DEFAULT_NAMESPACE) -> dict[str, object]:
        """Read the session data of one namespace as it was at the read. Changing the dict saves nothing: use `edit`."""
        return session_data.values_of(self.record, namespace)

    def __repr__(self) -> str:
        return f"Session(id={self.id!r}, subject={self.subject!r})"


class Visit(Generic[A]):
    """A request that presented a live session: true, with the session and the account behind it.

    `account` is None for an anonymous session and for a subject that is not one of our accounts. `is_touch_due` says
    that "last seen" is more than a minute old.
    """

    __slots__ = ("account", "is_touch_due", "session")

    def __init__(self, session: Session, account: A | None, *, is_touch_due: bool) -> None:
        self.session = session
        self.account = account
        self.is_touch_due = is_touch_due

    def __bool__(self) -> Literal[True]:
        return True

    @property
    def subject(self) -> str | None:
        """Whose session it is; None for an anonymous one."""
        return self.session.record.subject

    def __repr__(self) -> str:
        return f"Visit(session={self.session!r}, account={self.account!r})"


class Absent:
    """A request that presented no live session: false. `reason` is `no_session`, `unknown_session`, or why it ended."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    @property
    def subject(self) -> None:
        """Nobody's: as of the `Visit` of an anonymous session."""
        return

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return f"Absent({self.reason!r})"


class Login(Generic[A]):
    """A session that was just issued or given a new secret. `token` goes into the cookie and nowhere else.

    `device`, if there is one, goes into a cookie of its own that outlives the session, and comes back with
    `Client.device`: this browser is known to its account from now on (RAT-13). It opens nothing.
    """

    __slots__ = ("account", "device", "session", "token")

    def __init__(self, token: Token, session: Session, account: A | None, *, device: Token | None = None) -> None:
        self.token = token
        self.session = session
        self.account = account
        self.device = device

    @property
    def subject(self) -> str | None:
        """Whose session it is; None for an anonymous one."""
        return self.session.record.subject

    def __repr__(self) -> str:
        return f"Login(session={self.session!r})"
