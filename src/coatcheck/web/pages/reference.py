"""An OpenAPI document as the reference page shows it: calls by tag, schemas as rows, a curl line for each call.

What the document leaves out, the page leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from coatcheck.web.pages.curl import curl
from coatcheck.web.pages.openapi import DEEPEST, NOTHING, Node, content, resolved

METHODS = ("get", "post", "put", "patch", "delete")


class Member(NamedTuple):
    """A row: a parameter, or a member of a JSON body by its way there (`account.username`, `sessions[].id`)."""

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

    @property
    def is_refusal(self) -> bool:
        """Whether the status is of class 4 or 5."""
        return self.status.startswith(("4", "5"))


class Operation(NamedTuple):
    """One call. `anchor` is its place on the page; `refusals` are its answers from 400 on."""

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
    refusals: list[Answer]
    curl: str


class Group(NamedTuple):
    """The calls that share a first tag."""

    anchor: str
    name: str
    description: str
    operations: list[Operation]


def groups(document: Node) -> list[Group]:
    """Group the calls of a document by their first tag, in the order in which tags are declared, then used."""
    described: dict[str, str] = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    found: dict[str, list[Operation]] = {name: [] for name in described}
    for path, item in document.get("paths", NOTHING).items():
        for method in METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags", [])), "API")
                found.setdefault(tag, []).append(_operation(document, method, path, item))
    used = [(name, operations) for name, operations in found.items() if operations]
    return [
        Group(f"group-{number}", name, described.get(name, ""), operations)
        for number, (name, operations) in enumerate(used, start=1)
    ]


def refusal_members(shown: list[Group]) -> list[Member]:
    """Give the rows of the body in which refusals come: it is the same for all, so the page shows it once."""
    for group in shown:
        for operation in group.operations:
            for refusal in operation.refusals:
                if refusal.members:
                    return refusal.members
    return []


def _operation(document: Node, method: str, path: str, item: Node) -> Operation:
    operation: Node = {"responses": NOTHING, **item[method]}
    body = resolved(document, operation.get("requestBody", NOTHING))
    # What a path declares holds for all its methods.
    parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
    answers = [_answer(document, status, answer) for status, answer in operation["responses"].items()]
    return Operation(
        anchor=method + path.translate(str.maketrans("/{}", "---")),
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        deprecated=operation.get("deprecated", False),
        parameters=[_parameter(document, resolved(document, parameter)) for parameter in parameters],
        body=list(_members(document, content(document, body).schema)),
        body_description=body.get("description", ""),
        answers=[answer for answer in answers if not answer.is_refusal],
        refusals=[answer for answer in answers if answer.is_refusal],
        curl=curl(document, method, path, operation),
    )


def _parameter(document: Node, parameter: Node) -> Member:
    return Member(
        name=f"{parameter.get('name', '')} ({parameter.get('in', '')})",
        type=_type(document, parameter.get("schema", NOTHING)),
        required=parameter.get("required", False),
        description=parameter.get("description", ""),
    )


def _answer(document: Node, status: str, answer: Node) -> Answer:
    answer = resolved(document, answer)
    body = content(document, answer)
    return Answer(status, answer.get("description", ""), body.type, list(_members(document, body.schema)))


def _members(document: Node, schema: Node, prefix: str = "", depth: int = 1) -> Iterator[Member]:
    for part in schema.get("allOf", []):
        yield from _members(document, resolved(document, part), prefix, depth)
    required = schema.get("required", [])
    for name, raw in schema.get("properties", NOTHING).items():
        member = resolved(document, raw)
        description = raw.get("description", member.get("description", ""))
        yield Member(prefix + name, _type(document, raw), name in required, description)
        if depth < DEEPEST:
            mark = "[]" if "items" in member else ""
            yield from _members(document, _inside(document, member), f"{prefix}{name}{mark}.", depth + 1)


def _inside(document: Node, member: Node) -> Node:
    """Give the schema whose members are listed under a member: its items', its own, or that of a nullable object."""
    if "items" in member:
        return resolved(document, member["items"])
    choices = [resolved(document, choice) for choice in (*member.get("anyOf", []), *member.get("oneOf", []))]
    return next((choice for choice in choices if "properties" in choice), member)


def _type(document: Node, schema: Node) -> str:
    schema = resolved(document, schema)
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return " or ".join(dict.fromkeys(_type(document, choice) for choice in schema[choices]))
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    if values:
        return " or ".join(json.dumps(value, ensure_ascii=False) for value in values)
    named = schema.get("type", "object" if "properties" in schema else "any")
    types = [named] if isinstance(named, str) else named
    said = " or ".join("list" if each == "array" else each for each in types)
    return f"{said} ({schema['format']})" if "format" in schema else said
