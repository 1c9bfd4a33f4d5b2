"""The pre-session: a signed cookie, no row, for visitors nobody knows yet (SES-01).

It protects the forms that come before log-in: its nonce is what their CSRF tokens are bound to, and since it is signed
and lives in a `__Host-` cookie, an attacker cannot set cookie and field to a pair of his own (CSR-08). It grants
nothing; log-in clears it.

From one page to the next it may carry a word, such as the name somebody has just signed up under. Nobody but us can
have put it there, which is what an address (`?name=...`), that anybody can make a link of, could never promise.

Form: base64url of version (1 byte), issue time (8 bytes, big-endian), nonce (16), the word (UTF-8, padded with NUL to
a multiple of 3 bytes), HMAC-SHA-256 (32): 76 characters and more. No octet is written in two ways.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from hmac import compare_digest, digest

from msgspec import Struct

from coatcheck.core.tokens import encode

LIFE = 3600
"""Seconds from issue to the end."""

NONCE_BYTES = 16
WORD_MAX = 1024
"""The longest word in bytes: four for each character of the longest e-mail address."""

_VERSION = b"\x01"
_LABEL = b"coatcheck:pre-session:1:"
_FORM = re.compile(r"(?:[A-Za-z0-9_-]{4}){19,361}", re.ASCII)
_MAC_BYTES = 32


class PreSession(Struct, frozen=True):
    """What a live pre-session holds: the nonce that forms are bound to, and the word it carries ("" for none)."""

    nonce: bytes
    word: str = ""

    def began_with(self, nonce: bytes) -> bool:
        """Say whether this is the pre-session that a nonce was drawn for."""
        return compare_digest(self.nonce, nonce)


def issue(key: bytes, *, nonce: bytes, now: int, word: str = "") -> str:
    """Make the cookie's value.

    `key` is the sub-key for this purpose (32 bytes or more), `nonce` 16 random bytes. `word` is shown to this browser's
    user again, who can also read it in the cookie: never a secret. One that is too long or holds a NUL is left out.
    """
    if len(key) < 32 or len(nonce) != NONCE_BYTES:
        raise ValueError(f"a pre-session needs a key of 32 bytes or more and a nonce of {NONCE_BYTES} bytes")
    carried = word.encode("utf-8", "replace")
    if len(carried) > WORD_MAX or b"\0" in carried:
        carried = b""
    signed = _VERSION + now.to_bytes(8, "big") + nonce + carried + bytes(-len(carried) % 3)
    return encode(signed + _mac(key, signed))


def read(key: bytes, value: str | None, *, now: int) -> PreSession | None:
    """Give what a live pre-session holds.

    None where the value is absent, malformed, signed with another key, issued in the future, or at its end
    (`now >= issued + 3600`, TMO-03). Never raises for what a visitor sent.
    """
    if value is None or not _FORM.fullmatch(value):
        return None
    raw = urlsafe_b64decode(value)
    signed = raw[:-_MAC_BYTES]
    if not compare_digest(raw[-_MAC_BYTES:], _mac(key, signed)) or signed[:1] != _VERSION:
        return None
    issued_at, nonce, word = int.from_bytes(signed[1:9], "big"), signed[9:25], signed[25:].rstrip(b"\0")
    return PreSession(nonce, word.decode()) if issued_at <= now < issued_at + LIFE else None


def _mac(key: bytes, signed: bytes) -> bytes:
    return digest(key, _LABEL + signed, "sha256")
