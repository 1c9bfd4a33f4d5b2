"""Where a visitor may be sent: `next` and its kin.

An open redirect lends our name to somebody else's page. The rule is a grammar, not a list of tricks: a target is a
path of this site, spelled so plainly that every parser reads the same thing; what is not that is replaced by the
default page. Targets are checked where they are used, also when they come back from a cookie or form of ours (RED-03).
"""

from __future__ import annotations

import re
from collections.abc import Set
from urllib.parse import quote, unquote_to_bytes

MAX_LENGTH = 2048

_PARTS = re.compile(r"(?P<path>/[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?", re.DOTALL)
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(r"https://(?P<host>[^/?#]*)(?P<local>.*)", re.DOTALL)
# RFC 3986 pchar and the percent sign of what is encoded already; `quote` encodes the rest.
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_QUERY_SAFE = _PATH_SAFE + "?"


def local_target(value: object, *, default: str, never: Set[str] = frozenset()) -> str:
    """Give `value` as a path of this site, fit for a `Location` header, or `default` where it is anything else.

    Accepted is text of at most 2048 bytes that begins with exactly one `/` and has no backslash, whitespace, control
    or invisible character, not even after one percent-decoding, and no `.` or `..` segment (a browser would resolve
    `/.//e` to `//e`, other readers `/a/..;/e` to `/e`). Missing, repeated and array-valued parameters arrive as
    something other than a text and give the default (RED-06). `never` holds paths that must not be reached this way,
    like `/logout` (RED-05), however they are encoded. `default` is the developer's and is not judged.
    """
    target = _local(value, never) if isinstance(value, str) else None
    return default if target is None else target


def redirect_target(value: object, *, default: str, never: Set[str] = frozenset(), redirect_hosts: Set[str]) -> str:
    """Like `local_target`, but also accept `https://` followed by exactly one of `redirect_hosts` (RED-02).

    The host is compared as text, before any parsing: no userinfo, other port, trailing dot, letter case or
    look-alike survives that. `never` speaks of our own paths only.
    """
    if isinstance(value, str) and len(value) <= MAX_LENGTH and (match := _ABSOLUTE.fullmatch(value)):
        rest = _local(match["local"] or "/", frozenset())
        return f"https://{match['host']}{rest}" if match["host"] in redirect_hosts and rest is not None else default
    return local_target(value, default=default, never=never)


def _local(text: str, never: Set[str]) -> str | None:
    """Take apart, judge, and put together again from the parts; None where the text is not a plain local path."""
    if len(text) > MAX_LENGTH or _STRAY_PERCENT.search(text):
        return None
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError:  # lone surrogates; octets that are not UTF-8
        return None
    if not (_is_plain(text) and _is_plain(decoded)):
        return None
    match = _PARTS.fullmatch(text)
    if match is None:
        return None
    path = unquote_to_bytes(match["path"]).decode()
    segments = {segment.partition(";")[0] for segment in path.split("/")}  # some readers drop what follows a ";"
    if not segments.isdisjoint({".", ".."}) or (path.rstrip("/") or "/") in never:
        return None
    target = quote(match["path"], safe=_PATH_SAFE)
    target += quote(match["query"] or "", safe=_QUERY_SAFE)
    if match["fragment"]:
        target += "#" + quote(match["fragment"][1:], safe=_QUERY_SAFE)
    return target if len(target) <= MAX_LENGTH else None


def _is_plain(text: str) -> bool:
    # Not printable is what Unicode files under C (controls, format, surrogates, unassigned) and Z (separators) but the
    # space itself: browsers strip some of these and stop at others.
    return text.isprintable() and not text.startswith(("//", "/\\")) and "\\" not in text and " " not in text
