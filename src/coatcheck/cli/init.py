"""`coatcheck init`: a commented configuration with a fresh secret."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.errors import ConfigurationError

SAMPLE = """\
# Settings of Coatcheck. A command-line option or a variable COATCHECK_... wins over what stands here.
# This file holds a secret: keep it readable by its owner only (mode 0600) and out of version control.

# Keys for forms and logs are derived from it. Sessions do not depend on it.
secret = "{secret}"

# Where everything is kept. Three slashes: relative to where the command runs; four: an absolute path.
store = "sqlite:///coatcheck.db"

# The https address under which visitors see the site. Without it the server runs in development mode, for this
# machine only.
#public_url = "https://login.example.org"

# Where to listen, and how many processes answer.
#host = "127.0.0.1"
#port = 8000
#workers = 1

# A certificate, if the server itself shall speak TLS and no proxy does it.
#tls_cert = "/etc/ssl/login.example.org.pem"
#tls_key = "/etc/ssl/private/login.example.org.key"

# Proxies in front of the server: their addresses or networks, and how many of them a request passes. Without these the
# limits on failed log-ins take all visitors for one, the proxy. The header is x-forwarded-for or forwarded, whichever
# the proxy writes; the other one comes from the visitor and is ignored.
#trusted_proxies = ["127.0.0.1"]
#trusted_hops = 1
#forwarded_header = "x-forwarded-for"

# Hosts to answer besides that of public_url; origins of other sites of yours that may post here; hosts to which a
# log-in may send people on.
#allowed_hosts = ["login.example.org"]
#trusted_origins = ["https://app.example.org"]
#redirect_hosts = ["app.example.org"]

# A folder whose templates win over ours of the same name.
#templates = "templates"

# standard (NIST SP 800-63B-4, AAL2) or strict (AAL3).
#profile = "standard"

# debug, info, warning or error; auto (text on a terminal, else JSON), json or text.
#log_level = "info"
#log_format = "auto"

# Single numbers, durations in seconds.
#[settings]
#idle_timeout = 3600
#absolute_timeout = 86400
#password_min_length = 15
"""


@click.command()
@click.option("--config", "file", metavar="FILE", default="coatcheck.toml", help="Where. Default: coatcheck.toml")
@click.option("--force", is_flag=True, help="Write over a file that is there; its secret is lost.")
def init(file: str, force: bool) -> None:
    """Write a commented coatcheck.toml with a fresh secret."""
    from coatcheck.server.secret import create_private, new_secret

    path = Path(file)
    try:
        create_private(path, SAMPLE.format(secret=new_secret()).encode("utf-8"), replaces=force)
    except FileExistsError:
        raise ConfigurationError(
            f"config: {path} is there already and was not touched; --force writes over it, --config names another"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"config: {path} cannot be written ({error.strerror}); name another") from error
    click.echo(f"Wrote {path} with a fresh secret, readable by you only. Next: coatcheck serve")
