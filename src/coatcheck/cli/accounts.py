"""`coatcheck accounts`: list, show, create, disable, enable."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from coatcheck.cli.options import TAKES_IDS, json_option, open_desk, page_options, store_options
from coatcheck.cli.output import print_fields, print_json, print_table, short_time
from coatcheck.errors import NotFound

if TYPE_CHECKING:
    from coatcheck.core.views import Account
    from coatcheck.facade import Coatcheck

MOST_PASSWORD_INPUT = 8192
RECENT_EVENTS = 10


@click.group()
def accounts() -> None:
    """See accounts, open one, disable or enable one."""


@accounts.command("list")
@page_options
@store_options
@json_option
def list_accounts(store: str | None, file: str | None, as_json: bool, limit: int, after: str | None) -> None:
    """List accounts."""
    with open_desk(store, file) as desk:
        page, following = desk.all_accounts(after=after, limit=limit)
    found = [described(account, disabled=disabled) for account, disabled in page]
    if as_json:
        print_json({"accounts": found, "next": following})
        return
    rows = [
        (one["subject"], one["username"], one["email"], short_time(one["created_at"]), one["disabled"]) for one in found
    ]
    columns = ("subject", "username", "email", "created (UTC)", "disabled")
    print_table(columns, rows, empty="There are no accounts.")
    if following is not None:
        click.echo(f"There are more: --after {following}")


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name")
@store_options
@json_option
def show(name: str, store: str | None, file: str | None, as_json: bool) -> None:
    """Show the account called NAME: a user name, an e-mail address or a subject."""
    from coatcheck.core.views import instant
    from coatcheck.web.answers import rfc3339

    with open_desk(store, file) as desk:
        account = require_account(desk, name)
        found = described(account, disabled=desk.is_disabled(account.subject))
        live = len(desk.sessions(of=account.subject))
        events, _ = desk.events(of=account.subject, limit=RECENT_EVENTS)
    recent = [
        {"at": rfc3339(instant(event.at)), "name": event.name, "session_id": event.session_id, "ip": event.ip}
        | {"details": event.details}
        for event in events
    ]
    if as_json:
        print_json(found | {"live_sessions": live, "events": recent})
        return
    print_fields([*found.items(), ("live_sessions", live)])
    click.echo()
    rows = [(short_time(one["at"]), one["name"], one["session_id"], one["ip"]) for one in recent]
    print_table(("at (UTC)", "event", "session", "ip"), rows, empty="No events.")


@accounts.command()
@click.option("--username", metavar="NAME", help="3 to 32 letters, digits, dots, hyphens or underscores.")
@click.option("--email", metavar="ADDRESS", help="An e-mail address to log in with.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input, without asking.")
@store_options
@json_option
def create(
    username: str | None, email: str | None, password_stdin: bool, store: str | None, file: str | None, as_json: bool
) -> None:
    """Open an account; its password is asked for twice.

    Give a user name, an e-mail address, or both.
    """
    if not username and not email:
        raise click.UsageError("give --username, --email, or both")
    password = _password_from_stdin() if password_stdin else _password_from_terminal()
    with open_desk(store, file, creates=True) as desk:
        account = desk.sign_up(username=username, email=email, password=password)
    if as_json:
        print_json(described(account, disabled=False))
    else:
        click.echo(f"Opened account {account.username or account.email} ({account.subject}).")


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name")
@store_options
@json_option
def disable(name: str, store: str | None, file: str | None, as_json: bool) -> None:
    """End all sessions of the account called NAME and let it log in no more."""
    with open_desk(store, file) as desk:
        account = require_account(desk, name)
        ended = len(desk.sessions(of=account.subject))
        desk.disable(account.subject)
    if as_json:
        print_json(described(account, disabled=True) | {"revoked": ended})
        return
    click.echo(f"Disabled {account.username or account.email}; {ended} sessions ended.")


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name")
@store_options
@json_option
def enable(name: str, store: str | None, file: str | None, as_json: bool) -> None:
    """Let the disabled account called NAME log in again. Its old sessions stay dead."""
    with open_desk(store, file) as desk:
        account = require_account(desk, name)
        changed = desk.enable(account.subject)
    if as_json:
        print_json(described(account, disabled=False))
        return
    click.echo(f"{'Enabled' if changed else 'Was not disabled:'} {account.username or account.email}.")


def require_account(desk: Coatcheck, name: str) -> Account:
    """Find an account by user name, e-mail address or subject, or refuse."""
    account = desk.find_account(name)
    if account is None:
        raise NotFound("account_not_found")
    return account


def described(account: Account, *, disabled: bool) -> dict[str, object]:
    """Give an account as the JSON of all commands has it."""
    from coatcheck.web.answers import rfc3339

    return {
        "subject": account.subject,
        "username": account.username,
        "email": account.email,
        "created_at": rfc3339(account.created_at),
        "disabled": disabled,
    }


def _password_from_terminal() -> str:
    # On a command line a password would stand in the shell's history and in everybody's list of processes.
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for the password; give it with --password-stdin")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    return answer


def _password_from_stdin() -> str:
    given = sys.stdin.buffer.read(MOST_PASSWORD_INPUT + 1) if sys.stdin is not None else b""
    if len(given) > MOST_PASSWORD_INPUT:
        raise click.UsageError("the standard input is too long for a password")
    try:
        return given.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("the password on the standard input is not valid UTF-8") from None
