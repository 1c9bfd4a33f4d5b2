"""`kill -9` at every step of every flow, and amid the writing itself (ERR-07).

After each death the file is as before the step that was under way or as after it, what was acknowledged is there,
visitors see what was or what was to be, and a store opened on it goes on. The number of deaths is printed (`-s`).
"""

from __future__ import annotations

import os

import pytest

from tests.faults.conftest import Elsewhere
from tests.faults.dying import FLOWS, kill_flow, kill_flow_amid_statements, tear_flow

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child for each death")

# Those that write the most, in every shape of a step.
TORN = ["sign_up", "change_password", "log_in_evicting"]
STRIDE = 5  # of SQLite's instructions: dying amid one is mostly like dying amid the next


@pytest.mark.parametrize("flow", FLOWS)
def test_err_07_a_flow_killed_at_any_call_into_sqlite_is_done_or_not(elsewhere: Elsewhere, flow: str) -> None:
    assert elsewhere(kill_flow, flow) > 2


@pytest.mark.parametrize("flow", TORN)
def test_err_07_a_flow_killed_amid_its_writes_is_done_or_not(elsewhere: Elsewhere, flow: str) -> None:
    assert elsewhere(tear_flow, flow) > 2


@pytest.mark.long
@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow not in TORN])
def test_err_07_any_flow_killed_amid_its_writes_is_done_or_not(elsewhere: Elsewhere, flow: str) -> None:
    assert elsewhere(tear_flow, flow) > 2


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("flow", FLOWS)
def test_err_07_a_flow_killed_amid_its_statements_is_done_or_not(elsewhere: Elsewhere, flow: str) -> None:
    assert elsewhere(kill_flow_amid_statements, flow, STRIDE) > 2
