"""Addresses in one form, and the network that limits count by."""

from __future__ import annotations

import pytest

from coatcheck.core.networks import canonical_address, network_of, shortened_address

ADDRESSES = [
    ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
    ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
    ("::FFFF:C000:0207", "192.0.2.7", "192.0.2.7"),
    ("2001:DB8:0:0:1:2:3:4", "2001:db8::1:2:3:4", "2001:db8::/64"),
    ("2001:db8:0:1::1", "2001:db8:0:1::1", "2001:db8:0:1::/64"),
    ("fe80::1%eth0", "fe80::1", "fe80::/64"),
    ("", None, None),
    ("192.0.2.07", None, None),
    ("192.0.2.7:80", None, None),
    ("[::1]", None, None),
    ("192.0.2", None, None),
    ("0x7f.1", None, None),
    ("example.org", None, None),
    ("192.0.2.7\n", None, None),
    ("\u0661.1.1.1", None, None),
    ("1" * 10_000, None, None),
]


@pytest.mark.parametrize(("text", "address", "network"), ADDRESSES)
def test_rat_03_rat_04_address_has_one_form_and_one_network(text, address, network):
    assert canonical_address(text) == address
    assert network_of(text) == network


SHORTENED = [
    ("192.0.2.7", "192.0.2.0"),
    ("192.0.255.255", "192.0.255.0"),
    ("::ffff:192.0.2.7", "192.0.2.0"),
    ("2001:db8:ffff:ffff:1:2:3:4", "2001:db8:ffff::"),
    ("fe80::1%eth0", "fe80::"),
    ("", None),
    ("192.0.2.7:80", None),
]


@pytest.mark.parametrize(("text", "shortened"), SHORTENED)
def test_dat_11_a_shortened_address_keeps_24_bits_or_48(text, shortened):
    assert shortened_address(text) == shortened
