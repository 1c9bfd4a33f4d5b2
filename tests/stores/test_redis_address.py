"""What a URL of Redis or Valkey may say, and what is said to one that does not do."""

from __future__ import annotations

import pytest

from coatcheck.colour import Blocking, HashingLane
from coatcheck.errors import ConfigurationError
from coatcheck.stores.opening import open_store
from coatcheck.stores.redis.address import address_of

SECRET = "h7!secret"


def test_a_bare_url_means_this_machine_the_usual_port_and_the_first_database():
    address = address_of("redis://")

    assert (address.host, address.port, address.database, address.prefix) == ("localhost", 6379, 0, "coatcheck")
    assert (address.username, address.password, address.tls) == (None, None, False)


def test_everything_may_be_said():
    address = address_of("rediss://us%3Aer:p%40ss%2F@cache.example.org:7000/12?prefix=shop-1&ca=/etc/ca.pem")

    assert (address.host, address.port, address.database, address.prefix) == ("cache.example.org", 7000, 12, "shop-1")
    assert (address.username, address.password, address.tls, address.ca) == ("us:er", "p@ss/", True, "/etc/ca.pem")


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+sentinel", "valkey+socket"])
def test_what_is_not_supported_yet_is_told_as_that(scheme):
    with pytest.raises(ConfigurationError, match="is not supported yet; name one server that stands alone") as refused:
        open_store(f"{scheme}://:hush@127.0.0.1:1", Blocking(HashingLane(queue=1, nice=0)))
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(("scheme", "tls"), [("redis", False), ("valkey", False), ("rediss", True), ("valkeys", True)])
def test_both_servers_have_their_schemes(scheme, tls):
    store = open_store(f"{scheme}://127.0.0.1:1/3?prefix=mine", Blocking(HashingLane(queue=1, nice=0)))

    assert address_of(f"{scheme}://127.0.0.1:1/3").tls is tls
    assert store.location == "redis 127.0.0.1:1/3 (prefix mine)"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_dat_10_this_machine_needs_no_tls(host):
    assert address_of(f"redis://{host}").tls is False


@pytest.mark.parametrize("host", ["db", "10.0.0.7", "localhost.example.org", "[2001:db8::1]", "0.0.0.0"])
def test_dat_10_another_machine_without_tls_needs_a_word(host):
    with pytest.raises(ConfigurationError, match=r"^store: .* is another machine.*rediss://.*\?tls=off"):
        address_of(f"redis://:{SECRET}@{host}")

    assert address_of(f"redis://:{SECRET}@{host}?tls=off").tls is False


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://host:port", "not a URL"),
        ("redis://[::1", "not a URL"),
        ("redis://localhost/one", "number of a database"),
        ("redis://localhost/-1", "number of a database"),
        ("redis://localhost/1/2", "number of a database"),
        ("redis://localhost/²", "number of a database"),
        ("redis://localhost?timeout=1", "prefix, tls, ca, cert, key"),
        ("redis://localhost?prefix=a&prefix=b", "once each"),
        ("redis://localhost?prefix", "not a URL"),
        ("redis://localhost#1", "prefix, tls, ca, cert, key"),
        ("redis://localhost?prefix=", "a prefix is"),
        ("redis://localhost?prefix=a:b", "a prefix is"),
        ("redis://localhost?prefix={a}", "a prefix is"),
        ("redis://localhost?prefix=*", "a prefix is"),
        ("redis://localhost?tls=on", "rediss://"),
        ("rediss://host?tls=off", "contradict"),
        ("redis://localhost?ca=/ca.pem", "rediss://"),
        ("rediss://host?cert=/cert.pem", "belong together"),
    ],
)
def test_a_url_that_will_not_do_names_the_setting_and_the_mend_and_no_password(url, words):
    url = url.replace("://", f"://ada:{SECRET}@", 1)

    with pytest.raises(ConfigurationError) as caught:
        address_of(url)

    assert str(caught.value).startswith("store: ")
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_address_prints_without_its_password():
    assert SECRET not in repr(address_of(f"redis://ada:{SECRET}@localhost"))
