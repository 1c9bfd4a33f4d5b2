"""Accounts of the application's own type: a passage is asked for with the desk whose type they have."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from coatcheck import AsyncCoatcheck, ConfigurationError
from coatcheck.starlette import CoatcheckMiddleware, passage
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clients import log_in_starlette
from tests.own_users import User, Users

PASSWORD = "a long enough passphrase"
ORIGIN = {"origin": "http://testserver"}


def test_a_passage_gives_the_type_of_its_desk_and_no_other_desk_s() -> None:
    desk = AsyncCoatcheck(Users(MemoryStore()), sessions=MemoryStore(holds_accounts=False))
    other = AsyncCoatcheck("memory://")

    async def enter(request: Request) -> JSONResponse:
        user = await passage(request, desk).sign_up(username="ada", password=PASSWORD)
        assert (await passage(request, desk).log_in("ada", PASSWORD)).account == user
        return JSONResponse(user.key)

    async def coat(request: Request) -> JSONResponse:
        user = await passage(request, desk).require_account()
        assert isinstance(user, User)
        assert request.user.account == user
        return JSONResponse([user.key, request.user.display_name])

    async def wrong(request: Request) -> JSONResponse:
        return JSONResponse(passage(request, other) is None)

    app = Starlette(
        routes=[Route("/", enter, methods=["POST"]), Route("/coat", coat), Route("/wrong", wrong)],
        middleware=[Middleware(CoatcheckMiddleware, desk=desk, development=True)],
    )
    with TestClient(app, headers=ORIGIN) as client:
        key = client.post("/").json()
        assert client.get("/coat").json() == [key, key]  # it has no name that could be shown

        log_in_starlette(client, desk, "oidc|7")
        assert client.get("/coat").status_code == 403
        with pytest.raises(ConfigurationError, match="another desk's"):
            client.get("/wrong")
