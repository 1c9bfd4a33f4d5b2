"""Options that several commands share, and what comes of them: a configuration, a desk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from coatcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from coatcheck.facade import Coatcheck
    from coatcheck.server.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])


# Ids are base64url and may begin with a hyphen: what is no option of ours is an argument.
TAKES_IDS: dict[str, Any] = {"ignore_unknown_options": True}


_SESSIONS = "coatcheck.sessions"


def _note_sessions(context: click.Context, _parameter: click.Parameter, url: str | None) -> None:
    # Where sessions are kept concerns whoever opens a desk, and no command: they need not pass it on.
    context.meta[_SESSIONS] = url


def store_options(command: Command) -> Command:
    """Add `--store`, `--sessions` and `--config`; what `--sessions` says reaches `configuration` by itself."""
    for option in (
        click.option(
            "--config",
            "file",
            metavar="FILE",
            type=click.Path(),
            help="Settings file. Default: coatcheck.toml, if it is there.",
        ),
        click.option(
            "--sessions",
            metavar="URL",
            expose_value=False,
            callback=_note_sessions,
            help="Where sessions are kept, if elsewhere. Default: in the store",
        ),
        click.option("--store", metavar="URL", help="Where everything is kept. Default: sqlite:///coatcheck.db"),
    ):
        command = option(command)
    return command


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document for programs.")(command)


def yes_option(command: Command) -> Command:
    """Add `--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask at the terminal whether it is meant, unless `--yes` says so. Raises where nobody can be asked."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask whether it is meant; say --yes")
    click.confirm(question, abort=True, err=True)


def quiet_option(command: Command) -> Command:
    """Add `--quiet`."""
    return click.option("--quiet", is_flag=True, help="Show no progress.")(command)


def page_options(command: Command) -> Command:
    """Add `--limit`, `--cursor` and `--all`."""
    for option in (
        click.option("--all", "is_whole", is_flag=True, help="Everything that matches; as JSON, one object on a line."),
        click.option("--cursor", metavar="CURSOR", help="Go on where an earlier list ended (its `next`)."),
        click.option(
            "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many at most."
        ),
    ):
        command = option(command)
    return command


def configuration(file: str | None, *, serving: bool = False, **options: object) -> Config:
    """Load the configuration. Raises ConfigurationError with every mistake."""
    from coatcheck.server.config import load

    context = click.get_current_context(silent=True)
    if context is not None:
        options = {"sessions": context.meta.get(_SESSIONS), **options}
    return load(options, os.environ, None if file is None else Path(file), serving=serving)


@contextmanager
def open_desk(store: str | None, file: str | None, *, creates: bool = False) -> Generator[Coatcheck]:
    """Open a desk over the configured store for the time of a command.

    Raises:
        ConfigurationError: also where there is no such store yet, unless `creates`: a mistyped name must not answer
            as an empty store.
    """
    from coatcheck.facade import Coatcheck

    config = configuration(file, store=store)
    require_store(config, creates=creates)
    if not creates:
        _require_kept(config)
    with Coatcheck(config.store, sessions=config.sessions, profile=config.profile, settings=config.settings) as desk:
        desk.ready()  # one refusal that names the setting, before anything is done
        yield desk


def require_store(config: Config, *, creates: bool) -> None:
    """Raise ConfigurationError where a command would find nothing but what it made itself."""
    from coatcheck.server.store_urls import MEMORY, sqlite_file, without_password

    problems: list[str] = []
    for setting, url in (("store", config.store), ("sessions", config.sessions)):
        if url is None:
            continue
        file = sqlite_file(url)
        if url == MEMORY:
            problems.append(
                f"{setting}: {without_password(url)} lives inside the server's process and no command can reach it; "
                "use sqlite:///path/to/file.db"
            )
        elif file is not None and not creates and not file.exists():
            problems.append(
                f"{setting}: there is no database at {file.absolute()}; "
                f"name the right one with --{setting}, or make it with coatcheck serve"
            )
    if problems:
        raise ConfigurationError(*problems)


def _require_kept(config: Config) -> None:
    """Raise ConfigurationError where a database server answers and nothing was ever kept there."""
    from coatcheck.server.store_urls import sqlite_file, version_at, without_password
    from coatcheck.stores.apart import about

    for setting, url in (("store", config.store), ("sessions", config.sessions)):
        if url is None or sqlite_file(url) is not None:
            continue
        with about(setting):
            version = version_at(url)
        if version == 0:
            raise ConfigurationError(
                f"{setting}: nothing is kept in {without_password(url)} yet; "
                f"name the right one with --{setting}, or begin it with coatcheck serve"
            )
