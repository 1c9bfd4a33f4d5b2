"""Bodies, queries and the Content-Type that says which of them it is."""

from __future__ import annotations

import json
import re
from email.message import Message
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from msgspec import Meta, Struct, structs

from coatcheck.errors import BadRequest
from coatcheck.http.bodies import MAX_DEPTH, MAX_FIELDS, form_fields, is_strict_json, json_fields, query_fields
from tests.fuzz.targets.target import Target

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
REASONS = {"missing", "wrong_type", "invalid", "repeated", "bad_encoding"}


class Fields(Struct):
    """One field of each kind that our routes have."""

    name: str
    password: str
    email: str | None = None
    remember: bool = False
    transport: Literal["cookie"] = "cookie"
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    next: str | list[str] | None = None


NAMES = frozenset(Fields.__struct_fields__)
Answer = Fields | BadRequest


class Unsettled(Exception):
    """The plain reading has no opinion: numbers that readers of JSON keep differently."""


def _json(octets: bytes) -> Answer:
    try:
        return json_fields(octets, JSON, Fields)
    except BadRequest as refused:
        return refused


def _form(octets: bytes) -> Answer:
    try:
        return form_fields(octets, FORM, Fields)
    except BadRequest as refused:
        return refused


def _query(octets: bytes) -> Answer:
    try:
        return query_fields(octets.decode("latin-1"), Fields)
    except BadRequest as refused:
        return refused


def _judge_json(octets: bytes, answer: Answer) -> None:
    """ERR-04, CSR-09: accepted is exactly what a strict and plain reading accepts, with the same values."""
    _judge_refusal(answer)
    try:
        plain = _plain_json(octets)
    except Unsettled:
        return
    assert (plain is None) == isinstance(answer, BadRequest)
    if isinstance(answer, Fields) and plain is not None:
        assert structs.asdict(answer) == plain


def _plain_json(octets: bytes) -> dict[str, Any] | None:
    """Read by the standard library, every rule spelled out; None for what must be refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("repeated")
        return dict(pairs)

    def whole(text: str) -> int:
        if len(text) > 18:
            raise Unsettled
        return int(text)

    def real(text: str) -> float:
        if "e" in text.lower() or len(text) > 18:
            raise Unsettled
        return float(text)

    def none(text: str) -> None:
        raise ValueError(text)

    try:
        given = json.loads(
            octets.decode() or "{}", object_pairs_hook=unique, parse_int=whole, parse_float=real, parse_constant=none
        )
        json.dumps(given, ensure_ascii=False).encode()  # lone surrogates do not survive this
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or _depth(given) > MAX_DEPTH or not {"name", "password"} <= given.keys():
        return None
    told = {key: value for key, value in given.items() if key in NAMES}
    fits = (
        isinstance(told["name"], str)
        and isinstance(told["password"], str)
        and isinstance(told.get("email"), str | None)
        and isinstance(told.get("remember", False), bool)
        and told.get("transport", "cookie") == "cookie"
        and type(told.get("limit", 1)) is int
        and 1 <= told.get("limit", 1) <= 100
        and _is_next(told.get("next"))
    )
    return structs.asdict(Fields("", "")) | told if fits else None


def _is_next(value: object) -> bool:
    return isinstance(value, str | None) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _depth(value: object) -> int:
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(_depth, members), default=0)


def _judge_form(octets: bytes, answer: Answer) -> None:
    """Accepted is what each part says when read alone; texts come through unchanged."""
    _judge_refusal(answer)
    if isinstance(answer, BadRequest):
        return
    pieces = [piece.partition(b"=") for piece in octets.split(b"&") if piece]
    assert len(pieces) <= MAX_FIELDS
    assert not re.search(rb"%(?![0-9A-Fa-f]{2})", octets)
    said: dict[str, list[str]] = {}
    for name, _, value in pieces:
        said.setdefault(_plain_text(name), []).append(_plain_text(value))
    for field in NAMES - {"next"}:
        assert len(said.get(field, [])) <= 1
    assert [answer.name] == said["name"]
    assert [answer.password] == said["password"]
    assert answer.email == (said.get("email", [""])[0] or None)
    assert answer.remember in (True, False)
    assert not answer.remember or said["remember"] != [""]
    assert answer.transport == "cookie"
    assert 1 <= answer.limit <= 100
    assert answer.next in (None, said.get("next"), said.get("next", [None])[0])


def _plain_text(octets: bytes) -> str:
    return unquote_to_bytes(octets.replace(b"+", b" ")).decode()


def _judge_query(octets: bytes, answer: Answer) -> None:
    assert isinstance(answer, BadRequest) or octets.isascii()
    _judge_form(octets, answer)


def _judge_refusal(answer: Answer) -> None:
    """A refusal tells which field and why, in our words only."""
    if isinstance(answer, BadRequest):
        assert answer.status in (400, 413, 415)
        assert all(
            fault.reason in REASONS and fault.pointer.removeprefix("/") in NAMES | {""} for fault in answer.errors
        )


def _content_type(octets: bytes) -> tuple[bool, bool]:
    try:
        json_fields(b'{"name":"","password":""}', octets, Fields)
    except BadRequest:
        return is_strict_json(octets), False
    return is_strict_json(octets), True


def _judge_content_type(octets: bytes, answer: tuple[bool, bool]) -> None:
    """CSR-09: what a form, a script's simple request or a list of types could send is never taken for JSON."""
    is_strict, is_read = answer
    assert is_read or not is_strict
    assert is_strict == (octets.lower().replace(b" ", b"").replace(b"\t", b"") in STRICT and is_read)
    if is_read:
        message = Message()
        message["content-type"] = octets.decode("ascii")
        essence = message.get_content_type()
        assert essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))
        assert message.get_param("charset", "utf-8").lower() == "utf-8"  # type: ignore[union-attr]
        assert not {b",", b"\n", b"\r", b"\x00"} & {octets[at : at + 1] for at in range(len(octets))}


STRICT = {JSON, JSON + b";charset=utf-8", JSON + b';charset="utf-8"'}
WHOLE = b'{"name":"ada","password":"x"}'
TWICE = (b'{"name":"a","name":"b","password":"c"}', b'{"name":"a","password":"c","z":{"y":1,"\\u0079":1}}')
DEEP = b'{"name":"a","password":"b","z":' + b"[" * 15 + b"]" * 15 + b"}"

TARGETS = (
    Target(
        "JSON body",
        _json,
        _judge_json,
        (
            WHOLE, b"{", b"}", b"[", b"]", b":", b",", b'"name":', b'"password":', b'"email":', b'"remember":',
            b'"transport":', b'"limit":', b'"next":', b'"name":"a","password":"b",', b'{"name":"a","password":"b",',
            b'"\\u006eame":', b'"z":', b'"x"', b'""', b'"cookie"', b"true", b"false", b"null", b"1", b"0", b"100",
            b"101", b"-1", b"1.0", b"1e2", b"1e400", b"9" * 40, b"NaN", b"Infinity", b'"\\u0000"', b'"\\ud800"',
            b'"\\ud83d\\ude00"', b'"\xc3\xa9"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf", b"\xff", b"\\", b'\\"', b'"', b" ",
            b"\n", b"\x00", b"[" * 15, b"]" * 15, b"[" * 17, b'{"a":' * 15, b"}" * 15, b'["x","y"]', b"[1]", b"{}",
            b"//", b"\x7f", b'"\x1f"', b"-0", b"01", b"+1", b".5", b"1.", b"\xe2\x80\xa8",
        ),
        65_536,
        (WHOLE, b'{"name":"a","password":"b","limit":5,"next":["x"],"z":[{"y":1,"x":2.5}]}', DEEP, *TWICE),
    ),
    Target(
        "form body",
        _form,
        _judge_form,
        (
            b"name=ada&password=x", b"name=", b"password=", b"&email=", b"&remember=on", b"&remember=", b"&transport=",
            b"cookie", b"&limit=", b"&next=", b"&next=/a&next=/b", b"&", b"=", b"+", b"%", b"%20", b"%41", b"%zz",
            b"%c3",
            b"%a9", b"\xc3", b"\xa9", b"%ff", b"%00", b"%ed%a0%80", b"%ef%bb%bf", b"%6eame=", b"on", b"true", b"1",
            b"100",
            b"101", b"-1", b"1e2", b"1.0", b"%D9%A3", b"1_0", b" 1", b";", b"[]", b"&x=y", b"&" * 99, b"&a=" * 50,
        ),
        65_536,
        (b"name=ada&password=x&email=a%40b.c&remember=on&limit=5&next=%2F", b"name=%C3%A9&password=a+b"),
    ),
    Target(
        "query",
        _query,
        _judge_query,
        (
            b"name=a&password=b", b"&limit=5", b"&limit=", b"&email=", b"&next=%2F", b"&", b"=", b"%", b"%2", b"%zz",
            b"+",
            b"\xc3\xa9", b"\xff", b"%c3%a9", b"#", b"?", b"&name=", b"&x", b"&" * 99, b"&a=b" * 50,
        ),
        16_384,
        (b"name=a&password=b&limit=5&next=%2F", b"name=&password=%C3%A9"),
    ),
    Target(
        "content type",
        _content_type,
        _judge_content_type,
        (
            JSON, FORM, b"application/", b"json", b"+json", b"text/plain", b"problem+json", b"APPLICATION/JSON", b";",
            b"charset=", b"charset=utf-8", b'charset="utf-8"', b"charset=utf-7", b"CHARSET=UTF-8", b"utf-8", b" ",
            b"\t", b",", b", text/plain", b"boundary=x", b"\n", b"\r\n", b"\x00", b"\x0b", b"\xa0", b"=", b'"', b"/",
            b"*",
        ),
        8192,
        (JSON, JSON + b"; charset=utf-8", b'application/x+json;charset="utf-8"'),
    ),
)  # fmt: skip
