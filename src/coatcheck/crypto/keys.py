"""Keys for each purpose, derived from one root secret, so that none is used for two things (KEY-08, KEY-10)."""

from __future__ import annotations

import hmac
from hashlib import sha256

from coatcheck.errors import ConfigurationError

SECRET_BYTES = 32
_KNOWN_BAD = (b"changeme", b"secret", b"password", b"example")


class Keys:
    """Sub-keys of a root secret: `csrf`, `presession`, `identifier` and `device` are 32-byte HMAC keys.

    Keep them in memory only.

    Args:
        secret: at least 32 random bytes, kept outside the database.

    Raises:
        ConfigurationError: the secret is short or plainly not random (KEY-09).
    """

    __slots__ = ("csrf", "device", "identifier", "presession")

    def __init__(self, secret: bytes) -> None:
        problem = problem_of_secret(secret)
        if problem is not None:
            raise ConfigurationError(problem)
        self.csrf = _derive(secret, b"csrf")
        self.presession = _derive(secret, b"presession")
        self.identifier = _derive(secret, b"identifier")
        self.device = _derive(secret, b"device")

    def __repr__(self) -> str:
        return "Keys(****)"

    def identifier_hash(self, identifier_key: str) -> str:
        """Name an identifier in events without telling it: people type passwords there (LOG-04)."""
        return hmac.new(self.identifier, identifier_key.encode(errors="surrogatepass"), sha256).hexdigest()[:32]


def problem_of_secret(secret: object) -> str | None:
    """Say what is wrong with a root secret and how to mend it, or None."""
    mend = "make one with: coatcheck init, or python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    if isinstance(secret, str):
        return f"secret: must be bytes, not str; if it is a good one, say secret.encode(), or {mend}"
    if not isinstance(secret, bytes):
        return f"secret: must be bytes, not {type(secret).__name__}; {mend}"
    if len(secret) < SECRET_BYTES:
        return f"secret: has {len(secret)} bytes and needs at least {SECRET_BYTES}; {mend}"
    if len(set(secret)) < 8 or any(word in secret.lower() for word in _KNOWN_BAD):
        return f"secret: looks like a placeholder, not like random bytes; {mend}"
    return None


def _derive(secret: bytes, label: bytes) -> bytes:
    # HKDF-SHA-256 (RFC 5869) with a fixed salt and one output block: extract, then expand.
    extracted = hmac.new(b"coatcheck:hkdf:1", secret, sha256).digest()
    return hmac.new(extracted, label + b"\x01", sha256).digest()
