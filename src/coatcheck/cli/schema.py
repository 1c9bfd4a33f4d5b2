"""`coatcheck schema`: is the store's schema the one this version works with, and make it so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from coatcheck.cli.options import configuration, json_option, quiet_option, require_store, store_options
from coatcheck.cli.output import counted, print_json

if TYPE_CHECKING:
    from coatcheck.stores.protocols import Store, UpgradableStore, VersionedStore


@click.group()
def schema() -> None:
    """See and upgrade the schema of the store."""


@schema.command()
@store_options
@json_option
def status(store: str | None, file: str | None, as_json: bool) -> int:
    """Tell the version of the schema. Exit status 1 if it is not the one this Coatcheck needs."""
    from coatcheck.colour import run_blocking
    from coatcheck.stores.apart import about

    told: dict[str, object] = {}
    states: set[str] = set()
    for half in _halves(store, file):
        with about(half.setting):
            version, latest = run_blocking(half.kept.schema_version()), half.kept.schema_latest
        state = state_of(version, latest)
        states.add(state)
        told |= half.told({"version": version, "latest": latest, "state": state})
        if not as_json:
            advice = {
                "older": "run: coatcheck schema upgrade",
                "newer": "run the newer Coatcheck that wrote it",
                "empty": "it is filled at first use",
                "current": "nothing to do",
            }[state]
            click.echo(f"{half.shown}: schema version {version}, this Coatcheck needs {latest}; {advice}.")
    if as_json:
        print_json(told)
    return 0 if states <= {"current", "empty"} else 1


@schema.command()
@quiet_option
@store_options
@json_option
def upgrade(quiet: bool, store: str | None, file: str | None, as_json: bool) -> None:
    """Bring the schema to the version this Coatcheck needs; where that fails, it is left as it was.

    With an SQLite file, stop the programs that use it before, or they will fail. On PostgreSQL they may go on.
    """
    from coatcheck.stores.apart import about

    told: dict[str, object] = {}
    for half in _halves(store, file):
        with about(half.setting):
            before, after = _upgraded(half, quiet=quiet or as_json)
        told |= half.told({"before": before, "after": after})
        if not as_json:
            was = ", as before." if before == after else f", was {before}."
            click.echo(f"{half.shown}: schema version {after}{was}")
    if as_json:
        print_json(told)


def _upgraded(half: _Half, *, quiet: bool) -> tuple[int, int]:
    from coatcheck.cli.progress import progress
    from coatcheck.colour import run_blocking

    version, latest = run_blocking(half.kept.schema_version()), half.kept.schema_latest
    if not hasattr(half.kept, "upgrade_schema"):  # Redis, which has had one version so far
        if version > latest:
            run_blocking(cast("Store", half.kept).ready())  # which refuses it, and says what to do
        return version, version
    upgradable = cast("UpgradableStore", half.kept)
    is_due = version < latest
    if is_due and not quiet:
        click.echo(
            f"{half.shown}: upgrading from version {version} to {latest} ({counted(latest - version, 'step')})",
            err=True,
        )
    with progress("upgrading", quiet=quiet or not is_due) as tell:
        tell(f"to version {latest}")
        return run_blocking(
            upgradable.upgrade_schema(lambda done, of: tell(f"to version {latest}: {done} of {of} statements"))
        )


def state_of(version: int, latest: int) -> str:
    """Say how a schema version stands to the one this Coatcheck needs: current, older, newer or empty."""
    if version == 0:
        return "empty"
    return "current" if version == latest else "older" if version < latest else "newer"


class _Half(NamedTuple):
    """One of the stores that are configured: everything, or accounts and sessions apart."""

    setting: str
    shown: str
    kept: VersionedStore

    def told(self, facts: dict[str, object]) -> dict[str, object]:
        """Give what `--json` says of it: of the sessions' store under a name of its own."""
        return facts if self.setting == "store" else {self.setting: facts}


def _halves(store: str | None, file: str | None) -> Iterator[_Half]:
    from coatcheck.server.store_urls import sqlite_file, store_at, without_password

    config = configuration(file, store=store)
    require_store(config, creates=False)
    for setting, url in (("store", config.store), ("sessions", config.sessions)):
        if url is not None:
            kept = store_at(url, holds_accounts=setting == "store")
            yield _Half(setting, str(sqlite_file(url) or without_password(url)), cast("VersionedStore", kept))
