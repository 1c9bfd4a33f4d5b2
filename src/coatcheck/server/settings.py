"""The table of settings: what each may hold, as text (command line, environment) and as TOML.

`coatcheck.server.config` puts a `Config` together from it. A reader gives the value or raises `Unfit` with what is
wrong and how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import cast

from coatcheck.core.policy import STANDARD, Policy

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


SETTINGS: Mapping[str, Reader] = {
    "host": _text,
    "port": _whole(1, 65535),
    "store": _text,
    "public_url": _text,
    "workers": _whole(1, 64),
    "tls_self_signed": _switch,
    "tls_cert": _path,
    "tls_key": _path,
    "secret": _secret_text,
    "secret_file": _path,
    "development": _switch,
    "profile": _choice("standard", "strict"),
    "allowed_hosts": _names,
    "trusted_proxies": _networks,
    "trusted_hops": _whole(0, 10),
    "forwarded_header": _choice("x-forwarded-for", "forwarded"),
    "trusted_origins": _names,
    "redirect_hosts": _names,
    "templates": _path,
    "log_level": _choice("debug", "info", "warning", "error"),
    "log_format": _choice("auto", "json", "text"),
}
POLICY_SETTINGS = frozenset(Policy.__struct_fields__)


def policy_value(name: str, value: str) -> object:
    """Read a policy setting from the environment: of the type its default has, or the text itself, to be refused."""
    default = getattr(STANDARD, name)
    try:
        if isinstance(default, bool):
            return _switch(value, True)
        return _whole(0, 2**31)(value, True) if isinstance(default, int) else value
    except Unfit:
        return value
