"""Each row runs from end to end. What it measures here means nothing, and is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.rows.http_share import DOOR

ROOT = Path(__file__).resolve().parents[2]


def run(*rows: str, directory: Path) -> list[Any]:
    command = [sys.executable, "-m", "bench", "--quick", "--json", "--directory", str(directory), *rows]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [taken["row"] for taken in json.loads(done.stdout)]


def test_rows_are_measured_in_the_order_named_and_leave_no_file(tmp_path: Path) -> None:
    before = (ROOT / "bench" / "RESULTS.md").read_bytes()

    rows = run("revocation", "authenticate", directory=tmp_path)

    assert [row["key"] for row in rows] == ["revocation", "authenticate"]
    assert list(tmp_path.iterdir()) == []
    assert (ROOT / "bench" / "RESULTS.md").read_bytes() == before


def test_rev_04_no_request_is_served_after_a_revocation_is_acknowledged(tmp_path: Path) -> None:
    (row,) = run("revocation", directory=tmp_path)

    served = [line["middle"] for line in row["tables"][0]["lines"] if line["who"] == "ours"]

    assert served == [0, 0]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("key", ["log-in", "storm", "stock", "import"])
def test_the_row_runs(key: str, tmp_path: Path) -> None:
    (row,) = run(key, directory=tmp_path)

    assert row["key"] == key
    assert all(line["repetitions"] > 0 for table in row["tables"] for line in table["lines"])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_door_is_measured_over_the_bare_handler_of_its_server(tmp_path: Path) -> None:
    (row,) = run("http", directory=tmp_path)

    rates, added, waits = ([line["name"] for line in table["lines"]] for table in row["tables"])

    doors = [name.partition(":")[0] for name in added if name.endswith(DOOR)]
    assert doors == [
        "raw ASGI on granian", "Starlette on granian", "Starlette on uvicorn, our door", "FastAPI on uvicorn, our door",
        "raw WSGI on gunicorn", "Flask on gunicorn, our door", "http.server",
    ]  # fmt: skip
    assert rates == waits
    assert added == [name for name in rates if not name.endswith(": bare")]
    assert {f"{door}: bare" for door in doors} <= set(rates)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("key", ["postgres", "redis"])
def test_stores_on_servers_are_asked_by_several_processes_too(key: str, tmp_path: Path) -> None:
    (row,) = run(key, directory=tmp_path)

    several = row["tables"][-1]["lines"]

    assert [(line["name"].rpartition(": ")[2], line["repetitions"]) for line in several if line["who"] == "ours"] == [
        ("1 process, each", 1), ("2 processes, each", 2), ("4 processes, each", 4)
    ]  # fmt: skip
    assert all(line["repetitions"] > 0 for table in row["tables"] for line in table["lines"])
