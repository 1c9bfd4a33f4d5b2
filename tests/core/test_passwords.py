"""What may become a password, and the one form in which it is hashed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.passwords import normalised, refusal_of_new
from coatcheck.core.policy import STANDARD, make_policy

E_ACUTE, E_AND_ACUTE = "\u00e9", "e\u0301"

NEW = [
    ("a" * 14, "password_too_short"),
    ("a" * 15, None),
    ("", "password_too_short"),
    (" " * 15, None),
    ("abcdefghijklmno", None),  # PWD-06: no rules of composition
    ("\U0001f511" * 64, None),
    (E_AND_ACUTE * 14, "password_too_short"),  # 28 code points typed, 14 after NFC
    (E_AND_ACUTE * 15, None),
    ("a" * 1024, None),
    ("a" * 1025, "password_too_long"),
    (E_ACUTE * 512, None),
    (E_ACUTE * 513, "password_too_long"),
    ("\U0001f511" * 257, "password_too_long"),
    ("\U0001d160" * 256, "password_too_long"),  # 256 code points that NFC takes apart into 768
    ("a" * 20 + "\ud800", "password_not_text"),
    ("a" * 400 + "\udfff", "password_not_text"),
    ("a\0bcdefghijklmnop", None),
    ("\r\n\t\x1b" * 4, None),
]


@pytest.mark.parametrize(("password", "refusal"), NEW)
def test_pwd_01_pwd_02_pwd_03_pwd_05_pwd_06_new_password_is_taken_or_told_why_not(password, refusal):
    assert refusal_of_new(password, STANDARD) == refusal


@pytest.mark.parametrize(("length", "refusal"), [(7, "password_too_short"), (8, None)])
def test_pwd_01_minimum_can_be_lowered_to_eight(length, refusal):
    assert refusal_of_new("x" * length, make_policy(overrides={"password_min_length": 8})) == refusal


def test_pwd_04_composed_and_decomposed_letters_are_the_same_password():
    assert normalised("caf" + E_ACUTE, STANDARD) == normalised("caf" + E_AND_ACUTE, STANDARD)


DIFFERENT = [
    ("Password of mine", "password of mine"),
    ("password of mine", "password of mine "),
    ("password of mine", " password of mine"),
    ("password", "\uff50assword"),
    ("a\0b", "a\0c"),
    ("a b", "a\u00a0b"),
    ("a" * 72 + "x", "a" * 72 + "y"),
    ("a" * 1023 + "x", "a" * 1023 + "y"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_pwd_04_nothing_but_nfc_is_done_to_a_password(one, other):
    assert normalised(one, STANDARD) != normalised(other, STANDARD)


@pytest.mark.parametrize("character", ["a", E_ACUTE, "\u0301", "\ud800"])
def test_pwd_03_a_megabyte_is_nobodys_password(character):
    assert normalised(character * 2**20, STANDARD) is None
    assert refusal_of_new(character * 2**20, STANDARD) in ("password_too_long", "password_not_text")


@given(st.text(max_size=300))
def test_normalising_twice_changes_nothing(password):
    once = normalised(password, STANDARD)

    assert once is None or normalised(once.decode(), STANDARD) == once
