"""Host, Origin, Referer and Sec-Fetch-Site: which site a request means and comes from."""

from __future__ import annotations

from ada_url import URL

from coatcheck.http.csrf import Verdict, judge
from coatcheck.http.hosts import LOOPBACK, HostRefused, Origin, Place, Site, locate
from coatcheck.http.messages import Request, body_reader
from tests.fuzz.targets.target import Target, text_of

PRODUCTION = Site.configure(
    public_url="https://login.example.org",
    allowed_hosts=("login.example.org", "login.example.org:8443", "[2001:db8::1]"),
    trusted_origins=("https://app.example.org",),
)
DEVELOPMENT = Site.configure(development=True)
OWN = Origin("https", "login.example.org", 443)
FOREIGN = Origin("https", "evil.example", 443)


def browser_origin(text: str) -> str | None:
    """The origin of an address as a browser has it; None where a browser finds no address."""
    try:
        return str(URL(text).origin)
    except (ValueError, UnicodeError):
        return None


def _request(octets: bytes, *others: tuple[bytes, bytes]) -> Request:
    hosts = tuple((b"host", line) for line in octets.split(b"\n"))
    return Request(
        method="GET", path="/", query="", scheme="http", headers=(*hosts, *others), peer=None, read=body_reader(b"")
    )


def _locate(octets: bytes) -> tuple[Place | HostRefused, Place | HostRefused]:
    return locate(PRODUCTION, _request(octets)), locate(DEVELOPMENT, _request(octets))


def _judge_place(octets: bytes, answer: tuple[Place | HostRefused, Place | HostRefused]) -> None:
    """HST-01, HST-02, CKY-04: production learns nothing from a Host; development believes in the loopback alone."""
    production, development = answer
    for place in answer:
        if isinstance(place, HostRefused):
            assert place.status in (400, 421)
        else:
            assert b"\n" not in octets
    if isinstance(production, Place):
        assert production is PRODUCTION.place
        assert URL(f"https://{octets.decode()}/").host in PRODUCTION.allowed_hosts
    if isinstance(development, Place):
        seen = URL(f"http://{octets.decode()}/")
        assert development.origin.host in LOOPBACK
        assert str(development.origin) == seen.origin
        assert (seen.username, seen.password, seen.pathname, seen.search, seen.hash) == ("", "", "/", "", "")


def _judge_origin(octets: bytes, answer: tuple[Origin | None, Origin | None]) -> None:
    """CSR-04: what we take for one origin is one to a browser; the origin a browser writes is understood."""
    origin, text = answer[0], text_of(octets)
    assert answer[1] == origin
    browsers = browser_origin(text)
    if origin is None:
        assert browsers is None or browsers != text or not text.startswith(("http://", "https://")) or _is_odd(text)
    else:
        assert text.isascii()
        assert not set("@/?#\\%") & set(text.partition("://")[2])
        assert Origin.parse(str(origin)) == origin
        assert browser_origin(str(origin)) == browsers


def _is_odd(text: str) -> bool:
    """A name with characters that URLs bear and host names do not, a trailing dot, or port 0: refused on purpose."""
    authority = text.partition("://")[2]
    host = authority if authority.startswith("[") else authority.partition(":")[0]
    return (
        not all(label and label.replace("-", "").replace("_", "").isalnum() for label in host.split("."))
        and not host.startswith("[")
    ) or text.endswith(":0") or len(authority) > 260  # fmt: skip


def _evidence(octets: bytes) -> Verdict:
    """Lines: Sec-Fetch-Site, Origin, Referer (`-` for absent)."""
    fields = [None if line == b"-" else line for line in (*octets.split(b"\n"), b"-", b"-", b"-")]
    return judge(
        sec_fetch_site=fields[0],
        origin=fields[1],
        referer=fields[2],
        own=OWN,
        trusted=PRODUCTION.trusted_origins,
        has_cookie_of_ours=True,
        strict_json=True,
    )


def _judge_evidence(octets: bytes, verdict: Verdict) -> None:
    """CSR-02 to CSR-05: whoever passes did so by a header that a browser would write of us and of nobody else."""
    site, origin, referer, *_ = (*octets.split(b"\n"), b"-", b"-", b"-")
    ours = [str(OWN)]
    if verdict is Verdict.SAME_ORIGIN and site != b"-":
        assert site in (b"same-origin", b"none")
    elif verdict is Verdict.SAME_ORIGIN:
        told = origin if origin != b"-" else referer
        assert browser_origin(told.decode("latin-1")) in ours
    elif verdict is Verdict.TRUSTED_ORIGIN:
        assert browser_origin(origin.decode("latin-1")) == "https://app.example.org"
    else:
        assert not verdict.passes


AUTHORITIES = (
    b"login.example.org", b"LOGIN.example.ORG", b"login.example.org.", b"localhost", b"127.0.0.1", b"[::1]",
    b"[0:0::1]",
    b"testserver", b"[2001:DB8:0::1]", b"[::ffff:127.0.0.1]", b"[::ffff:7f00:1]", b"127.1", b"0x7f.1", b"2130706433",
    b"evil.example", b"xn--", b"xn--a", b"b\xc3\xbccher.example", b"\xe2\x84\xaa.example", b"_a.example", b"a..b",
)  # fmt: skip
MARKS = (
    b":", b":80", b":443", b":8443", b":0", b":00443", b":99999", b"@", b"user@", b"/", b"\\", b"?", b"#", b".", b"-",
    b"[", b"]", b"%", b"%2e", b" ", b"\t", b"\n", b"\r", b"\x00", b"\xff", b",", b"*", b"a", b"1", b"\xe3\x80\x82",
)  # fmt: skip
SCHEMES = (
    b"https://",
    b"http://",
    b"HTTPS://",
    b"https:/",
    b"https:",
    b"ftp://",
    b"null",
    b"file://",
    b"blob:https://",
)
ORIGINS = (b"https://login.example.org", b"https://app.example.org")

TARGETS = (
    Target(
        "host",
        _locate,
        _judge_place,
        (*AUTHORITIES, *MARKS),
        8192,
        (b"login.example.org", b"localhost:8000", b"[::1]:80", b"LOCALHOST"),
    ),
    Target(
        "origin",
        lambda octets: (Origin.parse(octets), Origin.parse(text_of(octets))),
        _judge_origin,
        (*SCHEMES, *SCHEMES[:2], *AUTHORITIES, *MARKS, b"https://login.example.org", b"https://[::1]:8443"),
        8192,
        (*ORIGINS, b"https://[2001:DB8:0::1]:8443", b"http://127.0.0.1:80"),
    ),
    Target(
        "cross-site evidence",
        _evidence,
        _judge_evidence,
        (
            b"same-origin", b"same-site", b"cross-site", b"none", b"-\n", b"-\n-\n", b"\n",
            b"https://login.example.org",
            b"https://login.example.org/a", b"https://app.example.org", b"https://login.example.org.evil.example",
            *SCHEMES, *AUTHORITIES, *MARKS,
        ),
        8192,
        (
            b"same-origin", b"cross-site\n" + ORIGINS[1], b"-\n" + ORIGINS[0], b"-\n-\n" + ORIGINS[0] + b"/a?b#c",
            b"-\n" + ORIGINS[0] + b".evil.example", b"-\n-\n" + ORIGINS[0] + b"@evil.example/",
        ),
    ),
)  # fmt: skip
