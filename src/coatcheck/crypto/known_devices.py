"""What a browser shows to be known to an account it has logged in to before: a signed note, kept by the browser alone.

It opens nothing and skips nothing (63B-4 5.1: cookies are no authentication). It only gives its browser failures of its
own, so that who guesses elsewhere cannot lock the owner out (RAT-13). Its subject is under the signature but not in the
text, and a password change voids it with everything else.

    base64url( 16 random bytes | 4 bytes: when it was made, seconds UTC | 16 bytes of HMAC-SHA-256 )
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode

import msgspec

from coatcheck.core.tokens import Token, encode
from coatcheck.crypto.entropy import Entropy

NAME_BYTES, MADE_BYTES, TAG_BYTES = 16, 4, 16
_FORM = re.compile(r"[A-Za-z0-9_-]{48}", re.ASCII)  # 36 bytes; no note is written in two ways


class KnownDevice(msgspec.Struct, frozen=True):
    """A note that was found true: the random name of the device, and when the note was made."""

    name: str
    made_at: int


def note_device(key: bytes, entropy: Entropy, *, subject: str, version: int, now: int) -> Token:
    """Make the note for a browser that has just proven this subject's password of this version."""
    stem = entropy(NAME_BYTES) + now.to_bytes(MADE_BYTES, "big")
    return Token(encode(stem + _tag(key, stem, subject, version)))


def recognise_device(
    key: bytes, note: Token | None, *, subject: str, version: int, now: int, lifetime: int
) -> KnownDevice | None:
    """Read a note, or give None for what is forged, somebody else's, of an older password, or too old."""
    text = "" if note is None else note.reveal()
    if not _FORM.fullmatch(text):
        return None
    raw = urlsafe_b64decode(text)
    stem, tag = raw[: NAME_BYTES + MADE_BYTES], raw[NAME_BYTES + MADE_BYTES :]
    if not hmac.compare_digest(tag, _tag(key, stem, subject, version)):
        return None
    made_at = int.from_bytes(stem[NAME_BYTES:], "big")
    if now - made_at >= lifetime:
        return None
    return KnownDevice(encode(stem[:NAME_BYTES]), made_at)


def _tag(key: bytes, stem: bytes, subject: str, version: int) -> bytes:
    told = b"coatcheck:device:1:" + stem + f":{version}:{subject}".encode()
    return hmac.digest(key, told, "sha256")[:TAG_BYTES]
