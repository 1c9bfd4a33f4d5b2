"""Who is at the other end: the client's address, its network, and labels fit for a list or a log.

The address decides rate limits, so a client that could choose it would have none (RAT-04). Forwarding headers are
read only from a trusted peer and only from the right, where trusted proxies wrote; what stands to the left of that
was written by the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from unicodedata import category

LABEL_LENGTH = 256
UNKNOWN_NETWORK = "unknown"

_MAX_FORWARDED = 4096
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# One parameter of RFC 7239 §4 and the delimiter after it.
_PARAMETER = re.compile(
    rb"[ \t]*(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"((?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*)")[ \t]*(;|,|\Z)'
)
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(
    peer: str | None,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    trusted_proxies: Sequence[Network],
    trusted_hops: int,
) -> str | None:
    """Give the client's address in its canonical spelling; None where the peer has none (a Unix socket).

    That is the socket's peer, unless the peer is in `trusted_proxies`: then it is the address that stands
    `trusted_hops` from the right in `X-Forwarded-For` or `Forwarded`. Where that entry is missing or is no address,
    or both headers are there and disagree (a proxy maintains one of them and passes the client's other one on), it is
    the peer again. IPv4-mapped IPv6 counts as IPv4, zone ids are dropped.
    """
    nearest = None if peer is None else _address(peer)
    if nearest is None:
        return None
    if trusted_hops < 1 or not any(nearest in network for network in trusted_proxies):
        return str(nearest)
    told: set[Address | None] = set()
    for name, entry_of in ((b"x-forwarded-for", _x_forwarded_for), (b"forwarded", _forwarded)):
        if values := [value for header, value in headers if header == name]:
            told.add(entry_of(b",".join(values), trusted_hops))
    client = told.pop() if len(told) == 1 else None
    return str(client or nearest)


def network_of(address: str | None) -> str:
    """Give the network that shares a rate limit: /32 of IPv4, /64 of IPv6 (RAT-03).

    Everybody whose address is unknown shares one. `address` is an answer of `client_address`.
    """
    if address is None:
        return UNKNOWN_NETWORK
    parsed = ip_address(address)
    return str(ip_network((parsed, 32 if parsed.version == 4 else 64), strict=False))


def label(text: str | bytes) -> str:
    """Make a header's text fit for a list or a log: at most 256 characters, one line, nothing invisible (REV-08).

    Terminal sequences, controls, bidirectional and zero-width characters and lone surrogates are dropped. What is
    left may still be HTML and is escaped where it is shown.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if text.isprintable() and len(text) <= LABEL_LENGTH:
        return text.strip()
    # Cut before cleaning too, so that a huge header costs no more than a long one.
    text = _TERMINAL_SEQUENCE.sub("", text[: 4 * LABEL_LENGTH])
    visible = "".join(" " if character.isspace() else character for character in text if _is_visible(character))
    return visible.strip()[:LABEL_LENGTH].rstrip()


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


def _address(text: str) -> Address | None:
    """Read an address, bare or as `v4:port`, `[v6]`, `[v6]:port`; None for anything else."""
    if len(text) > 64:
        return None
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_visible(character: str) -> bool:
    return character.isspace() or category(character)[0] != "C"
