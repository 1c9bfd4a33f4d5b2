"""What a user's checker sees: read by mypy and pyright in `./dev check`, never run.

A line that must be refused says so with an ignore; where it is not refused, the ignore is unused, and that is refused.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, assert_type

from fastapi import Depends, FastAPI, Request

from coatcheck import Account, AsyncCoatcheck, Coatcheck, Login
from coatcheck.fastapi import CoatcheckFastAPI, Exemption, Passage, SessionData

auth = CoatcheckFastAPI(
    AsyncCoatcheck("memory://"),
    public_url="https://shop.example.org",
    trusted_origins=["https://spa.example.org"],
    csrf_exempt={"/hook": Exemption(reason="signed")},
    socket_seconds=10,
)
CoatcheckFastAPI(Coatcheck("memory://"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
CoatcheckFastAPI(AsyncCoatcheck("memory://"), colour="red")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
CoatcheckFastAPI(AsyncCoatcheck("memory://"), prefix=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with auth.lifespan(app):
        yield


app = FastAPI(lifespan=auth.lifespan)
FastAPI(lifespan=lifespan).include_router(auth.router, prefix="/auth")


@app.get("/users/{id}")
async def show(id: str, account: Annotated[Account, Depends(auth.same_account("id"))]) -> str:  # noqa: A002
    return account.username or id


async def guards(request: Request) -> None:
    assert_type(await auth.account(request), Account)
    assert_type(await auth.browser(request), Account)
    assert_type(await auth.fresh_account(request), Account)
    assert_type(await auth.same_account("id")(request), Account)
    assert_type(await auth.optional(request), Account | None)
    assert_type(await auth.subject(request), str)
    assert_type(auth.session(request), SessionData)
    auth.session(request).setdefault("cart", []).append("coat")
    auth.session(request)["visits"] += 1
    assert_type(auth.passage(request), Passage)
    assert_type(await auth.passage(request).log_in("ada", "a passphrase"), Login)
