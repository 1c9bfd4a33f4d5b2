# pyright: basic
"""FastAPI with fastapi-users: a handler without and one with its current user, and its own log-in route."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends, FastAPI, Response
from fastapi_users import FastAPIUsers
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from sqlalchemy.ext.asyncio import AsyncSession

from bench.served import BODY, JSON, cpu, file
from bench.sides.fastapi_users import AccessToken, FastapiUsers, Manager, User, backend_over, session_of, strategy_over

_side = FastapiUsers(file(), hashes=True)


async def get_session() -> AsyncGenerator[AsyncSession, None]:
    """The session of a request."""
    async for session in session_of(_side):
        yield session


async def get_manager(session: Annotated[AsyncSession, Depends(get_session)]) -> AsyncGenerator[Manager, None]:
    """The user manager of a request."""
    yield _side.manager(session)


def get_strategy(
    session: Annotated[AsyncSession, Depends(get_session)],
) -> DatabaseStrategy[User, uuid.UUID, AccessToken]:
    """The database strategy of a request."""
    return strategy_over(session)


_backend = backend_over(get_strategy)
_users = FastAPIUsers[User, uuid.UUID](get_manager, [_backend])
app = FastAPI()
app.include_router(_users.get_auth_router(_backend))  # POST /login


@app.get("/bare")
async def bare() -> Response:
    return Response(BODY, media_type=JSON)


@app.get("/authenticated")
async def authenticated(_user: Annotated[User, Depends(_users.current_user(active=True))]) -> Response:
    return Response(BODY, media_type=JSON)


@app.get("/cpu")
async def used() -> Response:
    return Response(cpu(), media_type=JSON)
