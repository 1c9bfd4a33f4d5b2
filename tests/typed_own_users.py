"""What a user's checker sees where accounts are of the application's own type: read in `./dev check`, never run.

`Users` is the store of `examples/own_users`, `User` the class of its table.
"""

from __future__ import annotations

from typing import assert_type

import sqlalchemy as sa
from fastapi import Request
from flask import Flask
from starlette.requests import Request as StarletteRequest
from users import User, Users

from coatcheck import Absent, Account, AsyncCoatcheck, Coatcheck, Login, Session, Visit
from coatcheck.fastapi import CoatcheckFastAPI
from coatcheck.flask import CoatcheckFlask
from coatcheck.http_server import CoatcheckHandler, CoatcheckServer
from coatcheck.starlette import Passage, passage
from coatcheck.web.blocking import BlockingPassage

users = Users(sa.create_engine("sqlite:///users.db"))
desk = Coatcheck(users, sessions="sqlite:///sessions.db")
async_desk = AsyncCoatcheck(users, sessions="sqlite:///sessions.db")
assert_type(desk, Coatcheck[User])
assert_type(async_desk, AsyncCoatcheck[User])


def blocking(session: Session) -> None:
    with desk as opened:
        assert_type(opened, Coatcheck[User])
    assert_type(desk.sign_up(username="ada", password="a passphrase"), User)
    assert_type(desk.log_in("ada", "a passphrase"), Login[User])
    assert_type(desk.log_in("ada", "a passphrase").account, User | None)
    assert_type(desk.reauthenticate(session, "a passphrase"), Login[User])
    assert_type(desk.authenticate("token"), Visit[User] | Absent)
    visit = desk.authenticate("token")
    if visit and visit.account:
        assert_type(visit.account.favourite_coat, str | None)
    assert_type(desk.account("ada"), User | None)
    assert_type(desk.find_account("ada"), User | None)
    assert_type(desk.all_accounts(), tuple[list[tuple[User, bool]], str | None])


async def awaited() -> None:
    async with async_desk as opened:
        assert_type(opened, AsyncCoatcheck[User])
    assert_type(await async_desk.sign_up(username="ada", password="a passphrase"), User)
    assert_type(await async_desk.log_in("ada", "a passphrase"), Login[User])
    assert_type(await async_desk.authenticate("token"), Visit[User] | Absent)
    assert_type(await async_desk.account("ada"), User | None)


# The doors

auth = CoatcheckFastAPI(async_desk, development=True)
assert_type(auth, CoatcheckFastAPI[User])


async def fastapi(request: Request) -> None:
    assert_type(await auth.account(request), User)
    assert_type(await auth.browser(request), User)
    assert_type(await auth.fresh_account(request), User)
    assert_type(await auth.same_account("id")(request), User)
    assert_type(await auth.optional(request), User | None)
    assert_type(await auth.subject(request), str)
    assert_type(auth.passage(request), Passage[User])
    assert_type(await auth.passage(request).log_in("ada", "a passphrase"), Login[User])


async def starlette(request: StarletteRequest) -> None:
    assert_type(passage(request, async_desk), Passage[User])
    assert_type(await passage(request, async_desk).account(), User | None)
    assert_type(await passage(request).account(), Account | None)


flask = CoatcheckFlask(Flask(__name__), desk)
assert_type(flask, CoatcheckFlask[User])
assert_type(flask.account, User | None)
CoatcheckFlask[User]().init_app(Flask(__name__), desk)
CoatcheckFlask().init_app(Flask(__name__), desk)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Handler(CoatcheckHandler[User]):
    def do_GET(self) -> None:
        assert_type(self.account, User | None)
        assert_type(self.coatcheck, BlockingPassage[User])


CoatcheckServer(("localhost", 8000), Handler, desk, development=True)
