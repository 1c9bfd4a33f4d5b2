"""Keys from one root secret."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coatcheck.crypto.keys import Keys, problem_of_secret
from coatcheck.errors import ConfigurationError

SECRET = bytes(range(100, 132))


@pytest.mark.parametrize("label", ["csrf", "presession", "identifier"])
def test_key_08_sub_key_is_hkdf_sha_256_of_the_root_under_its_label(label):
    oracle = HKDF(SHA256(), 32, salt=b"coatcheck:hkdf:1", info=label.encode())

    assert getattr(Keys(SECRET), label) == oracle.derive(SECRET)


def test_key_08_labels_and_secrets_give_different_keys():
    one, other = Keys(SECRET), Keys(SECRET[::-1])

    assert len({one.csrf, one.presession, one.identifier, other.csrf, other.presession, other.identifier}) == 6


BAD = {
    "31 bytes": bytes(range(31)),
    "empty": b"",
    "all one byte": b"\0" * 32,
    "two bytes in turn": b"ab" * 32,
    "changeme": b"changeme-0123456789-abcdefghijklmnop",
    "CHANGEME": b"CHANGEME-0123456789-abcdefghijklmnop",
    "secret": b"my-very-secret-0123456789-abcdefghijk",
    "password": b"password-0123456789-abcdefghijklmnop",
    "example": b"example-0123456789-abcdefghijklmnopqr",
    "text": "0123456789abcdefghijklmnopqrstuvwxyz",
    "number": 5,
    "list": list(SECRET),
}


@pytest.mark.parametrize("secret", BAD.values(), ids=BAD.keys())
def test_key_09_poor_secret_is_refused_with_its_mend(secret):
    with pytest.raises(ConfigurationError) as refused:
        Keys(secret)

    (told,) = refused.value.problems
    assert told.startswith("secret: ")
    assert "coatcheck init" in told


@pytest.mark.parametrize("secret", BAD.values(), ids=BAD.keys())
def test_log_03_refused_secret_is_not_repeated(secret):
    told = problem_of_secret(secret) or ""

    if isinstance(secret, bytes | str) and secret:
        assert (secret if isinstance(secret, str) else secret.decode("latin1")) not in told


def test_32_random_bytes_are_enough():
    assert problem_of_secret(SECRET) is None


def test_err_08_keys_hide_in_their_repr():
    keys = Keys(SECRET)

    assert repr(keys) == "Keys(****)"


def test_log_04_identifier_hash_names_without_telling_and_depends_on_the_secret():
    hashed = Keys(SECRET).identifier_hash("ada")

    assert hashed == Keys(SECRET).identifier_hash("ada")
    assert hashed != Keys(SECRET[::-1]).identifier_hash("ada")
    assert len(hashed) == 32
    assert Keys(SECRET).identifier_hash("\ud800")
