"""The application that `coatcheck serve` runs: health, documentation, and `coatcheck.web` behind them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from coatcheck.asgi import CoatcheckASGI, Message, Receive, Scope, Send, request_of, send_reply
from coatcheck.errors import CoatcheckError, ConfigurationError, StoreUnavailable
from coatcheck.facade import AsyncCoatcheck
from coatcheck.http.headers import json_headers, page_headers
from coatcheck.http.hosts import HostRefused, Site, locate
from coatcheck.http.messages import Reply
from coatcheck.http.problems import problem, to_reply
from coatcheck.server.housekeeping import housekeeping
from coatcheck.server.openapi import document
from coatcheck.web.app import Web
from coatcheck.web.mount import Mount
from coatcheck.web.showing import HTML

if TYPE_CHECKING:
    from coatcheck.server.config import Config


_log = logging.getLogger("coatcheck")


class ServerApp:
    """One process of the server: answers health and documentation itself and hands everything else to the web."""

    def __init__(self, config: Config) -> None:
        self.desk = AsyncCoatcheck(
            config.store,
            sessions=config.sessions,
            secret=config.secret,
            profile=config.profile,
            settings=config.settings,
        )
        site = Site.configure(
            public_url=config.public_url,
            development=config.development,
            tls=config.tls_self_signed,
            allowed_hosts=config.allowed_hosts,
            trusted_origins=config.trusted_origins,
            redirect_hosts=config.redirect_hosts,
            cookie_name=config.cookie_name,
            strict=self.desk.policy.same_site == "Strict",
        )
        self.mount = Mount(
            self.desk,
            site,
            templates=config.templates,
            trusted_proxies=config.trusted_proxies,
            trusted_hops=config.trusted_hops,
            forwarded_header=config.forwarded_header,
            passive_paths=config.passive_paths,
            is_whole_site=True,
        )
        self._door = CoatcheckASGI(Web(self.mount))
        openapi = document()
        docs = self.mount.pages.render("docs.html", document=openapi, csrf_token="", development=config.development)
        as_json = ("content-type", "application/json")
        self._documents = {
            "/openapi.json": Reply(status=200, headers=(as_json, *json_headers()), body=msgspec.json.encode(openapi)),
            "/docs": Reply(status=200, headers=(HTML, *page_headers()), body=docs),
        }
        self._housekeeping: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        reply = await self._own_reply(scope, receive) if reads else None
        if reply is None:
            await self._door(scope, receive, send)
        else:
            await send_reply(reply.with_headers(*self.mount.site_headers), send, with_body=scope["method"] == "GET")

    async def _own_reply(self, scope: Scope, receive: Receive) -> Reply | None:
        path = scope["path"]
        # Health is asked by load balancers under any host name: it tells nothing and looks at nothing of the request.
        if path == "/healthz":
            return _health("alive")
        if path == "/readyz":
            return await self._readiness()
        document = self._documents.get(path)
        if document is None:
            return None
        place = locate(self.mount.site, request_of(scope, receive))
        if isinstance(place, HostRefused):
            return to_reply(problem(place.status, place.reason))
        return document

    async def _readiness(self) -> Reply:
        try:
            await self.desk.ready()
        except CoatcheckError:
            # Whatever keeps it from serving, also a file that is gone or has become another: traffic belongs elsewhere.
            return to_reply(problem(503, "store_unavailable", retry_after=1))
        return _health("ready")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message: Message = await receive()
            if message["type"] == "lifespan.startup":
                # Whoever started the server was told of a store that cannot be reached. A process that takes the place
                # of another amid an outage answers 503 until that is over: it must not end the server.
                try:
                    await self.desk.ready()
                except CoatcheckError as error:
                    if isinstance(error, ConfigurationError) or not isinstance(error, StoreUnavailable):
                        await send({"type": "lifespan.startup.failed", "message": str(error)})
                        return
                    _log.error("the store failed: %s", error)
                self._housekeeping = asyncio.ensure_future(housekeeping(self.desk))
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._housekeeping is not None:
                    self._housekeeping.cancel()
                await self.desk.close()
                self.mount.release_host()
                await send({"type": "lifespan.shutdown.complete"})
                return


def create_app(config: Config) -> ServerApp:
    """Make the application of one server process. Opens nothing yet; the lifespan's start-up does.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    return ServerApp(config)


def _health(state: str) -> Reply:
    headers = (("content-type", "application/json"), *json_headers())
    return Reply(status=200, headers=headers, body=msgspec.json.encode({"status": state}))
