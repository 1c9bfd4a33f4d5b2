"""Whole pages that are damaged: an error of ours, never a crash and never somebody else's record (ERR-05)."""

from __future__ import annotations

import os

import pytest

from tests.faults.conftest import Elsewhere
from tests.faults.pages import WAYS, overwrite_pages

pytestmark = pytest.mark.skipif(os.name != "posix", reason="replaces files that were just in use")


@pytest.mark.parametrize("how", WAYS)
def test_err_05_a_damaged_page_is_an_error_and_never_somebody_elses_record(elsewhere: Elsewhere, how: str) -> None:
    assert elsewhere(overwrite_pages, how) > 10
