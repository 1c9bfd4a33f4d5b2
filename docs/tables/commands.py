"""Every command with its arguments and options, from the parser that reads them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from coatcheck.cli.main import cli
from docs.tables.markdown import code, table


def all_commands() -> str:
    """Give a section for each command, in the order of `coatcheck --help`."""
    return "\n".join(_section(command, path) for path, command in walk())


def walk(group: click.Group = cli, path: str = "coatcheck") -> Iterator[tuple[str, click.Command]]:
    """Give every command that does something, with the words that call it."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from walk(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _section(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    words = [_paragraph(part) for part in inspect.cleandoc(command.help or "").split("\n\n")]
    parts = [f"### {path}\n", f"```text\n{usage}\n```\n", *(f"{paragraph}\n" for paragraph in words)]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        parts.append(table(("option", "what it does"), (_option(one, context) for one in options)))
    return "\n".join(parts)


def _paragraph(text: str) -> str:
    first, _, rest = text.partition("\n")
    if first.strip() == "\b":  # click's sign for lines that stay as they are
        return f"```text\n{rest}\n```"
    # Paragraphs are wrapped anew where they are shown; a line that begins with ">" would be a quotation in Markdown.
    return " ".join(text.split())


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    # click writes "--port N" and "How many at most.  [default: 100; 1<=x<=100000]", as --help shows it.
    record = option.get_help_record(context)
    assert record is not None
    names, words = record
    names = names.replace("INTEGER RANGE", "N").replace("INTEGER", "N")
    return code(names), words.replace("[default", "(default").replace("]", ")").replace("<=x<=", " to ")
