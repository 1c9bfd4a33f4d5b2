"""The table in the docs is that of the stories there are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conftest import ROOT
from tests.doors.everywhere import table
from tests.doors.everywhere.table import NOT_TOLD, Where

PAGE = ROOT / "docs/stories.md"


def test_the_docs_say_what_is_told_where() -> None:
    said = PAGE.read_text().partition("<!-- stories -->\n")[2].partition("<!-- end of stories -->")[0]

    assert said.splitlines() == list(table.in_docs()), "run: python -m tests.doors.everywhere.table"


def test_what_is_not_told_is_somewhere() -> None:
    """No exception is left of a story that has another name by now."""
    for one in NOT_TOLD:
        variations = table.stories()[one.story] if one.story else ()
        assert set(one.variations) <= set(variations), one
        assert {Where(*place) for place in _places(one)} <= table.expected().keys(), one


def _places(one: table.NotTold) -> Iterator[tuple[str, str, str]]:
    return ((door, way, store) for door in one.doors for way in one.ways for store in one.stores)
