"""Who is at the other end: the client's address.

The address decides rate limits, so a client that could choose it would have none (RAT-04). Forwarding headers are
read only from a trusted peer and only from the right, where trusted proxies wrote; what stands to the left of that
was written by the client. Of the two headers there are, exactly one is read: a proxy maintains one of them and passes
the client's other one on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from coatcheck.core.networks import parse_address

_MAX_FORWARDED = 4096
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# One parameter of RFC 7239 §4 and the delimiter after it.
_PARAMETER = re.compile(
    rb"[ \t]*(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"((?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*)")[ \t]*(;|,|\Z)'
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def problems_of_proxies(trusted_proxies: Sequence[Network], trusted_hops: int) -> Iterable[str]:
    """Say which of the two settings is missing beside the other."""
    if trusted_proxies and not trusted_hops:
        yield "trusted_hops: is missing with trusted_proxies; say how many proxies stand between visitors and here"
    if trusted_hops and not trusted_proxies:
        yield "trusted_proxies: is missing with trusted_hops; name the addresses of your proxies"


def client_address(
    peer: str | None,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    trusted_proxies: Sequence[Network],
    trusted_hops: int,
    forwarded_header: bytes = b"x-forwarded-for",
) -> str | None:
    """Give the client's address in its canonical spelling; None where the peer has none (a Unix socket).

    That is the socket's peer, unless the peer is in `trusted_proxies`: then it is the address that stands
    `trusted_hops` from the right in `forwarded_header`, which is one of `FORWARDED_HEADERS`. Where that entry is
    missing or is no address, it is the peer again. IPv4-mapped IPv6 counts as IPv4, zone ids are dropped.
    """
    nearest = None if peer is None else _address(peer)
    if nearest is None:
        return None
    if trusted_hops < 1 or not any(nearest in network for network in trusted_proxies):
        return str(nearest)
    entry_of = FORWARDED_HEADERS[forwarded_header]
    # The other header is the client's own: were it looked at, the client could contradict the proxy and pass for it.
    values = [value for name, value in headers if name == forwarded_header]
    client = entry_of(b",".join(values), trusted_hops) if values else None
    return str(client or nearest)


def _x_forwarded_for(value: bytes, hops: int) -> Address | None:
    entries = value.rsplit(b",", hops)
    if len(entries) < hops:
        return None
    return _address(entries[-hops].decode("latin-1").strip(" \t"))


def _forwarded(value: bytes, hops: int) -> Address | None:
    """Read RFC 7239 as a whole: a quotation mark the client left open must not swallow what the proxy wrote."""
    if len(value) > _MAX_FORWARDED:
        return None
    entries: list[str | None] = []
    entry, repeated, position, delimiter = None, False, 0, b","
    while delimiter:
        match = _PARAMETER.match(value, position)
        if match is None:
            return None
        name, token, quoted, delimiter = match.groups()
        if name.lower() == b"for":
            repeated = repeated or entry is not None
            entry = (token if quoted is None else quoted).decode("latin-1")
        if delimiter != b";":
            entries.append(entry)
            entry = None
        position = match.end()
    chosen = entries[-hops] if len(entries) >= hops and not repeated else None
    return None if chosen is None else _address(chosen)


FORWARDED_HEADERS: Mapping[bytes, Callable[[bytes, int], Address | None]] = {
    b"x-forwarded-for": _x_forwarded_for,
    b"forwarded": _forwarded,
}
"""The headers in which a proxy may tell the client's address, each with what reads it."""


def _address(text: str) -> Address | None:
    """Read an address, bare or as `v4:port`, `[v6]`, `[v6]:port`; None for anything else."""
    if len(text) > 64:
        return None
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2] or ""
    return parse_address(text)
