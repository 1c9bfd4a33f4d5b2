"""Arguments and dispatch: which command is meant, and how its end is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn

import click

from coatcheck.cli.serve import serve
from coatcheck.errors import ConfigurationError, Refused, StoreError

DONE, REFUSED, TROUBLE = 0, 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.version_option(package_name="coatcheck")
def cli(debug: bool) -> None:
    """Logins and sessions that can be trusted, seen and revoked."""


for command in (serve,):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding must not turn a name into a crash
    status = run(given)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _abandon_output()
        status = _told_of(error)
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit status. Tells errors on the standard error and raises none."""
    try:
        if any(not _is_text(argument) for argument in arguments):
            raise click.UsageError("an argument is not valid UTF-8")  # noqa: TRY301 - told like any other usage error
        status = cli.main(list(arguments), prog_name="coatcheck", standalone_mode=False)
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
    except BrokenPipeError as error:
        _abandon_output()
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
        return [f"{messages.for_reason(error.reason)} ({error.reason})"]
    fields = [(fault.pointer.removeprefix("/"), fault.reason) for fault in error.errors]
    return [f"{field}: {messages.for_field(field, reason)} ({reason})" for field, reason in fields]


def version() -> str:
    """Give the installed version."""
    try:
        return metadata.version("coatcheck")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


def _tell(*problems: str) -> None:
    for problem in problems:
        click.echo(f"error: {problem}", err=True)


def _told_of(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        return REFUSED  # whoever read us has had enough
    _tell(f"the output cannot be written: {error.strerror}")
    return TROUBLE


def _abandon_output() -> None:
    # What is left in the buffer would be flushed at exit, and complained about.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_text(argument: str) -> bool:
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    main()
