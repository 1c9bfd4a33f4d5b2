"""The Starlette door: requests, guards, templates and handlers in Starlette's own words."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jinja2
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from coatcheck import AsyncCoatcheck, ConfigurationError, Forbidden, NotAuthenticated, Refused
from coatcheck.starlette import (
    CoatcheckMiddleware,
    flash,
    flashes,
    fresh_login_required,
    login_required,
    passage,
    same_account_required,
    template_context,
)
from coatcheck.stores.memory import MemoryStore
from tests.starlette.conftest import COOKIE, PASSWORD, SECRET, House

JSON = {"accept": "application/json"}


async def count(request: Request) -> JSONResponse:
    request.session["n"] = request.session.get("n", 0) + 1
    return JSONResponse({"n": request.session["n"], "by": request.user.identity})


async def data(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


# Requests


def test_request_session_is_kept_and_crosses_the_log_in(house: House) -> None:
    client = house.client(("/count", count))

    assert [client.get("/count").json()["n"] for _ in range(2)] == [1, 2]
    subject = house.sign_up(client)
    assert client.get("/count").json() == {"n": 3, "by": subject}


def test_request_session_is_a_mapping_whose_depths_are_noticed(house: House) -> None:
    def change(request: Request) -> PlainTextResponse:
        session = request.session
        session.setdefault("cart", {})["coats"] = [1]
        session.update(a=1, b=2)
        del session["a"]
        assert (session.pop("b"), session.pop("c", None), "cart" in session, len(session)) == (2, None, True, 1)
        return PlainTextResponse("")

    async def deeper(request: Request) -> PlainTextResponse:
        request.session["cart"]["coats"].append(2)
        return PlainTextResponse("")

    async def clear(request: Request) -> PlainTextResponse:
        request.session.clear()
        return PlainTextResponse("")

    client = house.client(("/change", change), ("/deeper", deeper), ("/clear", clear), ("/data", data))

    client.get("/change")
    client.get("/deeper")
    assert client.get("/data").json() == {"cart": {"coats": [1, 2]}}
    client.get("/clear")
    assert client.get("/data").json() == {}


def test_request_user_and_auth_follow_who_is_there(house: House) -> None:
    async def who(request: Request) -> JSONResponse:
        return JSONResponse(
            [request.user.is_authenticated, request.user.display_name, request.user.identity, request.auth.scopes]
        )

    async def change(request: Request) -> JSONResponse:
        before = request.user.is_authenticated
        await passage(request).log_in("ada", PASSWORD)
        during = request.user.is_authenticated
        await passage(request).log_out()
        return JSONResponse([before, during, request.user.is_authenticated])

    client = house.client(("/who", who), ("/change", change))
    stranger = client.get("/who")
    subject = house.sign_up(client)

    assert stranger.json() == [False, "", "", []]
    assert client.get("/who").json() == [True, "ada", subject, ["authenticated"]]
    assert stranger.headers["cache-control"] == "private"
    assert client.post("/change").json() == [True, True, False]
    assert client.get("/who").json() == [False, "", "", []]
    house.log_in(client, "github|42")
    assert client.get("/who").json() == [True, "github|42", "github|42", ["authenticated"]]


def test_err_01_accounts_that_are_down_apart_are_503_for_who_asks_for_them_and_for_nobody_else(house: House) -> None:
    async def name(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.display_name)

    async def subject(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.identity)

    sessions = MemoryStore(holds_accounts=False)
    house.desk = AsyncCoatcheck(house.store, sessions=sessions, secret=SECRET, clock=house.clock)  # type: ignore[call-overload]
    client = house.client(("/name", name), ("/subject", subject))
    ada = house.sign_up(client)
    assert (client.get("/name").text, client.get("/subject").text) == ("ada", ada)

    house.store.broken = {"account"}

    assert client.get("/subject").text == ada
    assert client.get("/name").status_code == 503


def test_starlette_s_own_requires_works(house: House) -> None:
    @requires("authenticated", status_code=401)
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"in: {request.user.identity}")

    client = house.client(("/", page))

    assert client.get("/").status_code == 401
    house.log_in(client)
    assert client.get("/").text == "in: ada"


# Guards


@login_required
async def members(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {request.user.identity}")


@login_required
def members_in_thread(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {request.user.identity}")


class Members(HTTPEndpoint):
    @login_required
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"hello {request.user.identity}")


@pytest.mark.parametrize("endpoint", [members, members_in_thread, Members])
def test_login_required_sends_pages_to_log_in_and_tells_programs(house: House, endpoint: Any) -> None:
    client = house.client(Route("/members", endpoint))

    page = client.get("/members?a=1", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/auth/login?next=%2Fmembers%3Fa%3D1")
    assert client.get("/members", headers=JSON).status_code == 401
    house.log_in(client)
    assert client.get("/members").text == "hello ada"


@pytest.mark.parametrize("endpoint", [members, members_in_thread])
def test_csr_02_csr_10_a_guard_asks_for_the_evidence_of_the_method_that_it_sees(house: House, endpoint: Any) -> None:
    """Middleware behind the door may make a DELETE of a link."""

    class Overriding:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            method = scope.get("query_string", b"").decode().removeprefix("_method=")
            await self.app(scope | ({"method": method} if method else {}), receive, send)

    client = house.client(("/members", endpoint), inside=[Middleware(Overriding)])
    house.log_in(client)

    def asked(site: str, method: str) -> int:
        return client.get(f"/members?_method={method}", headers={"sec-fetch-site": site, **JSON}).status_code

    assert [asked("cross-site", method) for method in ("GET", "DELETE")] == [200, 403]
    assert asked("same-origin", "DELETE") == 200


def test_same_account_required_lets_in_whom_the_path_names(house: House) -> None:
    @same_account_required("id")
    async def edit(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["id"])

    client = house.client(("/users/{id}/edit", edit), ("/users/{name}", edit))

    assert client.get("/users/ada/edit", headers=JSON).status_code == 401
    house.log_in(client)
    assert client.get("/users/ada/edit").text == "ada"
    assert client.get("/users/bob/edit", headers=JSON).json()["reason"] == "forbidden"
    with pytest.raises(ConfigurationError, match="no parameter 'id'"):
        client.get("/users/ada")


def test_stp_01_fresh_login_required_asks_again_after_five_minutes(house: House) -> None:
    @fresh_login_required
    async def delete(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("gone")

    client = house.client(("/delete", delete))
    house.sign_up(client)
    assert client.get("/delete").text == "gone"
    house.clock.move(301)

    page = client.get("/delete", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/auth/reauthenticate?next=%2Fdelete")
    assert client.post("/delete", headers=JSON).status_code == 401


def test_a_guard_on_what_takes_no_request_is_the_developer_s_mistake(house: House) -> None:
    @login_required
    async def lonely() -> None: ...

    async def call(_request: Request) -> None:
        await lonely()

    with pytest.raises(ConfigurationError, match="takes no request"):
        house.client(("/", call)).get("/")


def test_a_guard_without_the_middleware_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match=r"Middleware\(CoatcheckMiddleware, desk=desk"):
        TestClient(Starlette(routes=[Route("/", members)])).get("/")


def test_guards_of_websockets_refuse_before_the_socket_is_accepted(house: House) -> None:
    @login_required
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.identity)
        websocket.session["talked"] = True
        await websocket.close()

    class Echo(WebSocketEndpoint):
        encoding = "text"

        @login_required
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, text: str) -> None:
            await websocket.send_text(text)

    client = house.client(WebSocketRoute("/talk", talk), WebSocketRoute("/echo", Echo), ("/data", data))

    for path in ("/talk", "/echo"):
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(f"ws://testserver{path}"):
            pass
        assert denied.value.status_code == 401
    house.log_in(client)
    with client.websocket_connect("ws://testserver/talk") as socket:
        assert socket.receive_text() == "ada"
    with client.websocket_connect("ws://testserver/echo") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    assert client.get("/data").json() == {"talked": True}


def test_csr_13_a_socket_of_another_site_s_page_is_denied(house: House) -> None:
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()

    client = house.client(WebSocketRoute("/talk", talk))
    house.log_in(client)

    evil = {"origin": "https://evil.example"}
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("ws://testserver/talk", headers=evil),
    ):
        pass
    assert denied.value.status_code == 403


# Refusals


def test_an_application_answers_refusals_its_own_way(house: House) -> None:
    async def refused(_request: Request, error: Exception) -> PlainTextResponse:
        assert isinstance(error, Refused)
        return PlainTextResponse(f"no: {error.reason}", status_code=error.status)

    async def forbidden(_request: Request, _error: Exception) -> PlainTextResponse:
        return PlainTextResponse("not for you", status_code=404)

    client = house.client(
        ("/members", members),
        ("/users/{id}", same_account_required("id")(members)),
        exception_handlers={Refused: refused, Forbidden: forbidden},
    )

    assert client.get("/members").text == "no: not_authenticated"
    house.log_in(client)
    assert client.get("/users/bob").text == "not for you"


def test_a_refusal_saves_nothing_of_the_session_data_and_an_answer_does(house: House) -> None:
    async def refused(request: Request) -> None:
        request.session["refused"] = True
        await passage(request).require_subject("bob")

    async def raised(request: Request) -> None:
        request.session["raised"] = True
        raise HTTPException(404)

    client = house.client(("/refused", refused), ("/raised", raised), ("/data", data))
    house.log_in(client)

    assert (client.get("/refused", headers=JSON).status_code, client.get("/raised").status_code) == (403, 404)
    assert client.get("/data").json() == {"raised": True}


def test_refusals_are_answered_in_applications_within_applications(house: House) -> None:
    async def log_in(request: Request) -> None:
        await passage(request).start_session("ada")
        raise NotAuthenticated

    inner = Starlette(
        routes=[Route("/members", members), Route("/in", log_in, methods=["POST"])],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=straight)],
    )
    client = house.client(Mount("/inner", inner))

    page = client.get("/inner/members", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/auth/login?next=%2Finner%2Fmembers")
    told = client.post("/inner/in", headers=JSON)
    assert (told.status_code, len(told.headers.get_list("set-cookie"))) == (401, 1)
    assert client.get("/inner/members").text == "hello ada"


async def straight(request: Request, call_next: Any) -> Any:
    return await call_next(request)


def test_err_01_a_store_that_is_down_is_503_before_the_endpoint(house: House) -> None:
    entered: list[str] = []

    async def page(request: Request) -> PlainTextResponse:
        entered.append(request.url.path)
        return PlainTextResponse("")

    client = house.client(("/", page))
    house.log_in(client)
    house.store.broken = {"find"}

    assert client.get("/", headers=JSON).json()["reason"] == "store_unavailable"
    assert client.get("/", headers={"accept": "text/html"}).headers["content-type"].startswith("text/html")
    assert entered == []


@pytest.mark.parametrize("debug", [True, False])
def test_err_08_a_debug_page_shows_no_secret(house: House, debug: bool) -> None:
    async def bug(request: Request) -> None:
        login = await passage(request).start_session("ada")
        request.session["plan"] = request.headers["x-plan"]
        session = request.session
        raise LookupError(f"{request.session!r} {passage(request)!r} {login!r} {session!r} {request.user!r}")

    client = house.client(("/bug", bug), debug=debug, raises=False)
    house.log_in(client)
    token = client.cookies[COOKIE]

    for accept in ("text/html", "text/plain"):
        told = client.post("/bug", headers={"accept": accept, "x-plan": "a secret plan"})
        assert told.status_code == 500
        assert token not in told.text
        assert "a secret plan" not in told.text
        if debug:
            assert "LookupError" in told.text


# Answers of every kind


def test_streams_files_redirects_and_background_tasks(house: House, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x" * 5000)

    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            for n in range(3):
                request.session["sent"] = n
                yield str(n)

        request.session["begun"] = True
        return StreamingResponse(parts())

    async def background(request: Request) -> PlainTextResponse:
        def later() -> None:
            request.session["later"] = True

        return PlainTextResponse("now", background=BackgroundTask(later))

    async def send_file(_request: Request) -> FileResponse:
        return FileResponse(file)

    async def redirect(request: Request) -> RedirectResponse:
        flash(request, "moved")
        return RedirectResponse("/data", 303)

    client = house.client(
        ("/stream", stream),
        ("/background", background),
        ("/file", send_file),
        ("/redirect", redirect),
        ("/data", data),
        inside=[Middleware(GZipMiddleware), Middleware(BaseHTTPMiddleware, dispatch=straight)],
    )

    assert client.get("/stream").text == "012"
    assert client.get("/background").text == "now"
    sent = client.get("/file", headers={"accept-encoding": "identity"})
    assert (sent.text, sent.headers["vary"], sent.headers.get("set-cookie")) == ("x" * 5000, "Accept-Encoding", None)
    # What is compressed while it is sent cannot be told from what looks at the session while it is sent (HDR-01).
    sent = client.get("/file")
    assert (sent.text, sent.headers["vary"]) == ("x" * 5000, "Accept-Encoding, Cookie")
    part = client.get("/file", headers={"range": "bytes=0-9"})
    assert (part.status_code, part.text) == (206, "x" * 10)
    moved = client.get("/redirect")
    assert (moved.status_code, moved.headers["location"]) == (303, "/data")
    assert client.get("/data").json() == {
        "begun": True,
        "sent": 2,
        "later": True,
        "_flashes": [["message", "moved"]],
    }


def test_ses_12_messages_are_shown_once_and_templates_have_what_they_need(house: House) -> None:
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.DictLoader(
            {
                "page.html": "{% for category, text in flashes() %}<p class={{ category }}>{{ text }}</p>{% endfor %}"
                "{{ request.user.display_name }}|{{ csrf_token() }}"
            }
        ),
    )
    templates = Jinja2Templates(env=environment, context_processors=[template_context])

    async def page(request: Request) -> Any:
        return templates.TemplateResponse(request, "page.html")

    async def say(request: Request) -> PlainTextResponse:
        flash(request, "<script>", "warning")
        return PlainTextResponse("")

    async def take(request: Request) -> JSONResponse:
        return JSONResponse(flashes(request))

    client = house.client(("/page", page), ("/say", say), ("/take", take))
    house.sign_up(client)
    client.get("/say")

    first, again = client.get("/page").text, client.get("/page").text
    assert first.startswith("<p class=warning>&lt;script&gt;</p>ada|")
    assert again.startswith("ada|")
    token = again.partition("|")[2]
    del client.headers["origin"]
    assert client.post("/say", headers=JSON).status_code == 403
    assert client.post("/say", data={"csrf_token": token}).status_code == 200
    assert client.get("/take").json() == [["warning", "<script>"]]


def test_forms_reach_the_endpoint_after_their_token_was_read(house: House) -> None:
    async def form(request: Request) -> JSONResponse:
        if request.method == "GET":
            return JSONResponse(passage(request).csrf_token())
        fields = dict(parse_qsl((await request.body()).decode()))
        return JSONResponse({name: value for name, value in fields.items() if name != "csrf_token"})

    client = house.client(("/form", form))
    del client.headers["origin"]
    token = client.get("/form").json()

    told = client.post("/form", data={"csrf_token": token, "a": "1", "b": "ü" * 1000})
    assert told.json() == {"a": "1", "b": "ü" * 1000}


# Places


def test_the_lifespan_is_the_application_s(house: House) -> None:
    lived: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        async with house.desk:
            lived.append("open")
            yield
        lived.append("closed")

    client = house.client(lifespan=lifespan)
    assert lived == ["open"]
    client.__exit__()
    assert lived == ["open", "closed"]
    house.stack.pop_all()


@pytest.mark.parametrize("place", ["before", "behind"])
def test_another_session_middleware_is_an_error_at_start(house: House, place: str) -> None:
    ours = Middleware(CoatcheckMiddleware, desk=house.desk, development=True)
    theirs = Middleware(SessionMiddleware, secret_key="x")
    app = Starlette(middleware=[theirs, ours] if place == "before" else [ours, theirs])

    with pytest.raises(ConfigurationError, match="another session middleware"), TestClient(app):
        pass


def test_two_doors_are_an_error_at_start(house: House) -> None:
    door = Middleware(CoatcheckMiddleware, desk=house.desk, development=True)

    with pytest.raises(ConfigurationError, match="stands twice"), TestClient(Starlette(middleware=[door, door])):
        pass


def test_err_03_settings_are_judged_before_the_first_request(house: House) -> None:
    app = Starlette(middleware=[Middleware(CoatcheckMiddleware, desk=house.desk, prefix="auth")])

    with pytest.raises(ConfigurationError) as told, TestClient(app):
        pass
    assert [problem.partition(":")[0] for problem in told.value.problems] == ["prefix", "public_url"]


@pytest.mark.parametrize(("door", "extra"), [("starlette", "starlette"), ("fastapi", "fastapi")])
def test_without_the_framework_the_import_says_what_to_install(door: str, extra: str) -> None:
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('starlette', 'fastapi'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"import coatcheck.{door}\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert f"pip install 'coatcheck[{extra}]'" in ran.stderr.splitlines()[-1]


def test_fix_05_no_key_of_the_session_data_is_an_identity(house: House) -> None:
    async def claim(request: Request) -> PlainTextResponse:
        for key in ("user", "user_id", "_user_id", "_auth_user_id", "subject", "is_authenticated", "scopes"):
            request.session[key] = "ada"
        return PlainTextResponse("")

    client = house.client(("/claim", claim), ("/count", count), ("/members", members))
    client.get("/claim")

    assert client.get("/count").json() == {"n": 1, "by": ""}
    assert client.get("/members", headers=JSON).status_code == 401
    client.cookies.set("session", "eyJ1c2VyIjogImFkYSJ9.forged")
    assert client.get("/count").json() == {"n": 2, "by": ""}
