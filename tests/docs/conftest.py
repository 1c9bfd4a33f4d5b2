"""The tables of the pages live in the checkout, beside the pages, and are not installed: make them importable."""

from __future__ import annotations

import sys

from tests.conftest import ROOT

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
