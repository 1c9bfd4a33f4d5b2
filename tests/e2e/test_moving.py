"""A live site moves to other stores, as docs/stores.md says: who is logged in stays so, and who is out stays out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import PASSWORD, Server, Visitor, environment

SECRET = "k7Xo-9vTqWmZ3rYb5nPdLs8JfHcGaUeViRtKxNyQ2wE"
FAILURES = 3


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(servers: ExitStack, folder: Path, *, is_elsewhere: bool = False, **settings: str) -> Server:
    server = Server(folder, env={"COATCHECK_SECRET": SECRET, **settings}, is_elsewhere=is_elsewhere)
    servers.callback(server.end)
    server.start()
    return server


def moved(visitor: Visitor, server: Server) -> Visitor:
    """The same browser at another server: its cookies go along, as they would under one name."""
    other = Visitor(server, headers={"User-Agent": visitor._headers["User-Agent"]})
    other.jar = dict(visitor.jar)
    return other


def copy(folder: Path, source: str, target: str) -> Any:
    command = [sys.executable, "-m", "coatcheck", "store", "copy", source, target]
    return subprocess.run(command, cwd=folder, env=environment({}), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("where", ["postgres", "postgres and valkey"])
def test_ses_09_rev_05_rat_06_cookies_work_on_after_the_move_and_what_was_ended_stays_so(
    servers: ExitStack, tmp_path: Path, postgres_url: str, redis_url: str, where: str
) -> None:
    old = started(servers, tmp_path / "old", COATCHECK_ACCOUNT_FREE_FAILURES=str(FAILURES))
    home, phone, lost = (Visitor(old, headers={"User-Agent": name}) for name in ("Home/1", "Phone/1", "Lost/1"))
    assert home.sign_up("ada").status == 201
    for visitor in (home, phone, lost):
        assert visitor.log_in("ada").status == 200
    (stolen,) = (one for one in home.sessions() if one["user_agent"] == "Lost/1")
    assert home.call("DELETE", f"/api/sessions/{stolen['id']}").status == 204
    before = [one["id"] for one in home.sessions()]
    stranger = Visitor(old, headers={"User-Agent": "Guess/1"})
    guesses = [stranger.log_in("bob", "a wrong passphrase").status for _ in range(FAILURES)]
    old.stop()

    settings = {"store": postgres_url} | ({} if where == "postgres" else {"sessions": redis_url})
    target = tmp_path / "new.toml"
    target.write_text("".join(f'{name} = "{url}"\n' for name, url in settings.items()))
    target.chmod(0o600)
    copied = copy(tmp_path, f"sqlite:///{old.store}", str(target))
    new = started(
        servers,
        tmp_path / "new",
        is_elsewhere=True,
        COATCHECK_ACCOUNT_FREE_FAILURES=str(FAILURES),
        **{f"COATCHECK_{name.upper()}": url for name, url in settings.items()},
    )

    assert (copied.returncode, copied.stdout.startswith("Copied 1 account, 3 sessions, ")) == (0, True), copied.stderr
    assert guesses == [401] * FAILURES
    assert moved(stranger, new).log_in("bob", "a wrong passphrase").status == 429
    for visitor in (home, phone):
        assert moved(visitor, new).me().json["account"]["username"] == "ada"
    assert [one["id"] for one in moved(home, new).sessions()] == before
    assert moved(lost, new).me().status == 401
    fresh = Visitor(new, headers={"User-Agent": "Fresh/1"})
    assert fresh.sign_up("Ada").reason == "username_taken"
    assert fresh.log_in("ada", PASSWORD).status == 200
    assert moved(home, new).call("DELETE", "/api/sessions").status in (200, 204)
    assert moved(phone, new).me().status == 401
