"""Arguments and dispatch: which command is meant, and how its end is told."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

try:
    import click
except ImportError:
    sys.exit("error: the command line needs click; pip install 'coatcheck[server]'")

from coatcheck.cli.accounts import accounts
from coatcheck.cli.completion import completion
from coatcheck.cli.doctor import doctor
from coatcheck.cli.init import init
from coatcheck.cli.options import json_option
from coatcheck.cli.output import print_fields, print_json
from coatcheck.cli.refusals import tell
from coatcheck.cli.schema import schema
from coatcheck.cli.serve import serve
from coatcheck.cli.sessions import sessions
from coatcheck.cli.store import store
from coatcheck.errors import ConfigurationError, Refused, StoreError

DONE, REFUSED, TROUBLE = 0, 1, 2


def version() -> str:
    """Give the installed version."""
    from importlib import metadata

    try:
        return metadata.version("coatcheck")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"coatcheck {version()}")
        context.exit()


@click.group()
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
def cli(debug: bool) -> None:
    """Logins and sessions that can be trusted, seen and revoked."""


@cli.command("version")
@json_option
def show_version(as_json: bool) -> None:
    """Show the versions of Coatcheck, Python and SQLite."""
    import platform
    import sqlite3

    versions = {"coatcheck": version(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    if as_json:
        print_json(versions)
    else:
        print_fields(list(versions.items()))


for command in (serve, init, accounts, sessions, schema, store, doctor, completion):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding must not turn a name into a crash
    if "serve" not in given:
        _log_errors_only()
    status = run(given)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        status = _told_of(error)
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status. Tells errors on the standard error and raises none."""
    as_json = "--json" in arguments
    try:
        if any(not _is_text(argument) for argument in arguments):
            raise click.UsageError("an argument is not valid UTF-8")
        status = cli.main(list(arguments), prog_name="coatcheck", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # a group without a command: its help
        return TROUBLE
    except (click.Abort, KeyboardInterrupt, Refused) as error:
        tell(error, as_json=as_json)
        return REFUSED
    except (click.ClickException, ConfigurationError, StoreError) as error:
        tell(error, as_json=as_json)
        return TROUBLE
    except OSError as error:
        return _told_of(error, as_json=as_json)
    except Exception as error:  # the last word is ours: a traceback helps nobody who cannot read it
        if "--debug" in arguments:
            raise
        tell(error, as_json=as_json)
        return TROUBLE
    return status if isinstance(status, int) else DONE


def _log_errors_only() -> None:
    # What stores warn of, `doctor` tells; on the standard error of other commands it would be noise.
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.getLogger("coatcheck").addHandler(handler)


def _told_of(error: OSError, *, as_json: bool = False) -> int:
    if error.filename is None:
        _abandon_output()  # the output is what failed: whoever read it has gone, or the disk is full
    if isinstance(error, BrokenPipeError):
        return REFUSED
    tell(error, as_json=as_json)
    return TROUBLE


def _abandon_output() -> None:
    # What is left in the buffer would be flushed at exit, and complained about.
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_text(argument: str) -> bool:
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    main()
