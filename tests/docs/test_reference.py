"""The reference has everything that `coatcheck` exports."""

from __future__ import annotations

import re

import coatcheck
from coatcheck import errors
from tests.conftest import ROOT


def test_every_public_name_stands_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")

    named = set(re.findall(r"autoclass:: coatcheck\.(\w+)", page))
    if "automodule:: coatcheck.errors" in page:
        named |= set(errors.__all__)

    assert set(coatcheck.__all__) - named == {"AsyncCoatcheck"}, "which is told to be as Coatcheck is"
