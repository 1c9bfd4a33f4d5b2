"""Text that comes back as it went in: PostgreSQL's text holds everything but NUL, so NUL is written in two characters.

Those that carry the sign themselves are written in two as well. Texts keep their order, and their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from coatcheck.stores.rows import Row

NUL, SIGN = "\0", "\1"


def kept(text: str) -> str:
    """Write a text as PostgreSQL can hold it."""
    if NUL in text or SIGN in text:
        return text.replace(SIGN, "\1\2").replace(NUL, "\1\1")
    return text


def given(text: str) -> str:
    """Read a text that `kept` has written."""
    return text.replace("\1\1", NUL).replace("\1\2", SIGN) if SIGN in text else text


@overload
def kept_parameters(parameters: Mapping[str, object]) -> dict[str, object]: ...


@overload
def kept_parameters(parameters: Sequence[object] | Mapping[str, object]) -> Sequence[object] | Mapping[str, object]: ...


def kept_parameters(parameters: Sequence[object] | Mapping[str, object]) -> Sequence[object] | Mapping[str, object]:
    """Write every text among the parameters of a statement."""
    if isinstance(parameters, Mapping):
        return {name: kept(value) if isinstance(value, str) else value for name, value in parameters.items()}
    return [kept(value) if isinstance(value, str) else value for value in parameters]


def given_row(row: Row) -> Row:
    """Read every text of a row."""
    for value in row:
        if type(value) is str and SIGN in value:
            return tuple(given(value) if type(value) is str else value for value in row)
    return row
