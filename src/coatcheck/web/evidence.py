"""Evidence that a request comes from a page of ours, asked of an exchange and told to listeners where it is missing.

The rule itself is the table in `coatcheck.http.csrf`.
"""

from __future__ import annotations

import msgspec

from coatcheck.core.audit import CrossSiteRefused, safe_label
from coatcheck.errors import BadRequest, CrossSite
from coatcheck.http import csrf
from coatcheck.http.bodies import form_fields, is_form
from coatcheck.http.csrf import Verdict
from coatcheck.http.messages import MAX_BODY, Request
from coatcheck.web.exchange import Exchange


class FormToken(msgspec.Struct):
    """What every form of ours carries besides its own fields."""

    csrf_token: str | None = None


async def judge(exchange: Exchange) -> Verdict:
    """Weigh the headers' evidence before a byte of the body is read: a verdict that passes, or `NEEDS_TOKEN`.

    Raises `CrossSite` where it speaks against the request.
    """
    verdict = csrf.judge_request(
        exchange.request,
        own=exchange.place.origin,
        trusted=exchange.mount.site.trusted_origins,
        has_cookie_of_ours=exchange.has_cookie_of_ours,
    )
    if verdict.passes or verdict is Verdict.NEEDS_TOKEN:
        return verdict
    await _refuse(exchange, verdict.value)
    raise CrossSite(verdict.value)


async def judge_handshake(exchange: Exchange) -> None:
    """Weigh the evidence of a WebSocket's handshake. Raises `CrossSite` where it lacks or speaks against it."""
    verdict = csrf.judge_handshake(
        exchange.request.header(b"origin"), own=exchange.place.origin, trusted=exchange.mount.site.trusted_origins
    )
    if not verdict.passes:
        await _refuse(exchange, verdict.value)
        raise CrossSite(verdict.value)


async def read_form(request: Request) -> tuple[bytes, str | None] | None:
    """Read a form as browsers post it, and give it with the token in it; None for another body, which stays unread.

    None too for a form longer than 64 KiB, which is read no further (CSR-12).
    """
    content_type = request.header(b"content-type")
    if not is_form(content_type):
        return None
    try:
        body = await request.read(MAX_BODY)
    except BadRequest as error:
        if error.status == 413:
            return None
        raise
    try:
        return body, form_fields(body, content_type, FormToken).csrf_token
    except BadRequest:
        return body, None  # no form that could hold one


async def require_token(exchange: Exchange, field: str | None) -> None:
    """Raise `CrossSite` unless the request presents a token of ours, in its header or as this field of its form."""
    token = csrf.presented_token(exchange.request, field)
    key = exchange.mount.keys.csrf
    # The second is asked for only if need be: it may have to look who is logged in.
    if not (
        csrf.verify_token(key, exchange.session_binding, token)
        or csrf.verify_token(key, await exchange.presession_binding(), token)
    ):
        reason = "csrf_token_required" if token is None else "csrf_token_invalid"
        await _refuse(exchange, reason)
        raise CrossSite(reason)


async def _refuse(exchange: Exchange, cause: str) -> None:
    parts = exchange.flows.parts
    event = CrossSiteRefused(
        at=exchange.mount.now(),
        **parts.origin_of(exchange.client).told,
        cause=cause,
        path=safe_label(exchange.request.path) or "",
    )
    await parts.announce(event)
