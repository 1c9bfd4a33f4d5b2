"""What a verification costs, counted where the work is done, and which octets of a password count (ENU-02, PWD-03)."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.core.passwords import normalised
from coatcheck.core.policy import make_policy
from coatcheck.crypto.hashing import PasswordHasher

POLICY = make_policy()
PASSWORD = b"a long enough passphrase"


class Counting:
    """The hashing library, noting each computation and what it was computed with."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.verified: list[str] = []

    def verify(self, hashed: str, password: bytes) -> bool:
        self.verified.append(hashed.rpartition("$")[0].rpartition("$")[0])
        return bool(self.inner.verify(hashed, password))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture
def hasher() -> PasswordHasher:
    hasher = PasswordHasher(POLICY)
    hasher.verify(None, b"makes the decoy")
    hasher._argon2 = Counting(hasher._argon2)  # type: ignore[assignment]
    return hasher


ABSURD = "$argon2id$v=19$m=19456,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"


@pytest.mark.parametrize("hashed", [None, "!", "", "\u00e4", ABSURD, "$2b$12$abcdefghijklmnopqrstuv"])
@pytest.mark.parametrize("password", [PASSWORD, b"", b"a password nobody has"])
def test_enu_02_without_a_usable_hash_one_computation_of_todays_cost_is_done_all_the_same(
    hasher: PasswordHasher, hashed: str | None, password: bytes
) -> None:
    real = hasher.hash(PASSWORD)
    counting: Any = hasher._argon2

    hasher.verify(real, b"wrong")
    assert hasher.verify(hashed, password) is False

    assert len(counting.verified) == 2
    assert len(set(counting.verified)) == 1, "the same version and parameters"
    assert counting.verified[0] == "$argon2id$v=19$m=19456,t=2,p=1"


@pytest.mark.parametrize("length", [72, 255, 1023])
def test_pwd_03_octets_past_any_usual_cut_count(hasher: PasswordHasher, length: int) -> None:
    one, other = (normalised("x" * length + last, POLICY) for last in "ab")
    assert one is not None
    assert other is not None

    hashed = hasher.hash(one)

    assert hasher.verify(hashed, one)
    assert not hasher.verify(hashed, other)
    assert not hasher.verify(hashed, one[:-1])


def test_pwd_09_twenty_hashes_have_twenty_salts_of_sixteen_octets() -> None:
    hasher = PasswordHasher(make_policy(overrides={"argon2_memory_kib": 12_288, "argon2_time": 3}))

    salts = {hasher.hash(PASSWORD).split("$")[4] for _ in range(20)}

    assert len(salts) == 20
    assert {len(salt) for salt in salts} == {22}
