"""Events: what they carry and what they never do."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import audit
from coatcheck.core.audit import Event, LoggedIn, record_of, safe_label
from coatcheck.core.records import EventRecord

KINDS = [
    kind for _, kind in inspect.getmembers(audit, inspect.isclass) if issubclass(kind, Event) and kind is not Event
]

LABELS = [
    (None, None),
    ("", None),
    (" \t\r\n", None),
    ("Mozilla/5.0", "Mozilla/5.0"),
    ("a\r\nlevel=info event=logged_in", "a level=info event=logged_in"),
    ("\x1b[2Jgone", "[2Jgone"),
    ("a\0b", "a b"),
    ("a\x85b\u2028c\u2029d", "a b c d"),
    ("safe\u202eevil", "safe evil"),
    ("\u2066x\u2069", "x"),
    ("zero\u200bwidth\ufeff", "zero width"),
    ("lone \ud800 surrogate", "lone   surrogate"),
    ("<img onerror=x>", "<img onerror=x>"),  # inert in a log; pages escape
    ("%s{0.__class__}", "%s{0.__class__}"),
    ("x" * 300, "x" * 256),
    ("\u00e9" * 300, "\u00e9" * 256),
    ("x" * 255 + " y", "x" * 255),
    (" " * 1023 + "x", "x"),
    (" " * 1024 + "x", None),  # nobody pays for reading further than four times the limit
]


@pytest.mark.parametrize(("header", "label"), LABELS)
def test_rev_08_log_05_label_from_a_header_is_harmless(header, label):
    assert safe_label(header) == label


@given(st.text(max_size=400))
def test_rev_08_no_label_holds_a_control_or_grows(text):
    label = safe_label(text)

    assert label is None or (len(label) <= 256 and label.encode() and not any(ord(c) < 32 for c in label))


@pytest.mark.parametrize("kind", KINDS)
def test_log_02_event_has_a_stable_name_of_its_own(kind):
    assert kind.name != Event.name
    assert kind.name.replace("_", "").isalpha()
    assert kind.name.islower()
    assert [other for other in KINDS if other.name == kind.name] == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_log_03_no_event_has_a_field_for_a_secret(kind):
    forbidden = {"token", "digest", "password", "secret", "cookie", "hash", "identifier", "authorization"}

    assert not forbidden & set(kind.__struct_fields__)


def test_record_of_an_event_keeps_common_fields_apart_from_details():
    common = {"at": 5, "subject": "s", "session_id": "h", "ip": "192.0.2.7", "user_agent": "B/1", "request_id": "r"}
    details = {"methods": "pwd", "is_persistent": True}

    assert record_of(LoggedIn(**common, **details)) == EventRecord(name="logged_in", **common, details=details)
