"""`coatcheck init`: a commented configuration with a fresh secret."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.errors import ConfigurationError


@click.command()
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(),
    default="coatcheck.toml",
    help="Where. Default: coatcheck.toml",
)
@click.option("--force", is_flag=True, help="Write over a file that is there; its secret is lost.")
def init(file: str, force: bool) -> None:
    """Write a coatcheck.toml with a fresh secret and every setting in a comment."""
    from coatcheck.server.sample import sample
    from coatcheck.server.secret import create_private, new_secret

    path = Path(file)
    try:
        create_private(path, sample(new_secret()).encode("utf-8"), replaces=force)
    except FileExistsError:
        raise ConfigurationError(
            f"config: {path} is there already and was not touched; --force writes over it, --config names another"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"config: {path} cannot be written ({error.strerror}); name another") from error
    click.echo(f"Wrote {path} with a fresh secret, readable by you only. Next: coatcheck serve")
