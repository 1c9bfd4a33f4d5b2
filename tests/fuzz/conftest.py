"""How long to search, and where to begin.

With CI=true the sample is always the same: there a red build means that the change did it, not the die. Elsewhere each
run begins somewhere else and a failure says where, for a search that always walks the same way finds nothing new:

    COATCHECK_FUZZ_SECONDS   for each parser and each search; 60 unless told
    COATCHECK_FUZZ_SEED      where to begin, as a failure tells it

`./dev test --long -rP tests/fuzz` prints how much was tried and what took longest.
"""

from __future__ import annotations

import os
from secrets import randbits

from coatcheck.core.policy import Policy
from coatcheck.crypto.hashing import PasswordHasher

SECONDS = float(os.environ.get("COATCHECK_FUZZ_SECONDS", "60"))
DERANDOMIZE = os.environ.get("CI") == "true"
SEED = int(os.environ.get("COATCHECK_FUZZ_SEED") or (0 if DERANDOMIZE else randbits(32)))
HANG = 5.0
"""Seconds of one parse that are no slowness but a hang, on however busy a machine."""

# Real Argon2id that costs next to nothing: what a guess costs is no question here.
CHEAP = PasswordHasher(Policy(argon2_memory_kib=64, argon2_time=1))
