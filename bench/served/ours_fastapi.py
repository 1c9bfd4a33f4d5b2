"""FastAPI twice in one process: bare, and with Coatcheck's door."""

# Without `from __future__ import annotations`: FastAPI reads the signatures below.

from collections.abc import MutableMapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response

from bench.served import BODY, JSON, cpu, file
from bench.sides.ours import DOOR, SECRET, url_of
from coatcheck import Account, AsyncCoatcheck
from coatcheck.fastapi import CoatcheckFastAPI

_auth = CoatcheckFastAPI(AsyncCoatcheck(url_of(file()), secret=SECRET), **DOOR)
_bare = FastAPI()
_ours = FastAPI(lifespan=_auth.lifespan)
_ours.include_router(_auth.router, prefix="/auth")


@_bare.get("/bare")
async def bare() -> Response:
    return Response(BODY, media_type=JSON)


@_bare.get("/cpu")
async def used() -> Response:
    return Response(cpu(), media_type=JSON)


@_ours.get("/door")
async def door(account: Annotated[Account, Depends(_auth.account)]) -> Response:
    return Response(BODY, 200 if account.subject else 500, media_type=JSON)


async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Applications of their own: a door would burden the bare handler too."""
    is_bare = scope["type"] == "http" and scope["path"] != "/door"
    await (_bare if is_bare else _ours)(scope, receive, send)
