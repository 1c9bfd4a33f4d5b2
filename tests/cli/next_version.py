"""The command line of a Coatcheck as the next may be: its schemas have gone on, as releases let them."""

from __future__ import annotations

from coatcheck.cli.main import main
from coatcheck.stores.postgres.schema import STEPS, Concurrently
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.stores.redis import checks

PostgresStore.schema_steps = (
    *STEPS,
    ("CREATE TABLE further (id bigint PRIMARY KEY)",),
    (
        "ALTER TABLE sessions ADD COLUMN extra bigint DEFAULT 0 NOT NULL",
        Concurrently("sessions_by_expiry", "ON sessions (expires_at)"),
    ),
)
checks.VERSION = 2  # type: ignore[misc]  # a constant, until the next release

if __name__ == "__main__":
    main()
