"""The same stories with everything in PostgreSQL, in Valkey, and with the sessions in Valkey beside PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.serving import FOR_CROWDS, Server, Visitor

# Told again here: pytest finds them, and gives them the fixtures of this file.
from tests.e2e.test_story_json import (  # noqa: F401
    test_a_restart_logs_nobody_out,
    test_acc_05_of_sign_ups_with_one_name_at_once_one_wins,
    test_health_is_answered_while_thirty_log_in,
    test_rev_01_every_worker_refuses_from_the_next_request_on,
    test_ses_02_a_copied_cookie_is_dead_after_log_out_and_after_a_restart,
    test_sigterm_lets_a_log_in_under_way_finish,
    test_the_story,
    test_the_story_by_curl,
    test_workers_end_when_their_parent_is_killed,
)

# All in one Valkey is lived in the long run: every part of it is in one of the others, too.
PLACES = [
    pytest.param(("postgres_url",), id="postgres"),
    pytest.param(("postgres_url", "redis_url"), id="postgres and redis"),
    pytest.param(("redis_url",), id="redis", marks=pytest.mark.long),
]
SECRET = "k7Xo-9vTqWmZ3rYb5nPdLs8JfHcGaUeViRtKxNyQ2wE"


@pytest.fixture(params=PLACES)
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the server is told to keep things, by its settings."""
    urls = [request.getfixturevalue(name) for name in request.param]
    return dict(zip(("COATCHECK_STORE", "COATCHECK_SESSIONS"), urls, strict=False))


@pytest.fixture
def serve(places: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as servers:

        def start(*options: str, env: Mapping[str, str] = FOR_CROWDS) -> Server:
            folder = tmp_path / f"server-{len(list(tmp_path.iterdir()))}"
            settings = {**env, **places, "COATCHECK_SECRET": SECRET}
            server = Server(folder, *options, env=settings, is_elsewhere=True)
            servers.callback(server.end)
            server.start()
            return server

        yield start


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


def test_rev_01_two_servers_with_two_workers_each_are_one_login(serve: Serve) -> None:
    """Log in at one and be logged in at the other; log out there and be logged out here."""
    here, there = (serve("--workers", "2") for _ in range(2))
    assert Visitor(here).sign_up("ada").status == 201
    home = Visitor(here)
    assert home.log_in("ada").status == 200

    for turn in range(5):
        first, second = (here, there) if turn % 2 else (there, here)
        phone = Visitor(first)
        assert phone.log_in("ada").status == 200
        also = Visitor(second)
        also.jar = phone.jar.copy()
        assert [also.copy().me().status for _ in range(8)] == [200] * 8
        assert home.call("DELETE", f"/api/sessions/{also.me().json['session']['id']}").status == 204

        assert [visitor.copy().me().status for visitor in (phone, also) for _ in range(8)] == [401] * 16
