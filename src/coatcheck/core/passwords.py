"""Password rules: what may become a password, and the one form in which it is hashed (PWD-01 to PWD-06)."""

from __future__ import annotations

import unicodedata

from coatcheck.core.policy import Policy


def normalised(password: str, policy: Policy) -> bytes | None:
    """Give the bytes that are hashed: NFC, then UTF-8, nothing else (PWD-04).

    None for what no password can be: longer than the policy's limit before or after normalising (PWD-03), or holding
    lone surrogates (PWD-05). Costs no more than the limit even for a megabyte of input.
    """
    if len(password) > policy.password_max_bytes:
        return None
    if _has_surrogates(password):
        return None
    encoded = unicodedata.normalize("NFC", password).encode()
    return encoded if len(encoded) <= policy.password_max_bytes else None


def refusal_of_new(password: str, policy: Policy) -> str | None:
    """Say why this cannot become somebody's password, or None if it can.

    Length is counted in code points after NFC (PWD-02). There are no rules of composition and no expiry (PWD-06).
    """
    encoded = normalised(password, policy)
    if encoded is None:
        return "password_not_text" if _has_surrogates(password[: policy.password_max_bytes]) else "password_too_long"
    if len(encoded.decode()) < policy.password_min_length:
        return "password_too_short"
    return None


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
