"""Dependencies: who is there, in a path operation's own words, and what OpenAPI says of it."""

# Without postponed annotations: FastAPI reads them.
import threading
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from coatcheck import Account, ConfigurationError, NotAuthenticated
from coatcheck.fastapi import Passage, SessionData
from tests.fastapi.conftest import COOKIE, PASSWORD, House

# Some take the application for its routes only.
# ruff: noqa: ARG001


@pytest.fixture
def app(house: House) -> FastAPI:
    auth, app = house.auth, house.app

    @app.get("/me")
    async def me(account: Annotated[Account, Depends(auth.account)]) -> dict[str, Any]:
        return {"name": account.username}

    @app.get("/me/thread")
    def me_in_thread(account: Annotated[Account, Depends(auth.browser)]) -> dict[str, Any]:
        return {"name": account.username, "main": threading.current_thread() is threading.main_thread()}

    @app.get("/maybe")
    async def maybe(account: Annotated[Account | None, Depends(auth.optional)]) -> dict[str, Any]:
        return {"name": account and account.username}

    @app.get("/subject")
    async def subject(subject: Annotated[str, Depends(auth.subject)]) -> str:
        return subject

    @app.delete("/account")
    async def delete(account: Annotated[Account, Depends(auth.fresh_account)]) -> dict[str, Any]:
        return {"gone": account.username}

    @app.get("/users/{id}/edit")
    async def edit(id: str, account: Annotated[Account, Depends(auth.same_account("id"))]) -> dict[str, Any]:  # noqa: A002
        assert id == account.subject
        return {"name": account.username}

    @app.post("/note")
    async def note(account: Annotated[Account, Depends(auth.account)]) -> JSONResponse:
        return JSONResponse({"noted": account.username})

    @app.get("/open")
    async def open_to_all() -> str:
        return "open"

    return app


def test_an_account_is_who_is_logged_in(house: House, app: FastAPI) -> None:
    client, subject = house.member()

    assert client.get("/me").json() == {"name": "ada"}
    assert client.get("/me/thread").json() == {"name": "ada", "main": False}
    assert client.get("/maybe").json() == {"name": "ada"}
    assert client.get("/subject").json() == subject


@pytest.mark.parametrize("path", ["/me", "/me/thread", "/subject", "/users/x/edit"])
def test_hdr_10_a_stranger_is_told_401_whatever_the_client_accepts_but_a_page(
    house: House, app: FastAPI, path: str
) -> None:
    client = house.client()

    for accept in ("application/json", "*/*"):
        told = client.get(path, headers={"accept": accept})
        assert (told.status_code, told.json()["reason"]) == (401, "not_authenticated")
        assert told.headers["www-authenticate"] == 'Cookie realm="coatcheck"'
    page = client.get(path, headers={"accept": "text/html,*/*"})
    assert (page.status_code, page.headers["location"].partition("?")[0]) == (303, "/auth/login")
    assert client.get(path, headers={"accept": "text/html", "sec-fetch-dest": "image"}).status_code == 401


def test_optional_is_none_for_strangers(house: House, app: FastAPI) -> None:
    assert house.client().get("/maybe").json() == {"name": None}


def test_a_subject_without_an_account_is_known_and_has_none(house: House, app: FastAPI) -> None:
    client = house.logged_in("github|42")

    assert client.get("/subject").json() == "github|42"
    assert client.get("/maybe").json() == {"name": None}
    assert client.get("/me").status_code == 403


def test_the_same_account_and_nobody_else(house: House, app: FastAPI) -> None:
    client, subject = house.member()

    assert client.get(f"/users/{subject}/edit").json() == {"name": "ada"}
    assert client.get("/users/somebody/edit").status_code == 403


def test_a_parameter_that_the_path_has_not_is_the_developer_s_mistake(house: House, app: FastAPI) -> None:
    @app.get("/things/{thing}", dependencies=[Depends(house.auth.same_account("id"))])
    async def thing() -> None: ...

    with pytest.raises(ConfigurationError, match="has no parameter 'id'"):
        house.logged_in().get("/things/x")


def test_stp_01_what_needs_a_fresh_proof_is_told_how_to_get_it(house: House, app: FastAPI) -> None:
    client, _ = house.member()
    house.clock.move(301)
    stale = client.delete("/account")
    proven = client.post("/auth/api/reauthenticate", json={"password": PASSWORD})

    assert (stale.status_code, stale.json()["reason"]) == (401, "insufficient_user_authentication")
    assert 'max_age="300"' in stale.headers["www-authenticate"]
    assert proven.status_code == 204
    assert client.delete("/account").json() == {"gone": "ada"}


def test_csr_02_a_dependency_runs_only_for_requests_of_our_own(house: House, app: FastAPI) -> None:
    client, _ = house.member()

    assert client.post("/note").json() == {"noted": "ada"}
    assert client.post("/note", headers={"origin": "https://evil.example"}).status_code == 403
    bare = {"origin": ""}
    assert client.post("/note", headers=bare).status_code == 403
    del client.headers["origin"]
    assert client.post("/note").json()["reason"] == "csrf_token_required"
    token = client.get("/auth/api/csrf").json()["csrf_token"]
    assert client.post("/note", headers={"x-csrf-token": token}).json() == {"noted": "ada"}


def test_hdr_01_an_answer_that_looked_at_somebody_is_theirs_alone_also_a_response_of_its_own(
    house: House, app: FastAPI
) -> None:
    client, _ = house.member()

    for told in (client.get("/me"), client.post("/note"), client.get("/maybe")):
        assert (told.headers["cache-control"], told.headers["vary"]) == ("private", "Cookie")
    assert "vary" not in client.get("/open").headers


def test_err_01_a_store_that_is_down_is_503_on_every_path(house: House, app: FastAPI) -> None:
    client, _ = house.member()
    house.store.broken = {"find"}

    for path in ("/me", "/maybe", "/open"):
        assert client.get(path).status_code == 503


def test_openapi_shows_the_cookie_where_it_is_asked_for(house: House, app: FastAPI) -> None:
    document = house.client().get("/openapi.json").json()

    assert document["components"]["securitySchemes"] == {
        "coatcheck": {
            "type": "apiKey",
            "in": "cookie",
            "name": COOKIE,
            "description": "The session cookie, set by the log-in.",
        }
    }
    secured = {path for path, methods in document["paths"].items() for one in methods.values() if "security" in one}
    assert secured == {"/me", "/me/thread", "/maybe", "/subject", "/account", "/users/{id}/edit", "/note"}
    assert not any(path.startswith("/auth") for path in document["paths"])
    again = house.client().get("/openapi.json").json()["paths"]
    assert again["/maybe"]["get"]["security"] == [{}, {"coatcheck": []}], "strangers may ask"
    assert again["/me"]["get"]["security"] == [{"coatcheck": []}]


def test_an_application_answers_a_refusal_its_own_way(house: House, app: FastAPI) -> None:
    @app.exception_handler(NotAuthenticated)
    async def refused(_request: Request, error: NotAuthenticated) -> JSONResponse:
        return JSONResponse({"detail": error.reason}, status_code=418)

    told = house.client().get("/me")

    assert (told.status_code, told.json()) == (418, {"detail": "not_authenticated"})


def test_routers_and_sub_applications_are_behind_the_same_door(house: House, app: FastAPI) -> None:
    router = APIRouter(prefix="/nested", dependencies=[Depends(house.auth.account)])

    @router.get("/name")
    async def name(account: Annotated[Account, Depends(house.auth.account)]) -> Any:
        return account.username

    inner = FastAPI()

    @inner.get("/name")
    def inner_name(account: Annotated[Account, Depends(house.auth.account)]) -> Any:
        return account.username

    app.include_router(router)
    app.mount("/inner", inner)
    client, _ = house.member()

    assert client.get("/nested/name").json() == "ada"
    assert client.get("/inner/name").json() == "ada"
    client.cookies.clear()
    assert (client.get("/nested/name").status_code, client.get("/inner/name").status_code) == (401, 401)


def test_a_path_operation_logs_in_and_out_and_keeps_data(house: House, app: FastAPI) -> None:
    auth = house.auth

    @app.post("/in")
    async def log_in(
        passage: Annotated[Passage, Depends(auth.passage)], session: Annotated[SessionData, Depends(auth.session)]
    ) -> Any:
        await passage.sign_up(username="ada", password=PASSWORD)
        login = await passage.log_in("ada", PASSWORD)
        session["cart"] = {"coats": 1}
        return login.subject

    @app.post("/coat")
    def coat(request: Request) -> Any:
        request.session["cart"]["coats"] += 1
        return request.session["cart"]

    @app.post("/out")
    async def log_out(passage: Annotated[Passage, Depends(auth.passage)]) -> bool:
        return await passage.log_out()

    client = house.client()
    subject = client.post("/in").json()
    old = client.cookies[COOKIE]

    assert client.post("/coat").json() == {"coats": 2}
    assert client.post("/coat").json() == {"coats": 3}
    assert client.get("/subject").json() == subject
    assert client.post("/out").json() is True
    assert COOKIE not in client.cookies
    client.cookies.set(COOKIE, old)
    assert client.get("/subject").status_code == 401


def test_an_exception_that_leaves_the_application_saves_nothing_one_that_is_answered_does(
    house: House, app: FastAPI
) -> None:
    @app.post("/bug")
    async def bug(request: Request) -> None:
        request.session["bug"] = 1
        raise LookupError

    @app.post("/teapot")
    async def teapot(request: Request) -> None:
        request.session["teapot"] = 1
        raise HTTPException(418)

    @app.get("/data")
    async def data(request: Request) -> Any:
        return dict(request.session)

    client = house.logged_in()
    with pytest.raises(LookupError):
        client.post("/bug")
    client.post("/teapot")

    assert client.get("/data").json() == {"teapot": 1}


def test_what_streams_may_keep_data_too(house: House, app: FastAPI) -> None:
    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        request.session["begun"] = True

        async def parts() -> Any:
            for n in range(3):
                request.session["sent"] = n
                yield f"{n}"

        return StreamingResponse(parts())

    @app.get("/data")
    async def data(request: Request) -> Any:
        return dict(request.session)

    client = house.client()

    assert client.get("/stream").text == "012"
    assert client.get("/data").json() == {"begun": True, "sent": 2}


def test_a_websocket_has_the_same_dependencies(house: House, app: FastAPI) -> None:
    @app.websocket("/ws")
    async def talk(socket: WebSocket, account: Annotated[Account, Depends(house.auth.account)]) -> None:
        await socket.accept()
        await socket.send_text(account.username or "")
        await socket.close()

    client, _ = house.member()

    with client.websocket_connect("ws://testserver/ws") as socket:
        assert socket.receive_text() == "ada"
    client.cookies.clear()
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("ws://testserver/ws"):
        pass
    assert denied.value.status_code == 401


def test_two_clients_of_one_application_one_after_the_other(house: House, app: FastAPI) -> None:
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/me").status_code == 401
