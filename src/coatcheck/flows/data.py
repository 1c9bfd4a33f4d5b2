"""Session data: what was read, what it became, and the patch between the two, saved in one step."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from coatcheck.core import session_data
from coatcheck.core.session_data import encode_value
from coatcheck.core.views import Session
from coatcheck.errors import InvalidData, SessionEnded
from coatcheck.flows.parts import Parts
from coatcheck.flows.sessions import SessionFlows
from coatcheck.stores.protocols import Answer


class Edit:
    """Session data to change in place. Nested changes are noticed too: values are compared in encoded form."""

    def __init__(self, session: Session, namespace: str) -> None:
        self.values = session_data.values_of(session.record, namespace)
        read = session_data.decode(session.record.data).get(namespace, {})
        self._before = {key: bytes(text) for key, text in read.items()}

    def patch(self) -> tuple[dict[str, bytes], set[str]]:
        """What to put, encoded, and what to remove. Raises `InvalidData` for what is not JSON."""
        return session_data.changes(self._before, self.values)


class DataFlows:
    """The flows of this module over one desk's parts."""

    def __init__(self, parts: Parts, sessions: SessionFlows) -> None:
        self._parts = parts
        self._store = parts.store
        self._sessions = sessions

    async def save(
        self, session: Session, *, namespace: str, puts: Mapping[str, bytes], removes: Collection[str]
    ) -> None:
        """Save a patch of session data in one step."""
        if not puts and not removes:
            return
        _check_namespace(namespace)
        await self._sessions.check_time(session)
        answer = await self._store.patch(
            session.record.digest,
            namespace=namespace,
            puts=puts,
            removes=removes,
            limit=self._parts.policy.session_data_bytes,
        )
        _raise_unless_saved(answer)

    async def increment(self, session: Session, key: str, *, by: int, namespace: str) -> int:
        """Add to a counter atomically."""
        _check_namespace(namespace)
        encode_value(key, by)
        if type(by) is not int:
            raise InvalidData("data_not_an_integer")
        await self._sessions.check_time(session)
        answer = await self._store.increment(
            session.record.digest, namespace=namespace, key=key, by=by, limit=self._parts.policy.session_data_bytes
        )
        if isinstance(answer, Answer):
            _raise_unless_saved(answer)
            raise SessionEnded
        return answer


def _check_namespace(namespace: object) -> None:
    if not session_data.is_namespace(namespace):
        raise InvalidData("data_namespace_invalid")


def _raise_unless_saved(answer: Answer | None) -> None:
    if answer is Answer.GONE:
        raise SessionEnded
    if answer is Answer.TOO_LARGE:
        raise InvalidData("data_too_large")
    if answer is Answer.NOT_AN_INTEGER:
        raise InvalidData("data_not_an_integer")
