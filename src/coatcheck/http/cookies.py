"""Read and write cookies.

Reading works on the raw octets of the `Cookie` fields, because every convenience of a friendlier parser (unquoting,
Unicode trimming, case folding, last-one-wins) has been a way to plant a cookie under our name: a browser guards the
`__Host-` prefix byte for byte, so only a byte-for-byte reader profits from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, Literal

from msgspec import Struct

from coatcheck.errors import ConfigurationError

MAX_HEADER = 16 * 1024
MAX_PAIRS = 200
MAX_COOKIE = 4096
MAX_AGE = 34_560_000
"""400 days, the most a browser grants (6265bis §5.5)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 6265 §4.1.1 cookie-octet: visible ASCII without DQUOTE, comma, semicolon and backslash.
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]+")
_PAST = "Thu, 01 Jan 1970 00:00:00 GMT"


class Duplicate(Enum):
    """The answer of `read` when the name stands twice. It is false, so that a forgotten case stays anonymous."""

    DUPLICATE = "duplicate"

    def __bool__(self) -> bool:
        return False


DUPLICATE: Final = Duplicate.DUPLICATE


def read(headers: Iterable[bytes], name: str) -> str | Literal[Duplicate.DUPLICATE] | None:
    """Give the value of the one cookie called `name` in a request's `Cookie` fields.

    None where it is absent, where its value is not ASCII, and where the fields are beyond all use (more than 16 KiB
    or 200 pairs, CKY-12). `DUPLICATE` where the name stands twice, in whatever order and even with equal values: one
    of the two may have been planted from a sibling host, and nothing tells which (6265bis §8.6). Callers treat both
    as anonymous and record the second (CKY-10).

    Fields are joined with `; `, split at `;`, trimmed of SP and HTAB, split at the first `=`; the name compares byte
    for byte (CKY-08, CKY-09, CKY-11). The cost is linear in the length, about a microsecond for a usual header.
    """
    octets = b"; ".join(headers)
    if len(octets) > MAX_HEADER or octets.count(b";") >= MAX_PAIRS:
        return None
    wanted = name.encode() + b"="
    value = None
    position = 0  # 0, or a `;`: what lies before it has been looked at
    while (at := octets.find(wanted, position)) >= 0:
        end = octets.find(b";", at)
        if end < 0:
            end = len(octets)
        # `wanted` can begin a pair only where nothing but SP and HTAB stands between it and the last `;`.
        if not octets[octets.rfind(b";", position, at) + 1 : at].strip(b" \t"):
            if value is not None:
                return DUPLICATE
            value = octets[at + len(wanted) : end].rstrip(b" \t")
        position = end
    return value.decode() if value is not None and value.isascii() else None


class CookieStyle(Struct, frozen=True, kw_only=True):
    """The name and attributes of one of our cookies; a style that a browser would weaken or refuse cannot be made.

    Every cookie of ours is `HttpOnly`, has `Path=/` and no `Domain` (CKY-02): there is nothing to set. Construction
    raises `ConfigurationError` with all mistakes found.
    """

    name: str
    secure: bool = True
    same_site: str = "Lax"
    cross_site_cookie: bool = False

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ConfigurationError(*problems)

    def _problems(self) -> Iterable[str]:
        if not _TOKEN.fullmatch(self.name) or len(self.name) > 128:
            yield "cookie name: use at most 128 letters, digits and -_.!#$%&'*+^`|~"
        # Browsers compare the prefix without case (6265bis §5.7), so a misspelt one would be refused by some.
        for prefix in ("__Host-", "__Secure-"):
            if self.name.lower().startswith(prefix.lower()):
                if not self.name.startswith(prefix):
                    yield f"cookie name: spell the prefix exactly {prefix}"
                if not self.secure:
                    yield f"cookie name: {prefix} needs a Secure cookie; over plain http choose a name without prefix"
        if self.same_site not in ("Lax", "Strict", "None"):
            yield "same_site: spell it exactly Lax or Strict (or None, with cross_site_cookie=True)"
        if self.same_site == "None" and not self.cross_site_cookie:
            yield "same_site: None sends the cookie to us from every site; say cross_site_cookie=True, or use Lax"
        if self.same_site == "None" and not self.secure:
            yield "same_site: browsers refuse None without Secure; serve over https or use Lax"

    @property
    def attributes(self) -> str:
        """The attributes as written after the value, each once."""
        return f"; Path=/{'; Secure' if self.secure else ''}; HttpOnly; SameSite={self.same_site}"


def write(style: CookieStyle, value: str, *, max_age: int | None) -> str:
    """Write a `Set-Cookie` value.

    `max_age` is the remaining absolute life of a remembered session, capped at what browsers grant; None makes a
    cookie that ends with the browser (CKY-05). Raises `ValueError`, which never repeats the value, where the value is
    empty, has a character outside RFC 6265's cookie-octet (CKY-15), or makes a cookie of more than 4096 bytes
    (CKY-06), and for a `max_age` below 1: to remove a cookie, `clear` it.
    """
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of cookie {style.name} is empty or has a character that no cookie may hold")
    if len(style.name) + len(value) > MAX_COOKIE:
        raise ValueError(f"cookie {style.name} would be larger than {MAX_COOKIE} bytes")
    if max_age is None:
        return f"{style.name}={value}{style.attributes}"
    if max_age < 1:
        raise ValueError("max_age must be at least 1; to remove a cookie, clear it")
    return f"{style.name}={value}{style.attributes}; Max-Age={min(max_age, MAX_AGE)}"


def clear(style: CookieStyle) -> str:
    """Write the `Set-Cookie` value that removes the cookie: same name and attributes, empty, long past (CKY-07)."""
    return f"{style.name}={style.attributes}; Max-Age=0; Expires={_PAST}"
