"""Redirect targets never leave the site."""

from __future__ import annotations

import re
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coatcheck.http.messages import Reply
from coatcheck.http.redirects import local_target, redirect_target

HOME = "/account"
BASE = "https://login.example.org/login?next=x"
HOSTS = frozenset({"ok.example", "ok.example:8443"})


def target_of(value: object, **settings: object) -> str:
    return local_target(value, default=HOME, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/account",
        "/docs/a-b_c.d~e",
        "/users/7?tab=devices&page=2",
        "/docs#install",
        "/docs#a?b=c&d:e/f@g",
        "/a//b",
        "/a/b/",
        "/@e",
        "/a:b",
        "/a?next=/b",
        "/a?u=https://b.example/",
        "/%C3%A9",
        "/%252fe",
        "/a...b/...",
        "/a;b=..;c/..d;e",
        "/?",
    ],
)
def test_red_01_a_plain_local_path_is_kept(path):
    assert target_of(path) == path


@pytest.mark.parametrize(
    "value",
    [
        "//e",
        "/\\e",
        "\\\\e",
        "\\/e",
        "/%09/e",
        "/%5ce",
        "/%5Ce",
        "/%2fe",
        "/%2Fe",
        "https:e",
        "https:/e",
        "https://e",
        "///e",
        "////e",
        "/..;",
        "/a/..;/e",
        "/.;a=b/e",
        "/a/%2e%2e%3b/e",
        "javascript:",
        "javascript:alert(1)",
        "data:text/html,x",
        " //e",
        " /a",
        "/a ",
        "/\t/e",
        "/\n/e",
        "/\r/e",
        "\t//e",
        "\x00//e",
        "@e",
        "e",
        "",
        "?x",
        "#x",
        ".",
        "./a",
        "../a",
        "/.//e",
        "/..//e",
        "/./a",
        "/a/../b",
        "/a/..",
        "/%2e/%2fe",
        "/%2e%2e//e",
        "/a/%2E%2e/b",
        "/a\\b",
        "/a%5cb",
        "/a?b=\\c",
        "/a\x7f",
        "/a\x85b",
        "/a%00b",
        "/a%0d%0aSet-Cookie:x",
        "/a%C2%85b",
        "/a%E2%80%A8b",
        "/a%E3%80%80b",
        "/\u3000/e",
        "/\u200b/e",
        "/\u202ee",
        "/\ufeffe",
        "/\udc80",
        "/%ff",
        "/%",
        "/%4",
        "/%zz",
        "/%4z",
        "/a?b=%0a",
        "/a#\n",
    ],
)
def test_red_01_anything_else_gives_the_default_page(value):
    assert target_of(value) == HOME


def test_red_01_the_whole_is_put_together_again_from_its_parts():
    assert target_of('/é/"<x>`{|}^?ü=[1]#ß') == "/%C3%A9/%22%3Cx%3E%60%7B%7C%7D%5E?%C3%BC=%5B1%5D#%C3%9F"


def resolved_by_a_browser(location: str) -> str:
    """Resolve as the URL standard has it for https: trim, drop tab and newline, take a backslash for a slash."""
    cleaned = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(33))))).replace("\\", "/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", cleaned):
        return cleaned
    if cleaned.startswith("//"):
        return "https:" + cleaned
    path, rest = re.fullmatch(r"([^?#]*)(.*)", cleaned, re.DOTALL).groups()  # type: ignore[union-attr]
    segments: list[str] = []
    for segment in path.split("/")[1:]:
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain == "..":
            segments = segments[:-1]
        elif plain != ".":
            segments.append(segment)
    return "https://login.example.org/" + "/".join(segments) + rest


NASTY = st.lists(
    st.sampled_from(
        ["/", "//", "\\", "e", ".", "..", "%", "%2f", "%5c", "%2e", "%09", "%0a", "%00", "\t", "\n", " ", "@", ":", "?",
         "#", "https:", "javascript:", "\u3000", "\u200b", "é", "%c3%a9", ";", "&", "=", "[", "]", "\x00", "\x1f"]
    ),
    max_size=10,
).map("".join)  # fmt: skip


@given(NASTY | NASTY.map("/".__add__) | st.text(max_size=30).map("/".__add__))
@example("/.//e")
@example("/%2e//e")
def test_red_01_no_target_leaves_the_host(value):
    target = target_of(value)

    joined, browsed = urlsplit(urljoin(BASE, target)), urlsplit(resolved_by_a_browser(target))
    assert (joined.scheme, joined.netloc) == ("https", "login.example.org")
    assert (browsed.scheme, browsed.netloc) == ("https", "login.example.org")
    assert not browsed.path.startswith("//")
    assert not unquote(browsed.path).startswith(("//", "/\\"))


@given(NASTY.map("/".__add__) | st.text(max_size=30).map("/".__add__))
def test_red_04_every_target_passes_the_header_writer_and_is_its_own_target(value):
    target = target_of(value)

    assert Reply(status=303, headers=(("location", target),)).status == 303
    assert target_of(target) == target


@pytest.mark.parametrize("path", ["/%0d%0aSet-Cookie:x", "/\r\nSet-Cookie:x"])
def test_red_04_a_target_never_splits_the_response(path):
    assert target_of(path) == HOME


@pytest.mark.parametrize("host", ["ok.example", "ok.example:8443"])
def test_red_02_an_absolute_https_url_of_a_redirect_host_is_kept(host):
    url = f"https://{host}/a?b=c#d"

    assert redirect_target(url, default=HOME, redirect_hosts=HOSTS) == url


def test_red_02_an_absolute_url_of_2048_characters_is_kept():
    url = "https://ok.example/".ljust(2048, "x")

    assert redirect_target(url, default=HOME, redirect_hosts=HOSTS) == url


def test_red_02_an_absolute_url_without_a_path_gets_one():
    assert redirect_target("https://ok.example", default=HOME, redirect_hosts=HOSTS) == "https://ok.example/"


def test_red_02_a_local_path_is_still_accepted_and_an_array_is_not():
    assert redirect_target("/a", default=HOME, redirect_hosts=HOSTS) == "/a"
    assert redirect_target(["/a"], default=HOME, redirect_hosts=HOSTS) == HOME


@pytest.mark.parametrize(
    "url",
    [
        "https://ok.example@e",
        "https://ok.example@e/",
        "https://user@ok.example/",
        "https://ok.example.e/",
        "https://ok。example/",
        "https://ok%2eexample/",
        "https://ok.example:443/",
        "https://ok.example:9000/",
        "https://ok.example:8443@e/",
        "https://ok.example./",
        "https://OK.example/",
        "HTTPS://ok.example/",
        "http://ok.example/",
        "https:ok.example/",
        "https:/ok.example/",
        "https:///ok.example/",
        "https://ok.example\\@e/",
        "https://ok.example\\e",
        "https://e\\@ok.example/",
        "https://ok.example //",
        "https://ok.example//e",
        "https://ok.example?x",
        "https://ok.example#x",
        "https://ok.example/\r\nx",
        " https://ok.example/",
        "https://e/https://ok.example/",
        "https://",
        "https:///",
        "//ok.example/",
        "https://xok.example/",
        "https://ok.example/" + "x" * 2048,
        "https://ok.example/" + "x" * 2030,
    ],
)
def test_red_02_any_other_absolute_url_gives_the_default_page(url):
    assert redirect_target(url, default=HOME, redirect_hosts=HOSTS) == HOME


@given(NASTY.map("https://ok.example".__add__) | NASTY.map("https://".__add__) | NASTY)
def test_red_02_no_absolute_target_leaves_the_redirect_hosts(value):
    target = redirect_target(value, default=HOME, redirect_hosts=HOSTS)

    allowed = {"login.example.org", *HOSTS}
    assert urlsplit(urljoin(BASE, target)).netloc in allowed
    assert urlsplit(resolved_by_a_browser(target)).netloc in allowed


def test_red_03_2048_bytes_are_kept_and_one_more_is_not():
    assert target_of("/" + "x" * 2047) == "/" + "x" * 2047
    assert target_of("/" + "x" * 2048) == HOME


@pytest.mark.parametrize("value", ["/" + "é" * 1024, "/" + "é" * 400])
def test_red_03_the_length_counts_as_written_out(value):
    assert target_of(value) == HOME


@pytest.mark.parametrize("unit", ["/%2f", "%41", "%", "/..", "é", "?", "#"])
def test_sup_09_no_value_takes_more_than_linear_time(grows_linearly, unit):
    grows_linearly(lambda size: "/" + (unit * size)[:size], target_of, 500)


@pytest.mark.parametrize(
    "value",
    ["/logout", "/logout/", "/logout//", "/logout?x=1", "/logout#x", "/log%6Fut", "/log%6fut/?y", "/%6c%6fgout"],
)
def test_red_05_a_path_that_must_not_be_followed_gives_the_default_page(value):
    assert target_of(value, never=frozenset({"/logout"})) == HOME


@pytest.mark.parametrize("value", ["/logout", "/log%6Fut/", "/logout?x=1"])
def test_red_05_a_path_that_must_not_be_followed_is_not_where_redirect_hosts_are_allowed(value):
    assert redirect_target(value, default=HOME, never=frozenset({"/logout"}), redirect_hosts=HOSTS) == HOME


@pytest.mark.parametrize("value", ["/logout-help", "/logoutX", "/a/logout", "/a?next=/logout", "/"])
def test_red_05_other_paths_are_followed(value):
    assert target_of(value, never=frozenset({"/logout"})) == value


def test_red_05_the_root_may_be_a_path_not_to_follow():
    assert target_of("/", never=frozenset({"/"})) == HOME


@pytest.mark.parametrize("value", [None, ["/a"], ["/a", "//e"], ("/a",), {"next": "/a"}, 7, True, b"/a"])
def test_red_06_what_is_not_one_text_gives_the_default_page(value):
    assert target_of(value) == HOME
