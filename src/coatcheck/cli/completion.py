"""`coatcheck completion`: let the shell complete commands, options, their choices, and names that are in the store."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

SHELLS = ("bash", "zsh", "fish")
LOOKED_AT = 2000  # accounts or sessions; the shell waits for the answer
OFFERED = 50
# Anybody may open an account, and an address may hold "`", "$" and "|": bash inserts an answer as it is, and Enter
# would run it. What a shell could take for more than text, or the parser for an option, is left to be typed.
INERT = re.compile(r"\w[\w.+@-]*")


class Bash(BashComplete):
    """Completion for bash, which takes `@`, `:` and `=` for ends of words: an address or a URL is one word to us.

    The script hands over the line up to the cursor and what bash will replace, which is the end of the word only.
    """

    source_template = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            *) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_CWORD="$2" %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Give the words before the cursor, and the one that is begun there."""
        *words, begun = split_arg_string(os.environ["COMP_WORDS"] + "x")  # after a space, a new word is begun
        return words[1:], begun.removesuffix("x")

    def format_completion(self, item: CompletionItem) -> str:
        """Give what goes in the place of what bash replaces."""
        _, begun = self.get_completion_args()
        replaced = os.environ["COMP_CWORD"]
        kept = begun.removesuffix(replaced) if begun.endswith(replaced) else ""  # as it is typed: with a quotation mark
        return f"{item.type},{_word(item, begun).removeprefix(kept)}"


class Zsh(ZshComplete):
    """Completion for zsh, which replaces the whole of `--state=en`."""

    def format_completion(self, item: CompletionItem) -> str:
        """Give the word with its description."""
        _, begun = self.get_completion_args()
        return super().format_completion(CompletionItem(_word(item, begun), item.type, item.help))


class Fish(FishComplete):
    """Completion for fish, which replaces whole words too, and whose descriptions go on after a comma."""

    source_template = """\
function %(complete_func)s
    set -l begun (commandline --current-token --cut-at-cursor)
    for answer in (COMP_WORDS=(commandline --current-process --cut-at-cursor) COMP_CWORD=$begun \
            %(complete_var)s=fish_complete %(prog_name)s)
        set -l parts (string split --max 1 , -- $answer)
        switch $parts[1]
            case file
                __fish_complete_path $begun
            case dir
                __fish_complete_directories $begun
            case '*'
                echo $parts[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""

    def format_completion(self, item: CompletionItem) -> str:
        """Give the word with its description."""
        _, begun = self.get_completion_args()
        return super().format_completion(CompletionItem(_word(item, begun), item.type, item.help))


def _word(item: CompletionItem, begun: str) -> str:
    # click answers "--state=en" with the value alone.
    option, equals, _ = begun.partition("=")
    return f"{option}={item.value}" if equals and option.startswith("-") else item.value


for kind in (Bash, Zsh, Fish):
    add_completion_class(kind)


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
                if name is not None and INERT.fullmatch(name):
                    yield name, ""


def _live_ids(context: click.Context) -> Iterator[tuple[str, str]]:
    from coatcheck.cli.options import open_desk
    from coatcheck.web.devices import device_name

    with open_desk(context.params.get("store"), context.params.get("file")) as desk:
        page, _ = desk.all_sessions(limit=LOOKED_AT)
        for session, death in page:
            if death is None:
                yield session.id, device_name(session.user_agent)
