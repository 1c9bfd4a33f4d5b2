"""The application that `coatcheck serve` runs: health, documentation, and `coatcheck.web` behind them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from coatcheck.asgi import CoatcheckASGI, Message, Receive, Scope, Send, send_reply
from coatcheck.errors import CoatcheckError
from coatcheck.facade import AsyncCoatcheck
from coatcheck.http.headers import json_headers, page_headers
from coatcheck.http.hosts import Site
from coatcheck.http.messages import Reply
from coatcheck.http.problems import problem_of, to_reply
from coatcheck.server.housekeeping import housekeeping
from coatcheck.server.openapi import document
from coatcheck.web.app import Web
from coatcheck.web.showing import HTML

if TYPE_CHECKING:
    from coatcheck.server.config import Config


class ServerApp:
    """One process of the server: answers health and documentation itself and hands everything else to the web."""

    def __init__(self, config: Config) -> None:
        self.desk = AsyncCoatcheck(config.store, secret=config.secret, profile=config.profile, settings=config.settings)
        site = Site.configure(
            public_url=config.public_url,
            development=config.development,
            tls=config.tls_self_signed,
            allowed_hosts=config.allowed_hosts,
            trusted_origins=config.trusted_origins,
            redirect_hosts=config.redirect_hosts,
            strict=config.profile == "strict",
        )
        self.web = Web(
            self.desk,
            site,
            templates=config.templates,
            trusted_proxies=config.trusted_proxies,
            trusted_hops=config.trusted_hops,
            clears_site_data=True,
        )
        self._door = CoatcheckASGI(self.web)
        openapi = document()
        docs = self.web.pages.render("docs.html", document=openapi, csrf_token="", development=config.development)
        as_json = ("content-type", "application/json")
        self._fixed = {
            "/openapi.json": Reply(status=200, headers=(as_json, *json_headers()), body=msgspec.json.encode(openapi)),
            "/docs": Reply(status=200, headers=(HTML, *page_headers()), body=docs),
            "/healthz": _health(200, "alive"),
        }
        self._own_paths = frozenset({*self._fixed, "/readyz"})
        self._housekeeping: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] in self._own_paths:
            reply = self._fixed.get(scope["path"]) or await self._readiness()
            await send_reply(reply, send, with_body=scope["method"] == "GET")
        else:
            await self._door(scope, receive, send)

    async def _readiness(self) -> Reply:
        try:
            await self.desk.ready()
        except CoatcheckError as error:
            return to_reply(problem_of(error))
        return _health(200, "ready")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message: Message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.desk.ready()
                except CoatcheckError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                self._housekeeping = asyncio.ensure_future(housekeeping(self.desk))
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._housekeeping is not None:
                    self._housekeeping.cancel()
                await self.desk.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def create_app(config: Config) -> ServerApp:
    """Make the application of one server process. Opens nothing yet; the lifespan's start-up does.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    return ServerApp(config)


def _health(status: int, state: str) -> Reply:
    # Asked by load balancers under any host name: it tells nothing and looks at nothing of the request.
    headers = (("content-type", "application/json"), *json_headers())
    return Reply(status=status, headers=headers, body=msgspec.json.encode({"status": state}))
