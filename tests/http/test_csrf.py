"""Cross-site evidence and form tokens."""

from __future__ import annotations

import itertools
from hmac import digest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.tokens import encode
from coatcheck.errors import BadRequest
from coatcheck.http.csrf import (
    MASK_BYTES,
    SAFE_METHODS,
    TOKEN_FIELD,
    TOKEN_HEADER,
    Verdict,
    issue_token,
    judge,
    judge_handshake,
    judge_request,
    presented_token,
    verify_token,
)
from coatcheck.http.hosts import Origin

OWN = Origin("https", "login.example.org", 443)
TRUSTED = frozenset({Origin("https", "app.example.org", 443)})
KEY = b"k" * 32
MASK = bytes(range(MASK_BYTES))

SITES = [None, b"same-origin", b"none", b"same-site", b"cross-site", b"", b"SAME-ORIGIN", b"brand-new"]
ORIGINS = [None, b"https://login.example.org", b"https://app.example.org", b"https://evil.test", b"null", b""]
REFERERS = [None, b"https://login.example.org/login?x=1", b"https://app.example.org/", b"https://evil.test/", b"", b"x"]


def written_down(site, origin, referer, cookie, json):
    """Repeat the table of CSR-02 line by line, on the sample values above."""
    if site in {b"same-origin", b"none"}:
        return "same_origin"
    if site is not None:
        return "trusted_origin" if origin == b"https://app.example.org" else "cross_site"
    if origin is not None:
        by_origin = {b"https://login.example.org": "same_origin", b"null": "null_origin"}
        return by_origin.get(origin, "foreign_origin")
    if referer is not None:
        return "same_origin" if referer == b"https://login.example.org/login?x=1" else "foreign_referer"
    return {
        (True, True): "csrf_token_required",
        (True, False): "csrf_token_required",
        (False, True): "not_a_browser",
        (False, False): "no_origin_evidence",
    }[cookie, json]


@pytest.mark.parametrize("site", SITES)
def test_csr_02_every_combination_gives_the_verdict_of_the_truth_table(site):
    for origin, referer, cookie, json in itertools.product(ORIGINS, REFERERS, [True, False], [True, False]):
        verdict = judge(
            sec_fetch_site=site,
            origin=origin,
            referer=referer,
            own=OWN,
            trusted=TRUSTED,
            has_cookie_of_ours=cookie,
            strict_json=json,
        )

        assert verdict.value == written_down(site, origin, referer, cookie, json), (site, origin, referer, cookie, json)


def verdict_of(*, site=None, origin=None, referer=None, cookie=True, json=True, trusted=TRUSTED):
    return judge(
        sec_fetch_site=site,
        origin=origin,
        referer=referer,
        own=OWN,
        trusted=trusted,
        has_cookie_of_ours=cookie,
        strict_json=json,
    )


def test_csr_02_only_three_verdicts_pass():
    passing = {verdict for verdict in Verdict if verdict.passes}

    assert passing == {Verdict.SAME_ORIGIN, Verdict.TRUSTED_ORIGIN, Verdict.NOT_A_BROWSER}


@pytest.mark.parametrize("origin", [None, b"https://login.example.org", b"https://sibling.example.org"])
def test_csr_03_a_sibling_host_is_not_trusted(origin):
    assert verdict_of(site=b"same-site", origin=origin) is Verdict.CROSS_SITE


LOOK_ALIKES = [
    b"https://login.example.org.evil.test",
    b"http://login.example.org",
    b"https://login.example.org:8443",
    b"https://login.example.org.",
    b"https://user@login.example.org",
    b"https://login.example.org@evil.test",
    b"https://evil.test/https://login.example.org",
    b"https://xlogin.example.org",
    b"https://login.example.org/",
    b" https://login.example.org",
    b"https://login.example.org, https://evil.test",
    b"https://login.example.org https://evil.test",
    b"https://logi\xe2\x84\xaa.example.org",
    b"NULL",
    b"\xff",
]


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_csr_04_an_origin_that_only_resembles_ours_is_refused(origin):
    assert verdict_of(origin=origin) is Verdict.FOREIGN_ORIGIN


@pytest.mark.parametrize("origin", [origin.replace(b"login.", b"app.") for origin in LOOK_ALIKES])
def test_csr_04_an_origin_that_only_resembles_a_trusted_one_is_refused(origin):
    assert verdict_of(site=b"cross-site", origin=origin) is Verdict.CROSS_SITE


@pytest.mark.parametrize(
    "referer",
    [
        b"https://login.example.org.evil.test/",
        b"https://login.example.org@evil.test/",
        b"https://user@login.example.org/",
        b"https://evil.test\\@login.example.org/",
        b"https://evil.test/https://login.example.org/",
        b"https://evil.test?https://login.example.org/",
        b"https://evil.test#https://login.example.org/",
        b"http://login.example.org/",
        b"//login.example.org/",
        b"/login",
        b"about:blank",
        b"https://login.example.org:8443/",
    ],
)
def test_csr_04_a_referer_that_only_resembles_ours_is_refused(referer):
    assert verdict_of(referer=referer) is Verdict.FOREIGN_REFERER


@pytest.mark.parametrize(
    "referer", [b"https://login.example.org", b"https://login.example.org/a?b#c", b"https://login.example.org:443/"]
)
def test_csr_02_a_referer_of_ours_stands_in_for_a_missing_origin(referer):
    assert verdict_of(referer=referer) is Verdict.SAME_ORIGIN


def test_csr_01_a_cross_site_log_in_form_is_refused_though_no_cookie_is_sent(make_request):
    request = make_request(
        (b"origin", b"https://evil.test"),
        (b"sec-fetch-site", b"cross-site"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    )

    verdict = judge_request(request, own=OWN, trusted=TRUSTED, has_cookie_of_ours=False)

    assert verdict is Verdict.CROSS_SITE


@pytest.mark.parametrize(
    ("content_type", "verdict"),
    [
        (b"application/json", Verdict.NOT_A_BROWSER),
        (b"Application/JSON; charset=UTF-8", Verdict.NOT_A_BROWSER),
        (b"text/plain", Verdict.NO_EVIDENCE),
        (b"text/plain; application/json", Verdict.NO_EVIDENCE),
        (b"application/json, text/plain", Verdict.NO_EVIDENCE),
        (b"application/x-www-form-urlencoded", Verdict.NO_EVIDENCE),
        (b"multipart/form-data; boundary=x", Verdict.NO_EVIDENCE),
        (b"", Verdict.NO_EVIDENCE),
        (None, Verdict.NO_EVIDENCE),
    ],
)
def test_csr_02_without_headers_and_cookie_only_strict_json_passes(make_request, content_type, verdict):
    request = make_request(*([] if content_type is None else [(b"content-type", content_type)]))

    assert judge_request(request, own=OWN, trusted=TRUSTED, has_cookie_of_ours=False) is verdict


def test_csr_05_a_forged_host_does_not_make_a_foreign_origin_ours(make_request):
    request = make_request(
        (b"host", b"evil.test"), (b"x-forwarded-host", b"evil.test"), (b"origin", b"https://evil.test")
    )

    verdict = judge_request(request, own=OWN, trusted=TRUSTED, has_cookie_of_ours=True)

    assert verdict is Verdict.FOREIGN_ORIGIN


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        ((b"origin", b"https://login.example.org"), Verdict.SAME_ORIGIN),
        ((b"referer", b"https://login.example.org/log-in"), Verdict.SAME_ORIGIN),
        ((b"sec-fetch-site", b"same-origin"), Verdict.SAME_ORIGIN),
        ((b"origin", b"https://evil.test"), Verdict.FOREIGN_ORIGIN),
    ],
)
def test_csr_02_evidence_is_gathered_from_the_headers_of_a_request(make_request, header, verdict):
    assert judge_request(make_request(header), own=OWN, trusted=TRUSTED, has_cookie_of_ours=True) is verdict


@pytest.mark.parametrize("name", [b"sec-fetch-site", b"origin", b"referer", b"content-type"])
def test_csr_02_repeated_evidence_is_400(make_request, name):
    request = make_request((name, b"same-origin"), (name, b"cross-site"))

    with pytest.raises(BadRequest):
        judge_request(request, own=OWN, trusted=TRUSTED, has_cookie_of_ours=False)


def test_csr_10_method_override_headers_are_no_evidence(make_request):
    request = make_request((b"x-http-method-override", b"GET"), (b"x-csrf-token", b"x"))

    assert judge_request(request, own=OWN, trusted=TRUSTED, has_cookie_of_ours=True) is Verdict.NEEDS_TOKEN


def test_csr_12_a_header_refusal_does_not_read_the_body():
    from coatcheck.http.messages import Request

    async def read(_limit: int) -> bytes:
        raise AssertionError("the body was read")

    request = Request(
        method="POST",
        path="/login",
        query="",
        scheme="http",
        headers=((b"sec-fetch-site", b"cross-site"), (b"content-length", b"10000000")),
        peer=None,
        read=read,
    )

    assert not judge_request(request, own=OWN, trusted=TRUSTED, has_cookie_of_ours=True).passes


@given(st.binary(min_size=1, max_size=64), st.binary(min_size=MASK_BYTES, max_size=MASK_BYTES))
def test_csr_06_a_token_verifies_for_its_binding(binding, mask):
    assert verify_token(KEY, binding, issue_token(KEY, binding, mask))


@given(st.binary(min_size=1, max_size=32), st.binary(min_size=1, max_size=32))
def test_csr_06_a_token_of_another_session_is_refused(binding, other):
    token = issue_token(KEY, binding, MASK)

    assert verify_token(KEY, other, token) is (binding == other)


def test_csr_06_a_token_of_another_key_is_refused():
    assert not verify_token(b"j" * 32, b"session", issue_token(KEY, b"session", MASK))


def test_csr_06_two_responses_bear_two_tokens_and_both_verify():
    first, second = (issue_token(KEY, b"session", bytes([n]) * MASK_BYTES) for n in (1, 2))

    assert first != second
    assert verify_token(KEY, b"session", first)
    assert verify_token(KEY, b"session", second)


def test_csr_06_a_change_of_any_character_is_refused():
    token = issue_token(KEY, b"session", MASK)
    forged = [token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(len(token))]

    assert not any(verify_token(KEY, b"session", one) for one in forged)


@pytest.mark.parametrize(
    "token",
    [None, "", "x", "A" * 63, "A" * 64, "A" * 65, "é" * 64, "=" * 64, "A" * 63 + "\n", "\udc80" * 64, "\0" * 64],
)
def test_csr_06_a_malformed_token_is_refused_without_an_error(token):
    assert not verify_token(KEY, b"session", token)


def test_csr_06_a_truncated_or_lengthened_token_is_refused():
    token = issue_token(KEY, b"session", MASK)

    for damaged in (token[:-1], token[1:], token + "A", token + "\n", " " + token, token.swapcase()):
        assert not verify_token(KEY, b"session", damaged)


@given(st.text(max_size=80) | st.text(alphabet="ABab01-_", min_size=64, max_size=64))
def test_csr_06_no_text_raises(text):
    assert not verify_token(KEY, b"session", text)


def test_csr_06_an_empty_binding_gets_no_token():
    with pytest.raises(ValueError, match="binding"):
        issue_token(KEY, b"", MASK)


def test_csr_06_an_empty_binding_never_verifies():
    forged = encode(MASK + digest(KEY, b"coatcheck:csrf:1:" + MASK, "sha256"))

    assert not verify_token(KEY, b"", forged)


def test_tok_07_a_code_made_with_the_key_for_another_purpose_is_no_token():
    assert not verify_token(KEY, b"session", encode(MASK + digest(KEY, MASK + b"session", "sha256")))


def test_csr_01_reading_methods_are_not_judged():
    assert sorted(SAFE_METHODS) == ["GET", "HEAD", "OPTIONS"]


def test_csr_07_header_and_field_bear_these_names():
    assert (TOKEN_HEADER, TOKEN_FIELD) == (b"x-csrf-token", "csrf_token")


@pytest.mark.parametrize(
    ("key", "mask"), [(b"k" * 31, MASK), (b"", MASK), (KEY, MASK[:-1]), (KEY, b""), (KEY, MASK * 2)]
)
def test_csr_06_a_short_key_or_another_mask_is_the_callers_mistake(key, mask):
    with pytest.raises(ValueError, match="CSRF"):
        issue_token(key, b"session", mask)


def test_fix_04_a_token_from_before_log_in_is_dead_after_it():
    before = issue_token(KEY, b"pre-session nonce", MASK)

    assert not verify_token(KEY, b"digest of the new session's token", before)


def test_csr_08_cookie_and_field_set_to_one_value_by_an_attacker_prove_nothing():
    chosen = "A" * 64

    assert not verify_token(KEY, chosen.encode(), chosen)


def test_csr_07_a_token_in_the_query_or_a_cookie_is_not_seen(make_request):
    request = make_request((b"cookie", b"csrf_token=T"), query="csrf_token=T&X-CSRF-Token=T")

    assert presented_token(request, None) is None


def test_csr_07_a_token_is_read_from_the_header_or_the_field(make_request):
    assert presented_token(make_request((b"x-csrf-token", b"H")), "F") == "H"
    assert presented_token(make_request(), "F") == "F"


def test_csr_07_a_token_header_of_any_octets_is_refused_without_an_error(make_request):
    token = presented_token(make_request((b"x-csrf-token", b"\xff\x00" * 32)), None)

    assert not verify_token(KEY, b"session", token)


@pytest.mark.parametrize(
    ("origin", "verdict"),
    [
        (None, Verdict.NO_EVIDENCE),
        (b"null", Verdict.NULL_ORIGIN),
        (b"https://login.example.org", Verdict.SAME_ORIGIN),
        (b"https://app.example.org", Verdict.TRUSTED_ORIGIN),
        (b"https://evil.test", Verdict.FOREIGN_ORIGIN),
        (b"nonsense", Verdict.FOREIGN_ORIGIN),
    ],
)
def test_csr_13_a_handshake_is_judged_by_its_origin(origin, verdict):
    assert judge_handshake(origin, own=OWN, trusted=TRUSTED) is verdict


def test_what_comes_from_another_site_by_its_own_word():
    assert {verdict for verdict in Verdict if verdict.is_foreign} == {
        Verdict.CROSS_SITE,
        Verdict.NULL_ORIGIN,
        Verdict.FOREIGN_ORIGIN,
        Verdict.FOREIGN_REFERER,
    }
