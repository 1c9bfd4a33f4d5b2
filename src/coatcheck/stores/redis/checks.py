"""What a server must be before a session is trusted to it: looked at whenever a connection is opened.

A server that was restarted or failed over is another server, so the look is part of opening and costs no round trip of
its own: who we are, which database, what the server says of itself, and the version of what is kept, all in one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from coatcheck.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from coatcheck.stores.redis.address import Address, is_loopback
from coatcheck.stores.redis.lines import Command

VERSION = 1
FLOOR = (6, 2)
_INFO = re.compile(rb"^(\w+):(.*?)\r?$", re.MULTILINE)
KINDS = (
    "session", "data", "subject", "live", "ended", "everybody", "handles", "subjects", "name", "accounts", "counter",
    "counters", "event", "event-of", "event-count", "version", "bookmark",
)  # fmt: skip


def opening_commands(address: Address) -> list[Command]:
    """Give what is asked of a new connection, for `check` to judge; who we are comes before all else."""
    commands: list[Command] = []
    if address.password is not None:
        names = () if address.username is None else (address.username,)
        commands.append(("AUTH", *names, address.password))
    commands.append(("SELECT", address.database))
    commands.append(("INFO",))
    commands.append(("CONFIG", "GET", "appendfsync"))
    commands.append(("GET", f"{address.prefix}:version"))
    return commands


class Opened(NamedTuple):
    """What the server said: the version of what is kept (None if nothing is), and what is weaker than it should be."""

    version: int | None
    advisories: tuple[str, ...]


def check(address: Address, replies: Sequence[Any]) -> Opened:
    """Judge what a server says of itself.

    Raises:
        ConfigurationError: it cannot keep sessions; the message names the setting and the mend.
        StoreUnavailable: it cannot now.
    """
    *before, selected, info, config, version = replies
    for reply in (*before, info):
        if isinstance(reply, Exception):
            raise reply
    if isinstance(selected, Exception):
        if "range" in str(selected) or "SELECT is not allowed" in str(selected):
            raise ConfigurationError(
                f"store: {address.host}:{address.port} has no database {address.database}; "
                "name a lower number in the URL"
            )
        raise selected
    facts = {name.decode(): value.decode(errors="replace") for name, value in _INFO.findall(info)}
    _check_server(address, facts)
    return Opened(_version_of(address, version), _advisories(address, facts, config))


def _check_server(address: Address, facts: dict[str, str]) -> None:
    numbers = tuple(int(part) for part in re.findall(r"\d+", facts.get("redis_version", ""))[:2])
    if numbers < FLOOR:
        raise ConfigurationError(
            f"store: {address.where} is Redis {facts.get('redis_version', '?')}; "
            f"{'.'.join(map(str, FLOOR))} or newer is needed, or Valkey"
        )
    if facts.get("loading") == "1":
        raise StoreUnavailable(f"the store at {address.where} is still loading its data")
    if facts.get("role") == "slave":
        raise ConfigurationError(
            f"store: {address.where} is a replica and cannot be written; name the server it replicates, "
            f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        )
    if facts.get("cluster_enabled") == "1":
        raise ConfigurationError(f"store: {address.where} belongs to a cluster; name a server that stands alone")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ConfigurationError(
            f"store: {address.where} has maxmemory-policy {policy}, which throws sessions away when memory is short; "
            "set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration file)"
        )


def _advisories(address: Address, facts: dict[str, str], config: list[bytes] | Exception) -> tuple[str, ...]:
    found: list[str] = []
    server = f"redis {address.where}"
    if not address.tls and not is_loopback(address.host):
        found.append(f"{server} is another machine, and tls=off leaves the way to it open; write rediss://")
    if facts.get("aof_enabled") == "0":
        found.append(
            f"{server} keeps no append-only file: a restart loses what was acknowledged since its last "
            "snapshot, so new sessions are gone and ended ones come back; set appendonly yes"
        )
    else:
        fsync = str(config[1], "ascii") if isinstance(config, list) and config[1:] else None  # not all users may ask
        if fsync is None:
            found.append(f"{server} does not tell its appendfsync; make sure that it is always")
        elif fsync != "always":
            lost = "the last second" if fsync == "everysec" else "half a minute"
            found.append(
                f"{server} has appendfsync {fsync}: a loss of power takes {lost} of what was acknowledged; "
                "set appendfsync always"
            )
    return tuple(found)


def _version_of(address: Address, kept: Any) -> int | None:
    if kept is None:
        return None
    # There was none before the first: who has written that was not Coatcheck.
    if isinstance(kept, Exception) or not kept.isdigit() or int(kept) < 1:
        raise foreign(address)
    return int(kept)


def check_version(address: Address, version: int | None) -> None:
    """Accept this version, which is the first, or none. Raises SchemaMismatch, which says what to do (DAT-08)."""
    if version is not None and version > VERSION:
        raise SchemaMismatch(
            f"store: {address.where} has schema version {version}, newer than the {VERSION} this Coatcheck knows; "
            "run the newer Coatcheck that wrote it"
        )


def foreign(address: Address) -> SchemaMismatch:
    """Say that keys under our prefix are another program's."""
    return SchemaMismatch(
        f"store: {address.where}: another program has keys that begin with {address.prefix}: there; name a prefix or "
        "database of Coatcheck's own (?prefix=...)"
    )


def is_ours(address: Address, key: bytes) -> bool:
    """Say whether a key has the form of ours."""
    _, _, rest = key.decode(errors="replace").partition(f"{address.prefix}:")
    return rest.split(":", 1)[0] in KINDS
