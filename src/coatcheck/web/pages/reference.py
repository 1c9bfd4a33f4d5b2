"""An OpenAPI document as the reference page shows it: calls grouped by tag, schemas as rows, a curl line for each.

Works on the parsed document alone and follows references inside it. What the document leaves out, the page leaves out.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

METHODS = ("get", "post", "put", "patch", "delete")

_DEEPEST = 3  # nested members shown; deeper ones (and schemas that contain themselves) end there

# What an example shows for a member without an example of its own.
_SAMPLES = {"username": "ada", "identifier": "ada", "email": "ada@example.org", "subject": "subject-42"}
_SECRET_SAMPLE = "a long enough passphrase"
_TYPE_SAMPLES: Mapping[str, object] = {"boolean": True, "integer": 1, "number": 1, "array": [], "object": {}}


class Member(NamedTuple):
    """A row: a parameter, or a member of a JSON body (`account.username`)."""

    name: str
    type: str
    required: bool
    description: str


class Answer(NamedTuple):
    """One status a call may answer with, and what its body holds."""

    status: str
    description: str
    content_type: str
    members: list[Member]


class Operation(NamedTuple):
    """One call. `anchor` is unique on the page."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    deprecated: bool
    parameters: list[Member]
    body: list[Member]
    body_description: str
    answers: list[Answer]
    curl: str


class Group(NamedTuple):
    """The calls that share a first tag."""

    anchor: str
    name: str
    description: str
    operations: list[Operation]


def groups(document: Mapping[str, Any]) -> list[Group]:
    """Group the calls of a document by their first tag, tags in the order the document declares or uses them."""
    described = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    found: dict[str, list[Operation]] = {name: [] for name in described}
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                operation = _merged(item, item[method])
                tag = next(iter(operation.get("tags", [])), "")
                found.setdefault(tag, []).append(_operation(document, method, path, operation))
    used = [(name, operations) for name, operations in found.items() if operations]
    return [
        Group(f"group-{number}", name, described.get(name, ""), operations)
        for number, (name, operations) in enumerate(used, start=1)
    ]


def _merged(item: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    """Add the parameters that a path declares for all its methods."""
    return {**operation, "parameters": [*item.get("parameters", []), *operation.get("parameters", [])]}


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> Operation:
    parameters = [_resolved(document, parameter) for parameter in operation["parameters"]]
    body = _resolved(document, operation.get("requestBody", {}))
    _, schema, _ = _content(document, body)
    return Operation(
        anchor=f"{method}{path}".translate(str.maketrans("/{}", "---")),
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        deprecated=operation.get("deprecated", False),
        parameters=[
            Member(
                f"{parameter.get('name', '')} ({parameter.get('in', '')})",
                _type(document, parameter.get("schema", {})),
                parameter.get("required", False),
                parameter.get("description", ""),
            )
            for parameter in parameters
        ],
        body=list(_members(document, schema)),
        body_description=body.get("description", ""),
        answers=[
            _answer(document, status, response) for status, response in operation.get("responses", {}).items()
        ],
        curl=_curl(document, method, path, operation, body),
    )


def _answer(document: Mapping[str, Any], status: str, response: Mapping[str, Any]) -> Answer:
    response = _resolved(document, response)
    content_type, schema, _ = _content(document, response)
    return Answer(str(status), response.get("description", ""), content_type, list(_members(document, schema)))


def _content(document: Mapping[str, Any], holder: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], object]:
    """Give the first content type of a body with its schema and its example, all empty where there is no body."""
    for content_type, media in holder.get("content", {}).items():
        examples = media.get("examples", {})
        first = next(iter(examples.values()), {})
        return content_type, _resolved(document, media.get("schema", {})), media.get("example", first.get("value"))
    return "", {}, None


def _resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow `$ref` inside the document. A reference elsewhere, or in a circle, gives nothing."""
    for _ in range(8):
        reference = node.get("$ref")
        if reference is None:
            return node
        node = document if reference.startswith("#/") else {}
        for step in reference.removeprefix("#/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {})
    return {}


def _members(
    document: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "", depth: int = 1
) -> Iterator[Member]:
    for part in schema.get("allOf", []):
        yield from _members(document, _resolved(document, part), prefix, depth)
    required = schema.get("required", [])
    for name, raw in schema.get("properties", {}).items():
        member = _resolved(document, raw)
        yield Member(
            prefix + name, _type(document, raw), name in required, raw.get("description", member.get("description", ""))
        )
        if depth < _DEEPEST:
            inner, mark = _inside(document, member)
            yield from _members(document, inner, f"{prefix}{name}{mark}.", depth + 1)


def _inside(document: Mapping[str, Any], member: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Give the schema whose members are listed under a member: its own, its items', or that of a nullable object."""
    if "items" in member:
        return _resolved(document, member["items"]), "[]"
    choices = [_resolved(document, choice) for choice in (*member.get("anyOf", []), *member.get("oneOf", []))]
    return next((choice for choice in choices if "properties" in choice), member), ""


def _type(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    schema = _resolved(document, schema)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(_type(document, each) for each in schema[choice]))
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    named = schema.get("type", "object" if "properties" in schema else "any")
    types = [named] if isinstance(named, str) else named
    said = " or ".join("list" if each == "array" else each for each in types)
    return f"{said} ({schema['format']})" if "format" in schema else said


def _curl(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], body: Mapping[str, Any]
) -> str:
    base = next((server["url"] for server in document.get("servers", []) if "://" in server.get("url", "")), "$BASE")
    # curl would expand braces; what is to be filled in stands in capitals.
    filled = "".join(part.upper() if in_braces else part for in_braces, part in _braced(path))
    parts = [f'curl "{base.rstrip("/")}{filled}"']
    if method not in ("get", "post") or (method == "post" and not body):
        parts.append(f"-X {method.upper()}")
    parts.extend(_curl_credentials(document, method, operation, base))
    content_type, schema, example = _content(document, body)
    if content_type:
        sent = json.dumps(example if example is not None else _sample(document, schema), ensure_ascii=False)
        parts.append(f"-H {shlex.quote(f'Content-Type: {content_type}')}")
        parts.append(f"-d {shlex.quote(sent)}")
    return " \\\n  ".join(parts)


def _braced(path: str) -> Iterator[tuple[bool, str]]:
    for piece in path.split("{"):
        inside, brace, rest = piece.rpartition("}")
        if brace:
            yield True, inside
        yield False, rest


def _curl_credentials(
    document: Mapping[str, Any], method: str, operation: Mapping[str, Any], base: str
) -> Iterator[str]:
    declared = document.get("components", {}).get("securitySchemes", {})
    asked = operation.get("security", document.get("security", []))
    schemes = [_resolved(document, declared.get(name, {})) for choice in asked for name in choice]
    if any(scheme.get("in") == "cookie" for scheme in schemes):
        yield "-b cookies.txt -c cookies.txt"
        if method != "get":
            # CSR-02: what a cookie decides needs same-origin evidence, which a browser sends by itself.
            yield f'-H "Origin: {"/".join(base.split("/")[:3])}"'
    elif any(scheme.get("scheme") == "bearer" for scheme in schemes):
        yield '-H "Authorization: Bearer $TOKEN"'
    elif any("Set-Cookie" in _resolved(document, each).get("headers", {}) for each in _answers(operation)):
        yield "-c cookies.txt"


def _answers(operation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(operation.get("responses", {}).values())


def _sample(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 1) -> object:
    """Make an example: what the schema gives, else the required members, else something of the right type."""
    schema = _resolved(document, schema)
    for given in ("example", "const", "default"):
        if given in schema:
            return schema[given]
    for listed in ("examples", "enum"):
        if schema.get(listed):
            return schema[listed][0]
    if "properties" in schema and depth <= _DEEPEST:
        required = schema.get("required") or list(schema["properties"])
        return {
            name: _sample_member(document, name, member, depth)
            for name, member in schema["properties"].items()
            if name in required
        }
    choices = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    if choices:
        return _sample(document, choices[0], depth)
    named = schema.get("type", "string")
    return _TYPE_SAMPLES.get(named if isinstance(named, str) else named[0], "...")


def _sample_member(document: Mapping[str, Any], name: str, schema: Mapping[str, Any], depth: int) -> object:
    sample = _sample(document, schema, depth + 1)
    if sample != "...":
        return sample
    return _SECRET_SAMPLE if "password" in name else _SAMPLES.get(name, sample)
