"""Randomness: the operating system's, also after a fork."""

from __future__ import annotations

import math
import os
import random  # noqa: TID251 - shown to have no influence
from collections import Counter

from coatcheck.core import tokens
from coatcheck.crypto.entropy import system_entropy
from coatcheck.testing.entropy import PredictableEntropy

DRAWS = 10**5


def test_tok_01_hundred_thousand_tokens_are_unique_well_formed_and_unbiased():
    fits = tokens.TokenFormat().fits
    raw = [system_entropy(32) for _ in range(DRAWS)]
    texts = {tokens.encode(each) for each in raw}
    columns = zip(*raw, strict=True)

    assert len(texts) == DRAWS
    assert all(map(fits, texts))
    # 256 bits are looked at: six sigma, where one would look for four in a single one, keeps the test from crying wolf.
    limit = 6 * math.sqrt(DRAWS) / 2
    for column in columns:
        counts = Counter(column)
        for bit in range(8):
            ones = sum(count for value, count in counts.items() if value >> bit & 1)
            assert abs(ones - DRAWS / 2) < limit


def test_tok_02_seeding_random_foretells_nothing():
    random.seed(1)
    first = system_entropy(32)
    random.seed(1)

    assert system_entropy(32) != first


def test_tok_02_parent_and_child_draw_different_bytes():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, system_entropy(32))
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 32) != system_entropy(32)
    os.close(read)
    os.close(write)


def test_predictable_entropy_repeats_from_its_seed_and_never_within():
    one, same, other = PredictableEntropy(), PredictableEntropy(), PredictableEntropy("other")

    drawn = [one(32) for _ in range(100)]

    assert drawn == [same(32) for _ in range(100)]
    assert len(set(drawn)) == 100
    assert other(32) not in drawn
    assert len(one(9)) == 9
