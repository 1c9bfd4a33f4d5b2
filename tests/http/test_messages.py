"""Requests and replies as records."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.errors import BadRequest
from coatcheck.http.messages import MAX_BODY, Reply, body_reader, split_target, target_as_seen


def test_a_header_that_stands_once_is_given(make_request):
    request = make_request((b"origin", b"https://a.example"))

    assert request.header(b"origin") == b"https://a.example"


def test_an_absent_header_is_none_and_an_empty_one_is_empty(make_request):
    request = make_request((b"origin", b""))

    assert (request.header(b"origin"), request.header(b"referer")) == (b"", None)


def test_err_04_a_repeated_single_header_is_400(make_request):
    request = make_request((b"origin", b"https://a.example"), (b"origin", b"https://a.example"))

    with pytest.raises(BadRequest) as refused:
        request.header(b"origin")

    assert (refused.value.status, refused.value.reason) == (400, "repeated_header")


def test_all_gives_every_value_in_order(make_request):
    request = make_request((b"cookie", b"a=1"), (b"host", b"x"), (b"cookie", b"b=2"))

    assert request.all(b"cookie") == [b"a=1", b"b=2"]
    assert request.has(b"host")
    assert not request.has(b"origin")


def test_tok_10_a_request_prints_neither_query_nor_headers(make_request):
    request = make_request((b"cookie", b"__Host-coatcheck=canary"), query="token=canary")

    assert "canary" not in repr(request)


def test_tok_10_a_reply_prints_neither_headers_nor_body():
    reply = Reply(status=200, headers=(("set-cookie", "a=canary"),), body=b"canary")

    assert "canary" not in repr(reply)


def test_a_request_and_a_reply_cannot_be_changed(make_request):
    with pytest.raises(AttributeError):
        make_request().method = "GET"
    with pytest.raises(AttributeError):
        Reply(status=200).status = 500


@pytest.mark.parametrize("length", [0, 1, 8])
def test_a_body_up_to_the_limit_is_read_whole(length):
    assert asyncio.run(body_reader(b"x" * length)(8)) == b"x" * length


def test_an_authentication_endpoint_reads_64_kib():
    assert MAX_BODY == 65_536


def test_a_body_above_the_limit_is_413():
    with pytest.raises(BadRequest) as refused:
        asyncio.run(body_reader(b"x" * 9)(8))

    assert (refused.value.status, refused.value.reason) == (413, "body_too_large")


HOSTILE = ["\r", "\n", "\r\nset-cookie: x=1", "\0", "\x1b", "\x7f", "\t", "é", "\u2028", "\udc80", "\U0001f512"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_cky_15_a_header_value_with_a_control_or_non_ascii_character_raises(hostile):
    with pytest.raises(ValueError, match="location") as raised:
        Reply(status=303, headers=(("location", f"/canary{hostile}"),))

    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "a\n", "é", "(x)", '"x"'])
def test_cky_15_a_header_name_that_is_no_token_raises(name):
    with pytest.raises(ValueError, match=r"^a header name must be an HTTP token$"):
        Reply(status=200, headers=((name, "x"),))


def test_red_04_a_split_location_is_never_written():
    with pytest.raises(ValueError, match="location"):
        Reply(status=303, headers=(("location", "/\r\nSet-Cookie: x=1"),))


def test_cky_07_two_set_cookie_of_one_name_cannot_stand_in_a_reply():
    with pytest.raises(ValueError, match=r"^two Set-Cookie headers of one name: use Reply\.with_cookies$"):
        Reply(status=200, headers=(("set-cookie", "a=1; Path=/"), ("Set-Cookie", "a=2; Path=/")))


def test_cky_07_the_last_state_of_a_cookie_wins():
    cleared = Reply(status=303, headers=(("location", "/"),)).with_cookies("a=; Max-Age=0", "b=2")

    logged_in = cleared.with_cookies("a=1; Path=/")

    assert logged_in.cookies == ["a=1; Path=/", "b=2"]
    assert ("location", "/") in logged_in.headers


def test_cookies_are_added_to_a_copy_that_keeps_status_headers_and_body():
    reply = Reply(status=201, headers=(("vary", "Cookie"), ("Set-Cookie", "a=1")), body=b"x")

    more = reply.with_cookies("b=2")

    headers = (("vary", "Cookie"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))
    assert more == Reply(status=201, headers=headers, body=b"x")
    assert reply.cookies == ["a=1"]


def test_headers_are_added_to_a_copy():
    reply = Reply(status=201, headers=(("allow", "GET"),), body=b"x")

    more = reply.with_headers(("vary", "Cookie"))

    assert more == Reply(status=201, headers=(("allow", "GET"), ("vary", "Cookie")), body=b"x")
    assert reply.headers == (("allow", "GET"),)


@pytest.mark.parametrize(
    ("target", "authority", "path"),
    [
        ("/account", None, "/account"),
        ("*", None, "*"),
        ("", None, ""),
        ("//evil.test/", None, "//evil.test/"),
        ("/http://evil.test/", None, "/http://evil.test/"),
        ("ftp://a.example/", None, "ftp://a.example/"),
        ("http://a.example/account", b"a.example", "/account"),
        ("HTTPS://A.example:8443/a/b", b"A.example:8443", "/a/b"),
        ("http://a.example", b"a.example", "/"),
        ("http:///account", b"", "/account"),
        ("http://user@a.example/", b"user@a.example", "/"),
        ("http://a.ex\u00e4mple/\n", b"a.ex\xe4mple", "/\n"),
    ],
)
def test_hst_01_the_authority_of_an_absolute_target_is_told_apart_from_its_path(target, authority, path):
    assert split_target(target) == (authority, path)


@pytest.mark.parametrize(
    ("headers", "is_navigation", "is_part_of_page"),
    [
        ([], True, False),
        ([(b"accept", b"text/html")], True, False),
        ([(b"accept", b"*/*")], True, False),
        ([(b"accept", b"application/json")], False, False),
        ([(b"sec-fetch-dest", b"document"), (b"accept", b"text/html")], True, False),
        ([(b"sec-fetch-dest", b"empty"), (b"accept", b"*/*")], False, True),
        ([(b"sec-fetch-dest", b"image")], False, True),
        ([(b"accept", b"application/json"), (b"accept", b"text/html")], True, False),
    ],
)
def test_hdr_10_who_navigates_and_what_is_part_of_a_page(make_request, headers, is_navigation, is_part_of_page):
    request = make_request(*headers)

    assert (request.is_navigation, request.is_part_of_page) == (is_navigation, is_part_of_page)


@pytest.mark.parametrize(
    ("raw", "seen", "told"),
    [
        ("/a/b", ["/a/b"], (None, "/a/b")),
        ("/a%2Fb", ["/a/b"], (None, "/a%2Fb")),
        ("/%C3%A4", ["/ä"], (None, "/%C3%A4")),
        ("/other", ["/a"], (None, "/a")),
        ("/app/a", ["/a", "/app/a"], (None, "/app/a")),
        ("", ["/a?b"], (None, "/a%3Fb")),
        ("", [""], (None, "/")),
        ("http://h.example/a", ["/a"], (b"h.example", "/a")),
        ("/x", ["http://h.example/a"], (b"h.example", "/a")),
        ("/a%20b", ["/a%20b"], (None, "/a%2520b")),  # not decoded twice
        ("/%FF", ["/\N{REPLACEMENT CHARACTER}"], (None, "/%FF")),
        ("/%FF", ["/a"], (None, "/a")),
        ("/\u20ac", ["/a"], (None, "/a")),
        ("", ["/\ud800"], (None, "/%3F")),
        ("", ["/:@!$&'()*+,;=~ "], (None, "/:@!$&'()*+,;=~%20")),
    ],
)
def test_csr_12_a_path_counts_as_the_application_sees_it(raw, seen, told):
    assert target_as_seen(raw, *seen, encoding="utf-8") == told


@pytest.mark.parametrize(
    ("raw", "seen", "told"),
    [("", "/\xc3\xa9", "/%C3%A9"), ("/%E9", "/\xe9", "/%E9"), ("/x", "/\xe9", "/%E9"), ("", "/\u20ac", "/%3F")],
)
def test_csr_12_octets_that_wsgi_shows_as_characters_stay_octets(raw, seen, told):
    assert target_as_seen(raw, seen, encoding="latin-1") == (None, told)
