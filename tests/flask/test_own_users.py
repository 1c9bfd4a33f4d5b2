"""Accounts of the application's own type: `current_account` is one, and the extension tells checkers so."""

from __future__ import annotations

from flask import Flask

from coatcheck import Coatcheck
from coatcheck.flask import CoatcheckFlask, current_account, log_in, login_required, sign_up
from coatcheck.stores.memory import MemoryStore
from tests.own_users import User, Users

PASSWORD = "a long enough passphrase"


def test_the_account_is_the_application_s_own_object() -> None:
    app = Flask(__name__)
    desk = Coatcheck(Users(MemoryStore()), sessions=MemoryStore(holds_accounts=False))
    auth = CoatcheckFlask(app, desk, development=True)

    @app.post("/")
    def enter() -> list[str]:
        assert auth.account is None
        user = sign_up(username="ada", password=PASSWORD)
        assert log_in("ada", PASSWORD).account == auth.account == user
        return [auth.account.key]

    @app.get("/")
    @login_required
    def coat() -> list[str]:
        assert auth.account is not None
        assert isinstance(current_account._get_current_object(), User)  # type: ignore[attr-defined]
        return [auth.account.key, auth.account.favourite_coat]

    client = app.test_client()
    (key,) = client.post("/", headers={"origin": "http://localhost"}).get_json()

    assert client.get("/").get_json() == [key, "duffle"]
