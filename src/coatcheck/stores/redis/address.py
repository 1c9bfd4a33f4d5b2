"""What a URL says: where the server is, who we are there, and how the way to it is protected."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from coatcheck.errors import ConfigurationError

FORM = "redis://[user:password@]host[:port][/number][?prefix=...]"
SCHEMES = {"redis": False, "rediss": True, "valkey": False, "valkeys": True}  # whether through TLS
PORT = 6379
PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
OPTIONS = ("prefix", "tls", "ca", "cert", "key")


class Address(NamedTuple):
    """A server, a database of it, and the prefix of our keys there. Prints without the password."""

    host: str
    port: int
    database: int
    prefix: str
    username: str | None
    password: str | None
    tls: bool
    ca: str | None  # a file of certificates to trust instead of the system's
    cert: str | None
    key: str | None

    def __repr__(self) -> str:
        return f"<Address {self.where}>"

    @property
    def where(self) -> str:
        """Name server, database and prefix; no secret is in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.database} (prefix {self.prefix})"


def address_of(url: str) -> Address:
    """Read a URL. Raises ConfigurationError, which never repeats it: it may bear a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or PORT
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigurationError(f"store: that is not a URL; write {FORM}") from None
    options = dict(given)
    unknown = [name for name in options if name not in OPTIONS]
    if unknown or len(options) != len(given) or parts.fragment:
        raise ConfigurationError(
            f"store: after the question mark of a redis URL may stand, once each, {', '.join(OPTIONS)}"
        )
    database = parts.path.removeprefix("/") or "0"
    if not (database.isascii() and database.isdecimal()):
        raise ConfigurationError(f"store: the path of a redis URL is the number of a database; write {FORM}")
    prefix = options.get("prefix", "coatcheck")
    if not PREFIX.fullmatch(prefix):
        raise ConfigurationError("store: a prefix is up to 32 of a-z, 0-9, _ and -, beginning with a letter or digit")
    tls = SCHEMES[parts.scheme]
    _check_protection(host, tls=tls, options=options)
    return Address(
        host=host,
        port=port,
        database=int(database),
        prefix=prefix,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
        ca=options.get("ca"),
        cert=options.get("cert"),
        key=options.get("key"),
    )


def _check_protection(host: str, *, tls: bool, options: dict[str, str]) -> None:
    if options.get("tls", "off") != "off":
        raise ConfigurationError("store: tls in a redis URL can only be off; to turn it on write rediss://")
    if tls and "tls" in options:
        raise ConfigurationError("store: rediss:// and tls=off contradict each other; leave one out")
    if not tls and not options.keys().isdisjoint({"ca", "cert", "key"}):
        raise ConfigurationError("store: ca, cert and key speak of TLS; write rediss://")
    if ("cert" in options) is not ("key" in options):
        raise ConfigurationError("store: cert and key belong together")
    # DAT-10: what is sent opens sessions, and the password goes along with it.
    if not tls and "tls" not in options and not is_loopback(host):
        raise ConfigurationError(
            f"store: {host} is another machine, and redis:// does not protect the way to it; write rediss://, or add "
            "?tls=off if the network between is yours alone"
        )


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
