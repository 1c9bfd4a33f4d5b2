"""`coatcheck completion`: let the shell complete commands, options, their choices, and names that are in the store."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import click
from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")
LOOKED_AT = 2000  # accounts or sessions; the shell waits for the answer
OFFERED = 50


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  eval "$(coatcheck completion bash)"   in ~/.bashrc
    zsh   eval "$(coatcheck completion zsh)"    in ~/.zshrc, after compinit
    fish  coatcheck completion fish > ~/.config/fish/completions/coatcheck.fish
    """  # noqa: D301 - the control character tells click to leave these lines as they are
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click knows no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "coatcheck", "_COATCHECK_COMPLETE").source())


def account_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the names and addresses of accounts."""
    return _offered(_names(context), begun)


def session_ids(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the ids of live sessions, with who they belong to."""
    return _offered(_live_ids(context), begun)


def _offered(found: Iterator[tuple[str, str]], begun: str) -> list[CompletionItem]:
    matching = (CompletionItem(value, help=told or None) for value, told in found if value.startswith(begun))
    try:
        return list(islice(matching, OFFERED))
    except Exception:  # noqa: BLE001 - whatever is wrong, the command itself will tell; a completion has no words for it
        return []


def _names(context: click.Context) -> Iterator[tuple[str, str]]:
    from coatcheck.cli.options import open_desk

    with open_desk(context.params.get("store"), context.params.get("file")) as desk:
        page, _ = desk.all_accounts(limit=LOOKED_AT)
        for account, _disabled in page:
            for name in (account.username, account.email):
                if name is not None:
                    yield name, ""


def _live_ids(context: click.Context) -> Iterator[tuple[str, str]]:
    from coatcheck.cli.options import open_desk
    from coatcheck.web.devices import device_name

    with open_desk(context.params.get("store"), context.params.get("file")) as desk:
        page, _ = desk.all_sessions(limit=LOOKED_AT)
        for session, death in page:
            if death is None:
                yield session.id, device_name(session.user_agent)
