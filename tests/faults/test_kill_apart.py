"""`kill -9` at every step of every flow where accounts and sessions live apart (ERR-07).

After each death nobody is let in who would be neither before nor after, what was acknowledged is there, and what died
half way is completed by the next who comes. The number of deaths is printed (`-s`).
"""

from __future__ import annotations

import os

import pytest

from tests.faults.conftest import Elsewhere
from tests.faults.dying import FLOWS
from tests.faults.dying_apart import kill_flow_apart

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child for each death")

# What writes to both halves, and the order of whose writes matters.
SPANNING = ["change_password", "change_password_there", "delete_account", "log_in", "log_in_replacing"]


@pytest.mark.parametrize("flow", SPANNING)
def test_err_07_rev_05_ses_07_a_flow_killed_between_the_two_leaves_the_safer_state(
    elsewhere: Elsewhere, flow: str
) -> None:
    assert elsewhere(kill_flow_apart, flow) > 10


@pytest.mark.long
@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow not in SPANNING])
def test_err_07_any_flow_killed_where_accounts_and_sessions_live_apart_is_done_or_not(
    elsewhere: Elsewhere, flow: str
) -> None:
    assert elsewhere(kill_flow_apart, flow) > 2
