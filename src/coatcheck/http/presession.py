"""The pre-session: a signed cookie, no row, for visitors nobody knows yet (SES-01).

It protects the forms that come before log-in: its nonce is what their CSRF tokens are bound to, and since it is signed
and lives in a `__Host-` cookie, an attacker cannot set cookie and field to a pair of his own (CSR-08). It knows nobody
and grants nothing; log-in clears it.

Form: base64url of version (1 byte), issue time (8 bytes, big-endian), nonce (16), HMAC-SHA-256 (32): 76 characters.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from hmac import compare_digest, digest

from coatcheck.core.tokens import encode

LIFE = 3600
"""Seconds from issue to the end."""

NONCE_BYTES = 16

_VERSION = b"\x01"
_LABEL = b"coatcheck:pre-session:1:"
_FORM = re.compile(r"[A-Za-z0-9_-]{76}", re.ASCII)
_SIGNED = slice(0, 1 + 8 + NONCE_BYTES)


def issue(key: bytes, *, nonce: bytes, now: int) -> str:
    """Make the cookie's value. `key` is the sub-key for this purpose (32 bytes or more), `nonce` 16 random bytes."""
    if len(key) < 32 or len(nonce) != NONCE_BYTES:
        raise ValueError(f"a pre-session needs a key of 32 bytes or more and a nonce of {NONCE_BYTES} bytes")
    signed = _VERSION + now.to_bytes(8, "big") + nonce
    return encode(signed + _mac(key, signed))


def read(key: bytes, value: str | None, *, now: int) -> bytes | None:
    """Give the nonce of a live pre-session.

    None where the value is absent, malformed, signed with another key, issued in the future, or at its end
    (`now >= issued + 3600`, TMO-03). Never raises for what a visitor sent.
    """
    if value is None or not _FORM.fullmatch(value):
        return None
    raw = urlsafe_b64decode(value)
    signed = raw[_SIGNED]
    if not compare_digest(raw[_SIGNED.stop :], _mac(key, signed)) or signed[:1] != _VERSION:
        return None
    issued_at = int.from_bytes(signed[1:9], "big")
    return signed[9:] if issued_at <= now < issued_at + LIFE else None


def _mac(key: bytes, signed: bytes) -> bytes:
    return digest(key, _LABEL + signed, "sha256")
