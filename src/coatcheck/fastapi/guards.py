"""Dependencies that look at the session. In OpenAPI each is a security scheme: an API key in a cookie.

Each asks for evidence that the request comes from a page of ours, whatever let it in (CSR-02). The door has asked
already, of every request and before a byte of its body was read; what it was told to exempt, or what has become another
method on its way, is asked here.
"""

# Without `from __future__ import annotations`: FastAPI reads the signatures of the dependencies below.

from collections.abc import Callable
from typing import ClassVar, Generic, cast

from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from coatcheck.core.views import A
from coatcheck.starlette import subject_in_path
from coatcheck.web.passage import Passage

SCHEME = "coatcheck"


class Guard(SecurityBase, Generic[A]):
    """A dependency over `find`, which gives the passage of a request; `cookie` is the name of the session's cookie."""

    statuses: ClassVar[frozenset[int]]
    """What it refuses with, besides 403 for want of evidence and 503."""

    def __init__(self, find: Callable[[HTTPConnection], Passage[A]], cookie: str) -> None:
        self._find = find
        told = {"in": APIKeyIn.cookie, "name": cookie, "description": "The session cookie, set by the log-in."}
        self.model = APIKey.model_validate(told)
        self.scheme_name = SCHEME

    async def admit(self, connection: HTTPConnection) -> Passage[A]:
        """Give the passage of a request that has shown where it comes from. Raises `CrossSite`."""
        passage = self._find(connection)
        if connection.scope["type"] == "websocket":
            await passage.require_evidence_of_socket()
        else:
            await passage.require_evidence(connection.scope["method"])
        return passage


class AccountGuard(Guard[A]):
    """The account of whoever is logged in; else 401."""

    statuses = frozenset({401, 403})

    async def __call__(self, connection: HTTPConnection) -> A:
        """Give the account."""
        return await (await self.admit(connection)).require_account()


class OptionalGuard(Guard[A]):
    """The account of whoever is logged in, or None."""

    statuses = frozenset()

    async def __call__(self, connection: HTTPConnection) -> A | None:
        """Give the account, or None."""
        return await (await self.admit(connection)).account()


class SubjectGuard(Guard[A]):
    """The subject of whoever is logged in, account of ours or not; else 401."""

    statuses = frozenset({401})

    async def __call__(self, connection: HTTPConnection) -> str:
        """Give the subject."""
        return cast(str, (await (await self.admit(connection)).require_session()).subject)


class FreshGuard(Guard[A]):
    """The account of whoever has proven identity in the last five minutes (a setting); else 401 and how to mend it."""

    statuses = frozenset({401, 403})

    async def __call__(self, connection: HTTPConnection) -> A:
        """Give the account."""
        passage = await self.admit(connection)
        await passage.require_fresh()
        return await passage.require_account()


class SameAccountGuard(Guard[A]):
    """The account whose subject the path names, and nobody else's; else 401 or 403."""

    statuses = frozenset({401, 403})

    def __init__(self, find: Callable[[HTTPConnection], Passage[A]], cookie: str, parameter: str) -> None:
        super().__init__(find, cookie)
        self._parameter = parameter

    async def __call__(self, connection: HTTPConnection) -> A:
        """Give the account."""
        passage = await self.admit(connection)
        await passage.require_subject(subject_in_path(connection, self._parameter))
        return await passage.require_account()
