"""From an error to what the visitor hears: a status, a stable reason, a sentence (RFC 9457).

Nothing of the error's own text leaves here, nor the name of what failed: only `reason`, the fields at fault, and a
title from the one table below (HDR-11, ERR-04). Pages take the same `Problem` and find their own words for it.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from msgspec import Struct

from coatcheck.errors import CorruptRecord, FieldError, Refused, StepUpRequired, StoreConflict, StoreUnavailable
from coatcheck.http.headers import Headers, json_headers
from coatcheck.http.messages import Reply

TITLES = {
    "bad_request": "The request cannot be understood.",
    "body_too_large": "The request is too large.",
    "body_timeout": "The request did not arrive in time.",
    "busy": "Too many people are logging in at this moment. Please try again shortly.",
    "corrupt_record": "A stored record cannot be read.",
    "cross_site": "The request came from another site.",
    "csrf_token_invalid": "The form has expired or belongs to another visit. Please load it again.",
    "csrf_token_required": "The request needs a CSRF token, or an Origin or Sec-Fetch-Site header.",
    "email_taken": "Another account has this e-mail address.",
    "foreign_origin": "The Origin header names another site.",
    "foreign_referer": "The Referer header names another site.",
    "forbidden": "This belongs to somebody else.",
    "host_mismatch": "The request's target and its Host header name different hosts.",
    "insufficient_user_authentication": "Please prove once more that it is you.",
    "internal_error": "Something went wrong on our side.",
    "invalid_credentials": "The name or the password is wrong.",
    "invalid_data": "The session data cannot be kept.",
    "invalid_fields": "Some fields are missing or have the wrong type.",
    "invalid_input": "Some fields break a rule.",
    "malformed_form": "The form is not well encoded.",
    "malformed_host": "The Host header cannot be understood.",
    "malformed_json": "The body is not well-formed JSON.",
    "method_not_allowed": "This address does not answer to that method.",
    "missing_host": "The Host header is missing.",
    "no_account": "This needs an account of this site, and whoever is logged in has none.",
    "no_origin_evidence": "The request needs an Origin or Sec-Fetch-Site header, or a JSON body.",
    "not_authenticated": "Please log in.",
    "not_found": "There is nothing here.",
    "null_origin": "The Origin header is null.",
    "repeated_header": "A header stands twice.",
    "repeated_host": "The Host header stands twice.",
    "session_ended": "The session has ended. Please log in again.",
    "store_conflict": "The request met another one. Please try again.",
    "store_unavailable": "The service is not available at this moment. Please try again shortly.",
    "too_deep": "The body is nested too deeply.",
    "too_many_attempts": "Too many attempts. Please wait.",
    "too_many_fields": "The form has too many fields.",
    "unknown_host": "This host is not served here.",
    "unsupported_media_type": "The body has the wrong Content-Type.",
    "username_taken": "Another account has this user name.",
}

# RFC 9110 §11.6.1 wants a challenge with every 401. Ours is answered by logging in; browsers show no dialogue for a
# scheme they do not know, as they would for Basic.
_CHALLENGE = 'Cookie realm="coatcheck"'


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong, in words that may be shown: for `to_reply`, or for a page."""

    status: int
    reason: str
    title: str
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None
    headers: Headers = ()


def problem(
    status: int,
    reason: str,
    *,
    errors: tuple[FieldError, ...] = (),
    retry_after: int | None = None,
    challenge: str = "",
) -> Problem:
    """Make a problem; the title comes from the table, for a reason that is not there from the status.

    A 401 gets its `WWW-Authenticate` (HDR-10), with `challenge` as further parameters; `retry_after` is in seconds.
    """
    headers: list[tuple[str, str]] = []
    if retry_after is not None:
        headers.append(("retry-after", str(retry_after)))
    if status == 401:
        headers.append(("www-authenticate", f"{_CHALLENGE}{challenge}"))
    title = TITLES.get(reason) or HTTPStatus(status).phrase
    return Problem(
        status=status, reason=reason, title=title, errors=errors, retry_after=retry_after, headers=tuple(headers)
    )


def problem_of(error: Exception) -> Problem:
    """Say what a visitor may know of an error. What is not a refusal nor the store's trouble is `internal_error` 500.

    A store in trouble is 503, never "anonymous" (ERR-01).
    """
    match error:
        case StepUpRequired():
            parameters = f', error="{error.reason}", max_age="{error.max_age}"'  # RFC 9470 §3
            return problem(error.status, error.reason, challenge=parameters)
        case Refused():
            return problem(error.status, error.reason, errors=error.errors, retry_after=error.retry_after)
        case StoreUnavailable():
            return problem(503, "store_unavailable", retry_after=1)
        case StoreConflict():
            return problem(503, "store_conflict", retry_after=1)
        case CorruptRecord():
            return problem(503, "corrupt_record")
        case _:
            return problem(500, "internal_error")


def to_reply(told: Problem) -> Reply:
    """Write a problem as `application/problem+json`; never stored, whatever its status (FIX-07, HDR-02)."""
    body = {
        "type": f"urn:coatcheck:problem:{told.reason}",
        "title": told.title,
        "status": told.status,
        "reason": told.reason,
        "errors": [{"pointer": fault.pointer, "reason": fault.reason} for fault in told.errors],
    }
    return Reply(
        status=told.status,
        headers=(("content-type", "application/problem+json"), *json_headers(), *told.headers),
        body=msgspec.json.encode(body),
    )
