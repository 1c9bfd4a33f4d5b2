"""Hosts and origins: configuration decides, the request is compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import ConfigurationError
from coatcheck.http.cookies import CookieStyle
from coatcheck.http.hosts import HostRefused, Origin, Place, Site, locate

PRODUCTION = Site.configure(public_url="https://login.example.org")
DEVELOPMENT = Site.configure(development=True)


@pytest.mark.parametrize(
    ("text", "triple"),
    [
        ("https://app.example.org", ("https", "app.example.org", 443)),
        ("https://app.example.org:443", ("https", "app.example.org", 443)),
        ("https://app.example.org:8443", ("https", "app.example.org", 8443)),
        ("https://app.example.org:8", ("https", "app.example.org", 8)),
        ("http://localhost:5000", ("http", "localhost", 5000)),
        ("HTTPS://APP.example.org", ("https", "app.example.org", 443)),
        (b"https://app.example.org", ("https", "app.example.org", 443)),
        ("http://[::1]:80", ("http", "[::1]", 80)),
        ("http://[0:0:0:0:0:0:0:1]", ("http", "[::1]", 80)),
    ],
)
def test_an_origin_is_parsed_to_its_triple(text, triple):
    origin = Origin.parse(text)

    assert origin is not None
    assert (origin.scheme, origin.host, origin.port) == triple


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "",
        "https://",
        "https:///",
        "https://a.example/",
        "https://a.example/x",
        "https://a.example?x",
        "https://a.example#x",
        "https://a.example.",
        "https://a..example",
        "https://.a.example",
        "https://a.example:",
        "https://a.example:0",
        "https://a.example:00443",
        "https://a.example:65536",
        "https://a.example:+443",
        "https://a.example:\uff14\uff14\uff13",
        "https://user@a.example",
        "https://user:secret@a.example",
        "https://a.example\\@b.example",
        "https://a.example b",
        " https://a.example",
        "https://a.example\n",
        "https://\u212a.example",
        "https://a。example",
        "https://é.example",
        b"https://\xff.example",
        "https://[::1",
        "https://[:::1]",
        "https://[::1%25eth0]",
        "https://::1",
        "ftp://a.example",
        "https:a.example",
        "//a.example",
        "a.example",
        "*",
        "https://*.example",
        "https://" + "a" * 261,
    ],
)
def test_csr_04_what_is_not_exactly_an_origin_is_none(text):
    assert Origin.parse(text) is None


def test_an_authority_of_260_characters_is_still_read():
    assert Origin.parse("https://" + "a" * 260) == Origin("https", "a" * 260, 443)


@pytest.mark.parametrize(
    "text", ["https://a.example", "https://a.example:8443", "http://localhost:5000", "http://[::1]"]
)
def test_an_origin_is_written_as_browsers_write_it(text):
    assert str(Origin.parse(text)) == text


@given(st.text(max_size=40) | st.text(alphabet="htps:/[]@.-_a0\\%", max_size=40))
def test_an_origin_that_parses_is_written_so_that_it_parses_to_itself(text):
    origin = Origin.parse(text)

    assert origin is None or Origin.parse(str(origin)) == origin


@pytest.mark.parametrize("host", [b"login.example.org", b"LOGIN.example.org", b"login.example.org:443"])
def test_hst_01_the_host_of_public_url_is_served(make_request, host):
    place = locate(PRODUCTION, make_request((b"host", host)))

    assert isinstance(place, Place)


@pytest.mark.parametrize(
    ("hosts", "refusal"),
    [
        ([], HostRefused("missing_host", 400)),
        ([b"login.example.org", b"login.example.org"], HostRefused("repeated_host", 400)),
        ([b"login.example.org", b"evil.test"], HostRefused("repeated_host", 400)),
        ([b""], HostRefused("malformed_host", 400)),
        ([b"login.example.org:99999"], HostRefused("malformed_host", 400)),
        ([b"login.example.org:"], HostRefused("malformed_host", 400)),
        ([b"login.example.org."], HostRefused("malformed_host", 400)),
        ([b"login.example.org, evil.test"], HostRefused("malformed_host", 400)),
        ([b"evil.test/login.example.org"], HostRefused("malformed_host", 400)),
        ([b"login.example.org@evil.test"], HostRefused("malformed_host", 400)),
        ([b"login.example.org\xff"], HostRefused("malformed_host", 400)),
        ([b"[::1"], HostRefused("malformed_host", 400)),
        ([b"evil.test"], HostRefused("unknown_host", 421)),
        ([b"login.example.org:80"], HostRefused("unknown_host", 421)),
        ([b"login.example.org:8443"], HostRefused("unknown_host", 421)),
        ([b"x.login.example.org"], HostRefused("unknown_host", 421)),
        ([b"login.example.org.evil.test"], HostRefused("unknown_host", 421)),
        ([b"localhost"], HostRefused("unknown_host", 421)),
        ([b"127.0.0.1:8000"], HostRefused("unknown_host", 421)),
    ],
)
def test_hst_01_any_other_host_is_400_or_421(make_request, hosts, refusal):
    request = make_request(*((b"host", host) for host in hosts))

    assert locate(PRODUCTION, request) == refusal


def refused_for(site: Site, request) -> str | None:
    place = locate(site, request)
    return f"{place.reason} {place.status}" if isinstance(place, HostRefused) else None


@pytest.mark.parametrize(
    ("authority", "host", "refusal"),
    [
        (b"login.example.org", b"login.example.org", None),
        (b"LOGIN.example.org:443", b"login.example.org", None),
        (b"login.example.org", b"login.example.org:443", None),
        (b"login.example.org:8443", b"login.example.org", "host_mismatch 400"),
        (b"login.example.org", b"login.example.org:8443", "host_mismatch 400"),
        (b"login.example.org:80", b"login.example.org", "host_mismatch 400"),
        (b"evil.test", b"login.example.org", "host_mismatch 400"),
        (b"login.example.org", b"evil.test", "host_mismatch 400"),
        (b"user@login.example.org", b"login.example.org", "host_mismatch 400"),
        (b"", b"login.example.org", "host_mismatch 400"),
        (b"login.example.org", b"", "host_mismatch 400"),
        (b"\xff", b"\xff", "host_mismatch 400"),
        (b"evil.test", b"evil.test", "unknown_host 421"),
    ],
)
def test_hst_01_an_absolute_target_must_name_the_host_of_the_header(make_request, authority, host, refusal):
    assert refused_for(PRODUCTION, make_request((b"host", host), authority=authority)) == refusal


@pytest.mark.parametrize(
    ("tls", "authority", "host", "refusal"),
    [
        (False, b"localhost", b"localhost:80", None),
        (False, b"localhost:80", b"localhost", None),
        (False, b"localhost:443", b"localhost", "host_mismatch 400"),
        (True, b"localhost", b"localhost:443", None),
        (True, b"localhost:443", b"localhost", None),
        (True, b"localhost:80", b"localhost", "host_mismatch 400"),
        (False, b"[::1]:8000", b"[0::1]:8000", None),
    ],
)
def test_hst_01_the_port_left_out_is_that_of_the_scheme(make_request, tls, authority, host, refusal):
    site = Site.configure(development=True, tls=tls)

    assert refused_for(site, make_request((b"host", host), authority=authority)) == refusal


def test_hst_01_allowed_hosts_are_exact_and_replace_the_default(make_request):
    site = Site.configure(public_url="https://login.example.org", allowed_hosts=["Backend:8000", "[::1]:8000"])

    served = [host for host in (b"backend:8000", b"[0::1]:8000", b"backend", b"login.example.org")
              if isinstance(locate(site, make_request((b"host", host))), Place)]  # fmt: skip

    assert served == [b"backend:8000", b"[0::1]:8000"]


@pytest.mark.parametrize("allowed", ["a.example", "a.example:443"])
@pytest.mark.parametrize("host", [b"a.example", b"a.example:443"])
def test_hst_01_the_default_port_may_be_written_or_not(make_request, allowed, host):
    site = Site.configure(public_url="https://login.example.org", allowed_hosts=[allowed])

    assert isinstance(locate(site, make_request((b"host", host))), Place)


def test_hst_02_the_origin_comes_from_public_url_whatever_the_request_says(make_request):
    request = make_request(
        (b"host", b"login.example.org"),
        (b"x-forwarded-host", b"evil.test"),
        (b"x-forwarded-proto", b"http"),
        (b"forwarded", b"host=evil.test;proto=http"),
        (b"origin", b"https://evil.test"),
        (b"x-original-host", b"evil.test"),
    )

    place = locate(PRODUCTION, request)

    assert isinstance(place, Place)
    assert str(place.origin) == "https://login.example.org"


def test_csr_05_the_host_header_never_becomes_the_origin_in_production(make_request):
    site = Site.configure(public_url="https://login.example.org", allowed_hosts=["backend:8000"])

    place = locate(site, make_request((b"host", b"backend:8000")))

    assert isinstance(place, Place)
    assert place.origin == Origin("https", "login.example.org", 443)


PLACES = [
    # settings; host; origin, whether cookies are secure, their names' stem, their SameSite
    ({"public_url": "https://a.example"}, b"a.example", "https://a.example", True, "__Host-coatcheck", "Lax"),
    (
        {"public_url": "https://a.example/", "strict": True, "cookie_name": "shop"},
        *(b"A.example:443", "https://a.example", True, "__Host-shop", "Strict"),
    ),
    ({"development": True}, b"localhost:5000", "http://localhost:5000", False, "coatcheck-dev", "Lax"),
    ({"development": True, "strict": True}, b"localhost", "http://localhost", False, "coatcheck-dev", "Strict"),
    ({"development": True, "tls": True}, b"localhost", "https://localhost", True, "__Host-coatcheck", "Lax"),
]


@pytest.mark.parametrize(("settings", "host", "origin", "secure", "name", "same_site"), PLACES)
def test_cky_04_cky_14_a_place_has_its_origin_and_three_cookies_of_one_style(
    make_request, settings, host, origin, secure, name, same_site
):
    place = locate(Site.configure(**settings), make_request((b"host", host)))

    session, presession, device = (
        CookieStyle(name=name + suffix, secure=secure, same_site=same_site) for suffix in ("", "-pre", "-device")
    )
    assert place == Place(Origin.parse(origin), secure, session, presession, device)


def test_csr_04_trusted_origins_are_https_and_may_be_anything_in_development():
    production = Site.configure(public_url="https://a.example", trusted_origins=["https://app.example:8443"])
    development = Site.configure(development=True, trusted_origins=["http://localhost:3000"])

    assert production.trusted_origins == {Origin("https", "app.example", 8443)}
    assert development.trusted_origins == {Origin("http", "localhost", 3000)}


def test_cky_04_production_uses_host_prefixed_secure_cookies_only(make_request):
    place = locate(PRODUCTION, make_request((b"host", b"login.example.org")))

    assert isinstance(place, Place)
    assert [place.session_cookie.name, place.presession_cookie.name] == ["__Host-coatcheck", "__Host-coatcheck-pre"]
    assert place.secure
    assert place.session_cookie.secure
    assert place.presession_cookie.secure


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"localhost", "http://localhost"),
        (b"LOCALHOST:5000", "http://localhost:5000"),
        (b"127.0.0.1:8000", "http://127.0.0.1:8000"),
        (b"[::1]:8000", "http://[::1]:8000"),
        (b"testserver", "http://testserver"),
        (b"localhost:65535", "http://localhost:65535"),
    ],
)
def test_cky_04_development_mode_follows_a_loopback_host(make_request, host, origin):
    place = locate(DEVELOPMENT, make_request((b"host", host)))

    assert isinstance(place, Place)
    assert str(place.origin) == origin
    assert (place.session_cookie.name, place.session_cookie.secure) == ("coatcheck-dev", False)
    assert not place.secure


@pytest.mark.parametrize(
    "host",
    [b"example.org", b"localhost.example.org", b"127.0.0.1.example.org", b"127.0.0.2", b"0.0.0.0", b"[::2]", b"127.1"],
)
def test_cky_04_development_mode_refuses_any_other_host(make_request, host):
    assert locate(DEVELOPMENT, make_request((b"host", host))) == HostRefused("unknown_host", 421)


@pytest.mark.parametrize("host", [b"localhost:0", b"localhost:65536", b"localhost.", b"local host"])
def test_cky_04_development_mode_refuses_a_malformed_host(make_request, host):
    assert locate(DEVELOPMENT, make_request((b"host", host))) == HostRefused("malformed_host", 400)


def test_cky_04_the_development_name_is_never_the_production_name():
    sites = [PRODUCTION, DEVELOPMENT, Site.configure(development=True, tls=True)]

    assert [site.session_cookie.name for site in sites] == ["__Host-coatcheck", "coatcheck-dev", "__Host-coatcheck"]


def test_cky_04_development_over_tls_uses_the_real_cookie(make_request):
    place = locate(Site.configure(development=True, tls=True), make_request((b"host", b"localhost:8443")))

    assert isinstance(place, Place)
    assert str(place.origin) == "https://localhost:8443"
    assert (place.secure, place.session_cookie.secure) == (True, True)


def test_a_site_needs_no_more_than_to_be_told_that_it_is_in_development():
    assert Site(development=True) == DEVELOPMENT


def test_cky_04_a_site_is_in_production_unless_told_otherwise():
    with pytest.raises(ConfigurationError, match="public_url"):
        Site()


def test_cky_04_asking_for_development_where_public_url_is_set_is_refused():
    with pytest.raises(ConfigurationError, match="development"):
        Site.configure(public_url="https://login.example.org", development=True)


def test_cky_14_the_pre_session_cookie_is_as_strict_as_the_session_cookie():
    for site in (PRODUCTION, DEVELOPMENT, Site.configure(public_url="https://a.example", strict=True)):
        assert site.presession_cookie.attributes == site.session_cookie.attributes


def test_the_strict_profile_makes_strict_cookies():
    site = Site.configure(public_url="https://login.example.org", strict=True)

    assert site.session_cookie.same_site == "Strict"


def test_cky_16_the_base_name_may_choose_the_host_http_prefix():
    site = Site.configure(public_url="https://login.example.org", cookie_name="Http-coatcheck")

    assert site.session_cookie.name == "__Host-Http-coatcheck"


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({}, "public_url"),
        ({"public_url": "http://login.example.org"}, "public_url"),
        ({"public_url": "https://a.example", "development": True}, "development"),
        ({"public_url": "login.example.org"}, "public_url"),
        ({"public_url": "https://login.example.org/auth"}, "public_url"),
        ({"public_url": "https://user@login.example.org"}, "public_url"),
        ({"public_url": "https://a.example", "allowed_hosts": ["*"]}, "allowed_hosts"),
        ({"public_url": "https://a.example", "allowed_hosts": ["*.a.example"]}, "allowed_hosts"),
        ({"public_url": "https://a.example", "allowed_hosts": ["https://a.example"]}, "allowed_hosts"),
        ({"public_url": "https://a.example", "allowed_hosts": ["a.example/"]}, "allowed_hosts"),
        ({"public_url": "https://a.example", "allowed_hosts": ["\u212a.example"]}, "allowed_hosts"),
        ({"public_url": "https://a.example", "redirect_hosts": ["B.example"]}, "redirect_hosts"),
        ({"public_url": "https://a.example", "redirect_hosts": ["b.example; script-src *"]}, "redirect_hosts"),
        ({"public_url": "https://a.example", "trusted_origins": ["null"]}, "trusted_origins"),
        ({"public_url": "https://a.example", "trusted_origins": ["https://*.a.example"]}, "trusted_origins"),
        ({"public_url": "https://a.example", "trusted_origins": ["http://b.example"]}, "trusted_origins"),
        ({"public_url": "https://a.example", "cookie_name": "a;b"}, "cookie_name"),
        ({"public_url": "https://a.example", "cookie_name": "__Host-x"}, "cookie_name"),
    ],
)
def test_err_03_a_bad_setting_is_named(settings, setting):
    with pytest.raises(ConfigurationError) as refused:
        Site.configure(**settings)

    assert [problem.partition(":")[0] for problem in refused.value.problems] == [setting]


def test_err_03_who_sets_nothing_is_told_of_development_too():
    with pytest.raises(ConfigurationError, match=r"development=True \(Flask: flask run --debug\)$"):
        Site.configure()


def test_err_03_each_trusted_origin_that_is_not_https_is_named_in_order():
    with pytest.raises(ConfigurationError) as refused:
        Site.configure(
            public_url="https://a.example",
            trusted_origins=["http://c.example", "https://ok.example", "http://b.example"],
        )

    assert [problem.split()[1] for problem in refused.value.problems] == ["http://b.example", "http://c.example"]


def test_err_03_a_bad_cookie_name_is_told_which_prefix_comes_anyway():
    with pytest.raises(ConfigurationError, match="the prefix __Host- is put before it"):
        Site.configure(public_url="https://a.example", cookie_name="__Host-x")


def test_err_03_all_mistakes_are_reported_together():
    with pytest.raises(ConfigurationError) as refused:
        Site.configure(
            public_url="example", allowed_hosts=["*"], trusted_origins=["null"], redirect_hosts=["*"], cookie_name=" "
        )

    settings = {problem.partition(":")[0] for problem in refused.value.problems}
    assert settings == {"public_url", "allowed_hosts", "trusted_origins", "redirect_hosts", "cookie_name"}


@given(st.binary(max_size=30) | st.text(alphabet="localhst:0123456789.[]@/\\ ", max_size=30).map(str.encode))
def test_hst_01_no_octets_in_the_host_header_give_a_place_that_is_not_loopback(octets):
    from coatcheck.http.messages import Request, body_reader

    request = Request(
        method="GET", path="/", query="", scheme="http", headers=((b"host", octets),), peer=None, read=body_reader(b"")
    )

    place = locate(DEVELOPMENT, request)

    assert isinstance(place, HostRefused) or place.origin.host in {"localhost", "127.0.0.1", "[::1]", "testserver"}
