"""Where the stories of doors keep their stores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.testing.servers import in_memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory, if there can be one: stories are many, and none asks what a machine without power forgets."""
    with tempfile.TemporaryDirectory(prefix="coatcheck-stories-", dir=in_memory()) as folder:
        yield Path(folder)
