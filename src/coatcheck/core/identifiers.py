"""What a person types to say who they are, and the key it is compared by.

A key is never shown and never mailed to. Two different addresses never share a key: what cannot be mapped without
merging is refused instead (ACC-02, ACC-04).
"""

from __future__ import annotations

import re
import unicodedata

USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,31}")
# What HTML's <input type=email> takes. A quoted part or one with a comma could name a second mailbox in a mail header.
LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
EMAIL_MAX = 254


def ascii_lower(text: str) -> str:
    """Lower-case A to Z and nothing else: Unicode case mapping merges letters (the Kelvin sign becomes "k")."""
    if text.isascii():
        return text.lower()
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def username_key(username: str) -> str | None:
    """Give the key of a user name, or None if the name is not allowed (ACC-04)."""
    key = ascii_lower(username)
    return key if USERNAME.fullmatch(key) else None


def email_key(address: str) -> str | None:
    """Give the key of an e-mail address, or None if it is not allowed (ACC-02).

    The local part is ASCII-lower-cased, the domain becomes a lower-case A-label. Tags (`+x`) and dots stay: they
    make different mailboxes at most providers.
    """
    if len(address) > EMAIL_MAX or address.count("@") != 1:
        return None
    local, domain = address.split("@")
    host = _a_label(domain)
    if not LOCAL_PART.fullmatch(local) or host is None:
        return None
    key = f"{ascii_lower(local)}@{host}"
    return key if len(key) <= EMAIL_MAX else None


def identifier_key(identifier: str) -> str:
    """Give the key that a log-in looks up: an address has an `@`, a user name never does.

    Something that cannot be a name of ours still gets a key, so that throttling treats it like any other (ENU-06).
    Spaces around it are typing slips and are dropped (RAT-05).
    """
    typed = identifier.strip(" \t")
    key = email_key(typed) if "@" in typed else username_key(typed)
    return key if key is not None else "?" + typed


def _a_label(domain: str) -> str | None:
    labels = [_a_label_part(part) for part in domain.split(".")]
    known = [label for label in labels if label is not None]
    if len(known) != len(labels) or len(known) < 2:
        return None
    return ".".join(known)


def _a_label_part(label: str) -> str | None:
    if label.isascii():
        lowered = ascii_lower(label)
        return lowered if HOST_LABEL.fullmatch(lowered) else None
    lowered = label.lower()
    # A label that lower-casing makes ASCII (the Kelvin sign), or that normalising or folding would change (sharp s,
    # full-width letters), could meet another one: refuse.
    if lowered.isascii():
        return None
    if unicodedata.normalize("NFKC", lowered).casefold() != lowered or not lowered.replace("-", "").isalnum():
        return None
    encoded = "xn--" + lowered.encode("punycode").decode("ascii")
    return encoded if len(encoded) <= 63 else None
