"""Session data: JSON and nothing else, kept key by key."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections import OrderedDict, namedtuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import session_data
from coatcheck.core.records import EMPTY_DATA, SessionRecord
from coatcheck.core.session_data import INTEGER_MAX, MAX_DEPTH, decode_value, encode_value, integer_at, patched
from coatcheck.errors import CorruptRecord, InvalidData

LIMIT = 16 * 1024


class Colour(enum.Enum):
    RED = "red"


class Sneaky:
    def __reduce__(self):
        return (print, ("unpickled",))


class Name(str):
    __slots__ = ()


class Count(int):
    pass


class Length(float):
    pass


class Row(list):
    pass


def nested(depth: int, *, kind: type = list) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value] if kind is list else {"k": value}
    return value


def cyclic() -> list:
    ring: list = []
    ring.append(ring)
    return ring


REFUSED = [
    ("reduce", Sneaky()),
    ("nan", math.nan),
    ("infinity", math.inf),
    ("minus infinity", -math.inf),
    ("nan deep inside", {"a": [1, {"b": math.nan}]}),
    ("tuple", (1, 2)),
    ("tuple inside", [(1,)]),
    ("named tuple", namedtuple("P", "x")(1)),
    ("set", {1}),
    ("bytes", b"bytes"),
    ("bytearray", bytearray(b"x")),
    ("datetime", dt.datetime(2027, 1, 1, tzinfo=dt.UTC)),
    ("date", dt.date(2027, 1, 1)),
    ("enum", Colour.RED),
    ("str subclass", Name("ada")),
    ("int subclass", Count(1)),
    ("float subclass", Length(1.5)),
    ("list subclass", Row([1])),
    ("dict subclass", OrderedDict(a=1)),
    ("number as key", {1: "one"}),
    ("none as key", {None: 1}),
    ("str subclass as key", {Name("a"): 1}),
    ("2**63", INTEGER_MAX + 1),
    ("-2**63-1", -INTEGER_MAX - 2),
    ("10**5000", 10**5000),
    ("lone surrogate", "\ud800"),
    ("lone surrogate as key", {"\udfff": 1}),
    ("function", print),
    ("type", int),
    ("object", object()),
    ("raw json", msgspec.Raw(b'"x"')),
    ("generator", (x for x in ())),
]


@pytest.mark.parametrize("value", [value for _, value in REFUSED], ids=[name for name, _ in REFUSED])
def test_ses_08_what_would_not_come_back_the_same_is_refused(value):
    with pytest.raises(InvalidData) as refused:
        encode_value("key", value)

    assert refused.value.reason == "data_not_json"


@pytest.mark.parametrize("value", [nested(200), nested(200, kind=dict), nested(MAX_DEPTH + 1), cyclic()])
def test_ses_08_data_nested_too_deep_or_for_ever_is_refused(value):
    with pytest.raises(InvalidData) as refused:
        encode_value("key", value)

    assert refused.value.reason == "data_too_deep"


def test_ses_08_data_may_be_32_levels_deep_and_integers_have_64_bits():
    assert (MAX_DEPTH, INTEGER_MAX) == (32, 9_223_372_036_854_775_807)


@pytest.mark.parametrize("kind", [list, dict])
def test_deepest_data_allowed_comes_back_the_same(kind):
    value = nested(MAX_DEPTH, kind=kind)

    assert decode_value(encode_value("key", value)) == value


@pytest.mark.parametrize("key", ["", "k" * 257, "a\0b", 1, None, b"key", ("a",)])
def test_ses_08_key_is_text_of_1_to_256_characters_without_nul(key):
    with pytest.raises(InvalidData) as refused:
        encode_value(key, 1)

    assert refused.value.reason == "data_key_invalid"


def test_ses_08_key_with_a_lone_surrogate_is_refused():
    with pytest.raises(InvalidData):
        encode_value("\ud800", 1)


@pytest.mark.parametrize("key", ["k", "k" * 256, "a b", "_auth_user_id", "\u00e9", "a.b", "$where", "__proto__"])
def test_any_other_text_is_a_key(key):
    assert encode_value(key, 1) == b"1"


@pytest.mark.parametrize("value", [INTEGER_MAX, -INTEGER_MAX - 1, 0.1, -0.0, 1e300, 5e-324, 1.0, 1e16, "\0", "\u2028"])
def test_edges_of_json_come_back_with_value_and_type(value):
    back = decode_value(encode_value("key", value))

    assert back == value
    assert type(back) is type(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX - 1, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_all_json_comes_back_with_value_and_type(value):
    back = decode_value(encode_value("key", value))

    assert repr(back) == repr(value)


KEYS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
PATCHES = st.tuples(st.dictionaries(KEYS, st.integers(0, 99).map(lambda n: str(n).encode()), max_size=4), st.sets(KEYS))


def values(data: bytes, namespace: str = "app") -> dict[str, object]:
    return {key: decode_value(text) for key, text in session_data.decode(data).get(namespace, {}).items()}


@given(start=PATCHES, one=PATCHES, other=PATCHES)
def test_ses_06_patches_of_two_editors_commute_on_different_keys(start, one, other):
    data = patched(EMPTY_DATA, "app", start[0], (), limit=LIMIT)
    assert data is not None
    touched = one[0].keys() | one[1]
    other = ({k: v for k, v in other[0].items() if k not in touched}, other[1] - touched)

    def both(first, second):
        after = patched(data, "app", first[0], first[1] - first[0].keys(), limit=LIMIT)
        return values(patched(after, "app", second[0], second[1] - second[0].keys(), limit=LIMIT))

    assert both(one, other) == both(other, one)


def test_namespaces_do_not_see_each_other():
    data = patched(EMPTY_DATA, "app", {"k": b"1"}, (), limit=LIMIT)

    data = patched(data, "admin", {"k": b"2"}, (), limit=LIMIT)

    assert values(data) == {"k": 1}
    assert values(data, "admin") == {"k": 2}
    assert values(patched(data, "admin", {}, {"k"}, limit=LIMIT)) == {"k": 1}


def test_emptied_namespace_leaves_nothing():
    data = patched(EMPTY_DATA, "app", {"k": b"1"}, (), limit=LIMIT)

    assert patched(data, "app", {}, {"k"}, limit=LIMIT) == EMPTY_DATA


@pytest.mark.parametrize(("size", "fits"), [(LIMIT - 3, True), (LIMIT - 2, False), (20 * 1024, False)])
def test_ses_08_limit_counts_keys_and_values_to_the_byte(size, fits):
    text = b'"' + b"x" * size + b'"'

    data = patched(EMPTY_DATA, "app", {"k": text}, (), limit=LIMIT)

    assert (data is not None) is fits


def test_ses_08_limit_counts_all_namespaces_together():
    half = b'"' + b"x" * (LIMIT // 2) + b'"'
    data = patched(EMPTY_DATA, "app", {"k": half}, (), limit=LIMIT)

    assert patched(data, "admin", {"k": half}, (), limit=LIMIT) is None


def test_a_lowered_limit_still_lets_data_shrink():
    data = patched(EMPTY_DATA, "app", {"a": b'"' + b"x" * 3000 + b'"', "b": b"1"}, (), limit=LIMIT)

    shrunk = patched(data, "app", {"a": b'"' + b"x" * 2000 + b'"'}, (), limit=1024)

    assert shrunk is not None
    assert patched(shrunk, "app", {"c": b"1"}, (), limit=1024) is None
    assert patched(shrunk, "app", {"b": b"2"}, (), limit=1024) is not None


@pytest.mark.parametrize(
    ("text", "found"),
    [(b"7", 7), (b"-7", -7), (b"7.0", None), (b"7e0", None), (b'"7"', None), (b"true", None), (b"null", None)],
)
def test_counter_is_an_integer_or_none(text, found):
    data = patched(EMPTY_DATA, "app", {"n": text}, (), limit=LIMIT)

    assert integer_at(data, "app", "n") == found


def test_absent_counter_is_zero():
    assert integer_at(EMPTY_DATA, "app", "n") == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"app": 1}',
        b'{"app": {"k": ',
        b"\xff\xfe",
        b"cos\nsystem\n(S'id'\ntR.",
        b'{"app": {"k": "\\ud800"}}',
        b'{"app": {"k": "\xff"}}',
        b'{"app": {"k": nan}}',
    ],
)
def test_err_05_dat_01_data_that_is_no_json_is_a_corrupt_record_and_shows_nothing(data):
    record = SessionRecord(b"d", "handle", "ada", 0, 0, 0, 0, 60, 60, False, "pwd", data=data)

    with pytest.raises(CorruptRecord) as corrupt:
        session_data.values_of(record, "app")

    assert str(corrupt.value) == "corrupt record in the store: session handle"
    assert corrupt.value.__suppress_context__


# What an application's request has changed


def test_a_change_of_any_depth_is_put_and_the_rest_is_left_alone():
    before = {"same": b'{"a": [1]}', "deep": b'{"a":[1]}', "gone": b"1", "kind": b"1"}

    puts, removes = session_data.changes(before, {"same": {"a": [1]}, "deep": {"a": [2]}, "new": None, "kind": True})

    assert puts == {"deep": b'{"a":[2]}', "new": b"null", "kind": b"true"}
    assert removes == {"gone"}


def test_ses_08_what_cannot_be_kept_names_its_key_and_not_to_the_visitor():
    with pytest.raises(InvalidData) as caught:
        session_data.changes({}, {"cart": [object()]})

    assert (caught.value.key, caught.value.reason) == ("cart", "data_not_json")
    assert str(caught.value) == "data_not_json (key 'cart')"
    assert str(InvalidData("data_too_large")) == "data_too_large"


def test_bytes_of_puts_count_as_the_limit_does():
    puts = {"é": b"12", "b": b"345"}

    assert session_data.bytes_of(puts) == 8
    assert session_data.bytes_of(puts) == session_data.size_of(
        {"app": {key: msgspec.Raw(text) for key, text in puts.items()}}
    )


@pytest.mark.parametrize(
    ("kept", "crossing"),
    [
        (None, b'{"app":{"cart":[1, 2],"other":2},"shop":{"more":3}}'),
        (["cart"], b'{"app":{"cart":[1, 2]}}'),
        (["cart", "_flashes", "more", "other"], b'{"app":{"cart":[1, 2],"other":2},"shop":{"more":3}}'),
        ([], EMPTY_DATA),
    ],
)
def test_fix_02_ses_12_what_crosses_a_log_in(kept, crossing):
    data = b'{"app":{"_flashes":[],"cart":[1, 2],"other":2},"shop":{"more":3}}'

    assert session_data.crossing_login(data, kept) == crossing
    assert session_data.crossing_login(EMPTY_DATA, kept) == EMPTY_DATA


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"app":1}', b"[" * 99_999])
def test_err_05_nothing_crosses_a_log_in_of_what_cannot_be_read(data):
    assert session_data.crossing_login(data, None) == EMPTY_DATA


def test_ses_12_messages_are_the_newest_twenty_and_five_hundred_characters_long():
    messages = [["info", str(number)] for number in range(21)]

    assert session_data.bounded_flashes(messages) == messages[1:]
    assert session_data.bounded_flashes([["info", "x" * 500], ("info", "x" * 501)]) == [
        ["info", "x" * 500],
        ["info", "x" * 499 + "…"],
    ]


@pytest.mark.parametrize("value", [None, "text", {"a": 1}, 7])
def test_what_is_no_list_of_messages_is_left_for_encoding_to_judge(value):
    assert session_data.bounded_flashes(value) == value
    assert session_data.bounded_flashes([value, ["one"], ["a", 2]]) == [value, ["one"], ["a", 2]]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("app", True), ("a" * 64, True), ("a" * 65, False), ("", False), ("1a", False), ("a b", False), ("ä", False),
     (None, False), (b"app", False)],
)  # fmt: skip
def test_a_namespace_is_a_short_ascii_name(name, is_one):
    assert session_data.is_namespace(name) is is_one


def test_err_05_taking_apart_data_that_is_no_json_names_the_session_only():
    record = SessionRecord(b"d", "public-id", None, 0, 0, None, 0, 60, 60, False, "", data=b'{"secret')

    with pytest.raises(CorruptRecord) as caught:
        session_data.decode_of(record)

    assert caught.value.record == "session public-id"
    assert session_data.decode_of(msgspec.structs.replace(record, data=b'{"app":{"a":1}}')) == {
        "app": {"a": msgspec.Raw(b"1")}
    }
