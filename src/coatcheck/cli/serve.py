"""`coatcheck serve`: the login server."""

from __future__ import annotations

import click

from coatcheck.cli.options import configuration, store_options
from coatcheck.errors import ConfigurationError


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on. Default: 127.0.0.1, this machine only.")
@click.option("--port", metavar="N", help="Port to listen on. Default: 8000")
@store_options
@click.option("--public-url", metavar="URL", help="The https address under which visitors see the site.")
@click.option("--workers", metavar="N", help="Processes that answer. Default: 1")
@click.option(
    "--tls-self-signed", is_flag=True, default=None, help="Speak TLS with a certificate made for this machine."
)
@click.option("--tls-cert", metavar="FILE", type=click.Path(), help="Certificate chain, PEM.")
@click.option("--tls-key", metavar="FILE", type=click.Path(), help="Its key, PEM, readable by its owner only.")
def serve(file: str | None, **options: object) -> int:
    """Start the login server.

    Without options it serves this machine in development mode, keeps everything in coatcheck.db, and says where to
    click. Every option may also stand in the environment (COATCHECK_PORT) or in coatcheck.toml (port); what stands on
    the command line wins.
    """
    config = configuration(file, serving=True, **options)
    try:
        from coatcheck.server import run
    except ImportError as error:
        raise ConfigurationError(f"serve: needs {error.name}; pip install 'coatcheck[server]'") from error
    return run.serve(config, say=click.echo)
