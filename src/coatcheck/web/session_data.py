"""Session data as an application has it in its hands, and how a framework's values become JSON and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from coatcheck.web.passage import Passage


class Codec(Struct, frozen=True):
    """How a framework's values become JSON and come back: for one that keeps more kinds of them than JSON has."""

    to_json: Callable[[object], object]
    from_json: Callable[[object], object]


JSON = Codec(to_json=lambda value: value, from_json=lambda value: value)


class SessionData(MutableMapping[str, Any]):
    """The session data of a request as a mapping: what an application has in its hands, in every door.

    A change of any depth is noticed and saved. `load` is called before the first use: for doors that did not.
    """

    def __init__(self, passage: Passage[Any], load: Callable[[], None]) -> None:
        self._passage = passage
        self._load = load

    @property
    def _values(self) -> dict[str, Any]:
        """What is behind it; looking at it makes the answer personal (HDR-01)."""
        self._passage.is_personal = True
        if not self._passage.is_loaded:
            self._load()
        return self._passage.values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if self._passage.is_sealed:  # no look, and kept
            self._load()
            self._passage.values[key] = value
        else:
            self._values[key] = value

    def __delitem__(self, key: str) -> None:
        if self._passage.is_sealed:  # nor does this tell whether it was there
            self._load()
            self._passage.values.pop(key, None)
        else:
            del self._values[key]

    def clear(self) -> None:
        """Remove everything."""
        if self._passage.is_sealed:
            self._load()
            self._passage.values.clear()
        else:
            self._values.clear()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Its values are a visitor's: they do not belong into logs and debuggers (ERR-08).
        return f"<{type(self).__name__}>"
