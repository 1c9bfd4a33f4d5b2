"""The one place that draws random bytes: the operating system's generator, safe across forks (TOK-02)."""

from __future__ import annotations

import os
from collections.abc import Callable

Entropy = Callable[[int], bytes]

system_entropy: Entropy = os.urandom
