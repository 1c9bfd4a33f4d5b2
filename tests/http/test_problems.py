"""From an error to what the visitor hears."""

from __future__ import annotations

import inspect
import json

import pytest

from coatcheck import errors
from coatcheck.errors import BadRequest, FieldError
from coatcheck.http.csrf import Verdict
from coatcheck.http.problems import TITLES, problem_of, to_reply


def reply_to(error: Exception):
    reply = to_reply(problem_of(error))
    return reply, json.loads(reply.body), dict(reply.headers)


def test_a_refusal_is_told_with_status_reason_and_fields():
    error = BadRequest("invalid_fields", errors=[FieldError("/password", "missing")])

    reply, body, headers = reply_to(error)

    assert reply.status == 400
    assert headers["content-type"] == "application/problem+json"
    assert body == {
        "type": "urn:coatcheck:problem:invalid_fields",
        "title": TITLES["invalid_fields"],
        "status": 400,
        "reason": "invalid_fields",
        "errors": [{"pointer": "/password", "reason": "missing"}],
    }


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (errors.StoreUnavailable("host db.internal down"), 503, "store_unavailable"),
        (errors.StoreConflict("canary"), 503, "store_conflict"),
        (errors.CorruptRecord("session canary"), 503, "corrupt_record"),
        (errors.ConfigurationError("canary"), 500, "internal_error"),
        (errors.CoatcheckError("canary"), 500, "internal_error"),
        (RuntimeError("canary"), 500, "internal_error"),
        (errors.InvalidCredentials(), 401, "invalid_credentials"),
        (errors.UsernameTaken(), 409, "username_taken"),
        (errors.NotFound(), 404, "not_found"),
        (errors.CrossSite(), 403, "cross_site"),
        (errors.BadRequest("body_too_large", status=413), 413, "body_too_large"),
        (errors.SessionEnded(), 401, "session_ended"),
    ],
)
def test_hdr_11_an_error_tells_its_status_and_reason_and_nothing_of_itself(error, status, reason):
    reply, body, _ = reply_to(error)

    assert (reply.status, body["status"], body["reason"]) == (status, status, reason)
    assert b"canary" not in reply.body
    assert b"internal d" not in reply.body
    assert b"Traceback" not in reply.body


@pytest.mark.parametrize("error", [errors.InvalidCredentials(), errors.NotAuthenticated(), errors.SessionEnded()])
def test_hdr_10_a_401_carries_a_challenge_that_opens_no_dialogue(error):
    _, _, headers = reply_to(error)

    assert headers["www-authenticate"] == 'Cookie realm="coatcheck"'


def test_hdr_10_other_statuses_carry_no_challenge():
    _, _, headers = reply_to(errors.CrossSite())

    assert "www-authenticate" not in headers


def test_stp_07_a_due_step_up_tells_the_age_it_wants():
    reply, body, headers = reply_to(errors.StepUpRequired(max_age=300))

    assert (reply.status, body["reason"]) == (401, "insufficient_user_authentication")
    assert 'error="insufficient_user_authentication", max_age="300"' in headers["www-authenticate"]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.TooManyAttempts(retry_after=30), "30"),
        (errors.Busy(retry_after=0), "0"),
        (errors.StoreUnavailable(), "1"),
        (errors.StoreConflict(), "1"),
        (errors.CorruptRecord("session handle"), None),
        (errors.NotFound(), None),
    ],
)
def test_retry_after_stands_where_waiting_helps(error, seconds):
    _, _, headers = reply_to(error)

    assert headers.get("retry-after") == seconds
    assert problem_of(error).retry_after == (None if seconds is None else int(seconds))


def test_hdr_02_a_problem_is_never_stored():
    for error in (errors.NotAuthenticated(), errors.NotFound(), errors.StoreUnavailable(), RuntimeError()):
        _, _, headers = reply_to(error)

        assert headers["cache-control"] == "no-store"


def test_hdr_05_a_problem_with_html_in_it_is_json_that_is_not_sniffed():
    _, body, headers = reply_to(BadRequest("invalid_fields", errors=[FieldError("/<script>", "missing")]))

    assert body["errors"][0]["pointer"] == "/<script>"
    assert (headers["content-type"], headers["x-content-type-options"]) == ("application/problem+json", "nosniff")


def test_a_reason_without_a_title_of_its_own_is_told_by_its_status():
    _, body, _ = reply_to(BadRequest("brand_new", status=415))

    assert body["title"] == "Unsupported Media Type"


def test_every_reason_of_the_error_family_has_a_title():
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.Refused)]

    assert {kind.reason for kind in kinds} - {"refused"} <= TITLES.keys()


def test_every_verdict_that_refuses_has_a_title():
    assert {verdict.value for verdict in Verdict if not verdict.passes} <= TITLES.keys()


def test_problem_titles_are_ascii_sentences():
    assert all(title.isascii() and title.endswith(".") for title in TITLES.values())
