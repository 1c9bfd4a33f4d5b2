"""Where we are: the site's public origin, and the hosts under which it answers.

Nothing here is learnt from a request (HST-02), with one exception: in development mode the origin follows the `Host`
header, and only where that names the loopback (CKY-04). In production the connection may come from a proxy that ended
TLS, so `public_url` alone says https, and the `Host` header is only ever compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address

from msgspec import Struct

from coatcheck.errors import ConfigurationError
from coatcheck.http.cookies import CookieStyle
from coatcheck.http.messages import Request

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})
"""The hosts for which development mode holds; `testserver` is what test clients of frameworks send."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?", re.ASCII)


class Origin(Struct, frozen=True):
    """A scheme, a host and a port: what the web means by "the same site exactly". Compares as that triple (CSR-04)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str | bytes) -> Origin | None:
        """Take apart `https://host[:port]`; None for anything else.

        No path, not even `/`; no userinfo, trailing dot, port 0 or non-ASCII. `null` is not an origin. Letter case
        and an explicit default port make no difference.
        """
        scheme, separator, authority = _ascii_lower(text).partition("://")
        if not separator or scheme not in _DEFAULT_PORTS or (parts := _authority(authority)) is None:
            return None
        host, port = parts
        return cls(scheme, host, port or _DEFAULT_PORTS[scheme])

    @property
    def authority(self) -> str:
        """`host`, or `host:port` where the port is not the scheme's own; what a browser sends as `Host`."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Place(Struct, frozen=True):
    """Where a request was received: the origin pages and links have, and the cookies that hold there."""

    origin: Origin
    secure: bool
    session_cookie: CookieStyle
    presession_cookie: CookieStyle
    device_cookie: CookieStyle


class HostRefused(Struct, frozen=True):
    """The `Host` header is absent, repeated, malformed or at odds with the target (400), or not ours (421).

    Nothing else of the request may be looked at.
    """

    reason: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The settings that say where the site lives.

    Either `public_origin`, which is https, or `development`. `allowed_hosts` are exact `host` or `host:port`, by
    default that of the public origin. `tls` says, for development, that the server itself speaks (self-signed) TLS.
    `strict` makes cookies `SameSite=Strict`.

    From these follow the three cookies and, in production, the one `place` where all requests are. Construction raises
    `ConfigurationError` with all mistakes found.
    """

    public_origin: Origin | None = None
    development: bool = False
    tls: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    trusted_origins: frozenset[Origin] = frozenset()
    redirect_hosts: frozenset[str] = frozenset()
    cookie_name: str = "coatcheck"
    strict: bool = False
    session_cookie: CookieStyle = field(init=False, compare=False)
    presession_cookie: CookieStyle = field(init=False, compare=False)
    device_cookie: CookieStyle = field(init=False, compare=False)
    place: Place | None = field(init=False, repr=False, compare=False)
    host_spellings: frozenset[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise ConfigurationError(*problems)
        secure = self.tls or not self.development
        name = f"__Host-{self.cookie_name}" if secure else f"{self.cookie_name}-dev"
        same_site = "Strict" if self.strict else "Lax"
        session = CookieStyle(name=name, secure=secure, same_site=same_site)
        presession = CookieStyle(name=f"{name}-pre", secure=secure, same_site=same_site)
        device = CookieStyle(name=f"{name}-device", secure=secure, same_site=same_site)
        hosts, place = frozenset[bytes](), None
        if self.public_origin is not None:
            allowed = self.allowed_hosts or {self.public_origin.authority}
            hosts = frozenset(_without_default_port(host).encode() for host in allowed)
            place = Place(self.public_origin, True, session, presession, device)
        # A frozen dataclass prepares derived fields only this way.
        for attribute, value in (
            ("session_cookie", session),
            ("presession_cookie", presession),
            ("device_cookie", device),
            ("place", place),
            ("host_spellings", hosts),
        ):
            object.__setattr__(self, attribute, value)

    @classmethod
    def configure(
        cls,
        *,
        public_url: str | None = None,
        development: bool = False,
        tls: bool = False,
        allowed_hosts: Iterable[str] = (),
        trusted_origins: Iterable[str] = (),
        redirect_hosts: Iterable[str] = (),
        cookie_name: str = "coatcheck",
        strict: bool = False,
    ) -> Site:
        """Make a site from settings as people write them; a `public_url` may end with one slash.

        Raises `ConfigurationError` with all mistakes of all settings together (ERR-03).
        """
        problems: list[str] = []
        public_origin = None
        if public_url is not None:
            public_origin = Origin.parse(public_url.removesuffix("/"))
            if public_origin is None:
                problems.append("public_url: write scheme and host and nothing after, like https://login.example.org")
                public_origin = Origin("https", "unknown.invalid", 443)  # lets the other settings be judged too
        trusted: set[Origin] = set()
        for text in trusted_origins:
            if (origin := Origin.parse(text)) is None:
                problems.append(f"trusted_origins: {text!r} is not an origin; write it like https://app.example.org")
            else:
                trusted.add(origin)
        try:
            site = cls(
                public_origin=public_origin,
                development=development,
                tls=tls,
                allowed_hosts=frozenset(host.lower() if host.isascii() else host for host in allowed_hosts),
                trusted_origins=frozenset(trusted),
                redirect_hosts=frozenset(redirect_hosts),
                cookie_name=cookie_name,
                strict=strict,
            )
        except ConfigurationError as error:
            problems.extend(error.problems)
            raise ConfigurationError(*problems) from None
        if problems:
            raise ConfigurationError(*problems)
        return site


def locate(site: Site, request: Request) -> Place | HostRefused:
    """Say where the request was received, or refuse its host. Comes before everything else (HST-01).

    A target in absolute form must name the same host as the header: RFC 9112 §3.2.2 lets the target decide, and a cache
    before us may have obeyed the other one.
    """
    values = request.all(b"host")
    if len(values) != 1:
        return HostRefused("repeated_host" if values else "missing_host", 400)
    if request.authority is not None and not _is_same_host(site, request.authority, values[0]):
        return HostRefused("host_mismatch", 400)
    if values[0] in site.host_spellings and site.place is not None:  # the usual spelling costs one look-up
        return site.place
    parts = _authority(_ascii_lower(values[0]))
    if parts is None:
        return HostRefused("malformed_host", 400)
    host, port = parts
    if site.place is not None:
        spelled = host if port in (None, 443) else f"{host}:{port}"
        return site.place if spelled.encode() in site.host_spellings else HostRefused("unknown_host", 421)
    if host not in LOOPBACK:
        return HostRefused("unknown_host", 421)
    scheme = "https" if site.tls else "http"
    origin = Origin(scheme, host, port or _DEFAULT_PORTS[scheme])
    return Place(origin, site.tls, site.session_cookie, site.presession_cookie, site.device_cookie)


def _is_same_host(site: Site, one: bytes, other: bytes) -> bool:
    default = 443 if site.tls or site.place is not None else 80
    first, second = (_authority(_ascii_lower(octets)) for octets in (one, other))
    if first is None or second is None:
        return False
    return (first[0], first[1] or default) == (second[0], second[1] or default)


def _problems(site: Site) -> Iterable[str]:
    if site.public_origin is None and not site.development:
        yield (
            "public_url: set it to the https address under which visitors see the site; or, on this machine only, "
            "development=True (Flask: flask run --debug)"
        )
    if site.public_origin is not None and site.development:
        yield "development: cannot be asked for where public_url is set; remove one of the two"
    if site.public_origin is not None and site.public_origin.scheme != "https":
        yield "public_url: must begin with https://"
    for setting, hosts in (("allowed_hosts", site.allowed_hosts), ("redirect_hosts", site.redirect_hosts)):
        for host in sorted(hosts):
            if not _is_canonical(host):
                yield f"{setting}: {host!r} is not an exact lower-case host or host:port (no wildcard, scheme or slash)"
    if not site.development:
        for origin in sorted((origin for origin in site.trusted_origins if origin.scheme != "https"), key=str):
            yield f"trusted_origins: {origin} must be https, or anybody on its network could speak for it"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", site.cookie_name) or site.cookie_name.startswith("__"):
        yield "cookie_name: use up to 64 letters, digits, - and _; the prefix __Host- is put before it"


def _ascii_lower(text: str | bytes) -> str:
    """Lower-case ASCII; anything else becomes text that no grammar here accepts.

    `str.lower` would map U+212A (the Kelvin sign) to `k`, so what is not ASCII is never lower-cased.
    """
    text = text if isinstance(text, str) else text.decode("latin-1")
    return text.lower() if text.isascii() else "\N{REPLACEMENT CHARACTER}"


def _authority(text: str) -> tuple[str, int | None] | None:
    """Take apart `host[:port]`, already lower-case; an IPv6 address gets its one canonical spelling."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or len(text) > 260:
        return None
    host = str(match[1])
    port = int(match[2]) if match[2] else None
    if port is not None and port > 65535:
        return None
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except AddressValueError:
            return None
    return host, port


def _without_default_port(host: str) -> str:
    return host.removesuffix(":443")


def _is_canonical(text: str) -> bool:
    parts = _authority(text)
    if parts is None:
        return False
    host, port = parts
    return text == (host if port is None else f"{host}:{port}")
