"""Row 4: how long `import coatcheck` takes in a fresh process."""

from __future__ import annotations

import subprocess
import sys

from bench.measure import Row, lines_of, say

OURS = "`import coatcheck`"
BUDGET = 0.060
STATEMENTS = {
    "`import msgspec` alone": "import msgspec",
    OURS: "import coatcheck",
    "`import coatcheck` and the SQLite store": "import coatcheck; import coatcheck.stores.sqlite",
}
# Processor time: importing is work, and a neighbour's work is not ours. The files are in the system's cache.
_PROGRAM = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def measure(*, rounds: int) -> Row:
    say(f"import: {rounds} fresh processes each")
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for turn in range(rounds + 1):
        for name, statement in STATEMENTS.items():
            spent = _once(statement)
            if turn:  # the first one may compile
                seconds[name].append(spent)
    return Row(
        key="import",
        title="`import coatcheck` in a fresh process, processor time",
        unit="time",
        lines=lines_of(seconds),
        target="at most 60 ms",
        judged=OURS,
        limit=BUDGET,
        is_absolute=True,
    )


def _once(statement: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)
