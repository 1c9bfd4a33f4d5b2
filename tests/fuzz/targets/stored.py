"""Session data: as it stands in a record, which a failing disk may have rewritten, and as applications hand it in."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from coatcheck.core.session_data import MAX_DEPTH, decode_value, encode_value, patched, values_of
from coatcheck.errors import CorruptRecord, InvalidData
from coatcheck.testing.samples import a_session
from tests.fuzz.targets.target import Target, text_of

LIMIT = 65_536
RECORD = a_session()
Values = dict[str, object]


def _values(data: bytes) -> Values | None:
    """What a desk shows of a record; None where it says that the record is corrupt."""
    try:
        return values_of(msgspec.structs.replace(RECORD, data=data), "app")
    except CorruptRecord:
        return None


def _read_and_patch(octets: bytes) -> tuple[Values | None, bytes | None]:
    values = _values(octets)
    return values, None if values is None else patched(octets, "app", {"k": b"[1]"}, {"gone"}, limit=LIMIT)


def _judge_data(octets: bytes, answer: tuple[Values | None, bytes | None]) -> None:
    """ERR-05: read as the standard library reads it, or refused in our words; a patch touches what it names only."""
    values, after = answer
    if values is None:
        return
    plain = _as_the_standard_library_reads(octets)
    assert {key: _comparable(value) for key, value in plain.get("app", {}).items()} == {
        key: _comparable(value) for key, value in values.items()
    }
    if after is not None:
        values.pop("gone", None)
        assert _values(after) == values | {"k": [1]}
        assert _as_the_standard_library_reads(after).keys() == plain.keys() | {"app"}


def _as_the_standard_library_reads(octets: bytes) -> dict[str, Any]:
    # What another key of the same name has overwritten is not looked at, and may be no UTF-8.
    plain: dict[str, Any] = json.loads(octets.decode(errors="replace"))
    return plain


def _comparable(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _encode(octets: bytes) -> tuple[object, bytes | InvalidData | None]:
    """The first octets up to a NUL are the key, the rest a value as an application might have got it from anywhere."""
    key, _, text = octets.partition(b"\0")
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None, None
    try:
        return value, encode_value(text_of(key), value)
    except InvalidData as refused:
        return value, refused


def _judge_encoded(_: bytes, answer: tuple[object, bytes | InvalidData | None]) -> None:
    """SES-08: what is kept comes back equal in value and in type."""
    value, text = answer
    if isinstance(text, bytes):
        back = decode_value(text)
        assert repr(back) == repr(value)
        assert _depth(value) <= MAX_DEPTH


def _depth(value: object) -> int:
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(_depth, members), default=0)


JSON = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b'"k"', b"1", b"-1", b"1.5", b"1e300", b"1e999", b"9223372036854775807",
    b"9223372036854775808", b"9" * 30, b"null", b"true", b"NaN", b"-Infinity", b'"\\ud800"', b'"\\u0000"',
    b'"\xc3\xa9"',
    b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b" ", b"\x00", b"[" * 40, b"]" * 40, b'{"a":' * 40, b"}" * 40, b"{}",
    b"[]",
)  # fmt: skip

TARGETS = (
    Target(
        "session data",
        _read_and_patch,
        _judge_data,
        (
            b'{"app":{"theme":"dark","n":1}}', b'{"app":{"a":', b'},"other":{"b":2}}', b'{"app":', b'"app":{',
            b'"gone":1',
            b"}}", b'{"app":{"k":' + b"[" * 3000, b"]" * 3000, *JSON,
        ),
        65_536,
        (b'{"app":{"theme":"dark","n":1},"other":{"b":[2.5,null]}}',),
    ),
    Target(
        "session value",
        _encode,
        _judge_encoded,
        (b"key\0", b"\0", b"\x00{", *JSON),
        65_536,
        (b'key\0{"a":[1,2.5,"x",null,true]}',),
    ),
)  # fmt: skip
