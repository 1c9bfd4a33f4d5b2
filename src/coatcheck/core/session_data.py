"""Session data: keys with JSON values, kept per namespace, saved as a patch.

Encoded form: one JSON object of namespaces, each an object of keys; values stay as the JSON text they were stored
with. Stores that rewrite a whole record in one atomic step (memory, SQLite) use `patched` and `incremented`; a store
with a column or field per key keeps the same promises its own way.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import cast

import msgspec

from coatcheck.core.records import EMPTY_DATA, SessionRecord
from coatcheck.errors import CorruptRecord, InvalidData

MAX_DEPTH = 32
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what decoding stored data may raise
MAX_KEY = 256
FLASHES = "_flashes"
"""The key under which messages wait for the next page, in every door; Flask's own name for it."""
FLASHES_MOST = 20
FLASH_CHARACTERS = 500
INTEGER_MAX = 2**63 - 1

Values = dict[str, msgspec.Raw]

_decoder = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])


def decode(data: bytes) -> dict[str, Values]:
    """Take encoded session data apart, values left as JSON text. Raises msgspec.DecodeError on a corrupt record."""
    return {} if data == EMPTY_DATA else _decoder.decode(data)


def size_of(namespaces: Mapping[str, Values]) -> int:
    """Count what the limit speaks of: the bytes of every key and of every value's JSON text."""
    return sum(len(key.encode()) + len(bytes(value)) for values in namespaces.values() for key, value in values.items())


def bytes_of(puts: Mapping[str, bytes]) -> int:
    """Count the same of what is to be put."""
    return sum(len(key.encode()) + len(text) for key, text in puts.items())


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


def changes(before: Mapping[str, bytes], values: Mapping[str, object]) -> tuple[dict[str, bytes], set[str]]:
    """Say what must be put and what removed, for what was read to become `values`. Raises `InvalidData`.

    Values are compared in encoded form, so that a change deep inside one is noticed.
    """
    puts: dict[str, bytes] = {}
    for key, value in values.items():
        text = encode_value(key, value)
        if not _is_same(before.get(key), text):
            puts[key] = text
    return puts, before.keys() - values.keys()


def crossing_login(data: bytes, kept: Collection[str] | None) -> bytes:
    """Give what of an anonymous session's data crosses a log-in; nothing of what cannot be read (FIX-02, SES-12)."""
    try:
        namespaces = decode(data)
    except UNREADABLE:
        return EMPTY_DATA
    crossing: dict[str, Values] = {}
    for namespace, values in namespaces.items():
        kept_values = {key: value for key, value in values.items() if crosses_login(key, kept)}
        if kept_values:
            crossing[namespace] = kept_values
    return msgspec.json.encode(crossing)


def crosses_login(key: str, kept: Collection[str] | None) -> bool:
    """Say whether a key of an anonymous session is kept at log-in; None keeps all but messages.

    Those were for whoever it was.
    """
    return key != FLASHES and (kept is None or key in kept)


def bounded_flashes(messages: object) -> object:
    """Keep the newest messages only, and of each not more than can be read at a glance (SES-12).

    Messages are pairs of category and text; what is none is left for `encode_value` to judge.
    """
    if not isinstance(messages, list):
        return messages
    newest = cast("list[object]", messages)[-FLASHES_MOST:]
    return [_bounded_flash(message) for message in newest]


def _bounded_flash(message: object) -> object:
    match message:
        case (str() as category, str() as text) if len(text) > FLASH_CHARACTERS:
            return [category, text[: FLASH_CHARACTERS - 1] + "…"]
        case _:
            return message


def encode_value(key: object, value: object) -> bytes:
    """Write one value as JSON text. Raises InvalidData for anything that would not come back the same (SES-08)."""
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY or "\0" in key:
        raise InvalidData("data_key_invalid")
    if (fault := _fault(value, MAX_DEPTH)) is not None:
        raise InvalidData(fault, key=key)
    try:
        key.encode()
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise InvalidData("data_not_json") from None


def why_not_kept(error: InvalidData, *, limit: int) -> str:
    """Say it to the developer, with the rule that was broken and the way out. `limit` is the policy's, in bytes."""
    rules = {
        "data_key_invalid": f"keys are texts of 1 to {MAX_KEY} characters without NUL",
        "data_not_json": "values are JSON: texts, True, False, None, whole numbers of 64 bits, finite ones, and lists "
        "and dictionaries of those with texts as keys",
        "data_too_deep": f"values are nested at most {MAX_DEPTH} deep",
        "data_too_large": f"the setting session_data_bytes allows {limit} bytes in all; keep large things elsewhere, "
        "and here what finds them again",
    }
    rule = rules.get(error.reason)
    return str(error) if rule is None else f"{error}: {rule}"


def decode_value(text: bytes | msgspec.Raw) -> object:
    """Read one value back."""
    return msgspec.json.decode(text)


def decode_of(session: SessionRecord) -> dict[str, Values]:
    """Take a session's data apart. Raises CorruptRecord, which names the session and no data (ERR-05)."""
    try:
        return decode(session.data)
    except UNREADABLE:
        raise CorruptRecord(f"session {session.id}") from None


def is_namespace(name: object) -> bool:
    """Say whether a name can stand for an application's data."""
    return isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 64


def values_of(session: SessionRecord, namespace: str) -> dict[str, object]:
    """Read one namespace of a session's data. Raises CorruptRecord, which names the session and no data (ERR-05)."""
    try:
        return {key: decode_value(text) for key, text in decode(session.data).get(namespace, {}).items()}
    except UNREADABLE:
        raise CorruptRecord(f"session {session.id}") from None


def _is_same(before: bytes | None, text: bytes) -> bool:
    if before is None:
        return False
    # Stored text may be spaced or escaped differently: compare as we would write it.
    return before == text or msgspec.json.encode(decode_value(before)) == text


def _fault(value: object, depth: int) -> str | None:
    """Say why a value cannot be kept; None if it can."""
    # Exact types: a subclass (an enum, a namedtuple, a datetime) would come back as something else.
    kind = type(value)
    if depth < 0:
        return "data_too_deep"
    if value is None or kind is bool or kind is str:
        return None
    if isinstance(value, int) and kind is int:
        return None if -INTEGER_MAX - 1 <= value <= INTEGER_MAX else "data_not_json"
    if isinstance(value, float) and kind is float:
        return None if math.isfinite(value) else "data_not_json"
    items: Iterable[object]
    if isinstance(value, list) and kind is list:
        items = cast("list[object]", value)
    elif isinstance(value, dict) and kind is dict:
        if any(type(name) is not str for name in cast("dict[object, object]", value)):
            return "data_not_json"
        items = cast("dict[object, object]", value).values()
    else:
        return "data_not_json"
    return next((fault for item in items if (fault := _fault(item, depth - 1)) is not None), None)
