"""A small OpenID provider, for this machine only: nobody needs a password to be ada or grace here.

Authorization code flow with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636), one registered client, ES256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import os
import secrets
import sys
import time
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
ISSUER = f"http://localhost:{PORT}"
APP = os.environ.get("APP", "http://localhost:8000")

CLIENT_ID, CLIENT_SECRET, REDIRECT_URI = "shop", "a secret of the shop", f"{APP}/callback"
PEOPLE = {"ada": "Ada Lovelace", "grace": "Grace Hopper"}
LIFETIME = 300

key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
codes: dict[str, dict[str, str]] = {}


async def metadata(_request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks.json",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
        }
    )


async def jwks(_request: Request) -> JSONResponse:
    return JSONResponse({"keys": [key.as_dict(private=False)]})


async def authorize(request: Request) -> Response:
    """Ask who it is; the answer goes back to the application with a code."""
    asked = request.query_params
    if asked.get("client_id") != CLIENT_ID or asked.get("redirect_uri") != REDIRECT_URI:
        return HTMLResponse("<h1>Unknown application</h1>", 400)  # and never a redirect
    if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
        return RedirectResponse(_back(asked.get("state"), error="invalid_request"), 303)
    if request.method == "GET":
        buttons = "".join(
            f"<button name=person value={one}>{html.escape(name)}</button> " for one, name in PEOPLE.items()
        )
        return HTMLResponse(
            f"<h1>Who are you?</h1><form method=post>{buttons}<button name=person>Nobody</button></form>"
        )
    person = parse_qs((await request.body()).decode()).get("person", [""])[0]
    if person not in PEOPLE:
        return RedirectResponse(_back(asked.get("state"), error="access_denied"), 303)
    code = secrets.token_urlsafe()
    codes[code] = {"sub": person, "nonce": asked.get("nonce", ""), "challenge": asked.get("code_challenge", "")}
    return RedirectResponse(_back(asked.get("state"), code=code), 303)


async def token(request: Request) -> JSONResponse:
    """Give an id token for a code: once, to the application that asked, which knows the verifier."""
    given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode())
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not hmac.compare_digest(_unquoted(shown), expected):
        return JSONResponse({"error": "invalid_client"}, 401)
    grant = codes.pop(given.get("code", ""), None)
    verifier = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
    if grant is None or grant["challenge"] != challenge or given.get("redirect_uri") != REDIRECT_URI:
        return JSONResponse({"error": "invalid_grant"}, 400)
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": grant["sub"],
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + LIFETIME,
        "nonce": grant["nonce"],
        "name": PEOPLE[grant["sub"]],
    }
    id_token = jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)
    answer = {
        "access_token": secrets.token_urlsafe(),
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "id_token": id_token,
    }
    return JSONResponse(answer, headers={"cache-control": "no-store"})


def _back(state: str | None, **answer: str) -> str:
    return f"{REDIRECT_URI}?{urlencode({**answer, 'state': state or ''})}"


def _unquoted(shown: str) -> bytes:
    return shown.encode("ascii", "replace")


app = Starlette(
    routes=[
        Route("/.well-known/openid-configuration", metadata),
        Route("/jwks.json", jwks),
        Route("/authorize", authorize, methods=["GET", "POST"]),
        Route("/token", token, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="localhost", port=PORT)
