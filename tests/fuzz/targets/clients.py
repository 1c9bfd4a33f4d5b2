"""Who says what of itself: forwarded addresses and user agents."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import ip_address, ip_network

from coatcheck.core.audit import safe_label
from coatcheck.core.networks import canonical_address, network_of
from coatcheck.http.client_address import client_address
from coatcheck.web.devices import NAME_MAX, device_name
from tests.fuzz.targets.target import Target, text_of

PROXY = "10.0.0.1"
PROXIES = (ip_network("10.0.0.0/8"),)
WRITTEN = "198.51.100.4"
X, F = b"x-forwarded-for", b"forwarded"


def _address(*headers: tuple[bytes, bytes], reads: bytes, hops: int = 1, peer: str = PROXY) -> str | None:
    return client_address(peer, headers, trusted_proxies=PROXIES, trusted_hops=hops, forwarded_header=reads)


Addresses = dict[str, str | None]


def _x_forwarded_for(octets: bytes) -> Addresses:
    written = WRITTEN.encode()
    return {
        "alone": _address((X, octets), reads=X),
        "appended": _address((X, octets + b", " + written), reads=X),
        "in a field of its own": _address((X, octets), (X, written), reads=X),
        "two hops": _address((X, octets + b"," + written + b", 10.0.0.2"), reads=X, hops=2),
        "the other header": _address((F, octets), (X, written), reads=X),
        "no proxy": _address((X, octets), (F, octets), reads=X, peer="192.0.2.7"),
    }


def _judge_x_forwarded_for(octets: bytes, seen: Addresses) -> None:
    """RAT-04: nothing that a client sends moves what the trusted hop wrote; alone, it is the last entry or none."""
    last = octets.split(b",")[-1].decode("latin-1").strip(" \t")
    bare = re.sub(r"^\[(.*)\](:\d{1,5})?$|^([\d.]+):\d{1,5}$", r"\1\3", last, flags=re.ASCII)
    assert seen.pop("alone") in (canonical_address(bare) or PROXY, PROXY)
    assert seen.pop("no proxy") == "192.0.2.7"
    assert set(seen.values()) == {WRITTEN}


def _forwarded(octets: bytes) -> Addresses:
    written = b"for=" + WRITTEN.encode()
    return {
        "alone": _address((F, octets), reads=F),
        "appended": _address((F, octets + b", " + written), reads=F),
        "in a field of its own": _address((F, octets), (F, written), reads=F),
        "two hops": _address((F, octets + b"," + written + b", for=10.0.0.2"), reads=F, hops=2),
        "the other header": _address((X, octets), (F, written), reads=F),
        "no proxy": _address((F, octets), (X, octets), reads=F, peer="192.0.2.7"),
    }


def _judge_forwarded(octets: bytes, seen: Addresses) -> None:
    """RAT-04: an entry is what the trusted hop wrote, or the whole header is worth nothing and the proxy stands."""
    alone = seen.pop("alone")
    assert alone is not None
    spelled = re.findall(rb"[0-9A-Fa-f:.]+", octets)
    assert alone == PROXY or any(_is_spelling(text.decode(), alone) for text in spelled)
    assert str(ip_address(alone)) == alone
    assert seen.pop("no proxy") == "192.0.2.7"
    assert seen.pop("the other header") == WRITTEN
    assert set(seen.values()) <= {WRITTEN, PROXY}


def _is_spelling(text: str, address: str) -> bool:
    """Whether a text begins with an address that reads as this one (a port may follow)."""
    return any(canonical_address(text[:end]) == address for end in range(len(text), 0, -1))


def _networks(octets: bytes) -> tuple[str | None, str | None]:
    return canonical_address(text_of(octets)), network_of(text_of(octets))


def _judge_networks(_: bytes, answer: tuple[str | None, str | None]) -> None:
    """RAT-03: one address has one spelling, and lies in the network it is counted by."""
    address, network = answer
    assert (address is None) == (network is None)
    if address is not None and network is not None:
        assert canonical_address(address) == address
        assert network_of(address) == network
        assert ip_address(address) in ip_network(network)


def _agent(octets: bytes) -> tuple[str | None, str]:
    label = safe_label(text_of(octets))
    return label, device_name(label)


def _judge_agent(_: bytes, answer: tuple[str | None, str]) -> None:
    """REV-08, LOG-05: what is listed cannot forge a line, hide text or turn it round."""
    label, name = answer
    assert 0 < len(name) <= NAME_MAX
    assert name.isascii()
    assert name.isprintable()
    if label is not None:
        assert 0 < len(label) <= 256
        assert label.strip() == safe_label(label)
        assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in label)
        assert not any(unicodedata.bidirectional(one) in TURNING for one in label)


TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ADDRESSES = (
    b"198.51.100.4", b"6.6.6.6", b"2001:db8::1", b"[2001:DB8::1]", b"[::1]:80", b"6.6.6.6:80", b"::ffff:6.6.6.6",
    b"fe80::1%eth0", b"10.0.0.1", b"127.1", b"0x7f.1", b"006.6.6.6", b"unknown", b"_hidden", b"1.2.3", b"::", b"1" * 70,
)  # fmt: skip
MARKS = (
    b",", b", ", b";", b"=", b'"', b'\\"', b"\\", b"[", b"]", b":", b".", b"%", b" ", b"\t", b"\n", b"\r", b"\x00",
    b"\x0b",
    b"\x85", b"\xa0", b"\xff", b"(", b"/",
)  # fmt: skip

TARGETS = (
    Target(
        "x-forwarded-for",
        _x_forwarded_for,
        _judge_x_forwarded_for,
        (*ADDRESSES, *MARKS),
        16_384,
        (b"6.6.6.6, 198.51.100.7", b"[2001:db8::1]:80", b"::ffff:6.6.6.6"),
    ),
    Target(
        "forwarded",
        _forwarded,
        _judge_forwarded,
        (
            *ADDRESSES, *MARKS, b"for=", b'for="', b'For="[', b"for=6.6.6.6", b'for="[2001:db8::1]:80"',
            b";proto=https",
            b"by=", b"host=", b"secret=", b"FOR=", b"for =", b"for==",
        ),
        4096,
        (b'for=6.6.6.6;proto=https, For="[2001:DB8::1]:80";by=10.0.0.1', b'for="6.6.6.6:80"'),
    ),
    Target(
        "network",
        _networks,
        _judge_networks,
        (*ADDRESSES, *MARKS, b"/24", b"/64", b"0", b"f", b"::ffff:0:0"),
        1024,
        (b"198.51.100.4", b"2001:db8::1", b"fe80::1%eth0"),
    ),
    Target(
        "user agent",
        _agent,
        _judge_agent,
        (
            b"Mozilla/5.0 ", b"(X11; Linux x86_64; rv:140.0) ", b"Gecko/20100101 Firefox/140.0", b"AppleWebKit/537.36 ",
            b"(KHTML, like Gecko) ", b"Chrome/140.0.0.0 Safari/537.36", b"(iPhone; CPU iPhone OS 18_0 like Mac OS X)",
            b"curl/8.14.1", b"Android 9; ", b"Windows NT 10.0; ", b"compatible; ", b"/", b"(", b")", b";", b" ", b"1.",
            b"_",
            b"\x1b[31m", b"\r\n", b"\x00", b"\xe2\x80\xae", b"\xc2\x9b", b"\xe2\x80\xa8", b"<script>", b"A" * 600,
            b"\xf3\xa0\x81\x81", b"\xed\xa0\x80",
        ),
        8192,
        (b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", b"curl/8.14.1"),
    ),
)  # fmt: skip
