"""How long stores wait: two seconds as they ship, and in tests as long as these want."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from coatcheck import stores
from coatcheck.testing.patience import PATIENCE, stores_waiting
from tests.e2e.serving import environment
from tests.patience import PATIENT

ROOT = Path(__file__).parents[2]  # tests.conftest has it, too, and makes whoever imports it patient
ELSEWHERE = {"LOCK_PATIENCE", "UPGRADE_PATIENCE"}  # of an upgrade, which is no call
SHIPPED = {"PATIENCE": 2.0, "SERVER_PATIENCE": 1900, "DESERTED": 2000}
SHOW = "import json; from tests.stores.test_patience import waits; print(json.dumps(waits()))"


def waits() -> dict[str, Any]:
    """Find everything in the stores' modules that says how long something is waited for."""
    names = [found.name for found in pkgutil.walk_packages(stores.__path__, "coatcheck.stores.")]
    return {
        f"{module.__name__} {name}": value
        for module in map(importlib.import_module, names)
        for name, value in vars(module).items()
        if (name == "DESERTED" or name.endswith("PATIENCE")) and name not in ELSEWHERE
    }


def shown(extra: dict[str, str]) -> dict[str, Any]:
    """Find the same in a program that a test starts."""
    program = [sys.executable, "-c", SHOW]
    told = subprocess.run(program, cwd=ROOT, env=environment(extra), capture_output=True, check=True, text=True)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_err_06_stores_ship_with_two_seconds_and_postgresql_gives_up_before_we_do() -> None:
    found = shown({})

    assert len(found) >= 7
    assert found == {name: SHIPPED[name.partition(" ")[2]] for name in found}


def test_tests_reach_everything_that_stores_wait_by_for_good_and_for_a_while() -> None:
    before = waits()

    with stores_waiting(2):
        meanwhile = waits()

    assert meanwhile == {name: SHIPPED[name.partition(" ")[2]] for name in before}
    assert waits() == before
    assert min(before.values()) == PATIENCE


def test_programs_that_tests_start_are_patient_when_told_so() -> None:
    assert shown(PATIENT) == waits()
