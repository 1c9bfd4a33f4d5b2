"""Where a visitor may be sent, judged by the parser that browsers are specified by (the WHATWG URL standard)."""

from __future__ import annotations

from urllib.parse import unquote, urljoin, urlsplit

from ada_url import URL

from coatcheck.http.messages import Reply
from coatcheck.http.redirects import MAX_LENGTH, local_target, redirect_target
from tests.fuzz.targets.target import Target, text_of

SITE = "https://login.example.org"
BASES = (f"{SITE}/login?next=x", f"{SITE}/", f"{SITE}/auth/a/b/../login#f")
HOME = "/account"
NEVER = frozenset({"/logout", "/auth/logout"})
HOSTS = frozenset({"ok.example", "ok.example:8443", "xn--bcher-kva.example"})
ORIGINS = {SITE, *(f"https://{host}" for host in HOSTS)}


def _local(octets: bytes) -> str:
    return local_target(text_of(octets), default=HOME, never=NEVER)


def _any(octets: bytes) -> str:
    return redirect_target(text_of(octets), default=HOME, never=NEVER, redirect_hosts=HOSTS)


def _judge_local(_: bytes, target: str) -> None:
    """RED-01, RED-03, RED-05: every reader of the target reads one path of this site, and never a forbidden one."""
    _judge_writing(target)
    assert local_target(target, default=HOME, never=NEVER) == target
    for base in BASES:
        browsed, joined = URL(target, base), urlsplit(urljoin(base, target))
        assert browsed.origin == SITE == f"{joined.scheme}://{joined.netloc}"
        assert browsed.pathname == urlsplit(target).path
        assert joined.path in (browsed.pathname, browsed.pathname.removesuffix(";"))  # urljoin drops empty parameters
        # A browser writes ' in a query as %27, and leaves a query out that is empty.
        assert browsed.search.removeprefix("?") == urlsplit(target).query.replace("'", "%27")
        assert not unquote(browsed.pathname).startswith(("//", "/\\"))
        assert (unquote(browsed.pathname).rstrip("/") or "/") not in NEVER


def _judge_any(_: bytes, target: str) -> None:
    """RED-02: the scheme is https and the host is one of those configured, to a browser and to Python alike."""
    _judge_writing(target)
    assert redirect_target(target, default=HOME, never=NEVER, redirect_hosts=HOSTS) == target
    for base in BASES:
        browsed, joined = URL(target, base), urlsplit(urljoin(base, target))
        assert browsed.origin in ORIGINS
        assert browsed.origin == f"{joined.scheme}://{joined.netloc}"
        assert (browsed.username, browsed.password) == ("", "")
        assert not browsed.pathname.startswith("//")


def _judge_writing(target: str) -> None:
    plain = unquote(target)
    assert plain.isprintable()
    assert not {" ", "\\"} & set(plain)
    assert len(target.encode("ascii")) <= MAX_LENGTH
    assert Reply(status=303, headers=(("location", target),)).status == 303


PIECES = (
    b"/", b"//", b"\\", b"e", b".", b"..", b"%", b"%2f", b"%5c", b"%2e", b"%09", b"%0a", b"%00", b"%25", b"\t", b"\n",
    b" ", b"@", b":", b"?", b"#", b"https:", b"https://", b"http:", b"javascript:", b"data:", b"ok.example",
    b"ok.example:8443", b"xn--bcher-kva.example", b"b\xc3\xbccher.example", b":443", b"evil.example", b"/account",
    b"/logout", b"/auth", b"/log%6Fut", b"%6c", b"?next=", b"&", b"=", b";", b"..;", b"[", b"]", b"'", b'"', b"|", b"^",
    b"\x00", b"\x1f", b"\x7f", b"%7f", b"\xc2\x85", b"\xe2\x80\x8b", b"\xe3\x80\x80", b"%e3%80%80", b"\xef\xbc\x8f",
    b"%ef%bc%8f", b"\xe3\x80\x82", b"\xc3\xa9", b"%c3%a9", b"%ff", b"\xed\xa0\x80", b"x" * 2040,
)  # fmt: skip
LOCAL = (b"/account", b"/a/b?c=d&e=/f#g", b"/\xc3\xa9/%C3%A9?x='1'", b"/log%6Fin;x", b"/logout-help", b"/@a:b")
ABSOLUTE = (b"https://ok.example", b"https://ok.example:8443/a?b#c", b"https://xn--bcher-kva.example/a/b")

TARGETS = (
    Target("redirect target", _local, _judge_local, PIECES, MAX_LENGTH, LOCAL),
    Target("absolute redirect target", _any, _judge_any, PIECES, MAX_LENGTH, (*LOCAL, *ABSOLUTE)),
)
