"""Races assert where they are defined, in the package: pytest explains that only if it is told before the import."""

import pytest

pytest.register_assert_rewrite("coatcheck.testing.races")
