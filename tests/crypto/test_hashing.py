"""Password hashing: Argon2id at the policy's strength, and nothing else."""

from __future__ import annotations

import argon2
import pytest

from coatcheck.core.policy import STANDARD, make_policy
from coatcheck.crypto.hashing import MOST_LANES, MOST_MEMORY_KIB, MOST_PASSES, PasswordHasher

PASSWORD = b"a long enough passphrase"


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    return PasswordHasher(STANDARD)


@pytest.fixture(scope="module")
def hashed(hasher) -> str:
    return hasher.hash(PASSWORD)


def test_pwd_08_stored_string_is_argon2id_with_the_default_parameters(hashed):
    found = argon2.extract_parameters(hashed)

    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19_456, 2, 1)
    assert (found.salt_len, found.hash_len) == (16, 32)


def test_pwd_08_policy_decides_the_parameters_of_new_hashes():
    stronger = PasswordHasher(make_policy(overrides={"argon2_memory_kib": 47_104, "argon2_time": 1}))

    assert "$m=47104,t=1,p=1$" in stronger.hash(PASSWORD)


def test_pwd_09_same_password_twice_gives_different_strings(hasher, hashed):
    again = hasher.hash(PASSWORD)

    assert again != hashed
    assert again.split("$")[4] != hashed.split("$")[4]


@pytest.mark.parametrize("other", [b"", PASSWORD + b" ", PASSWORD[:-1], PASSWORD.upper(), PASSWORD + b"\0"])
def test_only_the_password_itself_verifies(hasher, hashed, other):
    assert hasher.verify(hashed, PASSWORD)
    assert not hasher.verify(hashed, other)


def test_pwd_05_bytes_after_nul_count(hasher):
    hashed = hasher.hash(b"a password\0b")

    assert hasher.verify(hashed, b"a password\0b")
    assert not hasher.verify(hashed, b"a password\0c")


def test_enu_02_decoys_own_password_opens_nothing(hasher):
    assert not hasher.verify(None, b"a password nobody has")


OTHERS = "m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaA"
UNUSABLE = {
    "no passes bound": "$argon2id$v=19$m=19456,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
    "passes": f"$argon2id$v=19$m=19456,t={MOST_PASSES + 1},p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
    "memory": f"$argon2id$v=19$m={MOST_MEMORY_KIB + 1},t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
    "lanes": f"$argon2id$v=19$m=19456,t=1,p={MOST_LANES + 1}$c2FsdHNhbHQ$aGFzaGhhc2g",
    "negative memory": "$argon2id$v=19$m=-1,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
    "no passes": "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
    "no salt": "$argon2id$v=19$m=19456,t=2,p=1$$",
    "letters beyond ASCII": "$argon2id$v=19$m=19456,t=2,p=1$s\u00e4lt$h\u00e4sh",
    "surrogate": "$argon2id$v=19$m=19456,t=2,p=1$\ud800$aGFzaA",
    "another scheme": "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    "a password in clear": PASSWORD.decode(),
    "empty": "",
    "huge": "$argon2id$" * 100_000,
    "nul": f"$argon2id$v=19${OTHERS}\0",
}


@pytest.mark.parametrize("hashed", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_pwd_13_err_05_unusable_hash_matches_nothing_and_raises_nothing(hasher, hashed):
    assert not hasher.verify(hashed, PASSWORD)
    assert not hasher.verify(hashed, b"a password nobody has")


def test_old_hashes_verify_with_their_own_parameters_and_ask_to_be_made_anew(hasher, hashed):
    old = argon2.PasswordHasher(time_cost=3, memory_cost=12_288, parallelism=1).hash(PASSWORD)

    assert hasher.verify(old, PASSWORD)
    assert hasher.needs_rehash(old)
    assert not hasher.needs_rehash(hashed)


@pytest.mark.parametrize("kind", [argon2.Type.I, argon2.Type.D])
def test_other_kinds_of_argon2_ask_to_be_made_anew(hasher, kind):
    old = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=kind).hash(PASSWORD)

    assert hasher.verify(old, PASSWORD)
    assert hasher.needs_rehash(old)
