"""The headers every reply of ours carries, and why.

Each function gives a tuple to be added to a reply. All of them forbid storing: our pages and answers speak of one
visitor, and a shared cache that keeps one of them hands it to the next (HDR-01, HDR-02).
"""

from __future__ import annotations

from collections.abc import Set

Headers = tuple[tuple[str, str], ...]

# Those caches of some kinds obey before Cache-Control, or instead of it (RFC 9213, and what vendors have of their own).
_TO_SOME_CACHES = (
    *("cdn-cache-control", "surrogate-control", "x-accel-expires", "edge-control", "x-litespeed-cache-control"),
    *(f"{vendor}-cache-control" for vendor in ("akamai", "cloudflare-cdn", "netlify-cdn", "vercel-cdn")),
)
_TO_CACHES = frozenset({"vary", "cache-control", *_TO_SOME_CACHES})
_SHARED = ("public", "s-maxage")
_EVERYWHERE: Headers = (
    ("cache-control", "no-store"),
    ("vary", "Cookie"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
_JSON: Headers = (
    *_EVERYWHERE,
    ("referrer-policy", "strict-origin-when-cross-origin"),
    # Never a document: should a browser be talked into showing it, nothing in it runs or frames.
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
)


def page_headers(*, redirect_hosts: Set[str] = frozenset(), has_token: bool = False) -> Headers:
    """Give the headers of a page, error pages included (HDR-01, HDR-03, HDR-05, HDR-06, HDR-07).

    `redirect_hosts` are where a form's answer may lead: browsers hold `form-action` against the redirect too. Pages
    whose address bore a token tell others the origin only (`has_token`, OTT-08); not `no-referrer`, under which a form
    post would say `Origin: null` (CON-17). Pages have no inline script or style, so there is no nonce.
    """
    destinations = "".join(f" https://{host}" for host in sorted(redirect_hosts))
    policy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    return (
        *_EVERYWHERE,
        ("referrer-policy", "strict-origin" if has_token else "strict-origin-when-cross-origin"),
        ("content-security-policy", policy + destinations),
        ("x-frame-options", "DENY"),
    )


def json_headers() -> Headers:
    """Give the headers of a JSON answer, errors included."""
    return _JSON


def personal_headers(headers: Headers, *, sets_session: bool) -> Headers:
    """Give the headers of an application's answer that looked at a session, so that no cache hands it to another.

    `Vary: Cookie` is added to what it varies by. Without `Cache-Control` it becomes `private`; a `public` one loses
    what speaks to shared caches, and so do fields that some of them obey before it, such as nginx `X-Accel-Expires`.
    An answer that sets or takes away the session's cookie is not stored at all (HDR-01, HDR-02, FIX-07).
    """
    others = [(name, value) for name, value in headers if name.lower() not in _TO_CACHES]
    if len(others) == len(headers):  # most answers say neither
        return (*headers, ("vary", "Cookie"), ("cache-control", "no-store" if sets_session else "private"))
    varied = _listed(headers, "vary")
    if "*" not in varied and not any(name.lower() == "cookie" for name in varied):
        varied.append("Cookie")
    directives = [one for one in _listed(headers, "cache-control") if not one.lower().startswith(_SHARED)]
    if sets_session:
        directives = ["no-store"]
    elif not any(one.lower() in ("private", "no-store") for one in directives):
        directives.insert(0, "private")
    return (*others, ("vary", ", ".join(varied)), ("cache-control", ", ".join(directives)))


def length_in(headers: Headers) -> int | None:
    """How long a body is going to be, by its headers; None where they do not say."""
    for name, value in headers:
        if name.lower() == "content-length":
            return int(value) if value.isascii() and value.isdigit() else None
    return None


def kept(headers: Headers, told: Headers) -> int:
    """Say how many of an application's `headers` stand before what was added in `told`: all, or none.

    Those need not be written anew, which in some frameworks costs more than finding out who is there.
    """
    count = len(headers)
    return count if told[:count] == headers else 0


def _listed(headers: Headers, name: str) -> list[str]:
    values = ",".join(value for found, value in headers if found.lower() == name).split(",")
    return [value.strip() for value in values if value.strip()]


def transport_headers(*, secure: bool, include_subdomains: bool = False) -> Headers:
    """`Strict-Transport-Security` for a year, over https only (HDR-04); the bundled server adds it to every reply."""
    if not secure:
        return ()
    return (("strict-transport-security", f"max-age=31536000{'; includeSubDomains' if include_subdomains else ''}"),)


def logout_headers(*, cookies: bool = False) -> Headers:
    """`Clear-Site-Data` of the server's own logout (HDR-08); `cookies` would reach sibling hosts and is asked for."""
    kinds = ['"cache"', '"storage"', *(['"cookies"'] if cookies else [])]
    return (("clear-site-data", ", ".join(kinds)),)
