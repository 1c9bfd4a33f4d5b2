"""Arguments and dispatch: which command is meant, and how its end is told."""

from __future__ import annotations

import io
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
from coatcheck.cli.schema import schema
from coatcheck.cli.serve import serve
from coatcheck.cli.sessions import sessions
from coatcheck.errors import ConfigurationError, Refused, StoreError

DONE, REFUSED, TROUBLE = 0, 1, 2
# Refusals that only an operator meets, or that an operator can mend otherwise than a visitor.
WORDS = {
    "account_not_found": "no account has this user name, e-mail address or subject",
    "password_too_short": "is shorter than password_min_length, 15 characters unless the settings say otherwise",
    "session_anonymous": "this session is nobody's; it ends by itself",
    "session_ended": "this session has ended already",
    "session_not_found": "no session has this id; dead ones are known for a day",
}


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


for command in (serve, init, accounts, sessions, schema, doctor, completion):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding must not turn a name into a crash
    status = run(given)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        status = _told_of(error)
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status. Tells errors on the standard error and raises none."""
    try:
        if any(not _is_text(argument) for argument in arguments):
            raise click.UsageError("an argument is not valid UTF-8")
        status = cli.main(list(arguments), prog_name="coatcheck", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # a group without a command: its help
        return TROUBLE
    except click.ClickException as error:
        _tell(error.format_message())
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(f"see: {error.ctx.command_path} --help", err=True)
        return TROUBLE
    except (click.Abort, KeyboardInterrupt):
        _tell("stopped; nothing further was done")
        return REFUSED
    except ConfigurationError as error:
        _tell(*error.problems)
        return TROUBLE
    except StoreError as error:
        _tell(f"store: {error}")
        return TROUBLE
    except Refused as error:
        _tell(*words_of(error))
        return REFUSED
    except OSError as error:
        return _told_of(error)
    except Exception as error:  # the last word is ours: a traceback helps nobody who cannot read it
        if "--debug" in arguments:
            raise
        _tell(f"unexpected {type(error).__name__}; this is a bug: coatcheck --debug ... shows where")
        return TROUBLE
    return status if isinstance(status, int) else DONE


def words_of(error: Refused) -> list[str]:
    """Say a refusal in the words of the pages, each field by its name, with the stable reason."""
    from coatcheck.web.pages import messages

    if not error.errors:
        return [f"{WORDS.get(error.reason) or messages.for_reason(error.reason)} ({error.reason})"]
    fields = [(fault.pointer.removeprefix("/"), fault.reason) for fault in error.errors]
    return [f"{field}: {WORDS.get(reason) or messages.for_field(field, reason)} ({reason})" for field, reason in fields]


def _tell(*problems: str) -> None:
    for problem in problems:
        click.echo(f"error: {problem}", err=True)


def _told_of(error: OSError) -> int:
    if error.filename is None:
        _abandon_output()  # the output is what failed: whoever read it has gone, or the disk is full
    if isinstance(error, BrokenPipeError):
        return REFUSED
    _tell(f"{error.filename or 'the output cannot be written'}: {error.strerror}")
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
