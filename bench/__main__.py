"""The command line: `python -m bench [--quick] [--json] [--only ROW]`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench import authenticate, http_share, import_time, log_in, machine, plot, report
from bench.measure import Row, say

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Effort:
    """How much is done."""

    sessions: int
    rounds: int
    http_rounds: int
    http_seconds: float
    log_in_rounds: int
    processes: int


QUICK = Effort(sessions=500, rounds=60, http_rounds=4, http_seconds=0.4, log_in_rounds=20, processes=5)
FULL = Effort(sessions=1000, rounds=500, http_rounds=30, http_seconds=0.6, log_in_rounds=150, processes=40)


def rows_of(effort: Effort, directory: Path) -> dict[str, Callable[[], Row]]:
    return {
        "authenticate": lambda: authenticate.measure(directory, count=effort.sessions, rounds=effort.rounds),
        "http": lambda: http_share.measure(
            directory, count=effort.sessions, rounds=effort.http_rounds, seconds=effort.http_seconds
        ),
        "log-in": lambda: log_in.measure(directory, count=effort.sessions, rounds=effort.log_in_rounds, per_round=5),
        "import": lambda: import_time.measure(rounds=effort.processes),
    }


def main() -> None:
    arguments = _arguments()
    effort = QUICK if arguments.quick else FULL
    began, described = perf_counter(), machine.described()
    # Beside the code: the system's directory for temporary files is often memory, where nothing is durable.
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=HERE) as directory:
        wanted = rows_of(effort, Path(directory))
        rows = [measure() for key, measure in wanted.items() if arguments.only in (None, key)]
    say(f"done in {perf_counter() - began:.0f} s")
    if not arguments.quick and arguments.only is None:
        _write(rows, described)
    if arguments.json:
        print(json.dumps(report.as_json(rows, described), indent=2))
    else:
        print(report.as_markdown(rows, described, plots=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Coatcheck beside the raw work and peers."
    )
    parser.add_argument("--quick", action="store_true", help="about 20 seconds; prints and writes no file")
    parser.add_argument("--only", choices=("authenticate", "http", "log-in", "import"), help="one row; writes no file")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    return parser.parse_args()


def _write(rows: list[Row], described: dict[str, str]) -> None:
    (HERE / "RESULTS.md").write_text(report.as_markdown(rows, described, plots=True))
    plots = HERE / "plots"
    plots.mkdir(exist_ok=True)
    for row in rows:
        (plots / f"{row.key}.svg").write_text(plot.svg(row))
    say("wrote bench/RESULTS.md and bench/plots/")


if __name__ == "__main__":
    main()
