"""The form of tokens, and what a token refuses to do."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - shown to be refused

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import tokens
from coatcheck.core.tokens import Token, TokenFormat

FORMAT = TokenFormat()
GOOD = tokens.encode(bytes(range(32)))


def test_tok_01_token_of_32_bytes_has_43_characters():
    assert len(GOOD) == 43
    assert FORMAT.fits(GOOD)


def test_tok_09_public_handle_has_72_random_bits():
    assert tokens.HANDLE_BYTES == 9


MALFORMED = {
    "empty": "",
    "short": GOOD[:-1],
    "long": GOOD + "A",
    "huge": "A" * 10**6,
    "nul": GOOD[:-1] + "\0",
    "newline at the end": GOOD + "\n",
    "newline for the last": GOOD[:-1] + "\n",
    "quote": GOOD[:-1] + "'",
    "star": GOOD[:-1] + "*",
    "padding": GOOD[:-1] + "=",
    "plus": GOOD[:-1] + "+",
    "slash": GOOD[:-1] + "/",
    "letter beyond ASCII": GOOD[:-1] + "\u00e9",
    "digit beyond ASCII": GOOD[:-1] + "\u0663",
    "surrogate": GOOD[:-1] + "\ud800",
    "spaces around": f" {GOOD} ",
    "bytes": GOOD.encode(),
    "none": None,
    "number": 5,
    "list": [GOOD],
    "token object": Token(GOOD),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
def test_tok_05_anything_but_the_exact_form_does_not_fit(value):
    assert not FORMAT.fits(value)


@pytest.mark.parametrize("size", range(16, 65))
def test_form_follows_the_number_of_bytes(size):
    text = tokens.encode(bytes(size))

    assert TokenFormat(size).token_bytes == size
    assert TokenFormat(size).fits(text)
    assert not TokenFormat(size).fits(text + "A")


def test_tok_10_revealing_is_the_one_way_to_the_text_of_a_token():
    token = Token(GOOD)

    assert token.reveal() == GOOD
    assert repr(token) == "Token(****)"


def test_tok_10_token_hides_in_every_kind_of_text():
    token = Token(GOOD)

    for text in (repr(token), str(token), f"{token}", f"{token!s:>60}", repr([token]), repr({"t": token})):
        assert GOOD not in text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tok_10_token_refuses_pickling(protocol):
    with pytest.raises(TypeError, match=r"^a token cannot be pickled: it exists only at the client$"):
        pickle.dumps(Token(GOOD), protocol)


@pytest.mark.parametrize("leak", [copy.copy, copy.deepcopy, msgspec.json.encode, vars, iter, bytes, len])
def test_tok_10_token_refuses_to_be_copied_or_written_out(leak):
    with pytest.raises(TypeError):
        leak(Token(GOOD))


def test_tok_04_tokens_do_not_compare():
    assert Token(GOOD) != Token(GOOD)
    assert Token(GOOD) != GOOD


def test_tok_03_digest_depends_on_every_character():
    digests = {tokens.session_digest(GOOD[:i] + ("A" if GOOD[i] != "A" else "B") + GOOD[i + 1 :]) for i in range(43)}

    assert len(digests) == 43
    assert tokens.session_digest(GOOD) not in digests


def test_tok_07_digest_carries_its_own_label():
    from hashlib import sha256

    assert tokens.session_digest(GOOD) != sha256(GOOD.encode()).digest()
    assert tokens.session_digest(GOOD) == sha256(b"coatcheck:session:1:" + GOOD.encode()).digest()


@given(st.text(max_size=50), st.integers(1, 8))
def test_tok_06_shelf_lies_within_its_bits(subject, bits):
    if not subject.isprintable():
        return

    assert 0 <= tokens.shelf_of(subject, bits) < 2**bits


@given(st.binary(min_size=32, max_size=32))
def test_tok_06_digest_is_on_exactly_one_shelf(digest):
    for bits in (1, 4, 8):
        assert sum(tokens.on_shelf(digest, shelf, bits) for shelf in range(2**bits)) == 1


def test_store_without_shelves_takes_every_digest():
    assert tokens.on_shelf(b"\xff" * 32, 0, 0)


@pytest.mark.parametrize(("bits", "shelf"), [(1, 0b1), (2, 0b10), (4, 0b1010), (7, 0b1010011), (8, 0b10100110)])
def test_a_shelf_is_the_first_bits_of_a_digest(bits, shelf):
    digest = bytes([0b10100110]) + b"\x5a" * 31

    assert [other for other in range(2**bits) if tokens.on_shelf(digest, other, bits)] == [shelf]


@pytest.mark.parametrize("subject", ["", "ada", "bob", "\u00e4da"])
def test_tok_07_the_shelf_of_a_subject_is_the_same_for_ever_and_has_its_own_label(subject):
    from hashlib import sha256

    assert tokens.shelf_of(subject, 8) == sha256(b"coatcheck:shelf:1:" + subject.encode()).digest()[0]
