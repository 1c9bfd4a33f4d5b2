"""`kill -9` at every message that a flow sends to PostgreSQL or Valkey (ERR-07): nothing acknowledged is lost, no step
is done by half, visitors see what was or what was to be, and a store opened on it goes on.

A server learns of the death when the connection ends; that is waited for. The number of deaths is printed (`-s`).
"""

from __future__ import annotations

import os

import pytest

from coatcheck.testing.servers import PostgresServer, ValkeyServer
from tests.faults.conftest import Elsewhere
from tests.faults.dying import FLOWS
from tests.faults.dying_on_a_wire import kill_flow_on_postgres, kill_flow_on_redis

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child for each death"),
    pytest.mark.timeout(600),
]
# Those that write the most, in every shape of a step; the others die in the long run.
FEW = ("sign_up", "change_password", "log_in_evicting", "rotate")
DYING = [pytest.param(flow, marks=[] if flow in FEW else [pytest.mark.long]) for flow in FLOWS]


@pytest.mark.parametrize("flow", DYING)
def test_err_07_a_flow_killed_at_any_message_to_postgresql_is_done_or_not(
    elsewhere: Elsewhere, flow: str, postgres: PostgresServer
) -> None:
    assert elsewhere(kill_flow_on_postgres, flow, postgres.url) > 2


@pytest.mark.parametrize("flow", DYING)
def test_err_07_a_flow_killed_at_any_message_to_valkey_is_done_or_not(
    elsewhere: Elsewhere, flow: str, valkey: ValkeyServer, redis_url: str
) -> None:
    played = valkey.fresh()

    assert elsewhere(kill_flow_on_redis, flow, redis_url, played) > 2

    valkey.drop(played)
