"""The headers every reply of ours carries."""

from __future__ import annotations

from functools import partial

import pytest

from coatcheck.http.headers import (
    Headers,
    json_headers,
    kept,
    logout_headers,
    page_headers,
    personal_headers,
    transport_headers,
)
from coatcheck.http.messages import Reply

EVERY_KIND = {
    "page": page_headers,
    "page that redirects": partial(page_headers, redirect_hosts=frozenset({"ok.example"})),
    "token page": partial(page_headers, has_token=True),
    "json": json_headers,
}


@pytest.fixture(params=EVERY_KIND.values(), ids=EVERY_KIND.keys())
def headers(request) -> Headers:
    return request.param()


def test_hdr_01_nothing_is_stored_and_every_answer_depends_on_the_cookie(headers):
    told = dict(headers)

    assert (told["cache-control"], told["vary"]) == ("no-store", "Cookie")


def test_each_header_stands_once_and_may_be_written(headers):
    names = [name for name, _ in headers]

    assert len(names) == len(set(names))
    assert Reply(status=200, headers=headers).headers == headers


def test_hdr_03_a_page_runs_only_what_is_ours_and_is_never_framed():
    told = dict(page_headers())

    assert told["content-security-policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
    assert told["x-frame-options"] == "DENY"


def test_hdr_03_forms_may_lead_to_the_redirect_hosts():
    told = dict(page_headers(redirect_hosts=frozenset({"b.example:8443", "a.example"})))

    assert told["content-security-policy"].endswith("; form-action 'self' https://a.example https://b.example:8443")


def test_hdr_04_strict_transport_security_over_https_only():
    assert transport_headers(secure=True) == (("strict-transport-security", "max-age=31536000"),)
    assert transport_headers(secure=False) == ()


def test_hdr_04_subdomains_are_included_by_setting():
    assert transport_headers(secure=True, include_subdomains=True)[0][1] == "max-age=31536000; includeSubDomains"


def test_hdr_05_types_are_not_sniffed(headers):
    assert dict(headers)["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("page", "strict-origin-when-cross-origin"),
        ("token page", "strict-origin"),
        ("json", "strict-origin-when-cross-origin"),
    ],
)
def test_hdr_06_each_kind_of_answer_has_its_referrer_policy(kind, policy):
    assert dict(EVERY_KIND[kind]())["referrer-policy"] == policy


def test_hdr_07_answers_keep_to_their_own_origin(headers):
    told = dict(headers)

    assert told["cross-origin-opener-policy"] == "same-origin"
    assert told["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(("cookies", "value"), [(False, '"cache", "storage"'), (True, '"cache", "storage", "cookies"')])
def test_hdr_08_logging_out_clears_cache_and_storage_and_cookies_on_request(cookies, value):
    assert logout_headers(cookies=cookies) == (("clear-site-data", value),)


def test_hdr_08_logging_out_leaves_the_cookies_of_sibling_hosts_unless_asked():
    assert logout_headers() == logout_headers(cookies=False)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), (("vary", "Cookie"), ("cache-control", "private"))),
        ((("ETag", "1"),), (("ETag", "1"), ("vary", "Cookie"), ("cache-control", "private"))),
        ((("Vary", "Accept"),), (("vary", "Accept, Cookie"), ("cache-control", "private"))),
        ((("vary", "Accept"), ("Vary", "COOKIE")), (("vary", "Accept, COOKIE"), ("cache-control", "private"))),
        ((("vary", "*"),), (("vary", "*"), ("cache-control", "private"))),
        (
            (("Cache-Control", "Public, S-MaxAge=9, max-age=60"),),
            (("vary", "Cookie"), ("cache-control", "private, max-age=60")),
        ),
        ((("cache-control", "no-store"),), (("vary", "Cookie"), ("cache-control", "no-store"))),
        ((("cache-control", "max-age=1, Private"),), (("vary", "Cookie"), ("cache-control", "max-age=1, Private"))),
        ((("cache-control", 'private="x"'),), (("vary", "Cookie"), ("cache-control", 'private, private="x"'))),
        ((("CDN-Cache-Control", "a"), ("Surrogate-Control", "b")), (("vary", "Cookie"), ("cache-control", "private"))),
    ],
)
def test_hdr_01_no_cache_hands_a_personal_answer_to_another(given, told):
    assert personal_headers(given, sets_session=False) == told


@pytest.mark.parametrize(
    "name",
    [
        *("CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires", "Cloudflare-CDN-Cache-Control"),
        *("Vercel-CDN-Cache-Control", "Netlify-CDN-Cache-Control", "Akamai-Cache-Control", "Edge-Control"),
    ],
)
def test_hdr_01_nor_one_that_obeys_a_field_of_its_own(name):
    told = personal_headers((("etag", "1"), (name, "max-age=60")), sets_session=False)

    assert told == (("etag", "1"), ("vary", "Cookie"), ("cache-control", "private"))


@pytest.mark.parametrize(
    ("given", "told", "count"),
    [
        ((("etag", "1"),), (("etag", "1"), ("vary", "Cookie")), 1),
        ((("etag", "1"),), (("etag", "1"),), 1),
        ((("etag", "1"), ("vary", "Accept")), (("etag", "1"), ("vary", "Accept, Cookie")), 0),
        ((("set-cookie", "a=1"), ("etag", "1")), (("etag", "1"), ("set-cookie", "a=2")), 0),
        ((), (("vary", "Cookie"),), 0),
    ],
)
def test_headers_of_an_application_are_kept_all_or_none(given, told, count):
    assert kept(given, told) == count


@pytest.mark.parametrize("given", [(), (("Cache-Control", "public, max-age=60"),), (("vary", "Cookie"),)])
def test_hdr_02_an_answer_that_sets_a_session_is_stored_nowhere(given):
    headers = personal_headers(given, sets_session=True)

    assert headers == (("vary", "Cookie"), ("cache-control", "no-store"))
