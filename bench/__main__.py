"""The command line: `python -m bench [ROW ...] [--quick] [--json] [--redraw] [--directory DIR]`."""

from __future__ import annotations

import argparse
import tempfile
import tomllib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import ModuleType

import msgspec

from bench import machine, plot, report
from bench.figures import Row, Taken
from bench.measure import Effort
from bench.progress import Progress
from bench.rows import authenticate, http_share, import_time, log_in, postgres, redis, revocation, stock, storm

HERE = Path(__file__).parent
FIGURES, RESULTS, PLOTS, REASONS = "results.json", "RESULTS.md", "plots", "reasons.toml"
ROWS: Mapping[str, ModuleType] = {
    row.KEY: row for row in (authenticate, log_in, postgres, redis, http_share, storm, stock, revocation, import_time)
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, tell, and unless it is only to be seen that everything runs, write it down."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := [row for row in given.rows if row not in ROWS]:
        parser.error(f"there is no row {', '.join(unknown)}; rows: {', '.join(ROWS)}")
    if given.redraw:
        write(kept(HERE), HERE)
        return
    taken: list[Taken] = []
    failed: list[str] = []
    for one in measured(given.rows or list(ROWS), Effort(is_quick=given.quick), given.directory or HERE, failed):
        taken.append(one)
        if not given.quick:  # at once: should this program be stopped, the row is not lost
            write({**kept(HERE), one.row.key: one}, HERE)
    print(report.as_json(taken) if given.json else report.as_markdown(taken, _reasons()))
    if failed:
        raise SystemExit(f"bench: not measured, see above why: {', '.join(failed)}")


def measured(keys: Sequence[str], effort: Effort, directory: Path, failed: list[str] | None = None) -> Iterator[Taken]:
    """Measure rows, one after the other, each in a folder that is gone afterwards.

    One that fails is added to `failed`. The rows after it are measured all the same, and what is given of it says why,
    beside the figures of an earlier run.
    """
    progress, began = Progress(len(keys)), perf_counter()
    try:
        for key in keys:
            described, row_began = machine.described(), perf_counter()
            progress.row(key)
            try:
                with tempfile.TemporaryDirectory(prefix=".bench-", dir=directory, ignore_cleanup_errors=True) as files:
                    row = ROWS[key].measure(Path(files), effort, progress)
            except Exception as error:  # noqa: BLE001 - the other rows have nothing to do with it
                progress.end()
                traceback.print_exc()
                progress.say(f"{key}: FAILED after {perf_counter() - row_began:.0f} s: {error!r}")
                if failed is not None:
                    failed.append(key)
                yield unmeasured(key, error, described, kept(HERE).get(key))
                continue
            seconds = perf_counter() - row_began
            progress.say(f"{key}: done in {seconds:.0f} s")
            yield Taken(row, {**described, "Took": f"{seconds:.0f} s"})
        progress.say(f"all done in {perf_counter() - began:.0f} s")
    finally:
        progress.end()


def unmeasured(key: str, error: Exception, described: Mapping[str, str], earlier: Taken | None) -> Taken:
    """Say of a row why it could not be measured, beside what an earlier run found."""
    words = " ".join(str(error).split())[:300]
    why = f"**The run of {described['Date']} failed** ({type(error).__name__}: {words})"
    if earlier is None:
        return Taken(Row(key=key, title=f"The row `{key}`", tables=(), remarks=(f"{why}.",)), dict(described))
    remarks = [text for text in earlier.row.remarks if not text.startswith("**The run of ")]
    remark = f"{why}; these figures are older."
    return Taken(msgspec.structs.replace(earlier.row, remarks=(remark, *remarks)), earlier.machine)


def kept(directory: Path) -> dict[str, Taken]:
    """The rows of earlier runs."""
    path = directory / FIGURES
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Taken]) if path.exists() else {}


def write(taken: Mapping[str, Taken], directory: Path) -> None:
    """Write the figures, what they say, and the plots."""
    rows = {key: taken[key] for key in ROWS if key in taken}
    (directory / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")
    (directory / RESULTS).write_text(report.as_markdown(list(rows.values()), _reasons()))
    plots = directory / PLOTS
    plots.mkdir(exist_ok=True)
    for key, one in rows.items():
        (plots / f"{key}.svg").write_text(plot.svg(one.row))


def _reasons() -> report.Reasons:
    return tomllib.loads((HERE / REASONS).read_text())


def _parser() -> argparse.ArgumentParser:
    about = ", ".join(f"{key} ({row.SECONDS} s)" for key, row in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Coatcheck beside the raw work and its peers.",
        epilog=f"Rows, with what each takes on two idle cores: {about}. Rows that are not named keep their figures.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows; all without any")
    parser.add_argument("--quick", action="store_true", help="just see that all runs; prints and writes no file")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    parser.add_argument("--redraw", action="store_true", help="measure nothing, write RESULTS.md and plots anew")
    parser.add_argument(
        "--directory",
        type=Path,
        help="where files are made while measuring (2.5 GB); default: beside this program, for the system's place for "
        "temporary files is often memory, where nothing is durable",
    )
    return parser


if __name__ == "__main__":
    main()
