"""Somebody who is logged in, for tests: through the desk itself, and in the test clients of frameworks."""

# Without `from __future__ import annotations`: FastAPI reads the signatures below.

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request
from flask import Flask
from starlette.testclient import TestClient

from coatcheck import Account, AsyncCoatcheck, Client, Coatcheck, InvalidCredentials, StepUpRequired
from coatcheck.asgi import CoatcheckMiddleware
from coatcheck.errors import ConfigurationError
from coatcheck.fastapi import CoatcheckFastAPI
from coatcheck.flask import CoatcheckFlask, current_account, fresh_login_required
from coatcheck.testing.clients import log_in_flask, log_in_starlette
from coatcheck.testing.clock import MovableClock
from coatcheck.testing.logins import cookie_name, login_as, login_as_async

PASSWORD = "a long enough passphrase"
DAY = 86_400


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def desk(clock: MovableClock) -> Any:
    with Coatcheck("memory://", clock=clock) as desk:
        yield desk


def test_a_session_is_as_old_as_it_is_said_to_be_and_in_use(desk: Coatcheck, clock: MovableClock) -> None:
    login = login_as(desk, "ada", age=timedelta(hours=20), methods=("pwd", "otp"), client=Client(ip="192.0.2.7"))

    visit = desk.authenticate(login.token)

    assert visit
    assert visit.session.record.auth_time == clock.now - 20 * 3600
    assert visit.session.record.created_at == clock.now - 20 * 3600
    assert visit.session.record.last_seen_at == login.session.record.last_seen_at == clock.now
    assert (visit.session.methods, visit.session.ip) == (("pwd", "otp"), "192.0.2.7")
    with pytest.raises(StepUpRequired):
        desk.require_fresh(visit.session)


def test_without_an_age_it_is_fresh(desk: Coatcheck) -> None:
    desk.require_fresh(login_as(desk, "ada").session)


def test_what_is_left_of_its_time_is_left(desk: Coatcheck, clock: MovableClock) -> None:
    login = login_as(desk, "ada", age=DAY - 60)

    clock.move(60)

    assert not desk.authenticate(login.token)


def test_a_remembered_one_may_be_older(desk: Coatcheck) -> None:
    login = login_as(desk, "ada", age=20 * DAY, remember=True)

    assert desk.authenticate(login.token)


@pytest.mark.parametrize(("age", "remember"), [(-1, False), (DAY, False), (30 * DAY, True), (timedelta(days=1), False)])
def test_an_age_that_no_live_session_has_is_a_mistake_and_starts_none(
    desk: Coatcheck, age: Any, remember: bool
) -> None:
    with pytest.raises(ValueError, match="age:"):
        login_as(desk, "ada", age=age, remember=remember)

    assert desk.sessions(of="ada") == ()


def test_an_account_comes_with_it(desk: Coatcheck) -> None:
    ada = desk.sign_up(username="ada", password=PASSWORD)

    assert login_as(desk, ada).account is ada


def test_who_is_disabled_stays_out(desk: Coatcheck) -> None:
    desk.disable("ada")

    with pytest.raises(InvalidCredentials):
        login_as(desk, "ada")


def test_with_the_desk_for_an_event_loop() -> None:
    async def story() -> None:
        async with AsyncCoatcheck("memory://") as desk:
            login = await login_as_async(desk, "ada", age=600)
            visit = await desk.authenticate(login.token)
            assert visit
            assert visit.subject == "ada"

    asyncio.run(story())


def flask_app(desk: Coatcheck, **settings: Any) -> Flask:
    app = Flask(__name__)
    CoatcheckFlask(app, desk, **settings)

    @app.get("/who")
    def who() -> str:
        return current_account.username or ""

    @app.get("/fresh")
    @fresh_login_required
    def fresh() -> str:
        return "fresh"

    return app


@pytest.mark.parametrize("base_url", ["http://localhost", "https://app.example.org"])
def test_in_a_client_of_flask(desk: Coatcheck, base_url: str) -> None:
    with Coatcheck("memory://", secret=bytes(range(32))) as desk:
        settings = {"public_url": base_url} if base_url.startswith("https") else {"development": True}
        ada = desk.sign_up(username="ada", password=PASSWORD)
        client = flask_app(desk, **settings).test_client()

        log_in_flask(client, ada, age=timedelta(minutes=20))

        assert client.get("/who", base_url=base_url).text == "ada"
        assert client.get("/fresh", base_url=base_url, headers={"Accept": "application/json"}).status_code == 401


def test_flask_without_a_door_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="CoatcheckFlask: is missing"):
        log_in_flask(Flask(__name__).test_client(), "ada")


@pytest.mark.parametrize("base_url", ["http://testserver", "https://app.example.org"])
def test_in_a_client_of_fastapi(base_url: str) -> None:
    desk = AsyncCoatcheck("memory://", secret=bytes(range(32)))
    settings: Any = {"public_url": base_url} if base_url.startswith("https") else {"development": True}
    auth = CoatcheckFastAPI(desk, **settings)
    app = FastAPI(lifespan=auth.lifespan)
    app.include_router(auth.router, prefix="/auth")

    @app.get("/who")
    async def who(account: Annotated[Account, Depends(auth.account)]) -> str | None:
        return account.username

    @app.get("/fresh")
    async def fresh(account: Annotated[Account, Depends(auth.fresh_account)]) -> str | None:
        return account.username

    with TestClient(app, base_url=base_url) as client:
        assert client.portal is not None
        ada = client.portal.call(lambda: desk.sign_up(username="ada", password=PASSWORD))

        log_in_starlette(client, desk, ada, age=1200)

        assert client.get("/who").json() == "ada"
        assert client.get("/fresh").status_code == 401


def test_a_client_that_was_not_entered_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="enter it first"):
        log_in_starlette(TestClient(FastAPI()), AsyncCoatcheck("memory://"), "ada")


def test_in_a_client_that_lives_on_an_event_loop() -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        subject = (await scope["coatcheck"].require_session()).subject
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": subject.encode()})

    @asynccontextmanager
    async def visiting(desk: AsyncCoatcheck) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(CoatcheckMiddleware(app, desk, development=True))
        async with desk, httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client

    async def story() -> None:
        desk = AsyncCoatcheck("memory://")
        async with visiting(desk) as client:
            login = await login_as_async(desk, "ada")
            client.cookies.set(cookie_name(secure=False), login.token.reveal())

            assert (await client.get("/")).text == "ada"

    asyncio.run(story())


def test_in_a_test_client_of_starlette_the_cookie_takes_the_place_of_another() -> None:
    """Both had the same name: under two domains they would come twice, which is nobody (CKY-10)."""
    desk = AsyncCoatcheck("memory://")
    auth = CoatcheckFastAPI(desk, development=True)
    app = FastAPI(lifespan=auth.lifespan)
    app.include_router(auth.router, prefix="/auth")

    @app.post("/visit")
    async def visit(request: Request) -> list[object]:
        request.session["n"] = request.session.get("n", 0) + 1
        return [request.user.identity, request.session["n"]]

    with TestClient(app, headers={"origin": "http://testserver"}) as client:
        told = [client.post("/visit").json()]
        log_in_starlette(client, desk, "ada")
        told.append(client.post("/visit").json())
        client.post("/auth/api/logout")
        told.append(client.post("/visit").json())

    assert told == [["", 1], ["ada", 1], ["", 1]]
