"""Values that options take besides text and numbers: instants, and networks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

import click

from coatcheck.server.durations import seconds_of

Network = IPv4Network | IPv6Network


def instant(text: str) -> int:
    """Read an instant, as integer seconds UTC: a date, a date and time (UTC without a zone), or how long ago."""
    try:
        if text[:1].isdigit() and text[-1:] in "dhms":
            return int(time.time()) - seconds_of(text)
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time; write 2026-11-21, 2026-11-21T08:30Z, or how long ago: 2h, 30d"
        ) from None


def network(text: str) -> Network:
    """Read an address or a network; bits beyond the network's length do not matter."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no address or network; write 192.0.2.7 or 192.0.2.0/24") from None


def is_within(ip: str | None, wanted: Network) -> bool:
    """Say whether a stored address lies in a network; one that was stored shortened, whether it may."""
    try:
        return ip_network(ip or "", strict=False).overlaps(wanted)
    except ValueError:
        return False
