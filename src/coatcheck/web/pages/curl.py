"""A call from an OpenAPI document as a line for curl that can be copied and run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from coatcheck.web.pages.openapi import DEEPEST, NOTHING, Node, content, resolved

_UNKNOWN = "..."
_TYPE_SAMPLES: Mapping[str, object] = {"boolean": True, "integer": 1, "number": 1, "array": [], "object": {}}
_NAME_SAMPLES = {
    "username": "ada",
    "identifier": "ada",
    "email": "ada@example.org",
    "password": "a long enough passphrase",
    "current_password": "a long enough passphrase",
    "new_password": "another long passphrase",
}


def curl(document: Node, method: str, path: str, operation: Node) -> str:
    """Write the call. Members of the path that are to be filled in stand in capitals.

    The address is the document's first absolute server; where it names none, `$BASE`.
    """
    base = next((s["url"].rstrip("/") for s in document.get("servers", []) if "://" in s.get("url", "")), "$BASE")
    body = content(document, resolved(document, operation.get("requestBody", NOTHING)))
    parts = [f'curl "{base}{_filled(path)}"']
    if method != ("post" if body.type else "get"):
        parts.append(f"-X {method.upper()}")
    parts.extend(_credentials(document, method, operation, base))
    if body.type:
        sent = _sample(document, body.schema) if body.example is None else body.example
        parts.append(f"-H {shlex.quote(f'Content-Type: {body.type}')}")
        parts.append(f"-d {shlex.quote(json.dumps(sent, ensure_ascii=False))}")
    return " \\\n  ".join(parts)


def _filled(path: str) -> str:
    """Replace `{id}` by `ID`: curl would expand the braces."""
    steps = path.split("/")
    return "/".join(step[1:-1].upper() if step.startswith("{") and step.endswith("}") else step for step in steps)


def _credentials(document: Node, method: str, operation: Node, base: str) -> Iterator[str]:
    declared = document.get("components", NOTHING).get("securitySchemes", NOTHING)
    asked = operation.get("security", document.get("security", []))
    schemes = [resolved(document, declared.get(name, NOTHING)) for choice in asked for name in choice]
    if any(scheme.get("in") == "cookie" for scheme in schemes):
        yield "-b cookies.txt -c cookies.txt"
        if method != "get":
            # CSR-02: what a cookie decides needs same-origin evidence, which browsers send by themselves.
            yield f'-H "Origin: {_origin(base)}"'
    elif any(scheme.get("scheme") == "bearer" for scheme in schemes):
        yield '-H "Authorization: Bearer $TOKEN"'
    elif any("Set-Cookie" in resolved(document, answer).get("headers", NOTHING) for answer in _answers(operation)):
        yield "-c cookies.txt"


def _answers(operation: Node) -> list[Node]:
    return list(operation.get("responses", NOTHING).values())


def _origin(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else base


def _sample(document: Node, schema: Node, name: str = "", depth: int = 1) -> object:
    """Make a value: an example the schema gives, what the name suggests, an object's members, or the bare type."""
    schema = resolved(document, schema)
    for given in ("example", "const"):
        if given in schema:
            return schema[given]
    for listed in ("examples", "enum"):
        if schema.get(listed):
            return schema[listed][0]
    if name in _NAME_SAMPLES:
        return _NAME_SAMPLES[name]
    if "default" in schema:
        return schema["default"]
    if "properties" in schema and depth <= DEEPEST:
        required = schema.get("required") or list(schema["properties"])
        shown = [key for key in schema["properties"] if key in required or key in _NAME_SAMPLES]
        return {key: _sample(document, schema["properties"][key], key, depth + 1) for key in shown}
    named = schema.get("type", "string")
    return _TYPE_SAMPLES.get(named if isinstance(named, str) else named[0], _UNKNOWN)
