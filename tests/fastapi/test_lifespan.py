"""Start and end: what must be in place, what is said where it is not, and a lifespan that composes with another."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from coatcheck import Account, AsyncCoatcheck, Coatcheck, ConfigurationError, StoreUnavailable
from coatcheck.fastapi import CoatcheckFastAPI
from coatcheck.starlette import CoatcheckMiddleware
from tests.fastapi.conftest import House


def start(app: FastAPI) -> None:
    with TestClient(app):
        pass


def test_it_composes_with_the_application_s_own(house: House) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        order.append("mine")
        async with house.auth.lifespan(app):
            await house.desk.ready()
            yield {"resource": "a lake"}
        order.append("closed")

    app = FastAPI(lifespan=lifespan)
    app.include_router(house.auth.router, prefix="/auth")

    @app.get("/")
    async def root(request: Request, account: Annotated[Account | None, Depends(house.auth.optional)]) -> Any:
        return [request.state.resource, account]

    with TestClient(app) as client:
        assert client.get("/").json() == ["a lake", None]
    assert order == ["mine", "closed"]


def test_the_application_is_as_before_when_it_has_ended(house: House) -> None:
    before = house.app.router.middleware_stack
    start(house.app)

    assert house.app.router.middleware_stack == before


def test_a_version_that_asks_nobody_before_its_routes_is_refused_at_start(house: House) -> None:
    class Deaf(APIRouter):
        """A router whose routes are found without what stands before them."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    house.app.router.__class__ = Deaf
    before = house.app.router.middleware_stack

    with pytest.raises(ConfigurationError, match=r"fastapi: \S+ with Starlette \S+ asks nobody"):
        start(house.app)
    assert house.app.router.middleware_stack == before


def test_an_application_s_middleware_is_complete_when_its_lifespan_begins() -> None:
    """Why the door goes another way: if this is allowed one day, that is the way to take."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        app.add_middleware(CoatcheckMiddleware, desk=AsyncCoatcheck("memory://"), development=True)
        yield

    with pytest.raises(RuntimeError, match="after an application has started"):
        start(FastAPI(lifespan=lifespan))


def test_a_router_that_is_not_included_is_told_of(house: House) -> None:
    with pytest.raises(ConfigurationError, match=r'app.include_router\(auth.router, prefix="/auth"\)'):
        start(FastAPI(lifespan=house.auth.lifespan))


@pytest.mark.parametrize("prefix", ["", "/login", "/auth/inner"])
def test_a_prefix_that_is_not_the_door_s_is_told_of_with_the_mend(house: House, prefix: str) -> None:
    app = FastAPI(lifespan=house.auth.lifespan)
    app.include_router(house.auth.router, prefix=prefix)

    with pytest.raises(ConfigurationError) as told:
        start(app)

    (problem,) = told.value.problems
    assert f'included under "{prefix}", and the door has "/auth"' in problem
    assert f'CoatcheckFastAPI(desk, prefix="{prefix}")' in problem


def test_the_prefix_is_what_visitors_see() -> None:
    auth = CoatcheckFastAPI(AsyncCoatcheck("memory://"), development=True, prefix="/api/auth")
    app = FastAPI(lifespan=auth.lifespan)
    app.include_router(auth.router, prefix="/auth")

    with TestClient(app, root_path="/api") as client:
        assert client.get("/api/auth/login").status_code == 200


@pytest.mark.parametrize("second", ["/auth", "/account"])
def test_a_router_that_is_included_twice_is_told_of(house: House, second: str) -> None:
    app = FastAPI(lifespan=house.auth.lifespan)
    app.include_router(house.auth.router, prefix="/auth")
    inner = APIRouter()
    inner.include_router(house.auth.router, prefix=second)
    app.include_router(inner)

    with pytest.raises(ConfigurationError, match=f'router: it is included under "/auth" and "{second}"; .* leave one'):
        start(app)


def test_another_session_middleware_is_told_of(house: House) -> None:
    app = FastAPI(lifespan=house.auth.lifespan, middleware=[Middleware(SessionMiddleware, secret_key="x")])
    app.include_router(house.auth.router, prefix="/auth")

    with pytest.raises(ConfigurationError, match="another session middleware"):
        start(app)


def test_a_door_that_stands_twice_is_told_of(house: House) -> None:
    app = FastAPI(
        lifespan=house.auth.lifespan, middleware=[Middleware(CoatcheckMiddleware, desk=house.desk, development=True)]
    )
    app.include_router(house.auth.router, prefix="/auth")

    with pytest.raises(ConfigurationError, match="CoatcheckMiddleware is not needed"):
        start(app)


def test_all_that_is_amiss_is_told_at_once(house: House) -> None:
    app = FastAPI(lifespan=house.auth.lifespan, middleware=[Middleware(SessionMiddleware, secret_key="x")])

    with pytest.raises(ConfigurationError) as told:
        start(app)
    assert [problem.partition(":")[0] for problem in told.value.problems] == ["router", "middleware"]


def test_a_store_that_is_down_stops_the_start(house: House) -> None:
    house.store.broken = {"ready"}

    with pytest.raises(StoreUnavailable):
        start(house.app)


def test_without_the_lifespan_a_dependency_says_what_is_missing(house: House) -> None:
    @house.app.get("/me")
    async def me(account: Annotated[Account, Depends(house.auth.account)]) -> None: ...

    with pytest.raises(ConfigurationError, match=r"FastAPI\(lifespan=auth.lifespan\)"):
        TestClient(house.app).get("/me")


def test_our_calls_are_answered_without_the_lifespan_too(house: House) -> None:
    assert TestClient(house.app).get("/auth/login").status_code == 200


def test_a_dependency_of_another_door_is_told_of(house: House) -> None:
    other = House()

    @house.app.get("/me")
    async def me(account: Annotated[Account, Depends(other.auth.account)]) -> None: ...

    with pytest.raises(ConfigurationError, match="does not stand before"):
        house.client().get("/me")


def test_err_03_settings_are_judged_when_the_door_is_made() -> None:
    with pytest.raises(ConfigurationError, match="needs AsyncCoatcheck"):
        CoatcheckFastAPI(Coatcheck("memory://"), development=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as told:
        CoatcheckFastAPI(AsyncCoatcheck("memory://"), prefix="auth", socket_seconds=0)
    assert [problem.partition(":")[0] for problem in told.value.problems] == ["prefix", "public_url", "socket_seconds"]
