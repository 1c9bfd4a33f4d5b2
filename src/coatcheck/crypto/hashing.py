"""Password hashing: Argon2id with the policy's parameters, as PHC strings (PWD-08, PWD-09).

Each call holds its memory cost and some ten milliseconds of a processor: flows send it through the hashing lane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.core.policy import Policy

if TYPE_CHECKING:
    from argon2 import PasswordHasher as Argon2Hasher

# PWD-13: a row with absurd parameters must not take the machine down.
MOST_MEMORY_KIB = 1024 * 1024
MOST_PASSES = 20
MOST_LANES = 64


class PasswordHasher:
    """Hash and verify passwords. The parameters of a policy apply to new hashes; old ones verify with their own."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._argon2: Argon2Hasher | None = None
        self._decoy = ""

    def hash(self, password: bytes) -> str:
        """Hash a password with a fresh 16-byte salt; the same password never gives the same string."""
        return self._ready().hash(password)

    def verify(self, hashed: str | None, password: bytes) -> bool:
        """Say whether the password belongs to the hash.

        Without a hash the same work is done on a decoy and the answer is False, so that an unknown name costs what
        a known one costs (ENU-02). A hash with parameters out of bounds, or that is none, matches nothing.
        """
        import argon2

        argon2id = self._ready()
        usable = hashed is not None and _is_bounded(hashed)
        try:
            argon2id.verify(hashed if usable and hashed is not None else self._decoy, password)
        except (argon2.exceptions.VerificationError, ValueError):
            return False  # ValueError: not a hash at all, or not even ASCII
        return usable

    def needs_rehash(self, hashed: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        argon2id = self._ready()
        return _parameters(hashed) != _parameters(self._decoy) and argon2id.check_needs_rehash(hashed)

    def _ready(self) -> Argon2Hasher:
        # The decoy is made with the first use of any kind, so that the first stranger is no slower than the second.
        # No lock, which a fork could leave held for ever: the lane is one thread, and making it twice does no harm.
        if self._argon2 is None:
            import argon2

            hasher = argon2.PasswordHasher(
                time_cost=self._policy.argon2_time,
                memory_cost=self._policy.argon2_memory_kib,
                parallelism=self._policy.argon2_parallelism,
                hash_len=32,
                salt_len=16,
                type=argon2.low_level.Type.ID,
            )
            self._decoy = hasher.hash(b"a password nobody has")
            self._argon2 = hasher
        return self._argon2


def _parameters(hashed: str) -> tuple[str, int, int]:
    # To take a hash apart costs more than to see that only salt and digest differ from one made with today's.
    parameters, _, digest = hashed.rpartition("$")
    parameters, _, salt = parameters.rpartition("$")
    return parameters, len(salt), len(digest)


def _is_bounded(hashed: str) -> bool:
    import argon2

    try:
        found = argon2.extract_parameters(hashed)
    except argon2.exceptions.InvalidHashError:
        return False
    return found.memory_cost <= MOST_MEMORY_KIB and found.time_cost <= MOST_PASSES and found.parallelism <= MOST_LANES
