"""The OpenAPI document: valid, complete, and true of what the server answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from coatcheck import AsyncCoatcheck
from coatcheck.asgi import CoatcheckASGI
from coatcheck.http.hosts import Site
from coatcheck.server.openapi import document
from coatcheck.web.app import Web
from coatcheck.web.mount import Mount
from coatcheck.web.routes import ROUTES, Call

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
DOCUMENT = document()
PASSWORD = "a long enough passphrase"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def faults(schema: dict[str, Any], value: Any, where: str = "") -> list[str]:
    """Judge a value by as much of JSON Schema as our schemas use; any other keyword is a fault."""
    if "$ref" in schema:
        return faults(resolve(schema["$ref"]), value, where)
    if unknown := schema.keys() - {
        "type", "properties", "required", "items", "anyOf", "enum", "const", "default", "title", "description"
    }:  # fmt: skip
        return [f"{where}: unknown keywords {unknown}"]
    if "anyOf" in schema:
        return [] if any(not faults(choice, value) for choice in schema["anyOf"]) else [f"{where}: fits no choice"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{where}: not one of {schema['enum']}"]
    found: list[str] = []
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    named = schema.get("type")
    if named is not None and type(value) is not kinds[named]:
        return [f"{where}: {value!r} is no {named}"]
    if isinstance(value, dict):
        found += [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name not in schema.get("properties", {}):
                found.append(f"{where}: {name} is not described")
            else:
                found += faults(schema["properties"][name], member, f"{where}/{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            found += faults(schema["items"], item, f"{where}/{number}")
    return found


def test_it_says_which_openapi_it_is() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert DOCUMENT.keys() <= {"openapi", "info", "tags", "paths", "components", "servers"}


def test_it_is_json_and_always_the_same() -> None:
    assert json.loads(json.dumps(document())) == DOCUMENT


def test_every_json_route_is_described_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, method, _ in operations()}

    assert described == {(call.method, call.path) for call in ROUTES if isinstance(call, Call)}
    assert all(method in METHODS for _, method, _ in operations())


def test_nothing_is_described_that_is_not_there_yet() -> None:
    text = json.dumps(DOCUMENT)

    for later in ("refresh", "bearer", "Bearer", "mfa", "forgot", "passkey", "verify"):
        assert later not in text


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = [node["$ref"] for node in nodes(DOCUMENT) if isinstance(node, dict) and "$ref" in node]

    assert all(isinstance(resolve(reference), dict) for reference in references)
    used = {reference.rpartition("/")[2] for reference in references}
    assert used == DOCUMENT["components"]["schemas"].keys()


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_known_tag() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    tags = {tag["name"] for tag in DOCUMENT["tags"]}

    assert len(ids) == len(set(ids))
    for path, method, operation in operations():
        assert operation["summary"], (path, method)
        assert set(operation["tags"]) <= tags


def test_every_member_of_a_path_is_a_required_parameter() -> None:
    for path, _, operation in operations():
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path" and one["required"]}

        assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_reading_has_no_body_and_a_body_is_json() -> None:
    for path, method, operation in operations():
        body = operation.get("requestBody")
        assert method not in ("get", "delete") or body is None, path
        assert body is None or list(body["content"]) == ["application/json"]


def test_every_response_has_a_description_and_refusals_are_problems() -> None:
    for path, method, operation in operations():
        assert any(status.startswith("2") for status in operation["responses"]), (path, method)
        for status, response in operation["responses"].items():
            assert response["description"]
            if status.startswith(("4", "5")) and status != "431":
                assert list(response["content"]) == ["application/problem+json"]
            else:
                assert ("content" in response) == (status not in ("204", "431"))


def test_what_belongs_to_pages_is_not_shown() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        fields = schema["properties"].keys()
        assert "csrf_token" not in fields or schema["title"] == "CsrfAnswer"
    assert "next" not in DOCUMENT["components"]["schemas"]["LogInFields"]["properties"]
    assert "next" in DOCUMENT["components"]["schemas"]["SessionsAnswer"]["properties"]


def test_calls_that_need_a_session_say_so() -> None:
    for path, method, operation in operations():
        call = next(c for c in ROUTES if isinstance(c, Call) and (c.method.lower(), c.path) == (method, path))
        assert ({} in operation["security"]) != call.needs_session
        assert ("401" in operation["responses"]) or not call.needs_session


# What the server really answers


async def story() -> list[tuple[str, str, httpx.Response]]:  # noqa: C901 - a list of calls, however long
    """Make each call succeed and fail; give the path as described, the method and the answer."""
    seen: list[tuple[str, str, httpx.Response]] = []
    clock = [1_800_000_000]
    async with AsyncCoatcheck("memory://", clock=lambda: clock[0]) as desk:
        transport = httpx.ASGITransport(app=CoatcheckASGI(Web(Mount(desk, Site.configure(development=True)))))
        evidence = {"origin": "http://localhost:8000"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=evidence) as client:

            async def call(method: str, path: str, described: str | None = None, **more: Any) -> httpx.Response:
                answer = await client.request(method, path, **more)
                seen.append((described or path.partition("?")[0], method.lower(), answer))
                return answer

            account = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
            proof = {"identifier": "ada", "password": PASSWORD}
            wrong = {"identifier": "ada", "password": "wrong"}
            change = {"current_password": PASSWORD, "new_password": "another long passphrase"}
            for path, item in DOCUMENT["paths"].items():
                for method in item:
                    await call(method.upper(), path.replace("{id}", "none"), path, headers={"origin": "null"})
                    await call(method.upper(), path.replace("{id}", "none"), path)
                    await call(method.upper(), path.replace("{id}", "none"), path, content=b"x" * 70_000)
                    await call(method.upper(), path.replace("{id}", "none"), path, content=b"x")
                    await call(method.upper(), path.replace("{id}", "none"), path, json=[])
                    await call(method.upper(), path.replace("{id}", "none"), path, headers={"host": "evil.example"})
            for fields in (account, account, {"username": "a b", "password": "x"}):
                await call("POST", "/api/signup", json=fields)
            while (await client.post("/api/signup", json={**account, "email": "a@b.org"})).status_code != 429:
                pass
            await call("POST", "/api/signup", json=account)
            for fields in (wrong, {**proof, "password": "x" * 2000}, proof):
                await call("POST", "/api/login", json=fields)
            subject = (await client.get("/api/me")).json()["account"]["subject"]
            other = (await desk.start_session(subject, methods=("pwd",))).session.id
            for path in (
                "/api/me",
                "/api/csrf",
                "/api/sessions?limit=1",
                "/api/events?limit=1",
                "/api/events",
                "/api/sessions",
            ):
                await call("GET", path)
            for path in ("/api/sessions?limit=0", "/api/events?limit=x", "/api/me?%zz", "/api/csrf?%zz"):
                await call("GET", path)
            await call("DELETE", f"/api/sessions/{other}", "/api/sessions/{id}")
            await call("DELETE", "/api/sessions/nosuchsession", "/api/sessions/{id}")
            await call("POST", "/api/sessions/revoke-others")
            for fields in ({"password": "wrong"}, {"password": "x" * 2000}, {"password": PASSWORD}):
                await call("POST", "/api/reauthenticate", json=fields)
            for fields in ({**change, "new_password": "x"}, {**change, "current_password": "wrong"}, change):
                await call("POST", "/api/password/change", json=fields)
            clock[0] += 301
            for method, path in (("DELETE", "/api/sessions"), ("POST", "/api/sessions/revoke-others")):
                await call(method, path)
            await call("POST", "/api/reauthenticate", json={"password": "another long passphrase"})
            await call("DELETE", "/api/sessions")
            await client.post("/api/login", json={**proof, "password": "another long passphrase"})
            for path, fields in (("/api/reauthenticate", {"password": "wrong"}), ("/api/password/change", change)):
                for _ in range(6):
                    await call("POST", path, json=fields)
            await call("POST", "/api/logout")
            for _ in range(6):
                await call("POST", "/api/login", json=wrong)
    return seen


@pytest.fixture(scope="module")
def answers() -> list[tuple[str, str, httpx.Response]]:
    return asyncio.run(story())


def test_every_answer_has_a_status_that_is_described_and_a_body_that_fits(answers: list[Any]) -> None:
    wrong = []
    for path, method, answer in answers:
        responses = DOCUMENT["paths"][path][method]["responses"]
        described = responses.get(str(answer.status_code))
        if described is None:
            wrong.append((method, path, answer.status_code, "not described"))
        elif "content" in described:
            kind = answer.headers["content-type"]
            if kind not in described["content"]:
                wrong.append((method, path, answer.status_code, kind))
            else:
                wrong += [
                    (method, path, answer.status_code, fault)
                    for fault in faults(described["content"][kind]["schema"], answer.json())
                ]
        elif answer.content:
            wrong.append((method, path, answer.status_code, "has a body"))

    assert wrong == []


def test_every_status_that_is_described_was_seen(answers: list[Any]) -> None:
    """But for what needs a store in trouble (503), a bug (500), a body that drips (408) or a huge head (431)."""
    elsewhere = {"408", "431", "500", "503"}
    seen = {(path, method, str(answer.status_code)) for path, method, answer in answers}
    described = {
        (path, method, status) for path, method, operation in operations() for status in operation["responses"]
    }

    assert sorted((described - seen) - {one for one in described if one[2] in elsewhere}) == []


def test_a_body_that_is_described_as_required_is_required(answers: list[Any]) -> None:
    for path, method, operation in operations():
        if "requestBody" in operation:
            assert operation["requestBody"]["required"]
            assert any(p == path and m == method and a.status_code == 400 for p, m, a in answers)
