"""URLs of stores: no stranger writes them, but they bear a password, which no answer of ours may repeat."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from coatcheck.errors import ConfigurationError
from coatcheck.server.store_urls import bears_password, problems_of, sqlite_file, with_password, without_password
from coatcheck.stores.postgres.address import Address as PostgresAddress
from coatcheck.stores.postgres.address import address_of as postgres_address_of
from coatcheck.stores.redis.address import SCHEMES, is_loopback
from coatcheck.stores.redis.address import Address as RedisAddress
from coatcheck.stores.redis.address import address_of as redis_address_of
from tests.fuzz.targets.target import Target

Address = PostgresAddress | RedisAddress
Answer = tuple[str, Address | ConfigurationError | None, tuple[str, ...]]


def _read(octets: bytes) -> Answer:
    """The URL as a setting has it, the address that a driver is given, and what is wrong with it as a setting."""
    url = octets.decode("utf-8", "replace")
    scheme = url.partition(":")[0]
    address: Address | ConfigurationError | None = None
    if scheme in SCHEMES or scheme == "postgresql":
        read: Callable[[str], Address] = redis_address_of if scheme in SCHEMES else postgres_address_of
        try:
            address = read(url)
        except ConfigurationError as refused:
            address = refused
    sqlite_file(url)
    return url, address, tuple(problems_of(url, None))


def _judge(_: bytes, answer: Answer) -> None:
    """LOG-03, DAT-10: a password is in nothing that is shown; the way off this machine is safe or was not to be."""
    url, address, problems = answer
    shown = without_password(url)
    assert without_password(shown) == shown or "****" in shown
    assert bears_password(url) == (shown != url)
    told = " ".join(problems) + (str(address) if isinstance(address, ConfigurationError) else repr(address))
    for password in _passwords(url, address):
        assert password not in told
        assert password not in shown
    if isinstance(address, RedisAddress):
        assert address.tls or "tls=off" in url or is_loopback(address.host)
        assert with_password(url, "a/b?c@d:e") != url
    elif isinstance(address, PostgresAddress):
        mode = address.parameters.get("sslmode")
        assert mode in ("verify-full", "verify-ca", "disable") or _stays_here(address)


def _passwords(url: str, address: object) -> set[str]:
    """What is a password by the plainest reading, or by the driver's, and stands nowhere else in the URL."""
    found = set(re.findall(r"\A[a-z]+://[^/?#@:]*:([^@/?#]+)@", url))
    if isinstance(address, RedisAddress) and address.password:
        found.add(address.password)
    if isinstance(address, PostgresAddress):
        found |= {address.parameters[name] for name in ("password", "sslpassword") if name in address.parameters}
    plain = unquote(url)
    return {one for one in found if len(one) > 5 and url.count(one) <= 1 and plain.count(unquote(one)) <= 1}


def _stays_here(address: PostgresAddress) -> bool:
    names = address.parameters.get("hostaddr") or address.parameters.get("host") or ""
    return all(not name or name[0] in "/@" or is_loopback(name) for name in names.split(","))


TARGETS = (
    Target(
        "URL of a store",
        _read,
        _judge,
        (
            b"postgresql://", b"redis://", b"rediss://", b"valkey://", b"sqlite://", b"memory://", b"postgres:", b"://",
            b":", b"/", b"//", b"///", b"@", b"@@", b"?", b"#", b"&", b"=", b"%", b"%40", b"%3A", b"%2F", b"%00",
            b"%zz", b"ada", b"s3cr3t-word", b"ada:s3cr3t-word@", b":s3cr3t-word@", b"localhost", b"127.0.0.1", b"[::1]",
            b"db.example.org", b":5432", b":6379", b":99999", b":x", b"/app", b"/0", b"/16", b"/\xd9\xa3", b",",
            b"?password=s3cr3t-word", b"&sslpassword=s3cr3t-word", b"?sslmode=disable", b"&sslmode=require",
            b"&sslrootcert=", b"?schema=", b"&connections=5", b"&prepare=never", b"?mode=rw", b"?tls=off", b"&prefix=a",
            b"&ca=x", b"&host=/tmp", b"&hostaddr=192.0.2.7", b"&service=x", b"[", b"]", b"\x00", b"\n", b" ",
            b"\xc3\xa9", b"\xff", b"pass%77ord=", b"PASSWORD=", b"%20=", b"+=",
        ),
        4096,
        (
            b"postgresql://ada:s3cr3t-word@localhost:5432/app?schema=x", b"redis://:s3cr3t-word@127.0.0.1:6379/0?prefix=a",
            b"rediss://ada:s3cr3t-word@cache.example.org/1", b"sqlite:///app.db",
            b"postgresql://ada@db.example.org/app?password=s3cr3t-word",
        ),
    ),
)  # fmt: skip
