"""The whole web of Coatcheck without a framework: a request comes in, a reply goes out.

Order of things, each before anything that costs more: host (HST-01), route and method, cross-site evidence in the
headers (CSR-12), body, form token, action. Nothing here decides about sessions; that is the flows' business.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from coatcheck.errors import (
    BadRequest,
    CoatcheckError,
    CrossSite,
    NotAuthenticated,
    Refused,
    StepUpRequired,
    StoreError,
)
from coatcheck.http import csrf
from coatcheck.http.bodies import form_fields, json_fields, query_fields
from coatcheck.http.headers import json_headers
from coatcheck.http.hosts import HostRefused, Place, locate
from coatcheck.http.messages import MAX_BODY, ClientGone, Reply, Request
from coatcheck.http.problems import Problem, problem, problem_of, to_reply
from coatcheck.web import evidence
from coatcheck.web.exchange import Exchange, FormTrouble
from coatcheck.web.mount import Mount
from coatcheck.web.routes import ROUTES, Call, Form, Page
from coatcheck.web.showing import json_reply, page_reply, problem_page, redirect, told_of_host, trouble_of, with_session

_log = logging.getLogger("coatcheck")

Route = Page | Form | Call
_PAGES = {route.view: route.path for route in ROUTES if isinstance(route, Page)}
NO_TROUBLE = FormTrouble()
NO_TOKEN = (
    "a form was posted without its field csrf_token, which forms to our own pages bear whatever a browser's headers "
    "say; put csrf_token() into it"
)
MENDED_BY_WAITING = (408, 429, 500, 503)


class Web:
    """Answers requests at one mount."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self._routes = _Table(ROUTES)

    async def answer(self, request: Request) -> tuple[Reply, Exchange | None]:
        """Answer a request; never raises for what a visitor did, nor for a store in trouble.

        Only `ClientGone` comes out, from a request whose body breaks off: there is nobody to answer.
        With the reply comes the exchange, if it came that far: give it to `finish` when the reply has been sent.
        """
        place = locate(self.mount.site, request)
        if isinstance(place, HostRefused):
            exchange, reply = None, to_reply(told_of_host(self.mount, place))
        else:
            exchange, reply = await self._reply(request, place)
        return reply.with_headers(*self.mount.site_headers), exchange

    async def finish(self, exchange: Exchange | None) -> None:
        """Do what may wait until the answer is out: note that the session was used."""
        visit = None if exchange is None else exchange.known_visit
        if visit and visit.is_touch_due and exchange is not None and not exchange.is_passive:
            try:
                await self.mount.flows.sessions.renew(visit.session)
            except CoatcheckError:
                return  # ended or store down: the next request will hear of it

    async def _reply(self, request: Request, place: Place) -> tuple[Exchange | None, Reply]:
        path = request.path.removeprefix(self.mount.prefix) or "/"
        if not request.path.startswith(self.mount.prefix):
            return None, self._problem(path, problem(404, "not_found"))
        if path.startswith("/assets/"):
            return None, self._asset(request, path)
        found = self._routes.find(request.method, path)
        if isinstance(found, list):
            return None, self._method_refused(request, path, found)
        route, params = found
        exchange = Exchange(self.mount, request, place, params, is_page=not isinstance(route, Call))
        try:
            reply = await self._answer(exchange, route)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must let nobody through, nor show itself (ERR-02)
            reply = self._refused(exchange, route, error)
        return exchange, reply

    async def _answer(self, exchange: Exchange, route: Route) -> Reply:
        if isinstance(route, Page):
            reply = await route.view(exchange, NO_TROUBLE)
            return with_session(exchange, reply, None, ended=False)
        if isinstance(route, Call):
            return await self._answer_call(exchange, route)
        return await self._answer_form(exchange, route)

    async def _answer_call(self, exchange: Exchange, route: Call) -> Reply:
        request = exchange.request
        if route.method in csrf.SAFE_METHODS:
            fields = query_fields(request.query, route.fields)
        else:
            verdict = await evidence.judge(exchange)
            if verdict is csrf.Verdict.NEEDS_TOKEN:
                await evidence.require_token(exchange, None)
            body = await request.read(MAX_BODY)
            fields = json_fields(body, request.header(b"content-type"), route.fields)
        outcome = await route.action(exchange, fields)
        return with_session(exchange, json_reply(outcome), outcome.login, ended=outcome.ended)

    async def _answer_form(self, exchange: Exchange, route: Form) -> Reply:
        request = exchange.request
        verdict = await evidence.judge(exchange)
        body, content_type = await request.read(MAX_BODY), request.header(b"content-type")
        if not (route.is_harmless_without_session and exchange.token is None):
            token = form_fields(body, content_type, evidence.FormToken).csrf_token
            try:
                await evidence.require_token(exchange, token)
            except CrossSite as error:
                if token is None and verdict.passes:
                    self.mount.mention(f"csrf_token_required: {request.path}", NO_TOKEN)
                if not verdict.passes or request.asks_for_json:
                    raise
                return await self._show_again(exchange, route, error, body, content_type)
        typed: dict[str, str] = {}
        try:
            fields = form_fields(body, content_type, route.fields)
            typed = _typed(fields)
            outcome = await route.action(exchange, fields)
        except (NotAuthenticated, StepUpRequired, CrossSite):
            raise
        except Refused as error:
            if request.asks_for_json:
                raise
            trouble = trouble_of(problem_of(error), error, typed)
            return with_session(exchange, await route.view(exchange, trouble), None, ended=False)
        return with_session(exchange, page_reply(exchange, outcome), outcome.login, ended=outcome.ended)

    async def _show_again(
        self, exchange: Exchange, route: Form, error: CrossSite, body: bytes, content_type: bytes | None
    ) -> Reply:
        """Refuse a form whose token is not good (any more) by showing it once more, with a good one and what was typed.

        The post itself does nothing (CSR-06, FIX-04): whoever left the page open in another tab looks at it and sends
        it again. Only for posts that the headers already call our own, or another site could fill in our forms.
        """
        try:
            typed = _typed(form_fields(body, content_type, route.fields))
        except BadRequest:
            typed = {}
        try:
            reply = await route.view(exchange, trouble_of(problem_of(error), error, typed))
        except Refused:
            raise error from None  # the page needs a session, which is over
        return with_session(exchange, reply, None, ended=False)

    def _refused(self, exchange: Exchange, route: Route, error: Exception) -> Reply:
        if not isinstance(error, Refused | StoreError):
            _forget_locals(error)
            _log.exception("an action failed")
        if isinstance(route, Call) or (isinstance(route, Form) and exchange.request.asks_for_json):
            return self.refusal(exchange, error, back=None, as_page=False)
        return self.refusal(exchange, error, back=self._page_of(route), as_page=True)

    def refusal(self, exchange: Exchange, error: Exception, *, back: str | None, as_page: bool) -> Reply:
        """Say no, in a page or as a problem: to a stranger on a page by sending them where they can prove who they are.

        `back` is the path of a page that may be asked for again when that is done, or when waiting has helped.
        """
        if isinstance(error, StoreError):
            _log.error("the store failed: %s", error)
        told = problem_of(error)
        if not as_page:
            reply = to_reply(told)
        elif isinstance(error, NotAuthenticated | StepUpRequired) and exchange.request.is_navigation:
            reply = self._to_proof(exchange, error, back)
        else:
            again = back if _helps_to_try_again(told, exchange.request) else None
            reply = problem_page(self.mount, told, again=again)
        if isinstance(error, StoreError):
            return reply
        return with_session(exchange, reply, None, ended=False)

    def _to_proof(self, exchange: Exchange, error: Exception, back: str | None) -> Reply:
        if isinstance(error, StepUpRequired):
            return redirect(self.mount.pages.path("reauthenticate", next=back))
        return redirect(self.mount.pages.path("log_in", next=back, ended=exchange.ending))

    def _page_of(self, route: Page | Form) -> str:
        """The path of the page itself, or of the one that shows the form."""
        return self.mount.prefix + (route.path if isinstance(route, Page) else _PAGES[route.view])

    def _method_refused(self, request: Request, path: str, allowed: list[str]) -> Reply:
        if not allowed:
            return self._problem(path, problem(404, "not_found"))
        methods = ", ".join(sorted({*allowed, "OPTIONS", *(["HEAD"] if "GET" in allowed else [])}))
        if request.method == "OPTIONS":
            return Reply(status=204, headers=(("allow", methods), *json_headers()))
        return self._problem(path, problem(405, "method_not_allowed")).with_headers(("allow", methods))

    def _problem(self, path: str, told: Problem) -> Reply:
        return to_reply(told) if path.startswith("/api/") else problem_page(self.mount, told)

    def _asset(self, request: Request, path: str) -> Reply:
        asset = self.mount.pages.asset(path.removeprefix("/assets/"))
        if asset is None or request.method not in ("GET", "HEAD"):
            return self._problem(path, problem(404, "not_found"))
        headers = (
            ("content-type", asset.content_type),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("etag", asset.etag),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
        )
        if asset.etag.encode() in request.all(b"if-none-match"):
            return Reply(status=304, headers=headers)
        return Reply(status=200, headers=headers, body=asset.body)


class _Table:
    """The routes by path; those with a part in braces are tried in order after the plain ones."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for route in routes:
            method = route.method if isinstance(route, Call) else "GET" if isinstance(route, Page) else "POST"
            if "{" in route.path:
                pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9_-]{1,64})", route.path))
                self._patterns.append((pattern, {method: route}))
            else:
                self._plain.setdefault(route.path, {})[method] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | list[str]:
        """Give the route, or the methods that the path does answer (none: there is no such path)."""
        method = "GET" if method == "HEAD" else method
        by_method, params = self._plain.get(path), dict[str, str]()
        if by_method is None:
            for pattern, candidates in self._patterns:
                if match := pattern.fullmatch(path):
                    by_method, params = candidates, match.groupdict()
                    break
        if by_method is None:
            return []
        route = by_method.get(method)
        return list(by_method) if route is None else (route, params)


def _helps_to_try_again(told: Problem, request: Request) -> bool:
    """Say whether another try can help: it cannot where something is forbidden, malformed or not there."""
    if told.status == 401:
        return request.method in csrf.SAFE_METHODS
    return told.status in MENDED_BY_WAITING or told.reason == "csrf_token_invalid"  # a form with a good one


def _forget_locals(error: BaseException) -> None:
    """Empty the frames an error came through: what collects errors shows their variables, passwords too (ERR-08)."""
    seen: list[BaseException] = []
    causes: list[BaseException | None] = [error]
    while causes:
        cause = causes.pop()
        if cause is not None and cause not in seen:
            seen.append(cause)
            traceback.clear_frames(cause.__traceback__)
            causes += [cause.__cause__, cause.__context__]


def _typed(fields: Any) -> dict[str, str]:
    """What was typed, for showing a refused form again; never a password (`trouble_of`)."""
    given = msgspec.structs.asdict(fields)
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    return texts | {name: "on" for name, value in given.items() if value is True}
