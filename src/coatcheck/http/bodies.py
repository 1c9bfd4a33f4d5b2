"""Bodies and queries: untrusted octets in, one record out, or a refusal that names each field at fault.

The caller says what it wants as a msgspec Struct. Unknown members are ignored, so only listed fields can be written
(ACC-09); a field that stands twice is refused, because two readers could disagree on which one counts. A refusal is a
`BadRequest` whose `errors` hold a JSON pointer and one of the reasons `missing`, `wrong_type`, `invalid`, `repeated`,
`bad_encoding`; it never repeats what was sent (ERR-04).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar, cast
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError

from coatcheck.errors import BadRequest, FieldError

MAX_DEPTH = 16
MAX_FIELDS = 100

_CHARSET = rb'(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?'
_JSON = re.compile(rb"application/json" + _CHARSET, re.IGNORECASE)
_JSON_KIND = re.compile(rb"application/(?:json|[a-z0-9!#$&^_.-]+\+json)" + _CHARSET, re.IGNORECASE)
_FORM = re.compile(rb"application/x-www-form-urlencoded" + _CHARSET, re.IGNORECASE)
# The closing mark is optional: a string left open runs to the end in one match, instead of being tried from each
# quotation mark inside it, which would be quadratic.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")

T = TypeVar("T", bound=Struct)


def is_strict_json(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is exactly `application/json`, which no page can send across sites (CSR-02)."""
    return content_type is not None and _JSON.fullmatch(content_type) is not None


def is_form(content_type: bytes | None) -> bool:
    """Say whether a Content-Type is that of a form as browsers post it without files."""
    return content_type is not None and _FORM.fullmatch(content_type) is not None


def json_fields(body: bytes, content_type: bytes | None, record: type[T]) -> T:
    """Read a JSON object.

    The type must be `application/json` or `application/*+json`, with no parameter but `charset=utf-8`; otherwise
    `BadRequest` 415, before the body is looked at (CSR-09). No body needs no type and counts as `{}`. Strict: UTF-8
    without BOM, no NaN, no trailing octets, no lone surrogate (PWD-05), no name twice, at most 16 levels deep.
    """
    _require(_JSON_KIND, body, content_type)
    if not body:
        return _record({}, record, strict=True)
    given, repeated = _decode_json(body)
    if given is None:
        raise BadRequest("invalid_fields", errors=[FieldError("", "wrong_type")])
    known = {field.key for field in _fields(record)}
    if errors := [FieldError(_pointer(key) if key in known else "", "repeated") for key in sorted(repeated)]:
        raise BadRequest("invalid_fields", errors=errors)
    return _record(given, record, strict=True)


def form_fields(body: bytes, content_type: bytes | None, record: type[T]) -> T:
    """Read a form as browsers post it, `application/x-www-form-urlencoded`; any other type is `BadRequest` 415.

    Texts become numbers where the field is one. A ticked checkbox (`on`) is true and an absent one has the field's
    default; a blank field that may be None counts as absent. A repeated field is refused, unless its type admits a
    list, which then holds all its values in order.
    """
    _require(_FORM, body, content_type)
    return _record(_decode_form(body, record), record, strict=False)


def query_fields(query: str, record: type[T]) -> T:
    """Read a raw query string by the same rules as a form."""
    if not query.isascii():
        raise BadRequest("malformed_form")
    return _record(_decode_form(query.encode(), record), record, strict=False)


class _Field(NamedTuple):
    """What a struct says about one of its fields, worked out once."""

    name: str
    key: str
    type: object
    required: bool
    may_be_none: bool
    is_checkbox: bool


@lru_cache(maxsize=256)
def _fields(record: type[Struct]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            name=field.name,
            key=field.encode_name,
            type=field.type,
            required=field.default is NODEFAULT and field.default_factory is NODEFAULT,
            may_be_none=_accepts(None, field.type),
            is_checkbox=_accepts(True, field.type),
        )
        for field in msgspec.structs.fields(record)
    )


def _accepts(value: object, type_: object) -> bool:
    try:
        msgspec.convert(value, type_)
    except ValidationError:
        return False
    return True


def _require(media_type: re.Pattern[bytes], body: bytes, content_type: bytes | None) -> None:
    if content_type is None and not body:
        return
    if content_type is None or not media_type.fullmatch(content_type):
        raise BadRequest("unsupported_media_type", status=415)


def _decode_json(body: bytes) -> tuple[dict[str, object] | None, set[str]]:
    """Decode an object (None where it is another value), and tell which names stand twice.

    Those of the outermost object are told by name, "" stands for any deeper down.
    """
    repeated: set[str] = set()

    def note(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        # The outermost object is closed last, so its names are the ones that remain.
        counted = Counter(name for name, _ in pairs)
        repeated = {name for name, times in counted.items() if times > 1} | ({""} if repeated else set())
        return {}

    if _is_too_deep(body):
        raise BadRequest("too_deep")
    try:
        # msgspec is the judge of syntax: it refuses lone surrogates, NaN and numbers out of range. It keeps the last
        # of two equal names, so the standard library's decoder is asked to show the pairs.
        given = msgspec.json.decode(body)
        json.loads(body.decode(), object_pairs_hook=note, parse_int=str, parse_float=str)
    except (msgspec.MsgspecError, ValueError):
        raise BadRequest("malformed_json") from None
    return cast("dict[str, object]", given) if isinstance(given, dict) else None, repeated


def _is_too_deep(body: bytes) -> bool:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _decode_form(octets: bytes, record: type[Struct]) -> dict[str, object]:
    if octets.count(b"&") >= MAX_FIELDS:
        raise BadRequest("too_many_fields")
    texts: dict[str, list[str]] = {}
    known = {field.key: field for field in _fields(record)}
    for piece in filter(None, octets.split(b"&")):
        name, _, value = piece.partition(b"=")
        key = _form_text(name)
        if key is None:
            raise BadRequest("malformed_form")
        text = _form_text(value)
        if key in known:
            if text is None:
                raise BadRequest("invalid_fields", errors=[FieldError(_pointer(key), "bad_encoding")])
            texts.setdefault(key, []).append(text)
        elif text is None:
            raise BadRequest("malformed_form")
    return {key: given for key, values in texts.items() for given in _form_value(values, known[key])}


def _form_text(octets: bytes) -> str | None:
    """Decode one name or value; None where an escape is broken or the octets are not UTF-8."""
    if _STRAY_PERCENT.search(octets):
        return None
    try:
        return unquote_to_bytes(octets.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None


def _form_value(values: list[str], field: _Field) -> Iterable[object]:
    """Give what a form says of a field, or nothing where it says nothing."""
    if len(values) > 1:
        yield values
    elif values[0] == "" and field.may_be_none:
        return
    else:
        yield True if field.is_checkbox and values[0] == "on" else values[0]


def _record(given: dict[str, object], record: type[T], *, strict: bool) -> T:
    """Convert field by field, so that one answer names all faults."""
    values: dict[str, object] = {}
    errors: list[FieldError] = []
    for field in _fields(record):
        if field.key not in given:
            if field.required:
                errors.append(FieldError(_pointer(field.key), "missing"))
            continue
        value = given[field.key]
        try:
            values[field.name] = msgspec.convert(value, field.type, strict=strict)
        except ValidationError as error:
            reason = "repeated" if isinstance(value, list) and not strict else _reason(error)
            errors.append(FieldError(_pointer(field.key), reason))
    if errors:
        raise BadRequest("invalid_fields", errors=errors)
    return record(**values)


def _reason(error: ValidationError) -> str:
    # The message itself may quote the value ("Invalid enum value 'x'") and never leaves here.
    return "wrong_type" if ", got `" in str(error) else "invalid"


def _pointer(key: str) -> str:
    """Write a JSON pointer to a member of the outermost object (RFC 6901 §3)."""
    return "/" + key.replace("~", "~0").replace("/", "~1")
