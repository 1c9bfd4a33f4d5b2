"""`coatcheck doctor`: what is weaker than it should be."""

from __future__ import annotations

import time

import click

from coatcheck.cli.options import configuration, json_option, store_options
from coatcheck.cli.output import cell, print_json, styled

COLOURS = {"ok": "green", "info": "blue", "warning": "yellow", "error": "red"}
LEVELS = list(COLOURS)


@click.command()
@store_options
@json_option
def doctor(store: str | None, file: str | None, as_json: bool) -> int:
    """Look at configuration, files and store, and list what is weaker than it should be.

    Exit status 0 if all is well, 1 if something deserves a look (a warning or an error), 2 if it cannot be told.
    """
    import msgspec

    from coatcheck.cli.checks import findings_of

    config = configuration(file, serving=True, store=store)
    found = sorted(findings_of(config, now=int(time.time())), key=lambda one: -LEVELS.index(one.level))
    worst = max((one.level for one in found), key=LEVELS.index)
    if as_json:
        print_json({"worst": worst, "findings": [msgspec.structs.asdict(one) for one in found]})
    else:
        for one in found:
            level = styled(f"{one.level:7}", fg=COLOURS[one.level], bold=one.level != "ok")
            click.echo(f"{level}  {one.check}: {cell(one.message)}")
            if one.mend:
                click.echo(f"         {cell(one.mend)}")
    return 1 if worst in ("warning", "error") else 0
