"""The people who log in, the same for every contestant: names, one password, browsers."""

from __future__ import annotations

from functools import cache

from coatcheck import Policy
from coatcheck.crypto.hashing import PasswordHasher

PASSWORD = "a passphrase nobody else uses"
# A hundred browsers: one text for all would favour a store that keeps each text once.
USER_AGENTS = tuple(f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for n in range(100, 200))
# What requests over HTTP say they are: a library that binds sessions to the browser compares it.
USER_AGENT = USER_AGENTS[0]
IP = "127.0.0.1"
# Argon2id with the same parameters for every contestant: OWASP's minimum, which is Coatcheck's default.
ARGON2_TIME, ARGON2_MEMORY_KIB, ARGON2_PARALLELISM = 2, 19_456, 1
SECRET = "only for measuring, and longer than fifty characters for the checks"


def user_name(number: int) -> str:
    return f"user{number:05}"


def email(number: int) -> str:
    return f"{user_name(number)}@example.org"


@cache
def phc() -> str:
    """The password's hash, made once: a thousand of them would tell nothing."""
    return PasswordHasher(Policy()).hash(PASSWORD.encode())


def among_others(name: str, value: str) -> bytes:
    """A `Cookie` field as browsers send it: the cookie in question between two of other people's."""
    return f"theme=dark; {name}={value}; _lang=en-GB".encode()
