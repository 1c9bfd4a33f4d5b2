"""The client's address behind trusted proxies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.http.client_address import client_address, problems_of_proxies

PROXY = "10.0.0.1"
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
X = b"x-forwarded-for"
F = b"forwarded"


def address_of(
    *headers: tuple[bytes, bytes], peer: str | None = PROXY, hops: int = 1, reads: bytes | None = None
) -> str | None:
    """The client's address, told in the header that is `reads`; by default in the one that is sent."""
    name = reads or (headers[0][0] if headers else X)
    return client_address(peer, headers, trusted_proxies=PROXIES, trusted_hops=hops, forwarded_header=name)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (None, None),
        ("", None),
        ("testclient", None),
        ("192.0.2.256", None),
        ("0x7f.1", None),
    ],
)
def test_rat_04_without_trusted_proxies_the_peer_is_the_client(peer, address):
    forged = ((X, b"203.0.113.9"), (F, b"for=203.0.113.9"))

    assert client_address(peer, forged, trusted_proxies=(), trusted_hops=1) == address


def test_rat_04_a_spoofed_header_from_an_untrusted_peer_is_not_read():
    addresses = {address_of((X, f"203.0.113.{n}".encode()), peer="192.0.2.7") for n in range(50)}

    assert addresses == {"192.0.2.7"}


def test_rat_04_a_client_that_rotates_spoofed_entries_keeps_its_address():
    addresses = {address_of((X, f"203.0.113.{n}, 198.51.100.4".encode())) for n in range(50)}

    assert addresses == {"198.51.100.4"}


def test_rat_04_without_hops_a_trusted_peer_is_the_client():
    assert address_of((X, b"198.51.100.4"), hops=0) == PROXY


@pytest.mark.parametrize(
    ("headers", "hops", "address"),
    [
        ([(X, b"198.51.100.4")], 1, "198.51.100.4"),
        ([(X, b"6.6.6.6, 198.51.100.4")], 1, "198.51.100.4"),
        ([(X, b"6.6.6.6,198.51.100.4,10.0.0.2")], 2, "198.51.100.4"),
        ([(X, b"6.6.6.6"), (X, b"198.51.100.4")], 1, "198.51.100.4"),
        ([(X, b"198.51.100.4:4711")], 1, "198.51.100.4"),
        ([(X, b"198.51.100.4:1")], 1, "198.51.100.4"),
        ([(X, b"198.51.100.4:65535")], 1, "198.51.100.4"),
        ([(X, b"[2001:db8::1]:1")], 1, "2001:db8::1"),
        ([(X, b"[2001:db8::1]:65535")], 1, "2001:db8::1"),
        ([(X, b"[2001:db8::1]:4711")], 1, "2001:db8::1"),
        ([(X, b"[2001:db8::1]")], 1, "2001:db8::1"),
        ([(X, b"2001:db8::1")], 1, "2001:db8::1"),
        ([(X, b"::ffff:198.51.100.4")], 1, "198.51.100.4"),
        ([(X, b"[fe80::1%eth0]:80")], 1, "fe80::1"),
        ([(X, b"\t198.51.100.4 ")], 1, "198.51.100.4"),
        ([(X, b"garbage,,%%, 198.51.100.4")], 1, "198.51.100.4"),
        ([(F, b"for=198.51.100.4")], 1, "198.51.100.4"),
        ([(F, b"for=6.6.6.6, for=198.51.100.4;proto=https;by=10.0.0.1")], 1, "198.51.100.4"),
        ([(F, b'FOR="[2001:db8::1]:4711"')], 1, "2001:db8::1"),
        ([(F, b"for=198.51.100.4, for=10.0.0.2")], 2, "198.51.100.4"),
        ([(F, b"for=6.6.6.6"), (F, b"proto=https; for=198.51.100.4")], 1, "198.51.100.4"),
        ([(F, b'by="a,b;c\\"d";for=198.51.100.4')], 1, "198.51.100.4"),
    ],
)
def test_rat_04_behind_a_trusted_proxy_the_entry_counted_from_the_right_is_the_client(headers, hops, address):
    assert address_of(*headers, hops=hops) == address


@pytest.mark.parametrize(
    ("headers", "hops"),
    [
        ([], 1),
        ([(X, b"")], 1),
        ([(X, b"unknown")], 1),
        ([(X, b"198.51.100.4,")], 1),
        ([(X, b"198.51.100.4")], 2),
        ([(X, b"198.51.100.4 6.6.6.6")], 1),
        ([(X, b"198.51.100.4:")], 1),
        ([(X, b"198.51.100.4:655350")], 1),
        ([(X, b"[2001:db8::1]:")], 1),
        ([(X, b"[2001:db8::1]:655350")], 1),
        ([(X, b"198.51.100.4\x00")], 1),
        ([(X, b"\x0b198.51.100.4")], 1),
        ([(X, b"198.51.100.4\xa0")], 1),
        ([(X, b"X198.51.100.4X")], 1),
        ([(X, b"0198.51.100.4")], 1),
        ([(X, "\uff11\uff19\uff18.51.100.4".encode())], 1),
        ([(X, b"\xff")], 1),
        ([(X, b"1" * 10_000)], 1),
        ([(X, b"[[::1]]")], 1),
        ([(F, b"")], 1),
        ([(F, b"for=unknown")], 1),
        ([(F, b"for=_hidden")], 1),
        ([(F, b"proto=https")], 1),
        ([(F, b"for=198.51.100.4;for=6.6.6.6")], 1),
        ([(F, b"for=1.1.1.1;for=6.6.6.6, for=198.51.100.4")], 1),
        ([(F, b"for=[2001:db8::1]")], 1),
        ([(F, b'for="198.51.100.4')], 1),
        ([(F, b"for = 198.51.100.4")], 1),
        ([(F, b"for=198.51.100.4;")], 1),
        ([(F, b"for=198.51.100.4,")], 1),
        ([(F, b"for=198.51.100.4")], 2),
        ([(F, b"for=198.51.100.4, " + b"for=1.1.1.1, " * 1000 + b"for=1.1.1.1")], 1),
    ],
)
def test_rat_04_garbage_or_too_few_entries_fall_back_to_the_peer(headers, hops):
    assert address_of(*headers, hops=hops) == PROXY


def test_rat_04_a_forwarded_header_of_4096_octets_is_read_and_a_longer_one_is_not():
    appended = b", for=198.51.100.4"
    sent = b"for=" + b"x" * (4096 - len(b"for=") - len(appended))

    assert address_of((F, sent + appended)) == "198.51.100.4"
    assert address_of((F, b"y" + sent + appended)) == PROXY


@pytest.mark.parametrize(("length", "address"), [(64, "fe80::1"), (65, PROXY)])
def test_rat_04_an_entry_of_64_characters_is_an_address_and_a_longer_one_is_none(length, address):
    assert address_of((X, b"fe80::1%".ljust(length, b"e"))) == address


@pytest.mark.parametrize("sent", [b"for=x", b"for=6.6.6.6", b"6.6.6.6", b"garbage", b""])
@pytest.mark.parametrize(
    ("written", "other"),
    [((X, b"198.51.100.4"), F), ((F, b"for=198.51.100.4"), X)],
    ids=["x-forwarded-for", "forwarded"],
)
def test_rat_04_a_client_cannot_erase_its_address_with_the_header_the_proxy_does_not_write(written, other, sent):
    addresses = {
        address_of(*headers, reads=written[0]) for headers in ([(other, sent), written], [written, (other, sent)])
    }

    assert addresses == {"198.51.100.4"}


@pytest.mark.parametrize(("reads", "sent"), [(X, (F, b"for=6.6.6.6")), (F, (X, b"6.6.6.6"))])
def test_rat_04_the_header_the_proxy_does_not_write_is_ignored_also_when_it_stands_alone(reads, sent):
    assert address_of(sent, reads=reads) == PROXY


def test_rat_04_x_forwarded_for_is_read_unless_told_otherwise():
    headers = ((F, b"for=6.6.6.6"), (X, b"198.51.100.4"))

    assert client_address(PROXY, headers, trusted_proxies=PROXIES, trusted_hops=1) == "198.51.100.4"


@given(st.binary(max_size=60))
def test_rat_04_nothing_a_client_sends_moves_what_the_proxy_appended(sent):
    assert address_of((X, sent + b", 198.51.100.4")) == "198.51.100.4"


FORWARDED_PIECES = st.lists(
    st.sampled_from([b"for=", b"6.6.6.6", b'"', b"\\", b",", b";", b" ", b"by=", b"x", b"=", b"[", b"]"]), max_size=12
).map(b"".join)


@given(FORWARDED_PIECES, st.sampled_from([b"for=198.51.100.4", b'for="198.51.100.4:80";proto=https', b'for="[::1]"']))
def test_rat_04_a_client_cannot_swallow_what_the_proxy_appended_to_forwarded(sent, appended):
    assert address_of((F, sent + b", " + appended)) in {"198.51.100.4", "::1", PROXY}


@given(st.lists(st.tuples(st.sampled_from([X, F]), st.binary(max_size=40)), max_size=3), st.integers(0, 3))
def test_rat_04_any_octets_give_an_address(headers, hops):
    address = address_of(*headers, hops=hops)

    assert address is not None
    assert str(ip_address(address)) == address


@pytest.mark.parametrize("unit", [b",", b'"', b"\\", b'for="', b'\\"', b"for=1.1.1.1,", b" ", b";"])
@pytest.mark.parametrize("name", [X, F])
def test_sup_09_no_header_takes_more_than_linear_time(grows_linearly, unit, name):
    grows_linearly(lambda size: (unit * size)[:size], lambda value: address_of((name, value), hops=3), 1024)
    grows_linearly(lambda size: (unit * size)[:size], lambda value: address_of((name, value), hops=3), 16_384)


@pytest.mark.parametrize(
    ("proxies", "hops", "problems"),
    [
        ((), 0, []),
        (PROXIES, 1, []),
        (
            PROXIES,
            0,
            ["trusted_hops: is missing with trusted_proxies; say how many proxies stand between visitors and here"],
        ),
        ((), 2, ["trusted_proxies: is missing with trusted_hops; name the addresses of your proxies"]),
    ],
)
def test_err_03_of_the_two_settings_about_proxies_the_missing_one_is_named(proxies, hops, problems):
    assert [*problems_of_proxies(proxies, hops)] == problems
