"""What a user's checker sees: read by mypy and pyright in `./dev check`, never run.

A line that must be refused says so with an ignore; where it is not refused, the ignore is unused, and that is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from flask import Flask

from coatcheck import Account, Coatcheck, Login
from coatcheck.flask import (
    CoatcheckFlask,
    Exemption,
    csrf_exempt,
    current_account,
    current_passage,
    fresh_login_required,
    log_in,
    log_out,
    login_required,
    same_account_required,
    sign_up,
    start_session,
)

app = Flask(__name__)
CoatcheckFlask(app, Coatcheck("memory://"), public_url="https://shop.example.org", prefix="/auth", trusted_hops=1)
CoatcheckFlask().init_app(app, Coatcheck("memory://"), csrf_exempt={"/hook": Exemption(reason="signed")})


@app.get("/users/<id>")
@login_required
@same_account_required("id")
def show(id: str) -> str:  # noqa: A002 - as in the route
    return current_account.username or id


@app.post("/hook")
@csrf_exempt(reason="signed by the sender")
def hook() -> str:
    return "ok"


@fresh_login_required
def number(of: int) -> int:
    return of


assert_type(show("x"), str)
assert_type(number(1), int)
assert_type(log_in("ada", "a long enough passphrase"), Login)
assert_type(start_session("42", methods=("oidc",), remember=True), Login)
assert_type(sign_up(username="ada", password="a long enough passphrase"), Account)
assert_type(log_out(), bool)
assert_type(current_passage.increment("visits"), int)
assert_type(current_account.created_at, datetime)


def greet(account: Account) -> str:
    return account.username or "?"


def greeting() -> str:
    if current_account:
        return greet(current_account)
    return "Welcome, stranger"


CoatcheckFlask(app, "sqlite:///app.db")  # type: ignore[arg-type]
CoatcheckFlask(app, Coatcheck("memory://"), public_url=7)  # type: ignore[arg-type]
CoatcheckFlask(app, Coatcheck("memory://"), colour="red")  # type: ignore[call-arg]
log_in("ada")  # type: ignore[call-arg]
number("x")  # type: ignore[arg-type]
csrf_exempt()  # type: ignore[call-arg]
