"""A change of session data under way: what was read, what it became, and the patch between the two."""

from __future__ import annotations

from coatcheck.core import session_data
from coatcheck.core.views import Session


class Edit:
    """Session data to change in place. Nested changes are noticed too: values are compared in encoded form."""

    def __init__(self, session: Session, namespace: str) -> None:
        self.values = session_data.values_of(session.record, namespace)
        read = session_data.decode(session.record.data).get(namespace, {})
        self._before = {key: bytes(text) for key, text in read.items()}

    def puts(self) -> dict[str, bytes]:
        """The keys that are new or changed, encoded. Raises `InvalidData` for what is not JSON."""
        encoded = {key: session_data.encode_value(key, value) for key, value in self.values.items()}
        return {key: text for key, text in encoded.items() if not self._same(key, text)}

    def removes(self) -> set[str]:
        """The keys that were taken out."""
        return self._before.keys() - self.values.keys()

    def _same(self, key: str, text: bytes) -> bool:
        before = self._before.get(key)
        # Stored text may be spaced or escaped differently: compare as we would write it.
        return before is not None and (
            before == text or session_data.encode_value(key, session_data.decode_value(before)) == text
        )
