"""An application's own table of users: it keeps the contract, and the application walks with it."""

from __future__ import annotations

import asyncio
import importlib.util
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import httpx2 as httpx
import pytest
import sqlalchemy as sa

from coatcheck import Coatcheck, ConfigurationError, StoreUnavailable
from coatcheck.colour import Async, Colour, run_blocking
from coatcheck.stores.apart import ApartStore
from coatcheck.stores.memory import MemoryStore
from coatcheck.stores.protocols import Store
from coatcheck.testing.contracts import AccountContract, EventContract
from coatcheck.testing.patience import PATIENCE
from tests.conftest import ROOT
from tests.examples.running import Example


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / "own_users" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


users = load("users")
old = load("old")


def store_in(folder: Path, colour: Colour) -> Store:
    engine = sa.create_engine(f"sqlite:///{folder}/users.db")
    users.metadata.create_all(engine)
    run = asyncio.to_thread if isinstance(colour, Async) else users.here
    return ApartStore(users.Users(engine, run=run), MemoryStore(holds_accounts=False))


class Halves:
    """The suites, where accounts and sessions live apart."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[Colour], Store]:
        return lambda colour: store_in(tmp_path, colour)


class TestAccounts(Halves, AccountContract):
    test_identify_brings_the_state_where_the_store_has_it = None  # it lives elsewhere


class TestEvents(Halves, EventContract):
    pass


def test_a_store_of_accounts_alone_is_told_to_need_another(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/users.db")

    with pytest.raises(ConfigurationError, match="holds accounts alone; say where sessions are kept"):
        Coatcheck(users.Users(engine))


def test_its_own_objects_are_read_for_many_at_once_and_for_nobody_else(tmp_path: Path) -> None:
    old.make_database(tmp_path / "users.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/users.db")
    users.upgrade(engine)
    store = users.Users(engine)

    found = run_blocking(store.own_accounts(["user-1", "user-2", "user-4", "", "\ud800"]))

    assert {subject: user.favourite_coat for subject, user in found.items()} == {
        "user-1": "duffle",
        "user-2": "pea coat",
    }
    assert run_blocking(store.own_accounts([])) == {}
    assert run_blocking(store.delete_account("user-1", counters=(), events=()))
    assert list(run_blocking(store.own_accounts(["user-1", "user-2"]))) == ["user-2"]
    run_blocking(store.close())


def test_err_01_a_database_that_fails_is_said_to_be_unavailable(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/users.db")  # without its table
    store = users.Users(engine)

    with pytest.raises(StoreUnavailable):
        run_blocking(store.own_accounts(["user-1"]))
    run_blocking(store.close())


# The application


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    example = Example("own_users", tmp_path)
    example.start()
    yield example
    example.end()


def browser(example: Example) -> httpx.Client:
    headers = {"origin": example.url, "accept": "application/json"}
    return httpx.Client(base_url=example.url, headers=headers, timeout=PATIENCE)


def log_in(client: httpx.Client, name: str, password: str) -> int:
    return client.post("/auth/api/login", json={"identifier": name, "password": password}).status_code


def row(example: Example, name: str) -> sqlite3.Row:
    with closing(sqlite3.connect(example.folder / "users.db")) as connection:
        connection.row_factory = sqlite3.Row
        found: sqlite3.Row = connection.execute("SELECT * FROM users WHERE name = ?", (name,)).fetchone()
        return found


def test_the_people_of_the_old_table_log_in_with_their_old_passwords(example: Example) -> None:
    with browser(example) as client:
        assert client.get("/me").status_code == 401
        page = client.get("/me", headers={"accept": "text/html"})
        assert page.headers["location"] == "/auth/login?next=%2Fme"
        assert log_in(client, "ada", "the analytical engines") == 401
        assert log_in(client, "ada", "the analytical engine") == 200
        assert client.get("/me").json() == {"id": 1, "name": "ada", "favourite_coat": "duffle"}
        assert client.put("/me/coat", json={"coat": "parka"}).json() == {"id": 1, "favourite_coat": "parka"}
        foreign = {"origin": "https://evil.example"}
        assert client.put("/me/coat", json={"coat": "none"}, headers=foreign).status_code == 403

        example.restart()
        assert client.get("/me").json()["favourite_coat"] == "parka"
    with browser(example) as other:
        assert log_in(other, "GRACE@example.org", "a moth in the relay") == 200
        assert other.get("/me").json()["name"] == "Grace"


def test_who_was_inactive_in_the_old_table_stays_outside_until_let_in(example: Example) -> None:
    with browser(example) as client:
        assert log_in(client, "charles", "the difference engine") == 401
        assert client.get("/me").status_code == 401

        example.stop()
        for file in example.folder.glob("sessions.db*"):
            file.unlink()
        example.start()
        assert log_in(client, "charles", "the difference engine") == 401  # over new sessions, too

        with Coatcheck(f"sqlite:///{example.folder}/sessions.db") as sessions:
            assert sessions.enable("user-3")
        assert log_in(client, "charles", "the difference engine") == 200
        assert client.get("/me").json() == {"id": 3, "name": "charles", "favourite_coat": "frock coat"}


def test_a_new_password_is_in_the_old_table_and_ends_other_sessions(example: Example) -> None:
    before = row(example, "ada")
    with browser(example) as here, browser(example) as there:
        for client in (here, there):
            assert log_in(client, "ada", "the analytical engine") == 200
        words = {"current_password": "the analytical engine", "new_password": "the difference engine"}
        assert here.post("/auth/api/password/change", json=words).status_code == 204
        after = row(example, "ada")

        assert (here.get("/me").status_code, there.get("/me").status_code) == (200, 401)
        assert (before["password_version"], after["password_version"]) == (1, 2)
        assert before["password"] != after["password"]
        assert log_in(there, "ada", "the analytical engine") == 401
        assert log_in(there, "ada", "the difference engine") == 200


def test_who_signs_up_is_a_row_like_any_other_and_names_are_taken(example: Example) -> None:
    given = {"username": "linus", "email": "linus@example.org", "password": "a blanket with a corner"}
    with browser(example) as client:
        assert client.post("/auth/api/signup", json=given).status_code == 201
        taken = client.post("/auth/api/signup", json=given | {"username": "ADA", "email": "other@example.org"})
        assert (taken.status_code, taken.json()["reason"]) == (409, "username_taken")
        assert log_in(client, "linus", "a blanket with a corner") == 200
        assert client.get("/me").json() == {"id": 4, "name": "linus", "favourite_coat": None}
        assert client.get("/auth/api/events").json()["events"][0]["name"] == "logged_in"
    assert row(example, "linus")["email"] == "linus@example.org"
    assert row(example, "ADA") is None
