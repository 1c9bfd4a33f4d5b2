"""What a server must be for the Redis store: what is refused at the start, what survives it, when memory is full."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from coatcheck import (
    ConfigurationError,
    StoreError,
    StoreUnavailable,
)
from coatcheck.testing.driving import Driver
from coatcheck.testing.patience import eventually, stores_waiting
from coatcheck.testing.samples import (
    NOW,
    a_digest,
    a_gate,
    a_session,
    an_event,
    data_of,
    is_standing,
    start,
    started,
)
from coatcheck.testing.servers import ValkeyServer
from tests.conftest import missing
from tests.ports import free_port
from tests.stores.keyspace import disagreements, everything
from tests.stores.redis_calls import (
    KEPT,
    READS,
    WRITES,
    answering,
    lived_in,
    opened,
    own_server,
    refusal_of,
    told,
)

replace = msgspec.structs.replace


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A server of its own, for tests that change it."""
    with own_server() as server:
        yield server


# What is refused at the start


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", "allkeys-random", "allkeys-lfu", "volatile-lru", "volatile-ttl", "volatile-random"]
)
def test_a_policy_that_would_drop_sessions_is_refused(server: ValkeyServer, driver: Driver, policy: str) -> None:
    told(server.url, "CONFIG", "SET", "maxmemory-policy", policy)

    with opened(server.url, driver) as store, pytest.raises(ConfigurationError) as caught:
        driver.run(store.ready())

    assert str(caught.value).startswith("store: ")
    assert f"maxmemory-policy {policy}" in str(caught.value)
    assert "set it to noeviction" in str(caught.value)
    told(server.url, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    with opened(server.url, driver) as store:
        driver.run(store.ready())


def test_a_server_that_came_back_with_another_policy_is_an_outage_that_says_why(driver: Driver) -> None:
    with own_server(**KEPT) as server, opened(server.url, driver) as store:
        driver.run(started(store, 1))
        server.stop()
        server.settings["maxmemory-policy"] = "allkeys-lru"
        server.start()

        with pytest.raises(StoreUnavailable, match="maxmemory-policy"):
            driver.run(store.find(a_digest(1)))


def test_a_replica_is_refused_and_its_primary_named(server: ValkeyServer, driver: Driver) -> None:
    told(server.url, "CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica_of = f"127.0.0.1 {server.port}"
    with own_server(replicaof=replica_of, masterauth=server.password) as replica, opened(replica.url, driver) as store:
        # While it takes over what the other has, it answers nothing at all.
        eventually(lambda: told(replica.url, "INFO", "replication")["master_link_status"] == "up", "it follows nobody")
        with pytest.raises(ConfigurationError) as caught:
            driver.run(store.ready())

        assert f"is a replica and cannot be written; name the server it replicates, 127.0.0.1:{server.port}" in str(
            caught.value
        )


def test_a_server_that_is_demoted_while_we_are_connected_answers_no_more(server: ValkeyServer, driver: Driver) -> None:
    with opened(server.url, driver) as store:
        driver.run(started(store, 1))
        told(server.url, "REPLICAOF", "127.0.0.1", "1")

        with pytest.raises(StoreError):
            driver.run(store.touch(a_digest(1), seen_at=NOW + 60))
        with pytest.raises(StoreUnavailable, match="is a replica"):
            driver.run(store.find(a_digest(1)))

        told(server.url, "REPLICAOF", "NO", "ONE")
        assert driver.run(is_standing(store, a_digest(1)))


def test_a_node_of_a_cluster_is_refused(driver: Driver) -> None:
    with own_server(cluster_enabled="yes", cluster_port=str(free_port()), databases="1") as server:
        assert "belongs to a cluster; name a server that stands alone" in refusal_of(server.url, driver)


@pytest.mark.parametrize("url", ["redis://:wrong@{}/0", "redis://nobody:wrong@{}/0", "redis://{}/0"])
def test_a_wrong_password_names_the_setting_and_never_the_password(
    server: ValkeyServer, driver: Driver, url: str
) -> None:
    with opened(url.format(f"127.0.0.1:{server.port}"), driver) as store, pytest.raises(ConfigurationError) as caught:
        driver.run(store.ready())

    assert str(caught.value).startswith(f"store: 127.0.0.1:{server.port}/0")
    assert "refuses this user name and password" in str(caught.value)
    assert "in the file that store_password_file (or sessions_password_file) names" in str(caught.value)
    assert "wrong" not in repr(caught.value.__cause__) + str(caught.value)


def test_a_database_that_is_not_there_names_the_setting(server: ValkeyServer, driver: Driver) -> None:
    told = refusal_of(server.url.replace("/0", "/5000"), driver)

    assert told == f"store: 127.0.0.1:{server.port} has no database 5000; name a lower number in the URL"


def test_what_is_no_redis_is_told_so(driver: Driver) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "is neither Redis nor Valkey; correct the URL" in refusal_of(f"redis://127.0.0.1:{port}", driver)


@pytest.mark.parametrize(
    ("scheme", "words"), [("redis", "is it Redis or Valkey"), ("rediss", "does it speak TLS at this port")]
)
def test_who_keeps_silent_is_an_outage_that_says_what_else_it_may_be(scheme: str, words: str, driver: Driver) -> None:
    message = f"cannot do this now: .*; is it running, {words}"
    with (
        stores_waiting(0.2),
        answering(None) as port,
        opened(f"{scheme}://127.0.0.1:{port}", driver) as store,
        pytest.raises(StoreUnavailable, match=message),
    ):
        driver.run(store.find(a_digest(1)))


def test_nobody_there_is_an_outage(driver: Driver) -> None:
    with opened(f"redis://127.0.0.1:{free_port()}", driver) as store, pytest.raises(StoreUnavailable):
        driver.run(store.find(a_digest(1)))


def test_a_user_without_the_rights_is_told_which_page_lists_them(server: ValkeyServer, driver: Driver) -> None:
    told(server.url, "ACL", "SETUSER", "shop", "on", ">pass", "~*", "+@read", "+info", "+select")

    refusal = refusal_of(f"redis://shop:pass@127.0.0.1:{server.port}", driver)

    assert "may not do what is needed; grant it what docs/redis.md lists" in refusal


def test_the_rights_that_the_page_lists_are_enough(driver: Driver) -> None:
    with own_server(appendonly="yes") as server:
        use_with_those_rights(server, driver)


def use_with_those_rights(server: ValkeyServer, driver: Driver) -> None:
    page = (Path(__file__).parents[2] / "docs" / "redis.md").read_text("utf-8")
    rule = next(line for line in page.splitlines() if line.startswith("ACL SETUSER coatcheck"))
    told(server.url, *rule.replace(">secret", ">pass").split())

    with opened(f"redis://coatcheck:pass@127.0.0.1:{server.port}", driver) as store:
        driver.run(lived_in(store))
        for call in (READS | WRITES).values():
            driver.run(call(store))
        driver.run(store.delete_account("ada", counters=[a_gate().key], events=[an_event()]))
        assert "appendfsync" in " ".join(driver.run(store.advisories()))


def test_a_password_that_was_changed_under_us_is_an_outage_that_says_why(server: ValkeyServer, driver: Driver) -> None:
    with opened(server.url, driver) as store:
        driver.run(started(store, 1))
        told(server.url, "CONFIG", "SET", "requirepass", "another")
        driver.run(store.close())

        with pytest.raises(StoreUnavailable, match="refuses this user name and password"):
            driver.run(store.find(a_digest(1)))


# What is acknowledged


def test_what_was_acknowledged_survives_the_servers_death(driver: Driver) -> None:
    with own_server(**KEPT) as server, opened(server.url, driver) as store:
        driver.run(lived_in(store))
        driver.run(store.end(a_digest(2), at=NOW, reason="logged_out", events=[an_event()]))
        driver.run(store.touch(a_digest(1), seen_at=NOW + 60))
        before = everything(server.url)

        server.crash()
        with pytest.raises(StoreUnavailable):
            driver.run(store.find(a_digest(1)))
        server.start()

        assert everything(server.url) == before
        assert [driver.run(is_standing(store, a_digest(number))) for number in (1, 2, 3, 4)] == [
            True,
            False,
            True,
            True,
        ]
        assert driver.run(data_of(store, a_digest(1))) == {"app": {"a": b"1"}}
        assert disagreements(server.url) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"appendonly": "no"}, ["keeps no append-only file", "set appendonly yes"]),
        (
            {"appendonly": "yes"},
            ["appendfsync everysec: a loss of power takes the last second", "set appendfsync always"],
        ),
        ({"appendonly": "yes", "appendfsync": "no"}, ["appendfsync no: a loss of power takes half a minute"]),
        (KEPT, []),
    ],
    ids=["no file", "everysec", "no", "always"],
)
def test_what_the_server_does_not_keep_is_told_to_operators(
    driver: Driver, settings: dict[str, str], words: list[str]
) -> None:
    with own_server(**settings) as server, opened(server.url, driver) as store:
        advisories = driver.run(store.advisories())

    assert len(advisories) == (1 if words else 0)
    for word in words:
        assert word in advisories[0]
    assert server.password not in " ".join(advisories)


def test_a_server_that_keeps_no_file_is_loudly_told_of_once(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "coatcheck")

    with own_server(appendonly="no") as server:
        for _ in range(3):
            with opened(server.url, driver) as store:
                driver.run(store.ready())

    warnings = [record.getMessage() for record in caplog.records if "append-only" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        f"store: redis 127.0.0.1:{server.port}/0 (prefix coatcheck) keeps no append-only file"
    )


# Full memory


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ValkeyServer]:
    with own_server() as server:
        yield server


@pytest.mark.parametrize("call", WRITES)
def test_full_memory_is_an_outage_for_writers_and_leaves_nothing_half_done(
    shared_server: ValkeyServer, driver: Driver, call: str
) -> None:
    server = shared_server
    told(server.url, "FLUSHDB")
    with opened(server.url, driver) as store:
        driver.run(lived_in(store))
        for write in WRITES.values():
            driver.run(write(store))
        told(server.url, "FLUSHDB")
        told(server.url, "SET", "coatcheck:version", "1")
        driver.run(lived_in(store))
        before = everything(server.url)
        told(server.url, "CONFIG", "SET", "maxmemory", "1")

        try:
            driver.run(WRITES[call](store))
        except StoreUnavailable:
            assert everything(server.url) == before
        else:
            assert call in {"purge", "delete_account"}  # which make room
        for read in READS.values():
            driver.run(read(store))
        told(server.url, "CONFIG", "SET", "maxmemory", "0")
        assert disagreements(server.url) == []
        driver.run(start(store, a_session(20)))


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody but its own file vouches for."""
    if not shutil.which("openssl"):
        missing("no openssl: install it to test TLS")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *words.split(), *names, *files], check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_port(certificates: Path) -> Iterator[int]:
    program = shutil.which("redis-server")
    if not program or b"tls-port" not in Path(program).resolve().read_bytes():
        missing("no redis-server with TLS: install Debian's redis-server (the wheel's Valkey has none)")
    files = {"tls_cert_file": str(certificates / "cert.pem"), "tls_key_file": str(certificates / "key.pem")}
    port = free_port()
    with own_server(Path(program or ""), tls_port=str(port), tls_auth_clients="no", **files) as server:
        told(server.url, "CONFIG", "SET", "requirepass", "")
        yield port


def test_dat_10_a_certificate_that_nobody_vouches_for_is_refused(tls_port: int, driver: Driver) -> None:
    refusal = refusal_of(f"rediss://localhost:{tls_port}", driver)

    assert "is not to be trusted; name the file that certifies it with ?ca=" in refusal


def test_dat_10_a_certificate_that_is_vouched_for_is_taken(tls_port: int, certificates: Path, driver: Driver) -> None:
    with opened(f"rediss://localhost:{tls_port}?ca={certificates / 'cert.pem'}", driver) as store:
        driver.run(started(store, 1))

        assert driver.run(is_standing(store, a_digest(1)))


def test_dat_10_a_certificate_of_another_host_is_refused(tls_port: int, certificates: Path, driver: Driver) -> None:
    assert "is not to be trusted" in refusal_of(f"rediss://127.0.0.1:{tls_port}?ca={certificates / 'cert.pem'}", driver)
