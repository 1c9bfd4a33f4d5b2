"""An application that has users already: its table stays, Coatcheck does the log-in and keeps the sessions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import uvicorn
from fastapi import Body, Depends, FastAPI
from old import make_database
from users import User, Users, inactive, upgrade

from coatcheck import AsyncCoatcheck
from coatcheck.fastapi import CoatcheckFastAPI

engine = sa.create_engine("sqlite:///users.db")
desk = AsyncCoatcheck(Users(engine, run=asyncio.to_thread), sessions="sqlite:///sessions.db")  # AsyncCoatcheck[User]
auth = CoatcheckFastAPI(desk, development=True, home="/me")

Member = Annotated[User, Depends(auth.account)]


def prepare() -> None:
    if not Path("users.db").exists():
        make_database(Path("users.db"))
    upgrade(engine)


async def shut_out() -> None:
    """Who was inactive in the old table stays outside. At each start: sessions.db may be a new one."""
    for subject in inactive(engine):
        if not await desk.is_disabled(subject):
            await desk.disable(subject)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    prepare()
    async with auth.lifespan(app):
        await shut_out()
        yield


app = FastAPI(lifespan=lifespan)
app.include_router(auth.router, prefix="/auth")


@app.get("/me")
def me(user: Member) -> dict[str, Any]:
    return {"id": user.id, "name": user.name, "favourite_coat": user.favourite_coat}


@app.put("/me/coat")
def choose(coat: Annotated[str, Body(embed=True)], user: Member) -> dict[str, Any]:
    with engine.begin() as connection:
        connection.execute(sa.update(User).where(User.id == user.id).values(favourite_coat=coat))
    return {"id": user.id, "favourite_coat": coat}


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    uvicorn.run(app, host="localhost", port=port)
