"""Reading a parsed OpenAPI document: following its references, finding what a body holds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Node = Mapping[str, Any]

NOTHING: Node = MappingProxyType({})

DEEPEST = 3  # nested members that are looked at; a schema that contains itself ends there, too


class Content(NamedTuple):
    """What a request or answer body holds: content type, resolved schema, example. All empty without a body."""

    type: str = ""
    schema: Node = NOTHING
    example: object = None


def resolved(document: Node, node: Node) -> Node:
    """Follow `$ref` inside the document. A reference to elsewhere, to nothing, or in a circle gives an empty node."""
    for _ in range(8):
        reference = node.get("$ref")
        if reference is None:
            return node
        node = document if reference.startswith("#/") else NOTHING
        for step in reference.removeprefix("#/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~"), NOTHING)
    return NOTHING


def content(document: Node, holder: Node) -> Content:
    """Give the first content of a request body or a response; a document lists the preferred one first."""
    for content_type, media in holder.get("content", NOTHING).items():
        named: Node = next(iter(media.get("examples", NOTHING).values()), NOTHING)
        example = media.get("example", named.get("value"))
        return Content(content_type, resolved(document, media.get("schema", NOTHING)), example)
    return Content()
