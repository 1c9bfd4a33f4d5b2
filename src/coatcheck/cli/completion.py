"""`coatcheck completion`: let the shell complete commands and options."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash: eval "$(coatcheck completion bash)" in ~/.bashrc; zsh: likewise in ~/.zshrc; fish: coatcheck completion fish
    > ~/.config/fish/completions/coatcheck.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click knows no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "coatcheck", "_COATCHECK_COMPLETE").source())
