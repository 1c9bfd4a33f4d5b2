"""From a `postgresql://` URL to what libpq is told: defaults, TLS, and our own options.

TLS is verified unless the URL says otherwise (DAT-10). To another machine the server's certificate must be signed by
a known authority and bear the host's name (`sslmode=verify-full`); only an explicit `sslmode=disable` in the URL goes
without. What would go without silently, or with anybody's certificate, is refused.
"""

from __future__ import annotations

import re
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from coatcheck.errors import ConfigurationError

FORM = "postgresql://user@host:5432/database"
SCHEMA = "coatcheck"
CONNECTIONS = 10
OPTIONS = ("connections", "prepare", "schema")
# A connection that firewalls on the way have forgotten is found dead by the kernel, not by the next call.
_DEFAULTS = {
    "application_name": "coatcheck",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
_VERIFIED = ("verify-full", "verify-ca")


class Address(NamedTuple):
    """Where the store is and how to get there. `parameters` may hold a password; `location` holds none."""

    parameters: dict[str, str]
    schema: str
    connections: int
    prepares: bool | None  # named statements: None means where no pooler stands between
    must_exist: bool  # somebody else of this server has met the store already
    location: str

    def __repr__(self) -> str:
        return f"Address({self.location})"


def address_of(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ConfigurationError: it is none, or would be unsafe; says how to mend it and shows no password.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.pq import Conninfo

    plain, options = _without_our_options(url)
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(plain).items() if value is not None}
    except (ProgrammingError, UnicodeError):
        # Not libpq's words: they may quote the password.
        if unknown := _unknown_option(plain, {option.keyword.decode() for option in Conninfo.get_defaults()}):
            raise ConfigurationError(
                f"store: a postgresql URL has no option {unknown}; ours are {', '.join(OPTIONS)}, and libpq's its own"
            ) from None
        raise ConfigurationError(
            f"store: that is not a URL that PostgreSQL understands; write {FORM}, with special characters in the user "
            "name and password as %40 and the like"
        ) from None
    defaults = {
        option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val is not None
    }
    known = defaults | given
    # libpq's own default is not to verify, so only what somebody chose counts.
    chosen = given.get("sslmode") or (defaults["sslmode"] if defaults.get("sslmode") not in (None, "prefer") else None)
    parameters = _DEFAULTS | given | {"client_encoding": "UTF8"}
    if _is_remote(known):
        parameters |= _verified(chosen, known)
    _require_primary(known.get("target_session_attrs"))
    schema = _schema(options.get("schema", SCHEMA))
    database = known.get("dbname") or known.get("user", "")  # libpq's default
    return Address(
        parameters=parameters,
        schema=schema,
        connections=_connections(options.get("connections", str(CONNECTIONS))),
        prepares=_prepares(options.get("prepare", "auto")),
        must_exist=options.get("mode") == "rw",
        location=f"postgresql {_place(known, defaults.get('port', ''))}/{database} (schema {schema})",
    )


def _without_our_options(url: str) -> tuple[str, dict[str, str]]:
    # What is not ours stays as it is written: libpq's rules for "+" and "%" are not those of forms.
    before, _, query = url.partition("?")
    ours: dict[str, str] = {}
    others: list[str] = []
    for option in query.split("&") if query else []:
        name, _, value = option.partition("=")
        if name in (*OPTIONS, "mode"):
            ours[name] = unquote(value)
        else:
            others.append(option)
    return (f"{before}?{'&'.join(others)}" if others else before), ours


def _unknown_option(url: str, known: set[str]) -> str | None:
    # With an @ behind it the question mark is one of a password's, and what follows it too.
    query = url.partition("?")[2]
    names = [option.partition("=")[0] for option in query.split("&")] if "@" not in query else []
    return next((name for name in names if name.isidentifier() and name not in known), None)


def _place(known: dict[str, str], default_port: str) -> str:
    hosts = (known.get("host") or known.get("hostaddr") or known.get("service", "")).split(",")
    ports = [port or default_port for port in known.get("port", "").split(",")]
    if len(ports) == 1:
        ports *= len(hosts)
    return ",".join(sorted(map(":".join, zip(hosts, ports, strict=False))))  # the same in whichever order


def _is_remote(known: dict[str, str]) -> bool:
    if "service" in known:
        return True  # where that leads is in a file
    names = known.get("hostaddr") or known.get("host") or ""
    return any(not _is_here(name) for name in names.split(","))


def _is_here(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":  # a socket's directory is no network
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _verified(chosen: str | None, known: dict[str, str]) -> dict[str, str]:
    if chosen == "disable":
        return {"sslmode": "disable"}
    if chosen not in (None, *_VERIFIED):
        raise ConfigurationError(
            f"store: sslmode={chosen} does not find out who the server is; leave it out for verify-full (name the "
            "authority's certificate with sslrootcert=/path/to/ca.pem if it is your own), or write sslmode=disable if "
            "nobody else can reach the network between"
        )
    mode = chosen or "verify-full"
    return {"sslmode": mode, "sslrootcert": known.get("sslrootcert") or _authorities()}


def _authorities() -> str:
    # libpq's own place first; then the system's, where the OpenSSL inside psycopg's wheels would not look.
    own = Path("~/.postgresql/root.crt").expanduser()
    places = (own, ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt")
    return next((str(place) for place in places if place and Path(place).is_file()), "system")


def _require_primary(wanted: str | None) -> None:
    if wanted in ("read-only", "standby", "prefer-standby"):
        raise ConfigurationError(
            f"store: target_session_attrs={wanted} leads to a replica, which cannot be written; leave it out, and of "
            "several hosts the primary is found"
        )


def _schema(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) or name.startswith("pg_"):
        raise ConfigurationError(
            f"store: schema={name!r} is no name for a schema of ours: small letters, digits and _, not pg_..."
        )
    return name


def _connections(number: str) -> int:
    if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= 1000):
        raise ConfigurationError(f"store: connections={number!r} is no number from 1 to 1000")
    return int(number)


def _prepares(word: str) -> bool | None:
    words = {"auto": None, "always": True, "never": False}
    if word not in words:
        raise ConfigurationError(f"store: prepare={word!r} is none of auto, always and never")
    return words[word]
