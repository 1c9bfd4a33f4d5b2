"""The table of settings: what each is for and may hold, as text (command line, environment) and as TOML.

`coatcheck.server.config` puts a `Config` together from it, `coatcheck.server.sample` writes the commented file. A
reader gives the value or raises `Unfit` with what is wrong and how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple, cast

from coatcheck.core.policy import NAMES, STANDARD, Policy
from coatcheck.server.durations import seconds_of

PREFIX = "COATCHECK_"
FILE_NAME = "coatcheck.toml"

Reader = Callable[[object, bool], object]
"""Takes a value and whether it is text that stands for something else; gives what it stands for."""


class Unfit(ValueError):
    """A value that a setting cannot hold; the message says why and what to write instead."""


def _text(value: object, _textual: bool) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Unfit("is not plain text; write printable characters")  # not repeated: a URL may bear a password
    return value


def _secret_text(value: object, _textual: bool) -> str:
    # Never repeat what was given here, not even a wrong one: it may be the right one of somewhere else.
    if not isinstance(value, str):
        raise Unfit("is not text; write it between quotation marks")
    return value


def _path(value: object, textual: bool) -> Path:
    return Path(_text(value, textual))


def _switch(value: object, textual: bool) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if textual and isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise Unfit(f"{value!r} is not true or false")
    return value


def _whole(lowest: int, highest: int) -> Reader:
    def read(value: object, textual: bool) -> int:
        if textual and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit(f"{value!r} is not a whole number; use {lowest} to {highest}")
        if not lowest <= value <= highest:
            raise Unfit(f"{value} is out of bounds; use {lowest} to {highest}")
        return value

    return read


def _choice(*choices: str) -> Reader:
    def read(value: object, _textual: bool) -> str:
        if not isinstance(value, str) or value not in choices:
            raise Unfit(f"{value!r} is not one of {', '.join(choices)}")
        return value

    return read


def _names(value: object, textual: bool) -> tuple[str, ...]:
    if textual and isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    parts = cast("list[object]", value) if isinstance(value, list) else []
    names = tuple(part for part in parts if isinstance(part, str))
    if not isinstance(value, list) or len(names) != len(parts):
        raise Unfit(f'{value!r} is not a list of texts; write it like ["one", "two"]')
    return names


def _networks(value: object, textual: bool) -> tuple[object, ...]:
    networks: list[object] = []
    for name in _names(value, textual):
        try:
            networks.append(ip_network(name))
        except ValueError:
            raise Unfit(f"{name!r} is no address or network; write them like 10.0.0.5 or 10.0.0.0/8") from None
    return tuple(networks)


class Setting(NamedTuple):
    """A setting of the server: what it is for, as `coatcheck.toml` says it; how it is read; what it may hold.

    `sample` is a value in TOML that shows the form where there is no default to do that.
    """

    about: str
    read: Reader
    bounds: str = ""
    sample: str = ""


def _number(about: str, lowest: int, highest: int) -> Setting:
    return Setting(about, _whole(lowest, highest), f"{lowest} to {highest}")


def _one_of(about: str, *choices: str) -> Setting:
    return Setting(about, _choice(*choices), ", ".join(choices))


SETTINGS: Mapping[str, Setting] = {
    "store": Setting(
        "Where everything is kept: sqlite, postgresql, redis or valkey. With sqlite, three slashes: relative to where "
        "the command runs; four: an absolute path. A URL that bears a password makes this file a secret one.",
        _text,
    ),
    "sessions": Setting(
        "Where sessions and the counters of attempts are kept, if elsewhere than all the rest. One URL suffices; a "
        "second, of a Redis or Valkey, takes the load of sessions off a database.",
        _text,
        sample='"redis://127.0.0.1:6379/0"',
    ),
    "store_password_file": Setting(
        "A file, readable by its owner only, that holds the password of store instead of its URL.",
        _path,
        sample='"/run/secrets/coatcheck-store"',
    ),
    "sessions_password_file": Setting("The same for sessions.", _path, sample='"/run/secrets/coatcheck-sessions"'),
    "public_url": Setting(
        "The https address under which visitors see the site. Without it the server runs in development mode, for this "
        "machine only.",
        _text,
        sample='"https://login.example.org"',
    ),
    "secret": Setting(
        "Keys for forms and logs are derived from it. Sessions do not depend on it.",
        _secret_text,
        "32 random bytes or more",
    ),
    "secret_file": Setting(
        "A file that holds the secret, instead of writing it here.", _path, sample='"/run/secrets/coatcheck"'
    ),
    "development": Setting(
        "Development mode: cookies without https, for this machine only. Implied on loopback without public_url and "
        "certificate.",
        _switch,
    ),
    "host": Setting("The address to listen on.", _text),
    "port": _number("The port to listen on.", 1, 65535),
    "workers": _number("How many processes answer.", 1, 64),
    "tls_cert": Setting(
        "A certificate chain, PEM, if the server itself shall speak TLS and no proxy does it.",
        _path,
        sample='"/etc/ssl/login.example.org.pem"',
    ),
    "tls_key": Setting(
        "Its key, PEM, readable by its owner only.", _path, sample='"/etc/ssl/private/login.example.org.key"'
    ),
    "tls_self_signed": Setting("Speak TLS with a certificate made for this machine, in development.", _switch),
    "trusted_proxies": Setting(
        "Proxies in front of the server: their addresses or networks. Without them the limits on failed log-ins take "
        "all visitors for one, the proxy.",
        _networks,
        sample='["127.0.0.1"]',
    ),
    "trusted_hops": Setting("How many of them a request passes.", _whole(0, 10), "0 to 10", sample="1"),
    "forwarded_header": _one_of(
        "The header in which they name the visitor. The other one comes from the visitor and is ignored.",
        "x-forwarded-for",
        "forwarded",
    ),
    "allowed_hosts": Setting("Hosts to answer instead of that of public_url.", _names, sample='["login.example.org"]'),
    "trusted_origins": Setting(
        "Origins of other sites of yours that may post here.", _names, sample='["https://app.example.org"]'
    ),
    "redirect_hosts": Setting("Hosts to which a log-in may send people on.", _names, sample='["app.example.org"]'),
    "cookie_name": Setting(
        "The name of the session cookie, after the prefix __Host-. Two logins on one host need two names, on whatever "
        "ports: browsers send cookies to all ports of a host.",
        _text,
        "up to 64 letters, digits, - and _",
    ),
    "passive_paths": Setting(
        "Paths whose requests are no activity of a person: polling them does not keep a session alive.",
        _names,
        sample='["/api/me"]',
    ),
    "templates": Setting("A folder whose templates win over ours of the same name.", _path, sample='"templates"'),
    "log_level": _one_of("From which level on records are logged.", "debug", "info", "warning", "error"),
    "log_format": _one_of("auto is text on a terminal and JSON elsewhere.", "auto", "json", "text"),
    "profile": _one_of("The numbers below: standard (NIST SP 800-63B-4, AAL2) or strict (AAL3).", "standard", "strict"),
}
POLICY_SETTINGS = frozenset(Policy.__struct_fields__)
_DURATION_ENDS = ("_timeout", "_lifetime", "_kept", "_delay", "_delay_max")


def is_duration(name: str) -> bool:
    """Say whether a setting of the policy is a length of time."""
    return name.endswith(_DURATION_ENDS) and isinstance(getattr(STANDARD, name), int)


def policy_value(name: str, value: object, textual: bool) -> object:
    """Read a setting of the policy. Its bounds are the policy's own business; a wrong type stays, to be refused there.

    Raises Unfit for what should be a duration and is none.
    """
    if is_duration(name):
        try:
            return seconds_of(value) if isinstance(value, str) else value
        except ValueError:
            raise Unfit(f'{value!r} is no duration; write seconds (3600), or like "1h", "30 d" or "1h 30m"') from None
    default = getattr(STANDARD, name)
    if name in NAMES and textual and isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    try:
        if isinstance(default, bool):
            return _switch(value, textual)
        return _whole(0, 2**31)(value, textual) if textual and isinstance(default, int) else value
    except Unfit:
        return value
