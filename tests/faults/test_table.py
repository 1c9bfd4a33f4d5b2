"""The table in the docs names every outage that is tried, and no other."""

from __future__ import annotations

import re

from tests.conftest import ROOT
from tests.faults.engines import FULL_POSTGRES, FULL_VALKEY, POSTGRES, VALKEY
from tests.faults.table import HEAD, as_table

TRIED = [
    *[("PostgreSQL", outage.name) for outage in (*POSTGRES, FULL_POSTGRES)],
    *[("Valkey", outage.name) for outage in (*VALKEY, FULL_VALKEY)],
]


def test_the_docs_tell_of_every_outage_that_is_tried() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    table = page.partition("<!-- outages -->\n")[2].partition("<!-- end of outages -->")[0].splitlines()

    assert tuple(table[:2]) == HEAD
    assert [tuple(re.split(r" *\| *", row)[1:3]) for row in table[2:]] == TRIED


def test_a_row_counts_what_all_were_told_and_keeps_the_slowest() -> None:
    told = {"engine": "TestValkeyOnASmallDisk", "outage": "disk full"}
    rows = [
        {**told, "witness": "server", "reads": [3, 0], "writes": [1, 2], "slowest": 0.2, "back_after": 0.5},
        {**told, "witness": "async desk", "reads": [3, 0], "writes": [0, 3], "slowest": 1.2, "back_after": 0.1},
    ]

    assert list(as_table(rows))[2:] == ["| Valkey | disk full | right | 1 right, 5 refused with 503 | 1.2 s | 0.50 s |"]
