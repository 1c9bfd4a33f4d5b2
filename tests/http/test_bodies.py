"""Bodies and queries: one record, or a refusal that names each field."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from coatcheck.errors import BadRequest, FieldError
from coatcheck.http.bodies import MAX_DEPTH, form_fields, is_form, is_strict_json, json_fields, query_fields
from coatcheck.http.redirects import local_target

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"


class LogIn(Struct, frozen=True):
    identifier: str
    password: str
    remember: bool = False
    transport: Literal["cookie", "bearer"] = "cookie"
    limit: int | None = None
    next: str | list[str] | None = None


class Search(Struct, frozen=True):
    text: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    next: str | list[str] | None = None


def refusal(body: bytes, content_type: bytes | None = JSON, record: type = LogIn, read=json_fields) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        read(body, content_type, record)
    return refused.value


WHOLE = b'{"identifier":"ada","password":"correct horse"}'


def test_a_json_object_becomes_a_record():
    assert json_fields(WHOLE, JSON, LogIn) == LogIn("ada", "correct horse")


def test_acc_09_unknown_members_are_ignored():
    body = b'{"identifier":"ada","password":"p","is_admin":true,"epoch":9,"deep":{"a":[1,{"b":null}]}}'

    assert json_fields(body, JSON, LogIn) == LogIn("ada", "p")


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json;charset=utf-8",
        b'application/json ; charset="UTF-8"',
        b"application/vnd.coatcheck+json",
        b"application/merge-patch+json; charset=utf-8",
    ],
)
def test_csr_09_json_types_are_read(content_type):
    assert json_fields(WHOLE, content_type, LogIn).identifier == "ada"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"text/plain",
        b"text/plain; application/json",
        b"Text/Plain;application/json",
        b"application/json, text/plain",
        b"text/plain, application/json",
        b"application/json;",
        b"application/json; charset=utf-16",
        b"application/json; charset=utf-8; x=y",
        b"application/json; boundary=x",
        b"application/json\n",
        b"application/json\x00",
        b" application/json",
        b"application/jsonx",
        b"application/+json",
        b"application/a b+json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"text/json",
        b"image/svg+json",
        b"\xff",
    ],
)
def test_csr_09_any_other_type_is_415_and_the_body_is_not_parsed(content_type):
    refused = refusal(b"{not json", content_type)

    assert (refused.status, refused.reason) == (415, "unsupported_media_type")


def test_csr_09_no_body_needs_no_type():
    assert json_fields(b"", None, Search) == Search()
    assert json_fields(b"", JSON, Search) == Search()
    assert form_fields(b"", None, Search) == Search()


def test_csr_09_no_body_of_a_wrong_type_is_415():
    assert refusal(b"", b"text/plain").status == 415


def test_csr_09_no_body_has_no_fields():
    assert refusal(b"", None).errors == (FieldError("/identifier", "missing"), FieldError("/password", "missing"))


@pytest.mark.parametrize(
    ("content_type", "strict"),
    [(JSON, True), (b"application/json; charset=utf-8", True), (b"application/x+json", False), (None, False)],
)
def test_csr_02_only_application_json_itself_is_strict(content_type, strict):
    assert is_strict_json(content_type) is strict


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (FORM, True),
        (b"Application/X-WWW-Form-URLencoded ; charset=utf-8", True),
        (FORM + b", text/plain", False),
        (b"multipart/form-data; boundary=x", False),
        (JSON, False),
        (b"", False),
        (None, False),
    ],
)
def test_csr_07_a_form_is_what_browsers_post_without_files(content_type, form):
    assert is_form(content_type) is form


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}x",
        b"{} {}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":tru}',
        b'{"a":"\n"}',
        b'{"a":"\x00"}',
        b'{"a":"\\x41"}',
        b'{"a":"\\u12"}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"a":"\xc0\x80"}',
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b"\x00",
        b" ",
        b"/*x*/{}",
    ],
)
def test_err_04_malformed_json_is_400(body):
    refused = refusal(body)

    assert (refused.status, refused.reason) == (400, "malformed_json")


SURROGATES = [b"\\ud800", b"\\udc00", b"\\ud800\\ud800", b"\\udc00\\ud800", b"\\ud83dx", b"x\\uD800", b"\xed\xa0\x80"]


@pytest.mark.parametrize("text", SURROGATES)
def test_pwd_05_a_lone_surrogate_is_400(text):
    assert refusal(b'{"identifier":"ada","password":"%s"}' % text).reason == "malformed_json"


@pytest.mark.parametrize("text", SURROGATES)
def test_pwd_05_a_lone_surrogate_in_a_name_or_an_unknown_member_is_400(text):
    assert refusal(b'{"%s":1,"identifier":"ada","password":"p"}' % text).reason == "malformed_json"
    assert refusal(b'{"z":["%s"],"identifier":"ada","password":"p"}' % text).reason == "malformed_json"


@pytest.mark.parametrize(
    ("body", "content_type", "read"),
    [
        (b'{"identifier":"ada","password":"a\\u0000b\\u001b"}', JSON, json_fields),
        (b"identifier=ada&password=a%00b%1b", FORM, form_fields),
    ],
)
def test_pwd_05_nul_and_controls_are_kept_in_a_password(body, content_type, read):
    assert read(body, content_type, LogIn).password == "a\0b\x1b"


def test_pwd_05_a_surrogate_pair_is_one_character():
    assert json_fields(b'{"identifier":"ada","password":"\\ud83d\\ude00"}', JSON, LogIn).password == "\U0001f600"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b"{}", [("/identifier", "missing"), ("/password", "missing")]),
        (b'{"identifier":"a"}', [("/password", "missing")]),
        (b'{"identifier":1,"password":"p"}', [("/identifier", "wrong_type")]),
        (b'{"identifier":null,"password":["p"]}', [("/identifier", "wrong_type"), ("/password", "wrong_type")]),
        (b'{"identifier":{"$ne":1},"password":"p"}', [("/identifier", "wrong_type")]),
        (b'{"identifier":"a","password":"p","remember":"yes"}', [("/remember", "wrong_type")]),
        (b'{"identifier":"a","password":"p","remember":1}', [("/remember", "wrong_type")]),
        (b'{"identifier":"a","password":"p","limit":"20"}', [("/limit", "wrong_type")]),
        (b'{"identifier":"a","password":"p","limit":true}', [("/limit", "wrong_type")]),
        (b'{"identifier":"a","password":"p","transport":"canary"}', [("/transport", "invalid")]),
        (b'{"identifier":"a","identifier":"b","password":"p"}', [("/identifier", "repeated")]),
        (b'{"password":"p","identifier":"a","password":"p"}', [("/password", "repeated")]),
        (b'{"p\\u0061ssword":"p","identifier":"a","password":"p"}', [("/password", "repeated")]),
        (b'{"z":1,"z":2,"identifier":"a","password":"p"}', [("", "repeated")]),
        (b'{"z":{"a":1,"a":2},"identifier":"a","password":"p"}', [("", "repeated")]),
        (b'{"z":[{"password":1,"password":2}],"identifier":"a","password":"p"}', [("", "repeated")]),
        (b'{"z":{"a":1,"a":2},"":1,"":2,"identifier":"a","password":"p"}', [("", "repeated")]),
        (b"[]", [("", "wrong_type")]),
        (b'"canary"', [("", "wrong_type")]),
        (b"null", [("", "wrong_type")]),
        (b"7", [("", "wrong_type")]),
    ],
)
def test_err_04_each_field_at_fault_is_named_by_pointer_and_reason(body, errors):
    refused = refusal(body)

    assert (refused.status, refused.reason, list(refused.errors)) == (400, "invalid_fields", errors)


def test_err_04_a_refusal_never_repeats_what_was_sent():
    body = b'{"identifier":["canary"],"password":"canary","transport":"canary","canary":1,"canary":2}'

    refused = refusal(body)

    assert "canary" not in repr((refused.args, refused.errors, refused.__cause__, refused.reason))


VALUES = [
    *("", "x" * 70_000, "\0", "\x7f", "é", "\u202e", "null", "on", "'", "%s{0.__class__}", "[]", "{}", "0"),
    *(None, True, False, 0, -1, 1.5, 2**63, -(2**70), 1e308),
    *([], ["x"], [[]], {}, {"x": 1}, {"$ne": None}, [None], [{}]),
]


def outcome(read, body: bytes, content_type: bytes, record: type):
    try:
        return read(body, content_type, record)
    except BadRequest as refused:
        return refused


@pytest.mark.parametrize("name", ["identifier", "password", "remember", "transport", "limit", "next"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_err_04_thirty_odd_values_in_each_field_are_a_record_or_a_400(name, value):
    body = json.dumps({"identifier": "a", "password": "p"} | {name: value}).encode()

    record = outcome(json_fields, body, JSON, LogIn)

    assert record.status == 400 if isinstance(record, BadRequest) else getattr(record, name) == value


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1000, 100_000])
def test_err_04_deep_json_is_400_and_no_recursion_error(opening, depth):
    assert refusal(opening * depth).reason == "too_deep"
    assert refusal(b'{"identifier":"a","password":"p","z":' + opening * depth).reason == "too_deep"


def test_err_04_brackets_closed_before_do_not_buy_depth():
    siblings = b"[]," * 40

    assert refusal(b'{"text":"a","z":[' + siblings + b"[" * 100, record=Search).reason == "too_deep"


def test_err_04_the_greatest_depth_is_16():
    assert MAX_DEPTH == 16


def test_json_of_the_greatest_depth_is_read():
    body = b'{"identifier":"a","password":"[[{{","z":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"

    assert json_fields(body, JSON, LogIn).identifier == "a"


def test_brackets_in_texts_are_not_depth():
    body = json.dumps({"identifier": '\\"' + "[" * 100 + '"', "password": "{" * 100 + "\\"}).encode()

    assert json_fields(body, JSON, LogIn).password == "{" * 100 + "\\"


@pytest.mark.parametrize(
    ("begin", "unit", "end"),
    [
        (b'"', b'\\"', b""),
        (b"", b'"', b""),
        (b"", b"\\", b""),
        (b"{", b'"a":1,', b'"a":1}'),
        (b'{"a":', b"9", b"}"),
        (b"", b"[]", b""),
        (b"", b"[", b""),
        (b'{"a":"', b"\\u0041", b'"}'),
    ],
)
def test_sup_09_no_body_takes_more_than_linear_time(grows_linearly, begin, unit, end):
    grows_linearly(
        lambda size: begin + unit * (size // len(unit)) + end,
        lambda body: outcome(json_fields, body, JSON, Search),
        16 * 1024,
    )


def test_sup_09_many_names_and_one_repeated_take_linear_time(grows_linearly):
    grows_linearly(
        lambda size: b"{" + b",".join(b'"%06d":1' % n for n in range(size // 11)) + b',"000000":1}',
        lambda body: outcome(json_fields, body, JSON, Search),
        16 * 1024,
    )


@pytest.mark.parametrize("unit", [b"&", b"%", b"%25", b"+", b"=", b"a=b&"])
def test_sup_09_no_form_takes_more_than_linear_time(grows_linearly, unit):
    grows_linearly(
        lambda size: b"text=" + (unit * size)[:size],
        lambda body: outcome(form_fields, body, FORM, Search),
        16 * 1024,
    )


@given(st.binary(max_size=80) | st.text(alphabet='{}[]":,\\u0123ad8ef', max_size=60).map(str.encode))
def test_err_04_any_octets_are_a_record_or_a_400(body):
    record = outcome(json_fields, b'{"text":' + body + b"}", JSON, Search)

    assert record.status == 400 if isinstance(record, BadRequest) else (record.text or "").encode() is not None


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.text(max_size=8), max_size=6), st.text())
def test_any_well_formed_object_gives_its_fields_back(members, text):
    given_members = {name: value for name, value in members.items() if name not in {"limit", "next"}} | {"text": text}

    assert json_fields(json.dumps(given_members).encode(), JSON, Search).text == text


def form(body: str, record: type = LogIn):
    return form_fields(body.encode(), FORM, record)


def test_a_form_becomes_a_record():
    assert form("identifier=ada&password=correct+horse&remember=on") == LogIn("ada", "correct horse", True)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("true", True), ("1", True), ("false", False), ("0", False)])
def test_a_ticked_checkbox_is_true(text, value):
    assert form(f"identifier=a&password=p&remember={text}").remember is value


def test_a_checkbox_that_is_not_ticked_is_not_sent_and_false():
    assert form("identifier=a&password=p").remember is False


@pytest.mark.parametrize(
    ("sent", "text"),
    [("text=", None), ("text=null", "null"), ("text=on", "on"), ("text=7", "7"), ("text", None), ("text=a=b", "a=b"),
     ("text=a%2Bb+c%26", "a+b c&"), ("te%78t=a", "a"), ("text=%C3%A9", "é"), ("text=a;limit=9", "a;limit=9"),
     ("&&text=a&", "a"), ("Text=a", None), ("text[]=a", None)],
)  # fmt: skip
def test_form_texts_are_decoded_and_nothing_more(sent, text):
    assert form(sent, Search) == Search(text=text)


def test_a_blank_field_that_must_be_a_text_is_an_empty_text():
    assert form("identifier=&password=").identifier == ""


def test_numbers_are_read_from_a_form():
    assert form("limit=50", Search).limit == 50


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ("identifier=a", [("/password", "missing")]),
        ("", [("/identifier", "missing"), ("/password", "missing")]),
        ("identifier=a&identifier=b&password=p", [("/identifier", "repeated")]),
        ("identifier=a&identifier=a&password=p", [("/identifier", "repeated")]),
        ("identifier=a&password=p&remember=on&remember=on", [("/remember", "repeated")]),
        ("identifier=a&password=p&remember=canary", [("/remember", "wrong_type")]),
        ("identifier=a&password=p&limit=canary", [("/limit", "wrong_type")]),
        ("identifier=a&password=p&limit=%D9%A3", [("/limit", "wrong_type")]),
        ("identifier=a&password=p&transport=canary", [("/transport", "invalid")]),
        ("identifier=%ff&password=p", [("/identifier", "bad_encoding")]),
        ("identifier=%C0%80&password=p", [("/identifier", "bad_encoding")]),
        ("identifier=%ED%A0%80&password=p", [("/identifier", "bad_encoding")]),
        ("identifier=a&password=100%", [("/password", "bad_encoding")]),
        ("identifier=a&password=%zz", [("/password", "bad_encoding")]),
        ("identifier=a&password=%4", [("/password", "bad_encoding")]),
        ("identifier=a&password=%4z", [("/password", "bad_encoding")]),
    ],
)
def test_err_04_each_form_field_at_fault_is_named(sent, errors):
    refused = refusal(sent.encode(), FORM, LogIn, form_fields)

    assert (refused.status, refused.reason, list(refused.errors)) == (400, "invalid_fields", errors)


@pytest.mark.parametrize("sent", [b"%ff=a", b"z=%ff", b"z=%", b"%=a", b"\xff", b"z=\xff", b"z=%ED%A0%80"])
def test_err_04_a_form_with_broken_encodings_elsewhere_is_400(sent):
    assert refusal(sent, FORM, Search, form_fields).reason == "malformed_form"


def test_err_04_a_form_of_100_fields_is_read_and_one_more_is_not():
    fields = b"&".join([b"z=1"] * 99 + [b"text=a"])

    assert form_fields(fields, FORM, Search).text == "a"
    assert refusal(fields + b"&z=1", FORM, Search, form_fields).reason == "too_many_fields"


def test_err_04_ampersands_without_fields_do_not_hide_fields():
    assert refusal(b"&" * 60_000 + b"text=a", FORM, Search, form_fields).reason == "too_many_fields"


@pytest.mark.parametrize(
    "content_type", [None, JSON, b"text/plain", b"multipart/form-data; boundary=x", FORM + b"; charset=latin-1"]
)
def test_a_form_of_another_type_is_415(content_type):
    refused = refusal(b"text=a", content_type, Search, form_fields)

    assert (refused.status, refused.reason) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", [FORM, FORM + b";charset=UTF-8", b"Application/X-WWW-Form-Urlencoded"])
def test_a_form_of_its_type_is_read(content_type):
    assert form_fields(b"text=a", content_type, Search).text == "a"


@given(st.binary(max_size=80) | st.text(alphabet="%+&=texlimi01f\x00é", max_size=40).map(str.encode))
def test_err_04_any_form_octets_are_a_record_or_a_400(body):
    record = outcome(form_fields, body, FORM, Search)

    assert record.status == 400 if isinstance(record, BadRequest) else (record.text or "").encode() is not None


def test_csr_10_a_method_override_field_is_ignored():
    assert form("_method=DELETE&text=a", Search) == Search(text="a")


class Unusual(Struct, rename={"path": "a/b~c"}):
    path: str
    tags: list[str] = []


def test_a_field_with_a_default_factory_may_be_absent_and_a_list_takes_all_values():
    assert json_fields(b'{"a/b~c":"x"}', JSON, Unusual).tags == []
    assert form("a/b~c=x&tags=1&tags=2", Unusual).tags == ["1", "2"]


def test_a_pointer_is_escaped():
    assert refusal(b"{}", record=Unusual).errors == (FieldError("/a~1b~0c", "missing"),)


def test_a_query_is_read_by_the_same_rules():
    assert query_fields("limit=5&text=a%20b", Search) == Search(text="a b", limit=5)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=x", "limit=5&limit=6", "limit="])
def test_err_04_a_bad_query_names_its_field(query):
    with pytest.raises(BadRequest) as refused:
        query_fields(query, Search)

    assert [error.pointer for error in refused.value.errors] == ["/limit"]


@pytest.mark.parametrize("query", ["text=é", "text=\udc80", "text=\xff"])
def test_err_04_a_query_that_is_not_ascii_is_400(query):
    with pytest.raises(BadRequest) as refused:
        query_fields(query, Search)

    assert refused.value.reason == "malformed_form"


@pytest.mark.parametrize("query", ["next=/a&next=//e", "next=/a&next=/a", "next[]=/a", "", "next="])
def test_red_06_a_repeated_array_or_missing_next_leads_to_the_default_page(query):
    assert local_target(query_fields(query, Search).next, default="/account") == "/account"


def test_red_06_a_json_list_for_next_leads_to_the_default_page():
    given_next = json_fields(b'{"next":["/a"]}', JSON, Search).next

    assert local_target(given_next, default="/account") == "/account"


def test_red_06_a_single_next_is_followed():
    assert local_target(query_fields("next=%2Fa%3Fb%3Dc", Search).next, default="/account") == "/a?b=c"


def test_what_a_blank_or_ticked_field_means_follows_from_its_type():
    class Fresh(Struct, frozen=True):
        remember: bool = False
        note: str | None = "no note"
        name: str = "nobody"
        limit: int | None = 20

    body = b"remember=on&note=&name=&limit="

    assert form_fields(body, FORM, Fresh) == Fresh(remember=True, note="no note", name="", limit=20)
    assert form_fields(b"note=on&name=on", FORM, Fresh) == Fresh(note="on", name="on")
