"""Every error of Coatcheck, in one family.

    CoatcheckError
      ConfigurationError        the developer's mistake: lists every problem and how to mend it
        SchemaMismatch          the store's schema is older, newer or somebody else's; StoreUnavailable too
      StoreError                infrastructure trouble, never the visitor's fault
        StoreUnavailable        down, locked, full, out of time: answered with 503, may be tried again
        StoreConflict           a promise of the store was broken from outside (an identifier drawn twice)
        CorruptRecord           one stored record cannot be read; only its owner is affected
      Refused                   the visitor's request is denied; carries `reason`, `status` and safe words
        BadRequest              malformed input, 400 to 415
        InvalidInput            well-formed, but against a rule (password too short, user name not allowed)
        InvalidData             session data that cannot be kept (not JSON, too large, too deep)
        InvalidCredentials      log-in refused; never says which part was wrong
        NotAuthenticated        a live session is needed and there is none
        SessionEnded            the session died while the request was under way
        StepUpRequired          the session is too old for this; prove yourself again
        TooManyAttempts         wait `retry_after` seconds
        Busy                    the hashing lane is full; try again in `retry_after` seconds
        UsernameTaken           another account has this user name
        EmailTaken              another account has this address (told only while addresses are not verified)
        NotFound                nothing of that name belongs to you
        Forbidden               you are logged in, and this is for somebody else
        CrossSite               the request may come from another site's page

`reason` is a stable snake_case code: programs may rely on it, texts may change. Errors never carry secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "BadRequest",
    "Busy",
    "CoatcheckError",
    "ConfigurationError",
    "CorruptRecord",
    "CrossSite",
    "EmailTaken",
    "FieldError",
    "Forbidden",
    "InvalidCredentials",
    "InvalidData",
    "InvalidInput",
    "NotAuthenticated",
    "NotFound",
    "Refused",
    "SchemaMismatch",
    "SessionEnded",
    "StepUpRequired",
    "StoreConflict",
    "StoreError",
    "StoreUnavailable",
    "TooManyAttempts",
    "UsernameTaken",
]


class FieldError(NamedTuple):
    """One field that was refused: a JSON pointer (`/password`) and a stable reason code."""

    pointer: str
    reason: str


class CoatcheckError(Exception):
    """The root of the family."""


class ConfigurationError(CoatcheckError):
    """The configuration cannot be used. `problems` lists all mistakes found, each with its mend."""

    def __init__(self, *problems: str) -> None:
        self.problems: tuple[str, ...] = problems
        super().__init__("\n".join(problems))


class StoreError(CoatcheckError):
    """The store could not do its part. Nothing was changed unless it was already acknowledged."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or cannot write now. Doors answer 503 and never treat it as "anonymous"."""


class SchemaMismatch(ConfigurationError, StoreUnavailable):
    """The store's schema is not the one this version works with; the message names the mend.

    Whoever starts a program must mend it; one that is running answers like any whose store cannot be reached.
    """


class StoreConflict(StoreError):
    """Something that must be unique was there already, or a record changed in a way no flow can cause."""


class CorruptRecord(StoreError):
    """One stored record cannot be read. `record` names it by kind and public id, never by its content."""

    def __init__(self, record: str) -> None:
        self.record = record
        super().__init__(f"corrupt record in the store: {record}")


class Refused(CoatcheckError):
    """The visitor's request is denied.

    Attributes: `reason` (stable code), `status` (HTTP hint), `errors` (fields at fault), `retry_after` (seconds,
    where waiting helps).
    """

    reason = "refused"
    status = 400

    def __init__(
        self,
        reason: str | None = None,
        *,
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        if reason is not None:
            self.reason = reason
        if status is not None:
            self.status = status
        self.errors: tuple[FieldError, ...] = tuple(errors)
        self.retry_after = retry_after
        super().__init__(self.reason)

    def __str__(self) -> str:
        faults = ", ".join(f"{fault.pointer}: {fault.reason}" for fault in self.errors)
        return f"{self.reason} ({faults})" if faults else self.reason


class BadRequest(Refused):
    """The request cannot be understood: wrong type, encoding, size or shape."""

    reason = "bad_request"


class InvalidInput(Refused):
    """The request is understood and breaks a rule; `errors` says which field and which rule."""

    reason = "invalid_input"
    status = 422


class InvalidData(Refused):
    """Session data that is not JSON, too large or too deep. What was stored before is untouched (SES-08).

    `key` is the name under which it was to be kept, where one is at fault: for the developer, never for the visitor.
    """

    reason = "invalid_data"
    status = 422

    def __init__(self, reason: str | None = None, *, key: str | None = None) -> None:
        self.key = key
        super().__init__(reason)

    def __str__(self) -> str:
        return self.reason if self.key is None else f"{self.reason} (key {self.key!r})"


class InvalidCredentials(Refused):
    """Unknown name, wrong password, disabled, no password: one answer for all (ENU-01)."""

    reason = "invalid_credentials"
    status = 401


class NotAuthenticated(Refused):
    """There is no live session. `reason` may say why the last one ended, when its token was shown."""

    reason = "not_authenticated"
    status = 401


class SessionEnded(NotAuthenticated):
    """The session was live when the request began and has ended since; nothing was saved (SES-05)."""

    reason = "session_ended"


class StepUpRequired(Refused):
    """This needs a proof of identity not older than `max_age` seconds (RFC 9470)."""

    reason = "insufficient_user_authentication"
    status = 401

    def __init__(self, *, max_age: int) -> None:
        self.max_age = max_age
        super().__init__()


class TooManyAttempts(Refused):
    """Attempts are slowed down; the password was not looked at. Wait `retry_after` seconds."""

    reason = "too_many_attempts"
    status = 429


class Busy(Refused):
    """Too many passwords are waiting to be hashed (PWD-14)."""

    reason = "busy"
    status = 503


class UsernameTaken(Refused):
    """Another account has this user name."""

    reason = "username_taken"
    status = 409


class EmailTaken(Refused):
    """Another account has this e-mail address."""

    reason = "email_taken"
    status = 409


class NotFound(Refused):
    """No such thing, or not yours: the same answer for both (REV-03)."""

    reason = "not_found"
    status = 404


class Forbidden(Refused):
    """Somebody is logged in, but not who this is for: another account's page (ASVS 8.2.2)."""

    reason = "forbidden"
    status = 403


class CrossSite(Refused):
    """The request lacks the evidence that it comes from one of our own pages (CSR-02)."""

    reason = "cross_site"
    status = 403
