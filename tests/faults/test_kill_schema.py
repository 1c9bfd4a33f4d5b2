"""`kill -9` at every step of an upgrade, of a file's first use, and while its log is moved into it (DAT-08).

The old schema is whole or the new one is, and whoever comes next goes on from there. The number of deaths is printed
(`-s`).
"""

from __future__ import annotations

import os

import pytest

from tests.faults.conftest import Elsewhere
from tests.faults.upgrading import FILLS, kill_creation, kill_upgrade, tear_checkpoint, tear_upgrade

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child for each death")


@pytest.mark.parametrize("of", FILLS)
def test_dat_08_an_upgrade_killed_at_any_statement_leaves_the_old_schema_whole(elsewhere: Elsewhere, of: str) -> None:
    assert elsewhere(kill_upgrade, of) > 20


@pytest.mark.parametrize("of", FILLS)
def test_dat_08_an_upgrade_killed_amid_its_writes_leaves_the_old_schema_whole(elsewhere: Elsewhere, of: str) -> None:
    assert elsewhere(tear_upgrade, of) > 10


def test_dat_08_a_store_whose_first_use_was_killed_is_made_by_the_next(elsewhere: Elsewhere) -> None:
    assert elsewhere(kill_creation) > 20


def test_nothing_is_lost_when_the_log_is_moved_into_the_file_by_a_process_that_dies(
    elsewhere: Elsewhere,
) -> None:
    assert elsewhere(tear_checkpoint) > 4
