"""Bytes you can predict: the same seed gives the same tokens, ids and subjects, in the same order. For tests only."""

from __future__ import annotations

from hashlib import shake_256
from itertools import count


class PredictableEntropy:
    """Gives bytes that look random, never repeat and depend on the seed alone: hand it to a desk as `entropy`.

    Salts of passwords do not come from here. Threads that draw at once get different bytes.
    """

    def __init__(self, seed: str = "coatcheck") -> None:
        self._seed = seed
        self._draws = count()

    def __call__(self, size: int) -> bytes:
        """Give the next `size` bytes."""
        return shake_256(f"{self._seed}:{next(self._draws)}".encode()).digest(size)
