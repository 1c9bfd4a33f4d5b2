"""What all requests at one place share: the desk behind it, the site, the pages, and whom we believe."""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

from coatcheck.errors import ConfigurationError
from coatcheck.facade import AsyncCoatcheck, Coatcheck
from coatcheck.flows.bundle import Flows
from coatcheck.http.client_address import FORWARDED_HEADERS, Network
from coatcheck.http.headers import Headers, logout_headers, transport_headers
from coatcheck.http.hosts import Site
from coatcheck.web.pages import PATHS, Pages

_log = logging.getLogger("coatcheck")
_claims: WeakValueDictionary[tuple[str, str], Mount] = WeakValueDictionary()


def problems_of_passive_paths(paths: Collection[str]) -> list[str]:
    """Say which of these can be the path of no request."""
    return [
        f"passive_paths: {path!r} must begin with /, such as /api/me"
        for path in sorted(paths)
        if not path.startswith("/")
    ]


def release_hosts_of(flows: Flows[Any]) -> None:
    """Give up what the mounts of one desk took by `claim_host`: for who closes a desk and has no mount at hand."""
    for claimed in [claimed for claimed, mount in _claims.items() if mount.flows is flows]:
        del _claims[claimed]


class Mount:
    """Pages and API of one desk under one prefix.

    Args:
        desk: either desk; its flows are awaited.
        site: origin, hosts and cookies.
        prefix: where we are mounted: "" for the server, "/auth" for a door.
        home: the path where a log-in leads that names no other; the account page if it is None. Below a prefix our
            pages lead back there.
        templates: a folder whose templates win over ours.
        trusted_proxies, trusted_hops: who may tell us a client's address, and how many proxies there are.
        forwarded_header: the header in which they tell it; the other one is the client's own, and ignored.
        passive_paths: paths, without the prefix, whose requests are no activity: polling does not keep a session
            alive (TMO-09).
        is_whole_site: there is no other application on this host, so that what we tell the browser of the host
            (https only, drop what you cached) speaks for nobody else.

    Raises:
        ConfigurationError: jinja2 is missing, or a setting cannot be used.
    """

    def __init__(
        self,
        desk: Coatcheck[Any] | AsyncCoatcheck[Any],
        site: Site,
        *,
        prefix: str = "",
        home: str | None = None,
        templates: Path | None = None,
        trusted_proxies: Sequence[Network] = (),
        trusted_hops: int = 0,
        forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for",
        passive_paths: Collection[str] = (),
        is_whole_site: bool = False,
    ) -> None:
        self.forwarded_header = forwarded_header.encode()
        if self.forwarded_header not in FORWARDED_HEADERS:
            raise ConfigurationError(f"forwarded_header: {forwarded_header!r} is not x-forwarded-for or forwarded")
        self.flows = desk.flows
        self.keys = desk.keys
        self.now = desk.clock
        self.site = site
        self.prefix = prefix
        account = prefix + PATHS["account"]
        self.home = home or account
        # Without a prefix everything on this host is ours, and there is nowhere to go back to.
        application = self.home if prefix and self.home != account else None
        self.pages = Pages(prefix=prefix, templates=templates, application=application)
        self.trusted_proxies = trusted_proxies
        self.trusted_hops = trusted_hops
        self.passive_paths = frozenset(passive_paths)
        if problems := problems_of_passive_paths(self.passive_paths):
            raise ConfigurationError(*problems)
        self._is_whole_site = is_whole_site
        self._mentioned: set[str] = set()
        # What every reply says of the whole host (HDR-04), a refusal of the host itself too. Not in development: it
        # would pin localhost to https for a year.
        self.site_headers = transport_headers(secure=is_whole_site and site.public_origin is not None)

    def mention(self, subject: str, words: str) -> None:
        """Say something of a subject in the log, once: requests know what start-up cannot."""
        if subject not in self._mentioned:
            self._mentioned.add(subject)
            _log.warning("%s: %s", subject, words)

    def claim_host(self) -> None:
        """Take this site's host and cookie name for this desk's store, as long as this mount lives.

        Raises `ConfigurationError` if another store of this process has them: each would take the other's cookies for
        expired ones of its own. Ports do not tell them apart, for browsers send cookies to all ports (HST-07).
        In development, where tests make one application after the other, nothing is claimed.
        """
        origin = self.site.public_origin
        if origin is None:
            return
        claimed = (self.site.session_cookie.name, origin.host)
        if self._is_taken(claimed):
            gc.collect()  # a mount that nobody refers to any more claims nothing
        if self._is_taken(claimed):
            raise ConfigurationError(
                f"cookie_name: another Coatcheck of this process uses {claimed[0]} on the same host with another "
                "store; give one of the two a cookie_name of its own"
            )
        _claims[claimed] = self

    def release_host(self) -> None:
        """Give up what `claim_host` took: for who closes one application and opens another in the same process."""
        for claimed in [claimed for claimed, mount in _claims.items() if mount is self]:
            del _claims[claimed]

    def _is_taken(self, claimed: tuple[str, str]) -> bool:
        # The other mount is referred to in here only, or it could not be collected.
        other = _claims.get(claimed)
        if other is None or other is self:
            return False
        return other.flows.parts.store.location != self.flows.parts.store.location

    def headers_of_log_out(self) -> Headers:
        """What the end of a session asks the browser to drop (HDR-08)."""
        return logout_headers() if self._is_whole_site else ()
