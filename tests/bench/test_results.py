"""What is written down: Markdown, plots, and the figures of earlier runs."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import __main__ as program
from bench import plot, report
from bench.figures import Line, Piece, Row, Table, Taken, Target, Who
from bench.measure import Effort

MACHINE = {"Machine": "2 cores", "Python": "CPython", "SQLite": "3", "Packages": "none", "Date": "2026-11-21"}


def line(name: str, value: float, who: Who, note: str = "") -> Line:
    return Line(name=name, who=who, best=value, low=value * 0.9, middle=value, high=value * 2, repetitions=9, note=note)


def row(key: str = "authenticate", *, ours: float = 3e-6, peer: float = 9e-6) -> Row:
    lines = (line("raw <SELECT>", 2e-6, "raw"), line("`ours`", ours, "ours"), line("theirs", peer, "peer", "does less"))
    target = Target(line="`ours`", limit=1.7, text="at most 1.7x", of="ratio")
    table = Table(title="Time for one & all", unit="time", lines=lines, base="raw <SELECT>", targets=(target,))
    return Row(
        key=key,
        title=f"The row {key}",
        tables=(table,),
        settings=("theirs: as their manual says",),
        pieces=(Piece("the clock", 1e-6),),
    )


def taken(one: Row, **machine: str) -> Taken:
    return Taken(one, {**MACHINE, **machine})


def test_a_target_stands_beside_the_figure_with_its_verdict() -> None:
    met, missed = (report.as_markdown([taken(row(ours=value))], {}) for value in (3e-6, 4e-6))

    assert "Target at most 1.7x, `ours`: 1.50x, met." in met
    assert "Target at most 1.7x, `ours`: 2.00x, **missed**." in missed


def test_why_a_target_is_missed_is_said_only_when_it_is() -> None:
    reasons = {"authenticate": {"missed": "Because."}}

    texts = [report.as_markdown([taken(row(ours=value))], reasons) for value in (3e-6, 4e-6)]

    assert ["Why missed: Because." in text for text in texts] == [False, True]


def test_a_row_says_where_a_peer_wins_with_what_it_leaves_out() -> None:
    beaten, unbeaten = (report.as_markdown([taken(row(peer=value))], {}) for value in (1e-6, 9e-6))

    assert "**A peer wins**, time for one & all: theirs (1.00 µs; does less)." in beaten
    assert "No peer wins." in unbeaten
    assert "**A peer wins**" not in unbeaten


def test_what_rows_were_measured_on_stands_once_where_it_is_the_same() -> None:
    text = report.as_markdown([taken(row("authenticate"), Python="old"), taken(row("storm"), Python="new")], {})

    assert text.count("2 cores") == 1
    assert "Python: old" in text
    assert "Python: new" in text


def test_settings_of_the_contestants_are_told() -> None:
    assert "- theirs: as their manual says" in report.as_markdown([taken(row())], {})


def test_a_plot_is_well_formed_and_says_in_words_what_it_shows() -> None:
    root = ET.fromstring(plot.svg(row()))
    space = {"svg": "http://www.w3.org/2000/svg"}

    labelled = [root.find(f".//*[@id='{name}']", space) for name in str(root.get("aria-labelledby")).split()]

    assert root.get("role") == "img"
    assert [each.text for each in labelled if each is not None] == [
        "The row authenticate",
        "Bar charts of the tables above. ours 1.50x, target at most 1.7x.",
    ]


def test_a_plot_has_a_bar_for_every_line_within_the_picture() -> None:
    root = ET.fromstring(plot.svg(row()))
    width = float(str(root.get("viewBox")).split()[2])

    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") != "paper"]
    spreads = [each for each in root.iter("{http://www.w3.org/2000/svg}line") if each.get("class") == "spread"]

    assert [each.get("class") for each in bars] == ["raw", "ours", "peer"]
    assert all(float(str(each.get("x2"))) <= width - plot.RIGHT for each in spreads)


def test_a_row_measured_alone_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    program.write({"authenticate": taken(row("authenticate")), "storm": taken(row("storm"))}, tmp_path)
    before = program.kept(tmp_path)

    program.write({**before, "storm": taken(row("storm", ours=8e-6))}, tmp_path)

    after = program.kept(tmp_path)
    assert after["authenticate"] == before["authenticate"]
    assert after["storm"].row.tables[0].line("`ours`").middle == 8e-6
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["authenticate.svg", "storm.svg"]
    text = (tmp_path / "RESULTS.md").read_text()
    assert "## The row authenticate" in text
    assert "4.00x" in text


def test_programs_get_figures_with_what_follows_from_them() -> None:
    (told,) = json.loads(report.as_json([taken(row(peer=1e-6))]))

    (table,) = told["row"]["tables"]
    assert [round(each["ratio"], 2) for each in table["lines"]] == [1.0, 1.5, 0.5]
    assert table["targets"][0]["is_met"] is True
    assert table["winners"] == ["theirs"]


def test_an_unknown_row_is_refused_with_the_names_of_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["strom"])

    told = capsys.readouterr().err
    assert f"there is no row strom; rows: {', '.join(program.ROWS)}" in told
    assert "authenticate, log-in, postgres, redis, http" in told


def test_a_row_that_fails_says_why_and_the_rows_after_it_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        @staticmethod
        def measure(*_: object) -> Row:
            raise RuntimeError("no server\nto speak with")

    class Whole:
        @staticmethod
        def measure(*_: object) -> Row:
            return row("whole")

    monkeypatch.setattr(program, "ROWS", {"broken": Broken, "whole": Whole})
    monkeypatch.setattr(program, "HERE", tmp_path)
    failed: list[str] = []

    broken, whole = program.measured(["broken", "whole"], Effort(is_quick=True), tmp_path, failed)

    assert (failed, whole.row) == (["broken"], row("whole"))
    assert "(RuntimeError: no server to speak with)." in report.as_markdown([broken, whole], {})
    assert plot.svg(broken.row).startswith("<svg")
    assert "broken: FAILED after" in capsys.readouterr().err


def test_a_row_that_fails_keeps_the_figures_of_an_earlier_run_and_calls_them_older() -> None:
    earlier = taken(row("storm"), Date="2026-11-21")
    failures = [RuntimeError("once"), RuntimeError("twice")]

    for failure in failures:
        earlier = program.unmeasured("storm", failure, {"Date": "2026-11-28"}, earlier)

    assert earlier.row.tables == row("storm").tables
    assert earlier.machine["Date"] == "2026-11-21"
    assert earlier.row.remarks == ("**The run of 2026-11-28 failed** (RuntimeError: twice); these figures are older.",)
