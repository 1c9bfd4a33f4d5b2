"""Programs that tests start, with stores as patient as those of the tests themselves."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.serving import SOURCES

PATIENT = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).with_name("patient")), str(SOURCES)])}
"""What has to be in the environment of a program and of those that it starts, if it is Python's."""
