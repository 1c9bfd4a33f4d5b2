"""What the door knows of an application's routes: which are exempt, and what OpenAPI says of those with a guard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import fastapi.routing
import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute, compile_path

from coatcheck.asgi import Scope
from coatcheck.fastapi.guards import SCHEME, Guard, OptionalGuard
from coatcheck.http.csrf import SAFE_METHODS
from coatcheck.web.answers import Problem
from coatcheck.web.door import Exemption, exemption_of

_log = logging.getLogger("coatcheck")

# An included router was copied, route by route; later versions of FastAPI keep it, and tell of its routes in this way.
_contexts_of = cast(
    "Callable[[Sequence[BaseRoute]], Iterable[Any]]", getattr(fastapi.routing, "iter_route_contexts", iter)
)

_SHAPE = "#/components/schemas/Coatcheck{name}"
_DESCRIPTIONS = {
    401: "Nobody is logged in, or identity must be proven again.",
    403: "It is for somebody else, or the request does not come from a page of this site.",
    503: "The service is not available at this moment.",
}


class Known(NamedTuple):
    """A route and the whole path at which it stands. What FastAPI tells of it is None where something is mounted."""

    path: str
    told: Any

    @property
    def endpoint(self) -> object:
        """What answers there."""
        return getattr(self.told, "endpoint", None)

    @property
    def methods(self) -> frozenset[str]:
        """The methods it answers to; none in particular where there are none."""
        return frozenset(getattr(self.told, "methods", None) or ())

    @property
    def original(self) -> object:
        """The route as it was made."""
        return getattr(self.told, "original_route", self.told)

    def answers(self, scope: Scope) -> bool:
        """Whether it is for requests of this kind, or a WebSocket, and of this method."""
        if self.told is None:
            return True
        is_socket = isinstance(self.original, WebSocketRoute)
        return is_socket == (scope["type"] == "websocket") and (not self.methods or scope.get("method") in self.methods)


def routes_of(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[Known]:
    """Give an application's routes in the order in which they are tried, those of applications inside it too."""
    for told in _contexts_of(routes):
        original = getattr(told, "original_route", told)
        if isinstance(original, Mount):
            path = f"{prefix}{told.path}"
            yield from routes_of(told.routes, path)
            yield Known(f"{path}/{{path:path}}", None)  # nothing below it goes any further
        elif isinstance(original, Host):
            yield Known(f"{prefix}/{{path:path}}", None)  # a path alone does not tell whether it is for that host
        elif getattr(told, "path", None) is not None:
            yield Known(f"{prefix}{told.path}", told)


class Exemptions:
    """Which requests come to an endpoint that is marked with `csrf_exempt`.

    The door stands before the routes, where nobody has found out yet which one it is: the first that fits, as there.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        known = [(one, exemption_of(one.endpoint)) for one in routes_of(routes)]
        is_any = any(exemption is not None for _, exemption in known)
        self._known = [(compile_path(one.path)[0], one, exemption) for one, exemption in known] if is_any else []
        for one, exemption in known:
            if exemption is not None:
                _log.info(
                    "csrf_exempt: requests to %s need no evidence of their origin: %s", one.path, exemption.reason
                )

    def of(self, scope: Scope) -> Exemption | None:
        """Give the exemption of the endpoint that a request comes to."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        fitting = (exemption for pattern, one, exemption in self._known if pattern.match(path) and one.answers(scope))
        return next(fitting, None)


class Description:
    """What an application's OpenAPI document says of refusals, of each operation what its guards refuse with.

    It is part of the document from `begin` to `end`; whoever writes a document to a file does it meanwhile.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._inner = app.openapi
        mounts = [
            told.app for told in _contexts_of(app.routes) if isinstance(getattr(told, "original_route", told), Mount)
        ]
        self._mounted = [Description(inner) for inner in mounts if isinstance(inner, FastAPI)]

    def begin(self) -> None:
        """Take the place of what FastAPI makes, as its documentation has it ("Extending OpenAPI")."""
        self._app.openapi = self._document  # type: ignore[method-assign]  # as that page does it
        for mounted in self._mounted:
            mounted.begin()

    def end(self) -> None:
        """Leave the application as it was."""
        self._app.openapi = self._inner  # type: ignore[method-assign]  # likewise
        for mounted in self._mounted:
            mounted.end()

    def _document(self) -> dict[str, Any]:
        document = self._inner()
        paths: dict[str, dict[str, Any]] = document.get("paths", {})
        for told in _contexts_of(self._app.routes):
            route = getattr(told, "original_route", told)
            guards = list(_guards_in(told.dependant)) if isinstance(route, APIRoute) else []
            for method in told.methods if guards else ():
                operation = paths.get(told.path_format, {}).get(method.lower())
                if operation is not None:
                    _tell(operation, _statuses(guards, method))
                    if all(isinstance(guard, OptionalGuard) for guard in guards):
                        _let_strangers_in(operation)
                    _add_shapes(document)
        return document


def _guards_in(dependant: Any) -> Iterator[Guard[Any]]:
    for inner in dependant.dependencies:
        call: object = inner.call
        if isinstance(call, Guard):
            yield cast(Any, call)
        yield from _guards_in(inner)


def _statuses(guards: Iterable[Guard[Any]], method: str) -> list[int]:
    evidence = {403} if method not in SAFE_METHODS else set[int]()
    return sorted({503, *evidence, *(status for guard in guards for status in guard.statuses)})


def _tell(operation: dict[str, Any], statuses: Iterable[int]) -> None:
    responses = operation.setdefault("responses", {})
    for status in statuses:
        schema = {"$ref": _SHAPE.format(name=Problem.__name__)}
        told = {"description": _DESCRIPTIONS[status], "content": {"application/problem+json": {"schema": schema}}}
        responses.setdefault(str(status), told)


def _let_strangers_in(operation: dict[str, Any]) -> None:
    """Say that the cookie may be left out: OpenAPI writes an empty requirement beside the others."""
    requirements: list[dict[str, Any]] = operation.get("security", [])
    if requirements and all(requirement.keys() == {SCHEME} for requirement in requirements):
        requirements.insert(0, {})


def _add_shapes(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, shapes = msgspec.json.schema_components([Problem], ref_template=_SHAPE)
    for name, shape in shapes.items():
        schemas.setdefault(f"Coatcheck{name}", shape)
