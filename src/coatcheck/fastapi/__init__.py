"""The FastAPI door: a lifespan, a router and dependencies.

auth = CoatcheckFastAPI(AsyncCoatcheck("sqlite:///app.db"), public_url="https://...")
app = FastAPI(lifespan=auth.lifespan)
app.include_router(auth.router, prefix="/auth")

@app.get("/me")
async def me(account: Annotated[Account, Depends(auth.account)]): ...

`door` puts the door into an application and out again, `guards` are the dependencies, `routes` is what the door knows
of the application's routes: which are exempt, and what OpenAPI says of guarded ones.
"""

try:
    from coatcheck.fastapi.door import CoatcheckFastAPI
except ModuleNotFoundError as error:  # pragma: no cover - a process without it runs in tests/fastapi
    raise ImportError("coatcheck.fastapi needs FastAPI: pip install 'coatcheck[fastapi]'") from error

from coatcheck.web.door import Exemption, csrf_exempt
from coatcheck.web.passage import Passage
from coatcheck.web.session_data import SessionData

__all__ = ["CoatcheckFastAPI", "Exemption", "Passage", "SessionData", "csrf_exempt"]
