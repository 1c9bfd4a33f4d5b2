"""`coatcheck schema`: is the store's schema the one this version works with, and make it so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coatcheck.cli.options import configuration, json_option, quiet_option, require_store, store_options
from coatcheck.cli.output import counted, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from coatcheck.stores.sqlite.store import SqliteStore


@click.group()
def schema() -> None:
    """See and upgrade the schema of the store."""


@schema.command()
@store_options
@json_option
def status(store: str | None, file: str | None, as_json: bool) -> int:
    """Tell the version of the schema. Exit status 1 if it is not the one this Coatcheck needs."""
    from coatcheck.colour import run_blocking
    from coatcheck.stores.schema import LATEST

    path = _path(store, file)
    version = run_blocking(store_at(path).schema_version())
    state = state_of(version)
    if as_json:
        print_json({"version": version, "latest": LATEST, "state": state})
    else:
        advice = {
            "older": "run: coatcheck schema upgrade",
            "newer": "run the newer Coatcheck that wrote it",
            "empty": "it is filled at first use",
            "current": "nothing to do",
        }[state]
        click.echo(f"{path}: schema version {version}, this Coatcheck needs {LATEST}; {advice}.")
    return 0 if state in ("current", "empty") else 1


@schema.command()
@quiet_option
@store_options
@json_option
def upgrade(quiet: bool, store: str | None, file: str | None, as_json: bool) -> None:
    """Bring the schema to the version this Coatcheck needs, in one step: all of it or nothing.

    Stop the programs that use the store before, or they will fail.
    """
    from coatcheck.cli.progress import progress
    from coatcheck.colour import run_blocking
    from coatcheck.stores.schema import LATEST

    path = _path(store, file)
    sqlite = store_at(path)
    version = run_blocking(sqlite.schema_version())
    is_due = version < LATEST
    if is_due and not (quiet or as_json):
        steps = counted(LATEST - version, "step")
        click.echo(f"{path}: upgrading from version {version} to {LATEST} ({steps})", err=True)
    with progress("upgrading", quiet=quiet or as_json or not is_due) as tell:
        tell(f"to version {LATEST}")
        before, after = run_blocking(
            sqlite.upgrade_schema(lambda done, of: tell(f"to version {LATEST}: {done} of {of} statements"))
        )
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(f"{path}: schema version {after}" + (", as before." if before == after else f", was {before}."))


def store_at(path: Path) -> SqliteStore:
    """Give the store kept in a file, with its schema as it is."""
    from coatcheck.colour import Blocking, hashing_lane
    from coatcheck.stores.sqlite.store import SqliteStore

    return SqliteStore(str(path), Blocking(hashing_lane(queue=1, nice=0)))


def state_of(version: int) -> str:
    """Say how a schema version stands to the one this Coatcheck needs: current, older, newer or empty."""
    from coatcheck.stores.schema import LATEST

    if version == 0:
        return "empty"
    return "current" if version == LATEST else "older" if version < LATEST else "newer"


def _path(store: str | None, file: str | None) -> Path:
    config = configuration(file, store=store)
    require_store(config, creates=False)
    assert config.store_file is not None  # noqa: S101 - require_store has seen to it
    return config.store_file
