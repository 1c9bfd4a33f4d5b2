"""Python runs this first in a program that is started with `tests.patience.PATIENT`."""

from coatcheck.testing.patience import stores_wait

stores_wait()
