"""Accounts of the application's own type: what its dependencies give, while our pages show what is ours."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from coatcheck import AsyncCoatcheck
from coatcheck.fastapi import CoatcheckFastAPI, Passage
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clients import log_in_starlette
from tests.fastapi.conftest import ORIGIN, PASSWORD
from tests.own_users import User, Users


@pytest.fixture
def desk() -> AsyncCoatcheck[User]:
    return AsyncCoatcheck(Users(MemoryStore()), sessions=MemoryStore(holds_accounts=False))


@pytest.fixture
def app(desk: AsyncCoatcheck[User]) -> FastAPI:
    auth = CoatcheckFastAPI(desk, development=True)
    app = FastAPI(lifespan=auth.lifespan)
    app.include_router(auth.router, prefix="/auth")

    @app.get("/coat")
    async def coat(user: Annotated[User, Depends(auth.account)]) -> str:
        return user.favourite_coat

    @app.get("/maybe")
    def maybe(user: Annotated[User | None, Depends(auth.optional)]) -> Any:
        return user

    @app.get("/fresh")
    async def fresh(user: Annotated[User, Depends(auth.fresh_account)]) -> str:
        return user.key

    @app.post("/sign-up")
    async def sign_up(passage: Annotated[Passage[User], Depends(auth.passage)]) -> list[str]:
        user = await passage.sign_up(username="ada", password=PASSWORD)
        login = await passage.log_in("ada", PASSWORD)
        again = await passage.reauthenticate(PASSWORD)
        seen = await passage.require_account()
        assert login.account == again.account == seen == user
        return [user.key, user.favourite_coat]

    return app


def test_dependencies_and_passages_give_the_application_s_own_type(app: FastAPI) -> None:
    with TestClient(app, headers=ORIGIN) as client:
        assert client.get("/coat").status_code == 401
        assert client.get("/maybe").json() is None
        key, coat = client.post("/sign-up").json()

        assert client.get("/coat").json() == coat == "duffle"
        assert client.get("/maybe").json() == {"key": key, "favourite_coat": "duffle"}
        assert client.get("/fresh").json() == key


def test_a_subject_without_a_user_is_known_and_has_none(app: FastAPI, desk: AsyncCoatcheck[User]) -> None:
    with TestClient(app, headers=ORIGIN) as client:
        log_in_starlette(client, desk, "oidc|7")

        assert client.get("/coat").status_code == 403
        assert client.get("/maybe").json() is None


def test_our_pages_and_calls_show_names_that_the_application_s_type_lacks(app: FastAPI) -> None:
    with TestClient(app, headers=ORIGIN) as client:
        client.post("/sign-up")

        assert "ada" in client.get("/auth/account", headers={"accept": "text/html"}).text
        assert client.get("/auth/api/me").json()["account"]["username"] == "ada"
