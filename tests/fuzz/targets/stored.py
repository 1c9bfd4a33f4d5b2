"""Session data: as it stands in a record, which a failing disk may have rewritten, and as applications hand it in."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import msgspec
from argon2.low_level import Type, hash_secret

from coatcheck.core.session_data import (
    FLASH_CHARACTERS,
    FLASHES_MOST,
    MAX_DEPTH,
    bounded_flashes,
    decode_value,
    encode_value,
    patched,
    values_of,
)
from coatcheck.errors import CorruptRecord, InvalidData
from coatcheck.flask.sessions import ServerSessions
from coatcheck.testing.samples import a_session
from tests.fuzz.conftest import CHEAP
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


def _value_of(octets: bytes) -> object:
    """A value as session data may hold it; None for what is none."""
    try:
        value = json.loads(octets)
        encode_value("key", value)
    except (ValueError, RecursionError, InvalidData):
        return None
    return value


def _judge_messages(octets: bytes, answer: object) -> None:
    """SES-12: the newest, cut short, as they were otherwise; what is no list of messages is left as it is."""
    given = _value_of(octets)
    if not isinstance(given, list) or not isinstance(answer, list):
        assert answer == given
        return
    assert len(answer) == min(len(given), FLASHES_MOST)
    for before, after in zip(given[-FLASHES_MOST:], answer, strict=True):
        if before != after:
            assert len(after[1]) == FLASH_CHARACTERS < len(before[1])
            assert (after[0], after[1][:-1]) == (before[0], before[1][: FLASH_CHARACTERS - 1])
        elif isinstance(after, list) and len(after) == 2 and all(isinstance(one, str) for one in after):
            assert len(after[1]) <= FLASH_CHARACTERS
    assert bounded_flashes(answer) == answer


# What Flask adds to JSON: `codec` needs nothing of the door's.
FLASK = ServerSessions(cast("Any", None)).codec


def _untag(octets: bytes) -> object:
    return FLASK.from_json(_value_of(octets))


def _judge_untagged(_: bytes, value: object) -> None:
    """Whatever another door has kept, Flask's reads it; and what it has read is written, and read again, the same."""
    tagged = FLASK.to_json(value)
    assert FLASK.from_json(decode_value(encode_value("key", tagged))) == value


def _verify(octets: bytes) -> bool:
    """Whether a hash that stands in a row fits; costly parameters are left out, for it is the reading that counts."""
    return not re.search(rb"[mtp]=[0-9]{3}", octets) and CHEAP.verify(text_of(octets), b"a passphrase")


def _judge_verified(octets: bytes, fits: bool) -> None:
    """ERR-05: no text that stands where a hash should makes another password right, or an error."""
    assert fits or octets != HASH
    assert not fits or octets.partition(b"\0")[0] == HASH  # a text of C ends at a NUL


HASH = hash_secret(
    b"a passphrase", b"sixteen octets..", time_cost=1, memory_cost=64, parallelism=1, hash_len=32, type=Type.ID
)

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
    Target(
        "messages",
        lambda octets: bounded_flashes(_value_of(octets)),
        _judge_messages,
        (
            b'["message","hello"]', b'["message","' + b"x" * 600 + b'"]', b'["error",', b'["a","b"],',
            b'["a","b"],' * 30,
            b'[["message","' + "\U0001f600".encode() * 501 + b'"]]', b'"' + b"x" * 501 + b'"', b'["a",1]', b'["a"]',
            b'["a","b","c"]', b'{"a":"b"}', *JSON,
        ),
        65_536,
        (b'[["message","hello"],["error","no"]]', b"[" + b",".join([b'["message","x"]'] * 30) + b"]"),
    ),
    Target(
        "Flask's tags",
        _untag,
        _judge_untagged,
        (
            b'{" t":[1,2]}', b'{" b":"aGk="}', b'{" b":"aGk"}', b'{" m":"<b>"}',
            b'{" u":"12345678123456781234567812345678"}',
            b'{" u":"x"}', b'{" d":"Sat, 28 Nov 2026 02:24:03 GMT"}', b'{" d":"soon"}', b'{" di":{" t__":[1]}}',
            b'{" di":{}}', b'{" di":', b'{" t":', b'{" b":', b'{" m":', b'{" u":', b'{" d":', b'" t__"', b'"a":', *JSON,
        ),
        65_536,
        (b'{"a":{" t":[1,{" b":"aGk="}]},"b":[{" d":"Sat, 28 Nov 2026 02:24:03 GMT"}]}', b'{" di":{" t__":[1,null]}}'),
    ),
    Target(
        "password hash",
        _verify,
        _judge_verified,
        (
            HASH, HASH.rpartition(b"$")[0], HASH.rpartition(b"$")[2], b"$argon2id$", b"$argon2i$", b"$argon2d$",
            b"v=19$", b"v=16$", b"v=",
            b"m=64,t=1,p=1", b"m=", b"t=", b"p=", b",", b"$", b"$$", b"=", b"0", b"-1", b"\xd9\xa3",
            b"c2FsdA", b"+", b"/", b"-", b"_", b"\x00", b"\xff", b" ", b"\n", b"keyid=", b"data=", b"$2b$12$",
            HASH + b"\x00", b"x" * 90,
        ),
        2048,
        (HASH,),
    ),
)  # fmt: skip
