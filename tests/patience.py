"""How long stores wait for their engines where nobody asks how soon they give up."""

from __future__ import annotations

from collections.abc import Callable

from coatcheck.stores.postgres import database
from coatcheck.stores.redis import lines
from coatcheck.stores.redis import store as redis_store
from coatcheck.stores.sqlite import file
from coatcheck.stores.sqlite import store as sqlite_store
from coatcheck.testing.patience import PATIENCE


def be_patient(set_: Callable[[object, str, object], None] = setattr) -> None:
    """Let the stores of this process wait as long as a test waits for anything.

    Two seconds are enough for a visitor. Fifty threads that write into one file, on a machine which does ten things
    besides, take longer: a call that fails then says nothing about the store.
    """
    for module in (file, sqlite_store, database, lines, redis_store):
        set_(module, "PATIENCE", PATIENCE)
