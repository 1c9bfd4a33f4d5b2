"""The OpenAPI 3.1 document, written from the route table: what is not routed is not described."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from coatcheck.http.problems import TITLES
from coatcheck.web.answers import Problem
from coatcheck.web.routes import ROUTES, Call

COMPONENTS = "#/components/schemas/{name}"
HIDDEN_FIELDS = frozenset({"next", "csrf_token"})  # they belong to pages
PROBLEM = "Problem"


def document() -> dict[str, Any]:
    """Write the document. It is the same for every server of this version, but for the place it is served from."""
    calls = [route for route in ROUTES if isinstance(route, Call)]
    answers = {call.answer for call in calls if call.answer is not None}
    bodies = {call.fields for call in calls if call.method != "GET" and _own_fields(call.fields)}
    shapes: list[type[Struct]] = sorted([*answers, *bodies, Problem], key=lambda shape: shape.__name__)
    _, schemas = msgspec.json.schema_components(shapes, ref_template=COMPONENTS)
    for body in bodies:
        _without_hidden(schemas[body.__name__])
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Coatcheck",
            "version": "1",  # of the API, not of the program, which no answer tells (HDR-11)
            "description": "Logins and sessions that can be trusted, seen and revoked. Refusals are "
            "application/problem+json with a stable `reason`. Clients ignore members they do not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "Account", "description": "Open an account, change its password, see what happened to it."},
            {"name": "Session", "description": "Log in, find out who is logged in, log out."},
            {"name": "Devices", "description": "See where the account is logged in, and end it there."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-coatcheck",
                    "description": "Set by logging in. In development over plain http it is called coatcheck-dev.",
                }
            },
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.action.__name__,
        "summary": call.summary,
        "tags": [call.tag],
        "parameters": [*_path_parameters(call), *_query_parameters(call)],
        "responses": _responses(call),
        # The empty choice: a session may come along (and is replaced, ended, or gets its own token), but need not.
        "security": [{"session": []}] if call.needs_session else [{}, {"session": []}],
    }
    if call.method != "GET" and _own_fields(call.fields):
        schema = {"$ref": COMPONENTS.format(name=call.fields.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _responses(call: Call) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if call.answer is None:
        responses["204"] = {"description": "Done."}
    else:
        schema = {"$ref": COMPONENTS.format(name=call.answer.__name__)}
        responses[str(call.status)] = {
            "description": (call.answer.__doc__ or "Done.").strip(),
            "content": {"application/json": {"schema": schema}},
        }
    statuses = {400, 421, 500, 503, *call.refusals, *([401] if call.needs_session else [])}
    if call.method != "GET":
        statuses |= {403, 408, 413, 415}
    for status in sorted(statuses):
        responses[str(status)] = {
            "description": _DESCRIPTIONS[status],
            "content": {"application/problem+json": {"schema": {"$ref": COMPONENTS.format(name=PROBLEM)}}},
        }
    # Said by the server itself, which never hands such a request on (CKY-12): there is no body.
    responses["431"] = {"description": "The head of the request is too large."}
    return dict(sorted(responses.items()))


_DESCRIPTIONS = {
    400: "The request cannot be understood.",
    401: "There is no live session, the credentials are wrong, or identity must be proven again.",
    403: TITLES["cross_site"],
    404: "There is no such session, or it is not yours.",
    408: TITLES["body_timeout"],
    409: "Another account has this user name or address.",
    413: TITLES["body_too_large"],
    415: TITLES["unsupported_media_type"],
    421: TITLES["unknown_host"],
    422: TITLES["invalid_input"],
    429: TITLES["too_many_attempts"],
    500: TITLES["internal_error"],
    503: TITLES["store_unavailable"],
}


def _path_parameters(call: Call) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", call.path)
    ]


def _query_parameters(call: Call) -> list[dict[str, Any]]:
    if call.method != "GET":
        return []
    return [
        {"name": field.encode_name, "in": "query", "required": False, "schema": msgspec.json.schema(field.type)}
        for field in msgspec.structs.fields(call.fields)
    ]


def _own_fields(fields: type[Struct]) -> bool:
    return any(field.name not in HIDDEN_FIELDS for field in msgspec.structs.fields(fields))


def _without_hidden(schema: dict[str, Any]) -> None:
    properties = schema.get("properties", {})
    for name in HIDDEN_FIELDS & properties.keys():
        del properties[name]
