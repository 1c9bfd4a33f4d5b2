"""Cross-site evidence: whether a request comes from one of our own pages.

The question is asked of every method except GET, HEAD and OPTIONS where a cookie decides, and of the forms that come
before there is one (CSR-01). `judge` is the whole rule as a table, first line that fits decides:

| Sec-Fetch-Site            | Origin    | Referer   | cookie of ours | body        | verdict                      |
|---------------------------|-----------|-----------|----------------|-------------|------------------------------|
| same-origin, none         | -         | -         | -              | -           | passes                       |
| anything else             | trusted   | -         | -              | -           | passes                       |
| anything else             | other     | -         | -              | -           | refused: cross_site          |
| absent                    | ours      | -         | -              | -           | passes                       |
| absent                    | null      | -         | -              | -           | refused: null_origin         |
| absent                    | other     | -         | -              | -           | refused: foreign_origin      |
| absent                    | absent    | ours      | -              | -           | passes                       |
| absent                    | absent    | other     | -              | -           | refused: foreign_referer     |
| absent                    | absent    | absent    | yes            | -           | needs a token                |
| absent                    | absent    | absent    | no             | strict JSON | passes                       |
| absent                    | absent    | absent    | no             | other       | refused: no_origin_evidence  |

"anything else" holds `same-site` (a sibling host is not us, CSR-03), values nobody has defined yet (CON-16) and the
empty one. The last pass is for programs like curl: a browser sends `application/json` across sites only after a
preflight that we do not answer, and without a cookie there is no authority to borrow (CON-15).

Our own forms carry a token besides (CSR-06). A token is a fresh mask and an HMAC over it and the binding: the session's
CSRF secret, or the pre-session's nonce where nobody is logged in. It changes with every response, so a compression
oracle finds nothing to converge on, and it dies with its binding (FIX-04).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Set
from enum import Enum
from hmac import compare_digest, digest

from coatcheck.core.tokens import encode
from coatcheck.http.bodies import is_strict_json
from coatcheck.http.hosts import Origin
from coatcheck.http.messages import Request

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing and are therefore not judged."""

TOKEN_HEADER = b"x-csrf-token"
TOKEN_FIELD = "csrf_token"
MASK_BYTES = 16

_LABEL = b"coatcheck:csrf:1:"
_FORM = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)
# The Referer's origin is what stands before the path; a userinfo or a backslash stays in and fails `Origin.parse`.
_REFERER = re.compile(rb"([a-z]+://[^/?#]+)[/?#]?", re.IGNORECASE)


class Verdict(Enum):
    """What the evidence says. The value is the stable reason of a refusal, so that it tells exactly what was amiss."""

    SAME_ORIGIN = "same_origin"
    TRUSTED_ORIGIN = "trusted_origin"
    NOT_A_BROWSER = "not_a_browser"
    NEEDS_TOKEN = "csrf_token_required"
    CROSS_SITE = "cross_site"
    NULL_ORIGIN = "null_origin"
    FOREIGN_ORIGIN = "foreign_origin"
    FOREIGN_REFERER = "foreign_referer"
    NO_EVIDENCE = "no_origin_evidence"

    @property
    def passes(self) -> bool:
        """True where the request may proceed; false for a refusal and for NEEDS_TOKEN, which a token turns."""
        return self in _PASSING

    @property
    def is_foreign(self) -> bool:
        """True where the request says that it comes from another site."""
        return self in _FOREIGN


_FOREIGN = frozenset({Verdict.CROSS_SITE, Verdict.NULL_ORIGIN, Verdict.FOREIGN_ORIGIN, Verdict.FOREIGN_REFERER})
_PASSING = frozenset({Verdict.SAME_ORIGIN, Verdict.TRUSTED_ORIGIN, Verdict.NOT_A_BROWSER})


def judge(
    *,
    sec_fetch_site: bytes | None,
    origin: bytes | None,
    referer: bytes | None,
    own: Origin,
    trusted: Set[Origin],
    has_cookie_of_ours: bool,
    strict_json: bool,
) -> Verdict:
    """Weigh the evidence of one request by the table above. None means that the header is absent."""
    if sec_fetch_site is not None:
        if sec_fetch_site in (b"same-origin", b"none"):
            return Verdict.SAME_ORIGIN
        return Verdict.TRUSTED_ORIGIN if _origin(origin) in trusted else Verdict.CROSS_SITE
    if origin is not None:
        if origin == b"null":
            return Verdict.NULL_ORIGIN
        return Verdict.SAME_ORIGIN if _origin(origin) == own else Verdict.FOREIGN_ORIGIN
    if referer is not None:
        begin = _REFERER.match(referer)
        return Verdict.SAME_ORIGIN if begin and _origin(begin[1]) == own else Verdict.FOREIGN_REFERER
    if has_cookie_of_ours:
        return Verdict.NEEDS_TOKEN
    return Verdict.NOT_A_BROWSER if strict_json else Verdict.NO_EVIDENCE


def judge_handshake(origin: bytes | None, *, own: Origin, trusted: Set[Origin]) -> Verdict:
    """Weigh the Origin of a WebSocket's handshake: every browser sends one, so no cookie counts without (CSR-13)."""
    if origin is None:
        return Verdict.NO_EVIDENCE
    if origin == b"null":
        return Verdict.NULL_ORIGIN
    parsed = _origin(origin)
    if parsed == own:
        return Verdict.SAME_ORIGIN
    return Verdict.TRUSTED_ORIGIN if parsed in trusted else Verdict.FOREIGN_ORIGIN


def judge_request(request: Request, *, own: Origin, trusted: Set[Origin], has_cookie_of_ours: bool) -> Verdict:
    """Gather the evidence of a request and judge it; its body is not read (CSR-12).

    Raises `BadRequest` 400 where one of the headers is repeated.
    """
    return judge(
        sec_fetch_site=request.header(b"sec-fetch-site"),
        origin=request.header(b"origin"),
        referer=request.header(b"referer"),
        own=own,
        trusted=trusted,
        has_cookie_of_ours=has_cookie_of_ours,
        strict_json=is_strict_json(request.header(b"content-type")),
    )


def issue_token(key: bytes, binding: bytes, mask: bytes) -> str:
    """Make a token of 64 characters for one response.

    `key` is the sub-key for this purpose (32 bytes or more), `mask` 16 fresh random bytes. `binding` must be secret or
    unguessable, and change whenever the visitor's identity does.
    """
    if len(key) < 32 or len(mask) != MASK_BYTES or not binding:
        raise ValueError(f"a CSRF token needs a key of 32 bytes or more, a binding, and a mask of {MASK_BYTES} bytes")
    return encode(mask + _mac(key, mask, binding))


def verify_token(key: bytes, binding: bytes, token: str | None) -> bool:
    """Say whether `token` was issued with this key for this binding.

    False for an absent, malformed, truncated or non-ASCII one; never raises for what a visitor sent. The comparison
    takes the same time wherever the first difference is.
    """
    if token is None or not binding or not _FORM.fullmatch(token):
        return False
    raw = urlsafe_b64decode(token)
    mask, mac = raw[:MASK_BYTES], raw[MASK_BYTES:]
    return compare_digest(mac, _mac(key, mask, binding))


def presented_token(request: Request, field: str | None) -> str | None:
    """Give the token a request presents: the header `X-CSRF-Token`, else the form's field. Nowhere else (CSR-07)."""
    header = request.header(TOKEN_HEADER)
    return field if header is None else header.decode("latin-1")


def _origin(text: bytes | None) -> Origin | None:
    return None if text is None else Origin.parse(text)


def _mac(key: bytes, mask: bytes, binding: bytes) -> bytes:
    # The mask has a fixed length, so no two pairs of mask and binding make the same message.
    return digest(key, _LABEL + mask + binding, "sha256")
