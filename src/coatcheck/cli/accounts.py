"""`coatcheck accounts`: list, show, create, disable, enable, unlock, delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from coatcheck.cli.completion import account_names
from coatcheck.cli.options import (
    TAKES_IDS,
    confirm,
    json_option,
    open_desk,
    page_options,
    store_options,
    yes_option,
)
from coatcheck.cli.output import counted, print_fields, print_json, print_table, short_time
from coatcheck.cli.paging import Described, Listing, print_list
from coatcheck.cli.refusals import NothingFound
from coatcheck.cli.types import instant

if TYPE_CHECKING:
    from coatcheck.core.views import Account
    from coatcheck.facade import Coatcheck

    Seen = tuple[Account, bool]
    """An account, with whether it is disabled."""

MOST_PASSWORD_INPUT = 8192
RECENT_EVENTS = 10


@click.group()
def accounts() -> None:
    """See accounts, open one, disable, enable, unlock or delete one."""


@accounts.command("list")
@click.option("--name", "text", metavar="TEXT", help="TEXT stands in the user name or the e-mail address.")
@click.option("--disabled/--enabled", "disabled", default=None, help="Those that are disabled, or those that are not.")
@click.option("--created-after", type=instant, metavar="TIME", help="Opened at TIME or later: 2026-11-21, 30d (ago).")
@click.option("--created-before", type=instant, metavar="TIME", help="Opened before TIME.")
@page_options
@store_options
@json_option
def list_accounts(
    text: str | None,
    disabled: bool | None,
    created_after: int | None,
    created_before: int | None,
    limit: int,
    cursor: str | None,
    is_whole: bool,
    store: str | None,
    file: str | None,
    as_json: bool,
) -> None:
    """List accounts; with several options, those that fit all of them."""
    wanted = _Wanted(None if text is None else text.casefold(), disabled, created_after, created_before)
    listing = Listing(
        name="accounts",
        describe=_described,
        columns=("subject", "username", "email", "created", "disabled"),
        row=_row,
        empty="There are no accounts." if wanted == _Wanted() else "No accounts match.",
    )
    with open_desk(store, file) as desk:
        print_list(
            listing,
            lambda after, limit: desk.all_accounts(after=after, limit=limit),
            wanted.fits,
            limit=limit,
            cursor=cursor,
            is_whole=is_whole,
            as_json=as_json,
        )


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name", shell_complete=account_names)
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
    if rows:
        print_table(("at (UTC)", "event", "session", "ip"), rows)
    else:
        click.echo("No events.")


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
@click.argument("name", shell_complete=account_names)
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
    click.echo(f"Disabled {account.username or account.email}; {counted(ended, 'session')} ended.")


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name", shell_complete=account_names)
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


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name", shell_complete=account_names)
@store_options
@json_option
def unlock(name: str, store: str | None, file: str | None, as_json: bool) -> None:
    """Forget the failed tries at the account called NAME: its waits, and the lock after a hundred of them."""
    with open_desk(store, file) as desk:
        account = require_account(desk, name)
        desk.unlock(account.subject)
        disabled = desk.is_disabled(account.subject)
    if as_json:
        print_json(described(account, disabled=disabled))
        return
    click.echo(f"Forgot the failed tries at {account.username or account.email}.")
    if disabled:
        click.echo("It is disabled all the same: coatcheck accounts enable lets it log in.")


@accounts.command(context_settings=TAKES_IDS)
@click.argument("name", shell_complete=account_names)
@yes_option
@store_options
@json_option
def delete(name: str, yes: bool, store: str | None, file: str | None, as_json: bool) -> None:
    """Delete the account called NAME, its password, its sessions and every trace of it. There is no way back.

    Its security events keep their time and name only, and its names are free for somebody else.
    """
    with open_desk(store, file) as desk:
        account = require_account(desk, name)
        called = account.username or account.email
        live = len(desk.sessions(of=account.subject))
        confirm(f"Delete {called} ({account.subject}) and end {counted(live, 'session')}?", yes=yes)
        desk.delete_account(account.subject)
    if as_json:
        print_json({"deleted": account.subject, "revoked": live})
        return
    click.echo(f"Deleted {called}; {counted(live, 'session')} ended.")


def require_account(desk: Coatcheck, name: str) -> Account:
    """Find an account by user name, e-mail address or subject, or refuse."""
    account = desk.find_account(name)
    if account is None:
        raise NothingFound(
            "account_not_found",
            f"no account has the user name, e-mail address or subject {name!r}; "
            "coatcheck accounts list shows those there are",
        )
    return account


class _Wanted(NamedTuple):
    """Which accounts are asked for; None where it does not matter."""

    text: str | None = None
    disabled: bool | None = None
    created_after: int | None = None
    created_before: int | None = None

    def fits(self, seen: Seen) -> bool:
        account, disabled = seen
        created_at = account.created_at.timestamp()
        return (
            (self.text is None or self.text in f"{account.username or ''}\n{account.email or ''}".casefold())
            and (self.disabled is None or disabled == self.disabled)
            and (self.created_after is None or created_at >= self.created_after)
            and (self.created_before is None or created_at < self.created_before)
        )


def _described(seen: Seen) -> Described:
    account, disabled = seen
    return described(account, disabled=disabled)


def _row(one: Described) -> tuple[object, ...]:
    return one["subject"], one["username"], one["email"], str(one["created_at"])[:10], one["disabled"]


def described(account: Account, *, disabled: bool) -> Described:
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
