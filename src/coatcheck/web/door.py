"""What all doors are made of, without a framework: the settings of one, and which requests are whose.

A door translates a request into ours and asks:

    if door.owns(request.path):              # a page or call of ours
        reply, exchange = await door.web.answer(request)
        ...                                  # send the reply
        await door.web.finish(exchange)
    else:                                    # the application's
        entered = door.enter(request)        # a `Passage`, or the reply to a host that is not ours

What a `Passage` then offers stands in `coatcheck.web.passage`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

from msgspec import Struct

from coatcheck.core.session_data import is_namespace, why_not_kept
from coatcheck.core.views import DEFAULT_NAMESPACE
from coatcheck.errors import ConfigurationError, InvalidData
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.http.client_address import FORWARDED_HEADERS, Network, problems_of_proxies
from coatcheck.http.csrf import SAFE_METHODS
from coatcheck.http.hosts import HostRefused, Site, locate
from coatcheck.http.messages import Reply, Request
from coatcheck.http.problems import to_reply
from coatcheck.http.redirects import local_target
from coatcheck.web.app import Web
from coatcheck.web.exchange import Exchange
from coatcheck.web.mount import Mount
from coatcheck.web.passage import Passage
from coatcheck.web.session_data import JSON, Codec
from coatcheck.web.showing import problem_page, told_of_host

Handler = TypeVar("Handler", bound=Callable[..., Any])

STANDS_TWICE = "middleware: Coatcheck's door stands twice before this application; remove one of the two"
_EXEMPTION = "coatcheck_exemption"

_log = logging.getLogger("coatcheck")


class Exemption(Struct, frozen=True):
    """Why requests to a path need no evidence that they come from a page of ours (CSR-14).

    They are treated as anonymous, whatever cookie they bring, unless `allow_cookie` says that another page's request in
    a visitor's name does no harm there.
    """

    reason: str
    allow_cookie: bool = False


def csrf_exempt(*, reason: str, allow_cookie: bool = False) -> Callable[[Handler], Handler]:
    """Take one handler out of the check for cross-site requests, such as a hook that others call.

    The log lists such handlers at start (where that is unknown, at the first request).

    Whoever comes there is a stranger, whatever cookie came along, unless `allow_cookie` says that another site's page
    does no harm there in a visitor's name.
    """
    if not reason.strip():
        raise ConfigurationError("csrf_exempt: say why there is no need of evidence, csrf_exempt(reason=...)")

    def decorate(handler: Handler) -> Handler:
        setattr(handler, _EXEMPTION, Exemption(reason=reason, allow_cookie=allow_cookie))
        return handler

    return decorate


def exemption_of(handler: object) -> Exemption | None:
    """Give the exemption of a handler, also from below other decorators."""
    found: Exemption | None = getattr(handler, _EXEMPTION, None)
    return found


class DoorSettings(TypedDict, total=False):
    """What every door may be told, besides its desk. Names and meanings are those of the server's settings.

    public_url: the https address under which visitors see the site. Needed, but in development.
    development: answer loopback hosts over plain http, with a plainly named cookie.
    tls: in development, that the server itself speaks (self-signed) TLS.
    pages: whether our pages and calls are answered; by default they are. Without them nobody signs up or logs in but by
        what the application does itself, and it answers refusals itself too. Whoever begins sessions of their own
        (`start_session`) says `pages=False`, or anybody signs up here and passes the guards.
    prefix: where our pages and calls stand, the whole path that visitors see; by default `/auth`.
    home: the path where a log-in leads that names no other; by default `/`.
    templates: a folder whose templates win over ours. A file that replaces nothing is named in the log at start.
    cookie_name: what the session's cookie is called, by default `coatcheck`: `__Host-coatcheck`, in development
        `coatcheck-dev`. Two applications on one host, such as `localhost`, need two names: browsers send cookies to
        every port, and each application would take the other's for a dead one of its own and remove it.
    namespace: whose session data this application reads and writes, by default `app`; several applications at one desk
        share log-ins and keep their data apart.
    allowed_hosts: exact hosts that are served, by default that of `public_url`.
    trusted_origins: origins of other sites whose pages may act for a visitor, such as a single-page application.
    redirect_hosts: hosts where `next` may lead besides our own.
    trusted_proxies, trusted_hops, forwarded_header: whom to believe about a client's address: networks of proxies, how
        many of them a request passes (by default none), and the header that they write (by default `x-forwarded-for`).
    passive_paths: paths, ours without the prefix, whose requests are no activity and keep no session alive.
    csrf_exempt: paths of the application's that need no evidence of a request's origin, each with an
        `Exemption(reason=...)`; they are listed in the log at start, at level INFO.
    """

    public_url: str | None
    development: bool
    tls: bool
    prefix: str
    pages: bool
    home: str
    namespace: str
    templates: Path | str | None
    allowed_hosts: Sequence[str]
    trusted_origins: Sequence[str]
    redirect_hosts: Sequence[str]
    cookie_name: str
    trusted_proxies: Sequence[str]
    trusted_hops: int
    forwarded_header: Literal["x-forwarded-for", "forwarded"]
    passive_paths: Sequence[str]
    csrf_exempt: Mapping[str, Exemption]


class Door:
    """One application's door to a desk, which must be the one for code that waits the way the application does.

    One that `knows_accounts` has the account looked up together with the session, for code that looks at it and cannot
    wait; where accounts live apart that is a step more.

    Raises `ConfigurationError` with every mistake in the settings, each with its mend.
    """

    def __init__(
        self,
        desk: Coatcheck[Any] | AsyncCoatcheck[Any],
        settings: DoorSettings,
        *,
        wanted: type[Coatcheck[Any]] | type[AsyncCoatcheck[Any]],
        codec: Codec = JSON,
        knows_accounts: bool = False,
    ) -> None:
        if not isinstance(desk, Coatcheck | AsyncCoatcheck):  # pyright: ignore[reportUnnecessaryIsInstance]  # not to callers without a checker
            raise ConfigurationError(
                f"desk: is a {type(desk).__name__}; give this door a desk, {wanted.__name__}(...) over a store"
            )
        if not isinstance(desk, wanted):
            raise ConfigurationError(
                f"desk: this door needs {wanted.__name__}(...), not {type(desk).__name__}: "
                "an event loop must not wait for a blocking desk, nor blocking code for an event loop"
            )
        if problems := list(_misfits(settings)):
            raise ConfigurationError(*problems)
        proxies = list(_networks(settings.get("trusted_proxies", ()), problems))
        hops = settings.get("trusted_hops", 0)
        problems.extend(problems_of_proxies(proxies, hops))
        problems.extend(_problems(desk, settings))
        try:
            site = Site.configure(
                public_url=settings.get("public_url"),
                development=settings.get("development", False),
                tls=settings.get("tls", False),
                allowed_hosts=settings.get("allowed_hosts", ()),
                trusted_origins=settings.get("trusted_origins", ()),
                redirect_hosts=settings.get("redirect_hosts", ()),
                cookie_name=settings.get("cookie_name", "coatcheck"),
                strict=desk.policy.same_site == "Strict",
            )
        except ConfigurationError as error:
            raise ConfigurationError(*problems, *error.problems) from None
        if problems:
            raise ConfigurationError(*problems)
        templates = settings.get("templates")
        mount = Mount(
            desk,
            site,
            prefix=settings.get("prefix", "/auth"),
            home=settings.get("home", "/"),
            templates=None if templates is None else Path(templates),
            trusted_proxies=proxies,
            trusted_hops=hops,
            forwarded_header=settings.get("forwarded_header", "x-forwarded-for"),
            passive_paths=settings.get("passive_paths", ()),
        )
        mount.claim_host()
        self.mount = mount
        self.web = Web(mount)
        self.namespace = settings.get("namespace", DEFAULT_NAMESPACE)
        self.codec = codec
        self.knows_accounts = knows_accounts
        self.exemptions = dict(settings.get("csrf_exempt", {}))
        for path, exemption in self.exemptions.items():
            _log.info("csrf_exempt: requests to %s need no evidence of their origin: %s", path, exemption.reason)
        self.has_pages = settings.get("pages", True)
        self.has_looked_at_starts = False

    def owns(self, path: str) -> bool:
        """Say whether a path is one of ours, and not the application's."""
        prefix = self.mount.prefix
        return self.has_pages and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")

    def enter(self, request: Request) -> Passage[Any] | Reply:
        """Let a request of the application in, or give the reply to a host that is not ours (HST-01). No step."""
        place = locate(self.mount.site, request)
        self._look_around(request)
        if isinstance(place, HostRefused):
            told = told_of_host(self.mount, place)
            return problem_page(self.mount, told) if self.has_pages and request.is_navigation else to_reply(told)
        return Passage(self, Exchange(self.mount, request, place, {}))

    def refusal(self, passage: Passage[Any], error: Exception, *, as_page: bool | None = None) -> Reply:
        """The answer to a request of the application that was refused, in a page or as JSON, as the visitor asks.

        `as_page` says it for a door that knows better what its visitors ask for.
        """
        if isinstance(error, InvalidData):
            limit = self.mount.flows.parts.policy.session_data_bytes
            _log.error("session data was not kept: %s", why_not_kept(error, limit=limit))
        request = passage.exchange.request
        back = None
        if request.method in SAFE_METHODS:
            asked = request.path + (f"?{request.query}" if request.query else "")
            back = local_target(asked, default="") or None  # `//evil.example` is no path of ours in a link
        as_page = self.has_pages and (request.is_navigation if as_page is None else as_page)
        return passage.dressed(self.web.refusal(passage.exchange, error, back=back, as_page=as_page))

    def stands_below(self, root: str) -> None:
        """Look at the path below which the application is mounted: our pages must be below it, too, to be asked for."""
        root = root.rstrip("/")
        if root and self.has_pages and not self.mount.prefix.startswith(f"{root}/"):
            self.mention(
                "prefix",
                f"is {self.mount.prefix}, and the application stands below {root}, where no visitor gets to our pages; "
                f'say prefix="{root}{self.mount.prefix}", the whole path',
            )

    def mention(self, setting: str, words: str) -> None:
        """Say in the log, once, what a setting seems to lack: requests know what start-up cannot."""
        self.mount.mention(setting, words)

    def _look_around(self, request: Request) -> None:
        site = self.mount.site
        if not self.mount.trusted_hops and not dict(request.headers).keys().isdisjoint(FORWARDED_HEADERS):
            self.mention(
                "trusted_hops",
                "is 0, and a request has a proxy's header: behind a proxy, set trusted_proxies and trusted_hops, or "
                "the limits on failed log-ins take all visitors for one",
            )
        if site.development and not site.tls and request.scheme == "https":
            self.mention("tls", "is off, and a request came over https: set tls=True, or forms are refused as foreign")


def _networks(texts: Iterable[str], problems: list[str]) -> Iterable[Network]:
    for text in texts:
        try:
            yield ip_network(text)
        except ValueError:
            problems.append(f"trusted_proxies: {text!r} is no address or network; write them like 10.0.0.0/8")


def _misfits(settings: Mapping[str, object]) -> list[str]:
    """Say which settings are not of their type, and which do not exist; nothing where all are of their type."""
    wrong = [
        f"{name}: {settings[name]!r} is not {what}"
        for names, kind, what in _KINDS
        for name in names
        if settings.get(name) is not None and not _is_of(settings[name], kind)
    ]
    return [*wrong, *_unknown(settings)] if wrong else []


_KINDS: Sequence[tuple[Sequence[str], type | tuple[type, ...], str]] = (
    (("public_url", "prefix", "home", "namespace", "cookie_name", "forwarded_header"), str, "a text"),
    (("templates",), (str, Path), "the path of a folder"),
    (("development", "tls", "pages"), int, "True or False"),
    (("trusted_hops",), int, "a whole number"),
    (
        ("allowed_hosts", "trusted_origins", "redirect_hosts", "trusted_proxies", "passive_paths"),
        Collection,
        "a list of texts",
    ),
    (("csrf_exempt",), Mapping, 'a mapping of paths, {"/hook": Exemption(reason=...)}'),
)


def _is_of(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not (kind is Collection and isinstance(value, str | bytes))


def _unknown(settings: Mapping[str, object]) -> Iterable[str]:
    known = DoorSettings.__annotations__
    for name in settings.keys() - known.keys():
        close = get_close_matches(str(name).lower().replace("-", "_"), known, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        yield f"{name}: there is no such setting of a door{meant}"


def _problems(desk: Coatcheck[Any] | AsyncCoatcheck[Any], settings: DoorSettings) -> Iterable[str]:
    yield from _unknown(settings)
    prefix = settings.get("prefix", "/auth")
    if not prefix.startswith("/") or prefix.endswith("/") or not prefix.isascii() or {*prefix} & {*"?#%;\\ "}:
        yield f'prefix: {prefix!r} must begin with a slash and not end with one, like "/auth"'
    if not is_namespace(settings.get("namespace", DEFAULT_NAMESPACE)):
        yield f"namespace: {settings.get('namespace')!r} must be a name of letters, digits and _, like shop"
    if settings.get("public_url") is not None and not desk.has_secret:
        yield (
            "secret: is missing; give the desk at least 32 random bytes, Coatcheck(..., secret=...), the same in every "
            "process: without it a form that one process shows is refused by the next"
        )
    for path, exemption in settings.get("csrf_exempt", {}).items():
        if not path.startswith("/"):
            yield f"csrf_exempt: {path!r} is not the path of a request; it begins with a slash"
        if not exemption.reason.strip():
            yield f"csrf_exempt: say why {path!r} needs no evidence, Exemption(reason=...)"
