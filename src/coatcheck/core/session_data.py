"""Session data: keys with JSON values, kept per namespace, saved as a patch.

Encoded form: one JSON object of namespaces, each an object of keys; values stay as the JSON text they were stored
with. Stores that rewrite a whole record in one atomic step (memory, SQLite) use `patched` and `incremented`; a store
with a column or field per key keeps the same promises its own way.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import cast

import msgspec

from coatcheck.core.records import EMPTY_DATA, SessionRecord
from coatcheck.errors import CorruptRecord, InvalidData

MAX_DEPTH = 32
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what decoding stored data may raise
MAX_KEY = 256
INTEGER_MAX = 2**63 - 1

Values = dict[str, msgspec.Raw]

_decoder = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])


def decode(data: bytes) -> dict[str, Values]:
    """Take encoded session data apart, values left as JSON text. Raises msgspec.DecodeError on a corrupt record."""
    return {} if data == EMPTY_DATA else _decoder.decode(data)


def size_of(namespaces: Mapping[str, Values]) -> int:
    """Count what the limit speaks of: the bytes of every key and of every value's JSON text."""
    return sum(len(key.encode()) + len(bytes(value)) for values in namespaces.values() for key, value in values.items())


def patched(
    data: bytes, namespace: str, puts: Mapping[str, bytes], removes: Collection[str], *, limit: int
) -> bytes | None:
    """Set and remove keys of one namespace; None if the result would exceed `limit` bytes.

    A patch that only removes or shrinks passes even above the limit, so that lowering the limit traps nobody.
    """
    namespaces = decode(data)
    before = size_of(namespaces)
    values = namespaces.setdefault(namespace, {})
    for key in removes:
        values.pop(key, None)
    values.update((key, msgspec.Raw(text)) for key, text in puts.items())
    if not values:
        del namespaces[namespace]
    after = size_of(namespaces)
    return None if after > limit and after > before else msgspec.json.encode(namespaces)


def integer_at(data: bytes, namespace: str, key: str) -> int | None:
    """Read a counter: 0 where the key is absent, None where its value is no integer."""
    raw = decode(data).get(namespace, {}).get(key)
    if raw is None:
        return 0
    try:
        return msgspec.json.decode(raw, type=int, strict=True)
    except msgspec.DecodeError:
        return None


def encode_value(key: object, value: object) -> bytes:
    """Write one value as JSON text. Raises InvalidData for anything that would not come back the same (SES-08)."""
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY or "\0" in key:
        raise InvalidData("data_key_invalid")
    _check(value, MAX_DEPTH)
    try:
        key.encode()
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise InvalidData("data_not_json") from None


def decode_value(text: bytes | msgspec.Raw) -> object:
    """Read one value back."""
    return msgspec.json.decode(text)


def values_of(session: SessionRecord, namespace: str) -> dict[str, object]:
    """Read one namespace of a session's data. Raises CorruptRecord, which names the session and no data (ERR-05)."""
    try:
        return {key: decode_value(text) for key, text in decode(session.data).get(namespace, {}).items()}
    except UNREADABLE:
        raise CorruptRecord(f"session {session.id}") from None


def _check(value: object, depth: int) -> None:
    # Exact types: a subclass (an enum, a namedtuple, a datetime) would come back as something else.
    kind = type(value)
    if depth < 0:
        raise InvalidData("data_too_deep")
    if value is None or kind is bool or kind is str:
        return
    if isinstance(value, int) and kind is int:
        if not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
            raise InvalidData("data_not_json")
    elif isinstance(value, float) and kind is float:
        if not math.isfinite(value):
            raise InvalidData("data_not_json")
    elif isinstance(value, list) and kind is list:
        for item in cast("list[object]", value):
            _check(item, depth - 1)
    elif isinstance(value, dict) and kind is dict:
        for name, item in cast("dict[object, object]", value).items():
            if type(name) is not str:
                raise InvalidData("data_not_json")
            _check(item, depth - 1)
    else:
        raise InvalidData("data_not_json")
