"""The form of our opaque tokens: 32 random bytes as 43 base64url characters; we keep a digest (TOK-01, TOK-03).

A token says nothing: no user, no time, no node (TOK-06). Each kind of token has its own digest label, so a digest of
one kind never equals a digest of another (TOK-07).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NoReturn, TypeGuard

TOKEN_BYTES = 32
HANDLE_BYTES = 9  # 72 bits; TOK-09 asks for 64

_SESSION_LABEL = b"coatcheck:session:1:"
_SHELF_LABEL = b"coatcheck:shelf:1:"


class Token:
    """A secret for the client. It cannot print, pickle or compare itself; `reveal()` is the one way to its text.

    After issue the text belongs into the cookie and nowhere else (TOK-10).
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the secret text. Never log it, never store it."""
        return self._text

    def __repr__(self) -> str:
        return "Token(****)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token cannot be pickled: it exists only at the client")


def encode(raw: bytes) -> str:
    """Write bytes as unpadded base64url."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


class TokenFormat:
    """The exact form of a session token of `token_bytes` bytes; anything else costs no store query (TOK-05)."""

    __slots__ = ("_match", "token_bytes")

    def __init__(self, token_bytes: int = TOKEN_BYTES) -> None:
        self.token_bytes = token_bytes
        length = (token_bytes * 8 + 5) // 6
        self._match = re.compile(rf"[A-Za-z0-9_-]{{{length}}}", re.ASCII).fullmatch

    def fits(self, text: object) -> TypeGuard[str]:
        """Say whether `text` could be a token of ours."""
        return isinstance(text, str) and self._match(text) is not None


def session_digest(token: str) -> bytes:
    """Digest a session token; the argument must already have the token's form."""
    return sha256(_SESSION_LABEL + token.encode("ascii")).digest()


def subject_digest(subject: str) -> bytes:
    """Give the digest whose leading bits are the subject's shelf: a name for it that is not its text."""
    return sha256(_SHELF_LABEL + subject.encode()).digest()


def shelf_of(subject: str, bits: int) -> int:
    """Give the shelf (0 to 2**bits - 1) on which a sharding store wants all tokens of a subject."""
    return _leading_bits(subject_digest(subject), bits)


def on_shelf(digest: bytes, shelf: int, bits: int) -> bool:
    """Say whether a token's digest falls on the shelf; always true for a store without shelves (bits 0)."""
    return _leading_bits(digest, bits) == shelf


def _leading_bits(digest: bytes, bits: int) -> int:
    return digest[0] >> (8 - bits)
