"""`coatcheck store`: move everything from one store to another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coatcheck.cli.options import json_option, quiet_option
from coatcheck.cli.output import counted, print_json
from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from coatcheck.flows.copying import Copied, Reached
    from coatcheck.stores.protocols import Store


@click.group()
def store() -> None:
    """Move everything from one store to another."""


@store.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--sessions-from", metavar="URL", help="Where sessions are now, if elsewhere than FROM.")
@click.option("--sessions-to", metavar="URL", help="Where sessions shall be, if elsewhere than TO.")
@click.option("--no-verify", is_flag=True, help="Do not compare the two in the end. Not for a copy that was stopped.")
@quiet_option
@json_option
def copy(
    source: str,
    target: str,
    sessions_from: str | None,
    sessions_to: str | None,
    no_verify: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Copy everything that FROM holds into TO, which is empty or holds the beginning of this very copy.

    FROM and TO are URLs, or settings files (a coatcheck.toml) that name store, sessions and their password files. Stop
    all servers that use either of them before, and start them on TO afterwards, with the same secret: whoever is logged
    in stays so. A copy that was stopped goes on where it stood. FROM is left as it is.

    In the end both are read and every entry is compared. What is not equal is named, and no server starts on TO then.

    Exit status 1 if records were left out because they cannot be read; they are named.
    """
    import msgspec

    from coatcheck.cli.progress import progress
    from coatcheck.colour import run_blocking
    from coatcheck.flows.copying import copy_store

    here, there = _stores(("FROM", source, sessions_from), ("TO", target, sessions_to))
    try:
        with progress("copying", quiet=quiet or as_json) as tell:

            def show(reached: Reached) -> None:
                tell(f"{reached.done} of {reached.of} {reached.kind}", share=reached.share, title=reached.doing)

            outcome = run_blocking(copy_store(here, there, now=int(time.time()), progress=show, verifies=not no_verify))
    finally:
        run_blocking(here.close())
        run_blocking(there.close())
    copied = outcome.copied
    if as_json:
        print_json(
            {
                "accounts": copied.accounts,
                "subjects": copied.subjects,
                "sessions": copied.sessions,
                "counters": copied.counters,
                "events": copied.events,
                "left_out": copied.left_out,
                "unreadable": list(copied.unreadable),
                "went_on": outcome.went_on,
                "verified": None if outcome.verified is None else msgspec.structs.asdict(outcome.verified),
            }
        )
    else:
        went_on = ", going on with what was there" if outcome.went_on else ""
        verified = "" if outcome.verified is None else " Every entry was compared: complete and equal."
        click.echo(f"Copied {_counts(copied)}{went_on}.{verified}")
        if copied.left_out:
            more = ", ..." if copied.left_out > len(copied.unreadable) else ""
            names = ", ".join(copied.unreadable)
            click.echo(
                f"{counted(copied.left_out, 'record')} cannot be read and were left out: {names}{more}", err=True
            )
    return 1 if copied.left_out else 0


def _counts(copied: Copied) -> str:
    return (
        f"{counted(copied.accounts, 'account')}, {counted(copied.sessions, 'session')}, "
        f"{counted(copied.counters, 'counter')}, {counted(copied.events, 'event')}"
    )


def _stores(*sides: tuple[str, str, str | None]) -> list[Store]:
    from coatcheck.flows.copying import about_side

    stores: list[Store] = []
    problems: list[str] = []
    for side, text, sessions in sides:
        try:
            with about_side(side):
                store, urls = _store_of(text, sessions)
                if side == "FROM":
                    _require_kept(urls)
                _require_reached(urls, is_target=side == "TO")
            stores.append(store)
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return stores


def _store_of(text: str, sessions: str | None) -> tuple[Store, list[str]]:
    from coatcheck.server.config import load
    from coatcheck.server.store_urls import bears_password, stores_at, without_password

    if "://" in text:
        for url in filter(None, (text, sessions)):
            if bears_password(url):
                raise ConfigurationError(
                    f"{without_password(url)} bears a password, which other users of this machine can read on a "
                    "command line; write URL and password into a settings file that only you can read, and name that"
                )
        return stores_at(text, sessions), [url for url in (text, sessions) if url is not None]
    if sessions is not None:
        raise ConfigurationError(f"{text} is a settings file; name the place of sessions in it")
    config = load({}, {}, Path(text), serving=False)
    return stores_at(config.store, config.sessions), [url for url in (config.store, config.sessions) if url is not None]


def _require_kept(urls: list[str]) -> None:
    # Opening a database that is not there would make it.
    from coatcheck.server.store_urls import MEMORY, sqlite_file

    for url in urls:
        file = sqlite_file(url)
        if url == MEMORY:
            raise ConfigurationError("memory:// lives inside the server's process and no command can reach it")
        if file is not None and not file.exists():
            raise ConfigurationError(f"there is no database at {file.absolute()}")


def _require_reached(urls: list[str], *, is_target: bool) -> None:
    """Reach each half without changing it; of a target make sure that none is in use.

    A half in which nothing is kept would be begun by opening the whole, also if the other one turns out to be in use.
    """
    from coatcheck.colour import run_blocking
    from coatcheck.flows.copying import IN_USE, is_empty
    from coatcheck.server.store_urls import MEMORY, store_at, version_at
    from coatcheck.stores.apart import about

    in_use: list[str] = []
    for setting, url in zip(("store", "sessions"), urls, strict=False):
        with about(setting):
            if url == MEMORY or version_at(url) == 0 or not is_target:
                continue
            half = store_at(url, holds_accounts=setting == "store")
            try:
                if run_blocking(half.bookmark()) is not None:
                    return  # the beginning of a copy: whether it is this one, the copy itself finds out
                if not run_blocking(is_empty(half)):
                    in_use.append(f"{half.location} {IN_USE}")
            finally:
                run_blocking(half.close())
    if in_use:
        raise ConfigurationError(*in_use)
