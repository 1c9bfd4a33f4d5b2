"""Client addresses in one form, and the network that limits are counted by (RAT-03, RAT-04)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IPV6_PREFIX = 64  # what one subscriber holds; counting single IPv6 addresses would count nothing


Address = IPv4Address | IPv6Address


def parse_address(text: str | Address) -> Address | None:
    """Read an address; IPv4-mapped IPv6 becomes IPv4, a zone id is dropped. None for anything else.

    To read one costs microseconds, so every function here takes one that was read before, too.
    """
    if not isinstance(text, str):
        return text
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def canonical_address(text: str | Address) -> str | None:
    """Give an address in its one canonical form, or None if it is none."""
    address = parse_address(text)
    return None if address is None else str(address)


def shortened_address(text: str | Address) -> str | None:
    """Give an address without the part that tells one household from the next: IPv4 /24, IPv6 /48 (DAT-11)."""
    address = parse_address(text)
    if address is None:
        return None
    prefix = 24 if isinstance(address, IPv4Address) else 48
    return str(ip_network((address, prefix), strict=False).network_address)


def network_of(text: str | Address) -> str | None:
    """Give the network an address belongs to: the address itself for IPv4, its /64 for IPv6."""
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return None if address is None else str(address)
