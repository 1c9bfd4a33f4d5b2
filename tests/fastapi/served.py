"""An API for a single-page application on another origin: `uvicorn tests.fastapi.served:app`."""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from coatcheck import Account, AsyncCoatcheck
from coatcheck.fastapi import CoatcheckFastAPI

SPA = os.environ["SPA"]

auth = CoatcheckFastAPI(AsyncCoatcheck("memory://"), development=True, trusted_origins=[SPA])
app = FastAPI(lifespan=auth.lifespan)
app.include_router(auth.router, prefix="/auth")

api = FastAPI()
api.add_middleware(
    CORSMiddleware, allow_origins=[SPA], allow_credentials=True, allow_methods=["*"], allow_headers=["content-type"]
)
app.mount("/api", api)
notes: list[str] = []


@api.get("/me")
async def me(account: Annotated[Account, Depends(auth.account)]) -> dict[str, Any]:
    return {"name": account.username}


@api.post("/notes")
async def note(text: dict[str, str], account: Annotated[Account, Depends(auth.account)]) -> dict[str, Any]:
    notes.append(f"{account.username}: {text['text']}")
    return {"notes": notes}
