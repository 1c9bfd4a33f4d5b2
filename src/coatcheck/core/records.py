"""Records as stores remember them: frozen, instants in integer seconds UTC, secrets only as digests.

What an application sees of them are the thin views of `coatcheck.core.views`.
"""

from __future__ import annotations

import msgspec

EMPTY_DATA = b"{}"


class AccountRecord(msgspec.Struct, frozen=True, gc=False):
    """What we know of a person. Names are kept as typed; the keys they are compared by are made from them.

    `username_key` and `email_key` are the canonical forms of `coatcheck.core.identifiers` (ACC-02, ACC-04).
    """

    subject: str
    username: str | None
    username_key: str | None
    email: str | None
    email_key: str | None
    created_at: int


class PasswordCredential(msgspec.Struct, frozen=True, gc=False):
    """A password as kept: its PHC string and the version that every change of it raises.

    `version` is how a session started with an older password is told from one started with the present one.
    """

    subject: str
    hash: str
    version: int
    changed_at: int

    def __repr__(self) -> str:
        return f"PasswordCredential(subject={self.subject!r}, version={self.version})"


class SubjectState(msgspec.Struct, frozen=True, gc=False):
    """What lives beside the sessions for each subject: its epoch, and whether it may have sessions at all.

    Raising `epoch` ends every session of the subject at once, in constant time (SES-09, REV-06). What sessions are
    compared with is the sum of the subject's own and everybody's, so that raising either ends them; sessions of nobody
    (anonymous ones) stand under everybody's alone, whose `subject` is empty.
    `credential_version` is the newest version a session was started with or a password change announced.
    """

    subject: str
    epoch: int = 0
    epoch_at: int = 0
    epoch_reason: str = ""
    disabled_at: int | None = None
    credential_version: int = 0


class SessionRecord(msgspec.Struct, frozen=True, gc=False):
    """The server's record of a visit. Found by `digest`; `id` is its public handle (TOK-09).

    `subject` is None for an anonymous session. `data` is the encoded session data (`coatcheck.core.session_data`);
    stores keep it without looking inside. `methods` are `amr` values, separated by spaces.
    """

    digest: bytes
    id: str
    subject: str | None
    epoch: int
    created_at: int
    auth_time: int | None
    last_seen_at: int
    idle_timeout: int
    expires_at: int
    is_persistent: bool
    methods: str
    ip: str | None = None
    user_agent: str | None = None
    ended_at: int | None = None
    end_reason: str | None = None
    data: bytes = EMPTY_DATA

    def __repr__(self) -> str:
        return f"SessionRecord(id={self.id!r}, subject={self.subject!r})"


class EventRecord(msgspec.Struct, frozen=True, gc=False):
    """One security event as kept: fixed fields (LOG-02) and a few named details, never a secret (LOG-03)."""

    at: int
    name: str
    subject: str | None
    session_id: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, str | int | bool]
