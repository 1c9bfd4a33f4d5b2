"""The pre-session: signed, short-lived, without a row."""

from __future__ import annotations

from hmac import digest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.tokens import encode
from coatcheck.http.cookies import CookieStyle, write
from coatcheck.http.csrf import issue_token, verify_token
from coatcheck.http.presession import LIFE, NONCE_BYTES, WORD_MAX, PreSession, issue, read

KEY = b"k" * 32
NONCE = bytes(range(NONCE_BYTES))
NOW = 1_800_000_000
BARE = PreSession(NONCE)


@pytest.mark.parametrize(
    ("at", "expected"), [(NOW - 1, None), (NOW, BARE), (NOW + LIFE - 1, BARE), (NOW + LIFE, None), (0, None)]
)
def test_ses_01_a_pre_session_lives_3600_seconds_from_its_issue(at, expected):
    assert read(KEY, issue(KEY, nonce=NONCE, now=NOW), now=at) == expected


def test_ses_01_the_longest_life_is_an_hour():
    assert LIFE == 3600


@given(st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES), st.integers(0, 2**62), st.integers(-LIFE, 2 * LIFE))
def test_tmo_03_a_nonce_comes_back_exactly_while_the_pre_session_lives(nonce, now, later):
    value = issue(KEY, nonce=nonce, now=now)

    assert read(KEY, value, now=now + later) == (PreSession(nonce) if 0 <= later < LIFE else None)


@pytest.mark.parametrize("word", ["x", "ada", "X", "MAX", "XX", "\u00e4", "ada@example.org", " "])
def test_a_word_comes_back_whatever_it_ends_with(word):
    assert read(KEY, issue(KEY, nonce=NONCE, now=NOW, word=word), now=NOW) == PreSession(NONCE, word)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=WORD_MAX // 4))
def test_the_word_it_carries_comes_back_and_any_changed_character_is_refused(word):
    value = issue(KEY, nonce=NONCE, now=NOW, word=word)

    assert read(KEY, value, now=NOW) == PreSession(NONCE, word)
    place = len(value) // 2
    assert read(KEY, value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :], now=NOW) is None
    assert read(KEY, value[:-1] + chr(ord(value[-1]) ^ 1), now=NOW) is None


@pytest.mark.parametrize("word", ["a\0b", "\0", "x" * (WORD_MAX + 1), "\ud800" * (WORD_MAX + 1)])
def test_a_word_that_cannot_be_carried_is_left_behind(word):
    assert read(KEY, issue(KEY, nonce=NONCE, now=NOW, word=word), now=NOW) == BARE


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 8])
def test_a_word_cannot_be_cut_short(cut):
    assert read(KEY, issue(KEY, nonce=NONCE, now=NOW, word="somebody")[:-cut], now=NOW) is None


def test_a_value_of_another_key_is_refused():
    assert read(b"j" * 32, issue(KEY, nonce=NONCE, now=NOW), now=NOW) is None


def test_a_change_of_any_character_is_refused():
    value = issue(KEY, nonce=NONCE, now=NOW)
    forged = [value[:n] + ("A" if value[n] != "A" else "B") + value[n + 1 :] for n in range(len(value))]

    assert not [one for one in forged if read(KEY, one, now=NOW) is not None]


@pytest.mark.parametrize(
    "value", [None, "", "A" * 75, "A" * 76, "A" * 77, "é" * 76, "A" * 75 + "\n", "\0" * 76, "=" * 76]
)
def test_a_malformed_value_is_refused_without_an_error(value):
    assert read(KEY, value, now=NOW) is None


@given(st.text(max_size=100) | st.text(alphabet="ABab01-_", min_size=76, max_size=76))
def test_no_text_raises_or_is_accepted(text):
    assert read(KEY, text, now=NOW) is None


def signed_by_hand(label: bytes, version: bytes) -> str:
    signed = version + NOW.to_bytes(8, "big") + NONCE
    return encode(signed + digest(KEY, label + signed, "sha256"))


@pytest.mark.parametrize(
    ("label", "version", "expected"),
    [
        (b"coatcheck:pre-session:1:", b"\x01", BARE),
        (b"coatcheck:pre-session:1:", b"\x02", None),
        (b"coatcheck:csrf:1:", b"\x01", None),
        (b"", b"\x01", None),
    ],
)
def test_tok_07_only_this_purpose_and_version_are_read(label, version, expected):
    assert read(KEY, signed_by_hand(label, version), now=NOW) == expected


def test_tok_07_a_csrf_token_is_no_pre_session_and_the_reverse():
    assert read(KEY, issue_token(KEY, NONCE, bytes(16)), now=NOW) is None
    assert not verify_token(KEY, NONCE, issue(KEY, nonce=NONCE, now=NOW))


def test_cky_06_the_value_fits_a_cookie():
    written = write(CookieStyle(name="__Host-coatcheck-pre"), issue(KEY, nonce=NONCE, now=NOW), max_age=None)

    assert len(written.partition(";")[0]) == len("__Host-coatcheck-pre=") + 76


def test_cky_06_with_the_longest_word_it_fits_a_cookie_too():
    assert WORD_MAX == 1024
    word = "x" * WORD_MAX
    value = issue(KEY, nonce=NONCE, now=NOW, word=word)

    assert write(CookieStyle(name="__Host-coatcheck-pre"), value, max_age=None)
    assert read(KEY, value, now=NOW) == PreSession(NONCE, word)


@pytest.mark.parametrize(("key", "nonce"), [(b"k" * 31, NONCE), (KEY, NONCE[:-1]), (KEY, b"")])
def test_a_short_key_or_another_nonce_is_the_callers_mistake(key, nonce):
    with pytest.raises(ValueError, match="pre-session"):
        issue(key, nonce=nonce, now=NOW)


def test_csr_08_a_forms_token_is_bound_to_the_browsers_own_pre_session():
    own = read(KEY, issue(KEY, nonce=NONCE, now=NOW), now=NOW)
    attackers = read(KEY, issue(KEY, nonce=bytes(NONCE_BYTES), now=NOW), now=NOW)
    assert own is not None
    assert attackers is not None

    token = issue_token(KEY, attackers.nonce, bytes(16))

    assert verify_token(KEY, attackers.nonce, token)
    assert not verify_token(KEY, own.nonce, token)
