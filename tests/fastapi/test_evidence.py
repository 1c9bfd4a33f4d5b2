"""Evidence of a request's origin: asked by the door of everybody, and by each dependency that looks at somebody."""

# Without postponed annotations: FastAPI reads them.
import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from coatcheck import Account, ConfigurationError, CrossSiteRefused
from coatcheck.fastapi import Exemption, Passage, csrf_exempt
from tests.fastapi.conftest import House

FOREIGN = {"origin": "https://evil.example"}
MISTAKEN = Exemption(reason="somebody thought that nothing happens there", allow_cookie=True)
# ruff: noqa: ARG001 - a dependency is a parameter whether the route looks at it or not

Build = Callable[..., House]


def guards(house: House) -> dict[str, Any]:
    auth = house.auth
    named = {name: getattr(auth, name) for name in ("account", "browser", "optional", "subject", "fresh_account")}
    return {**named, "same_account": auth.same_account("subject")}


@pytest.mark.parametrize("name", ["account", "browser", "optional", "subject", "fresh_account", "same_account"])
def test_csr_02_a_mistaken_exemption_opens_no_route_that_asks_for_somebody(build: Build, name: str) -> None:
    house = build(csrf_exempt={"/note/x": MISTAKEN})
    told: list[Any] = []

    @house.app.post("/note/{subject}")
    async def note(somebody: Annotated[Any, Depends(guards(house)[name])]) -> str:
        told.append(somebody)
        return "noted"

    client, _ = house.member()
    refused = client.post("/note/x", headers=FOREIGN)

    assert (refused.status_code, refused.json()["reason"]) == (403, "foreign_origin")
    assert client.post("/note/x", headers={**FOREIGN, "sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post("/note/x", headers={"origin": "null"}).status_code == 403
    assert told == []
    assert client.post("/note/x").status_code == (403 if name == "same_account" else 200)


def test_csr_02_without_any_header_a_token_is_asked_for_and_counts(build: Build) -> None:
    house = build(csrf_exempt={"/note": MISTAKEN})

    @house.app.post("/note")
    async def note(account: Annotated[Account, Depends(house.auth.account)]) -> str | None:
        return account.username

    client, _ = house.member()
    del client.headers["origin"]
    token = client.get("/auth/api/csrf").json()["csrf_token"]

    assert client.post("/note").json()["reason"] == "csrf_token_required"
    assert client.post("/note", headers={"x-csrf-token": "x" * 64}).json()["reason"] == "csrf_token_invalid"
    assert client.post("/note", headers={"x-csrf-token": token}).json() == "ada"


def test_csr_10_what_becomes_another_method_behind_the_door_is_asked_for_evidence(house: House) -> None:
    class Override:
        """What some put before an application, so that a link can delete."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and b"_method=DELETE" in scope["query_string"]:
                scope["method"] = "DELETE"
            await self.app(scope, receive, send)

    inner = FastAPI()
    inner.add_middleware(Override)
    deleted: list[str | None] = []

    @inner.delete("/coat")
    async def delete(account: Annotated[Account, Depends(house.auth.account)]) -> None:
        deleted.append(account.username)

    house.app.mount("/inner", inner)
    client, _ = house.member()

    assert client.get("/inner/coat?_method=DELETE", headers=FOREIGN).status_code == 403
    assert deleted == []
    assert client.get("/inner/coat?_method=DELETE").status_code == 200


def test_csr_02_applications_inside_are_asked_too(build: Build) -> None:
    house = build(csrf_exempt={"/inner/note": MISTAKEN, "/outer": MISTAKEN})
    inner, router = FastAPI(), APIRouter()

    @router.post("/note")
    @router.post("/unexempted")
    async def note(account: Annotated[Account, Depends(house.auth.account)]) -> str | None:
        return account.username

    inner.include_router(router)
    house.app.mount("/inner", inner)
    guarded = APIRouter(dependencies=[Depends(house.auth.subject)])

    @guarded.post("/outer")
    async def outer() -> str:
        return "done"

    house.app.include_router(guarded)
    client, _ = house.member()

    for path in ("/inner/note", "/inner/unexempted", "/outer"):
        assert client.post(path, headers=FOREIGN).status_code == 403, path
        assert client.post(path).status_code == 200, path


def test_csr_02_an_application_without_the_door_lets_nobody_act(house: House) -> None:
    acted: list[str] = []
    bare = FastAPI()

    @bare.post("/note")
    async def note(account: Annotated[Account, Depends(house.auth.account)]) -> None:
        acted.append(account.subject)

    client, _ = house.member()
    with TestClient(bare, cookies=dict(client.cookies)) as outside, pytest.raises(ConfigurationError, match="lifespan"):
        outside.post("/note", headers=FOREIGN)
    assert acted == []


def test_csr_13_a_handshake_is_asked_by_its_dependency_where_its_path_is_exempt(build: Build) -> None:
    house = build(csrf_exempt={"/ws": MISTAKEN})

    @house.app.websocket("/ws")
    async def talk(socket: WebSocket, account: Annotated[Account, Depends(house.auth.account)]) -> None:
        await socket.accept()
        await socket.send_text(account.username or "")
        await socket.close()

    client, _ = house.member()

    for headers in (FOREIGN, {"origin": "null"}):
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            client.websocket_connect("ws://testserver/ws", headers=headers),
        ):
            pass
        assert denied.value.status_code == 403
    with client.websocket_connect("ws://testserver/ws") as socket:
        assert socket.receive_text() == "ada"


def test_a_refusal_is_told_once_and_evidence_is_asked_once(build: Build) -> None:
    house = build(csrf_exempt={"/note": MISTAKEN})
    seen: list[CrossSiteRefused] = []
    house.desk.on(CrossSiteRefused, seen.append)

    @house.app.post("/note", dependencies=[Depends(house.auth.subject), Depends(house.auth.optional)])
    async def note(account: Annotated[Account, Depends(house.auth.account)]) -> str | None:
        return account.username

    client, _ = house.member()
    client.post("/note", headers=FOREIGN)

    assert [(event.cause, event.path) for event in seen] == [("foreign_origin", "/note")]


# Endpoints that are exempt


@pytest.fixture
def hooks(house: House) -> House:
    """Hooks, marked where they are made: at the application, in a router and in an application inside."""
    auth, app, router, inner = house.auth, house.app, APIRouter(prefix="/hooks"), FastAPI()

    async def who(passage: Passage[Account]) -> Any:
        visit = await passage.visit()
        return visit.subject if visit else None

    @app.post("/hook/special")
    async def special(passage: Annotated[Passage[Account], Depends(auth.passage)]) -> Any:
        return await who(passage)

    @app.post("/hook/{name}")
    @csrf_exempt(reason="signed by the sender")
    async def hook(passage: Annotated[Passage[Account], Depends(auth.passage)]) -> Any:
        return await who(passage)

    @app.put("/hook/{name}")
    async def put(passage: Annotated[Passage[Account], Depends(auth.passage)]) -> Any:
        return await who(passage)

    @router.post("/{name}/count")
    @csrf_exempt(reason="counts only", allow_cookie=True)
    async def count(passage: Annotated[Passage[Account], Depends(auth.passage)]) -> Any:
        return await who(passage)

    @inner.post("/{name}")
    @csrf_exempt(reason="signed too")
    async def inner_hook(account: Annotated[Account | None, Depends(auth.optional)]) -> Any:
        return account and account.subject

    app.include_router(router, prefix="/v1")
    app.mount("/inner", inner)

    @app.post("/inner/{name}")
    async def never(name: str) -> str:
        return "the application inside stands before"

    return house


def test_csr_14_an_exempt_endpoint_takes_whoever_comes_for_a_stranger(hooks: House) -> None:
    client, subject = hooks.member()

    for path in ("/hook/a", "/inner/b"):
        assert client.post(path, headers=FOREIGN).json() is None, path
        assert client.post(path).json() is None, path
    assert client.post("/v1/hooks/a/count", headers=FOREIGN).json() == subject


def test_csr_14_only_the_endpoint_that_is_marked_is_exempt(hooks: House) -> None:
    client, subject = hooks.member()

    for method, path in (("POST", "/hook/special"), ("PUT", "/hook/a"), ("POST", "/hook/a/b"), ("POST", "/v1/hooks/a")):
        assert client.request(method, path, headers=FOREIGN).status_code == 403, path
    assert client.post("/hook/special").json() == subject
    assert client.put("/hook/a").json() == subject


def test_csr_14_exempt_endpoints_are_listed_at_start(hooks: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "coatcheck")
    hooks.client()

    for path, reason in (
        ("/hook/{name}", "signed by the sender"),
        ("/v1/hooks/{name}/count", "counts only"),
        ("/inner/{name}", "signed too"),
    ):
        assert f"csrf_exempt: requests to {path} need no evidence of their origin: {reason}" in caplog.text
    with pytest.raises(ConfigurationError, match="say why"):
        csrf_exempt(reason=" ")


def test_csr_14_below_a_root_path_it_is_the_same_endpoint(hooks: House) -> None:
    client, _ = hooks.member()
    below = TestClient(hooks.app, root_path="/app", headers=FOREIGN, cookies=dict(client.cookies))

    assert below.post("/app/hook/a").json() is None
    assert below.post("/app/hook/special").status_code == 403


# What OpenAPI says


def responses(house: House, path: str, method: str = "get") -> dict[str, Any]:
    document = house.client().get("/openapi.json").json()
    found: dict[str, Any] = document["paths"][path][method]["responses"]
    return found


def test_openapi_tells_each_guarded_operation_s_refusals(house: House) -> None:
    auth, app = house.auth, house.app
    nested = APIRouter(prefix="/nested", dependencies=[Depends(auth.account)])

    async def through_another(subject: Annotated[str, Depends(auth.subject)]) -> str:
        return subject

    @app.get("/me")
    @app.post("/me")
    async def me(account: Annotated[Account, Depends(auth.account)]) -> None: ...

    @app.get("/maybe")
    @app.post("/maybe")
    async def maybe(account: Annotated[Account | None, Depends(auth.optional)]) -> None: ...

    @app.get("/through")
    async def through(subject: Annotated[str, Depends(through_another)]) -> None: ...

    @nested.get("/{name}")
    async def inside(name: str) -> None: ...

    @app.get("/open")
    async def open_to_all() -> None: ...

    app.include_router(nested)

    assert set(responses(house, "/me")) == set(responses(house, "/me", "post")) == {"200", "401", "403", "503"}
    assert set(responses(house, "/maybe")) == {"200", "503"}
    assert set(responses(house, "/maybe", "post")) == {"200", "403", "503"}
    assert set(responses(house, "/through")) == {"200", "401", "503"}
    assert set(responses(house, "/nested/{name}")) == {"200", "401", "403", "422", "503"}
    assert set(responses(house, "/open")) == {"200"}


def test_openapi_s_refusals_are_of_the_shape_that_is_sent(house: House) -> None:
    @house.app.get("/me")
    async def me(account: Annotated[Account, Depends(house.auth.account)]) -> None: ...

    client = house.client()
    document, sent = client.get("/openapi.json").json(), client.get("/me")
    content = document["paths"]["/me"]["get"]["responses"]["401"]["content"]
    reference = content[sent.headers["content-type"]]["schema"]["$ref"]
    shape = document["components"]["schemas"][reference.rpartition("/")[2]]

    assert set(shape["properties"]) == set(sent.json())
    inner = shape["properties"]["errors"]["items"]["$ref"].rpartition("/")[2]
    assert inner in document["components"]["schemas"]


def test_openapi_keeps_what_the_application_says_itself_and_is_its_own_again_at_the_end(house: House) -> None:
    app = house.app
    before = app.openapi

    @app.get("/me", responses={401: {"description": "Who are you?"}})
    async def me(account: Annotated[Account, Depends(house.auth.account)]) -> None: ...

    inner = FastAPI()

    @inner.get("/me")
    async def inner_me(account: Annotated[Account, Depends(house.auth.account)]) -> None: ...

    app.mount("/inner", inner)
    with TestClient(app) as client:
        outer_document = client.get("/openapi.json").json()
        inner_document = client.get("/inner/openapi.json").json()

    assert outer_document["paths"]["/me"]["get"]["responses"]["401"]["description"] == "Who are you?"
    assert "403" in outer_document["paths"]["/me"]["get"]["responses"]
    assert "401" in inner_document["paths"]["/me"]["get"]["responses"]
    assert app.openapi == before


def test_the_request_itself_may_be_looked_at_by_who_needs_no_account(build: Build) -> None:
    """What an exemption with `allow_cookie` is for: through the passage and the session, knowingly."""
    house = build(csrf_exempt={"/beacon": Exemption(reason="counts only", allow_cookie=True)})

    @house.app.post("/beacon")
    async def beacon(request: Request, passage: Annotated[Passage[Account], Depends(house.auth.passage)]) -> Any:
        return [await passage.increment("seen"), bool(await passage.visit())]

    client = house.logged_in()

    assert client.post("/beacon", headers=FOREIGN).json() == [1, True]
