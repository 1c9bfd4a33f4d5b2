"""Where the PostgreSQL store is: URLs, TLS, and what is said when nobody is let in."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from coatcheck.errors import ConfigurationError, StoreUnavailable
from coatcheck.stores.opening import open_store
from coatcheck.stores.postgres.address import address_of
from coatcheck.stores.postgres.store import PostgresStore
from coatcheck.testing.driving import BlockingDriver, Driver
from coatcheck.testing.patience import eventually, stores_waiting
from coatcheck.testing.samples import a_digest, started
from coatcheck.testing.servers import PostgresServer
from tests.conftest import missing
from tests.engines.relay import Relay

COLOUR = BlockingDriver().colour
REMOTE = "postgresql://app:hush@db.example.org/logins"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What libpq would read besides the URL."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


# URLs


def test_a_url_makes_a_store_and_opens_nothing() -> None:
    store = open_store(REMOTE, COLOUR)

    assert isinstance(store, PostgresStore)
    assert store.location == "postgresql db.example.org:5432/logins (schema coatcheck)"
    assert store.shelf_bits == 0


def test_a_location_shows_no_secret_and_is_the_same_for_two_users_of_one_store() -> None:
    one = open_store("postgresql://app:hush@localhost:5432/logins?sslpassword=hush", COLOUR)
    two = open_store("postgresql://other:quiet@localhost/logins", COLOUR)

    assert one.location == two.location
    assert "hush" not in one.location
    assert "app" not in one.location


def test_a_location_of_several_hosts_names_each_with_its_port_in_whichever_order() -> None:
    one = address_of("postgresql://app@localhost:5433,127.0.0.1:5432/logins")
    other = address_of("postgresql://app@127.0.0.1,localhost:5433/logins")

    assert one.location == other.location == "postgresql 127.0.0.1:5432,localhost:5433/logins (schema coatcheck)"


def test_our_own_options_are_not_told_to_libpq() -> None:
    address = address_of(f"{REMOTE}?connections=7&schema=back_office&prepare=never&application_name=shop")

    assert (address.connections, address.schema, address.prepares) == (7, "back_office", False)
    assert address.parameters["application_name"] == "shop"
    assert not {"connections", "schema", "prepare"} & address.parameters.keys()


def test_what_is_libpqs_in_a_url_stays_as_it_is_written() -> None:
    url = f"{REMOTE}?schema=mine&password=a%2Bb+c%26d%20e&connections=3&options=-c%20geqo%3Doff"

    parameters = address_of(url).parameters

    assert parameters["password"] == "a+b+c&d e"
    assert parameters["options"] == "-c geqo=off"
    assert parameters["host"] == "db.example.org"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://ada@localhost/", "postgresql://bob@localhost/"),  # each to the database of their name
        ("postgresql://localhost/a", "postgresql://localhost/b"),
        ("postgresql://localhost/a", "postgresql://localhost/a?schema=other"),
        ("postgresql://localhost/a", "postgresql://localhost:5433/a"),
        ("postgresql:///a?host=/run/one", "postgresql:///a?host=/run/two"),
    ],
)
def test_stores_that_are_two_have_two_locations(one: str, other: str) -> None:
    assert address_of(one).location != address_of(other).location


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://app:hush%zz@db/logins", "special characters"),
        ("postgresql://app:hush@db/logins?schem=x", "no option schem; ours are connections, prepare, schema"),
        ("postgresql://app:a?hush=1@db/logins?schem=x", "special characters"),
        ("postgresql://app:hush@db/logins?schema=Robert';--", "schema="),
        ("postgresql://app:hush@db/logins?schema=pg_ours", "schema="),
        ("postgresql://app:hush@db/logins?connections=0", "connections="),
        ("postgresql://app:hush@db/logins?connections=many", "connections="),
        ("postgresql://app:hush@db/logins?prepare=perhaps", "prepare="),
        ("postgres://app:hush@db/logins", "write postgresql:// instead"),
        ("postgresql://app:hush@db,db2/logins?target_session_attrs=standby", "leads to a replica"),
        ("postgresql://app:hush@db,db2/logins?target_session_attrs=prefer-standby", "leads to a replica"),
    ],
)
def test_err_03_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^store: ") as caught:
        open_store(url, COLOUR)

    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("driver", "url", "extra"), [("psycopg", "postgresql://db", "postgres"), ("redis", "redis://127.0.0.1", "redis")]
)
def test_a_driver_that_is_missing_is_told_with_the_command_that_installs_it(driver: str, url: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules['{driver}'] = None\n"
        "from coatcheck import Coatcheck, ConfigurationError\n"
        f"try: Coatcheck('{url}')\n"
        "except ConfigurationError as error: print(error)\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.startswith("store: ")
    assert ran.stdout.endswith(f"; run: pip install 'coatcheck[{extra}]'\n")


# TLS: what DAT-10 asks for


@pytest.mark.parametrize(
    "url",
    [
        REMOTE,
        "postgresql://app@192.0.2.7/logins",
        "postgresql://app@[2001:db8::7]/logins",
        "postgresql://app@localhost,db.example.org/logins",
        "postgresql:///logins?host=db.example.org",
        "postgresql:///logins?hostaddr=192.0.2.7",
        "postgresql://app@localhost/logins?hostaddr=192.0.2.7",
        "postgresql:///?service=logins",
    ],
)
def test_dat_10_to_another_machine_the_server_must_prove_its_name(url: str) -> None:
    assert address_of(url).parameters["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    "url",
    ["postgresql:///logins", "postgresql://localhost/logins", "postgresql://127.0.0.2/x", "postgresql://[::1]/x",
     "postgresql:///logins?host=/run/postgresql", "postgresql:///logins?host=@hidden"],
)  # fmt: skip
def test_on_this_machine_nothing_is_asked_for(url: str) -> None:
    assert "sslmode" not in address_of(url).parameters


@pytest.mark.parametrize("mode", ["allow", "prefer", "require"])
def test_dat_10_tls_that_proves_nothing_is_refused(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="sslmode=disable"):
        address_of(f"{REMOTE}?sslmode={mode}")

    if mode != "prefer":  # which is libpq's default, chosen by nobody
        monkeypatch.setenv("PGSSLMODE", mode)
        with pytest.raises(ConfigurationError, match="sslmode=disable"):
            address_of(REMOTE)


@pytest.mark.parametrize("mode", ["disable", "verify-ca", "verify-full"])
def test_dat_10_what_verifies_or_is_plainly_asked_for_is_done(mode: str) -> None:
    assert address_of(f"{REMOTE}?sslmode={mode}").parameters["sslmode"] == mode


def test_a_host_of_the_environment_is_another_machine_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")

    address = address_of("postgresql:///logins")

    assert address.parameters["sslmode"] == "verify-full"
    assert "db.example.org" in address.location


def test_the_authoritys_certificate_is_the_one_that_is_named() -> None:
    assert address_of(f"{REMOTE}?sslrootcert=/ca.pem").parameters["sslrootcert"] == "/ca.pem"


class Tls(NamedTuple):
    """A server with a certificate for `localhost`, the certificate of who signed it, and one of somebody else."""

    server: PostgresServer
    authority: Path
    other_authority: Path

    def url(self, host: str, options: str) -> str:
        parts = urlsplit(self.server.url)
        netloc = f"{parts.username}:{parts.password}@{host}:{parts.port}"
        return parts._replace(netloc=netloc, query=options).geturl()


def certificate(
    name: str, signer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer[1].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]),
            critical=False,
        )
    )
    return key, builder.sign(key if signer is None else signer[0], hashes.SHA256())


def programs_with_tls() -> Path:
    """Find a PostgreSQL that can do TLS; that of the wheel is built without."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        return folder
    missing("no PostgreSQL that can do TLS: install Debian's package postgresql")
    raise AssertionError


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    folder = tmp_path_factory.mktemp("tls")
    signer = certificate("An authority", None)
    _, other = certificate("Another authority", None)
    key, own = certificate("localhost", signer)
    (folder / "ca.pem").write_bytes(signer[1].public_bytes(Encoding.PEM))
    (folder / "other.pem").write_bytes(other.public_bytes(Encoding.PEM))
    with PostgresServer(programs_with_tls()) as server:
        data = server.folder / "data"
        (data / "server.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (data / "server.crt").write_bytes(own.public_bytes(Encoding.PEM))
        for name in ("server.key", "server.crt"):
            (data / name).chmod(0o600)
            os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
        server.stop()
        server.settings["ssl"] = "on"
        server.start()
        yield Tls(server, folder / "ca.pem", folder / "other.pem")


def test_dat_10_a_server_that_proves_its_name_is_talked_to_in_tls(tls: Tls, driver: Driver) -> None:
    options = f"sslmode=verify-full&sslrootcert={tls.authority}&schema={schema(driver)}"
    store = PostgresStore(tls.url("localhost", options), driver.colour)
    driver.run(started(store, 1))

    with psycopg.connect(tls.server.url) as connection:
        found = connection.execute(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = %s",
            ["coatcheck"],
        ).fetchall()
    assert found == [(True,)]
    assert driver.run(store.find(a_digest(1))) is not None
    driver.run(store.close())


def schema(driver: Driver) -> str:
    return type(driver).__name__.lower()


@pytest.mark.parametrize(
    ("host", "authority", "words"),
    [
        ("localhost", "other_authority", "certificate verify failed"),
        ("localhost", None, "certificate"),
        ("127.0.0.1", "authority", "does not match host name"),
    ],
)
def test_dat_10_a_certificate_that_is_not_the_servers_own_is_refused(
    tls: Tls, driver: Driver, host: str, authority: str | None, words: str
) -> None:
    """Signed by somebody else, by nobody known, or for another name."""
    root = f"&sslrootcert={getattr(tls, authority)}" if authority else "&sslrootcert=/dev/null"
    store = PostgresStore(tls.url(host, f"sslmode=verify-full{root}"), driver.colour)

    with pytest.raises(ConfigurationError, match=r"^store: ") as caught:
        driver.run(store.ready())
    assert words in str(caught.value)
    assert tls.server.password not in str(caught.value)


def test_dat_10_a_server_without_tls_is_refused(postgres_url: str, driver: Driver) -> None:
    store = PostgresStore(f"{postgres_url}?sslmode=verify-full&sslrootcert=system", driver.colour)

    with pytest.raises(ConfigurationError, match="switch TLS on"):
        driver.run(store.ready())


# Nobody is let in


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("password", "in PGPASSWORD or in ~/.pgpass"),
        ("user", "in PGPASSWORD or in ~/.pgpass"),
        ("database", "create the database"),
        ("no password", "put the password into it"),
    ],
)
def test_err_03_a_start_that_is_refused_names_the_setting_and_the_mend(
    postgres_url: str, driver: Driver, part: str, words: str
) -> None:
    parts = urlsplit(postgres_url)
    user = "nobody_known" if part == "user" else parts.username
    password = {"password": ":hush", "no password": ""}.get(part, f":{parts.password}")
    database = "/nothing" if part == "database" else parts.path
    url = parts._replace(netloc=f"{user}{password}@{parts.hostname}:{parts.port}", path=database).geturl()
    store = PostgresStore(url, driver.colour)

    for call in (store.ready, store.schema_version):
        with pytest.raises(ConfigurationError, match=r"^store: ") as caught:
            driver.run(call())  # type: ignore[operator]
        assert words in str(caught.value)
        assert "hush" not in str(caught.value)
        assert str(parts.password) not in str(caught.value)


@pytest.fixture
def silent() -> Iterator[str]:
    """Where somebody listens who never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def of_hosts(url: str, *hosts: str, password: str | None = None, database: str | None = None) -> str:
    """Write a URL with other hosts in it; `{}` is its own."""
    parts = urlsplit(url)
    places = ",".join(hosts).replace("{}", f"{parts.hostname}:{parts.port}")
    netloc = f"{parts.username}:{password or parts.password}@{places}"
    return parts._replace(netloc=netloc, path=database or parts.path).geturl()


@pytest.mark.parametrize("away", ["127.0.0.1:1", "silent"])
@pytest.mark.parametrize("is_first", [True, False])
def test_err_03_a_host_that_is_away_does_not_hide_why_another_lets_nobody_in(
    postgres_url: str, silent: str, driver: Driver, away: str, *, is_first: bool
) -> None:
    away = silent if away == "silent" else away
    hosts = ("{}", away) if is_first else (away, "{}")
    name = urlsplit(postgres_url).path[1:]

    for wrong, words in (
        ({"password": "hush"}, "correct user name"),
        ({"database": "/nothing"}, "create the database"),
    ):
        told = refusal_by_one_of(of_hosts(postgres_url, *hosts, **wrong), driver)
        assert re.match(rf"store: .* lets nobody in .*{words}", told)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    told = refusal_by_one_of(of_hosts(postgres_url, *hosts), driver)
    assert re.match(r"store: .* is read-only: a replica.*; name the primary", told)


def refusal_by_one_of(url: str, driver: Driver) -> str:
    """Give the words of the host that answers. Others take their share of the time, which has to be longer on a slow
    machine for that one to have enough of it.
    """
    told = ""
    for patience in (0.5, 2, 8, 32):
        with stores_waiting(patience), pytest.raises((ConfigurationError, StoreUnavailable)) as caught:
            driver.run(PostgresStore(url, driver.colour).ready())
        told = str(caught.value)
        if isinstance(caught.value, ConfigurationError):
            break
    return told


def test_of_several_hosts_that_are_away_each_is_told_with_what_was_heard_of_it(silent: str, driver: Driver) -> None:
    store = PostgresStore(of_hosts("postgresql://app:hush@/logins", "127.0.0.1:1", silent), driver.colour)

    for patience in (0.5, 2, 8, 32):  # until even a slow machine hears in time that at the first nobody listens
        with stores_waiting(patience), pytest.raises(StoreUnavailable) as caught:
            driver.run(store.ready())
        if "port 1 failed" in str(caught.value):
            break
    said = rf'"127\.0\.0\.1", port 1 failed: .*; {silent}: no answer in time\); is it running'
    assert re.search(said, str(caught.value))
    assert "hush" not in str(caught.value)


def test_where_nobody_listens_the_store_is_unavailable_and_says_where(driver: Driver) -> None:
    store = PostgresStore("postgresql://app:hush@127.0.0.1:1/logins", driver.colour)

    with pytest.raises(
        StoreUnavailable, match=r"the store postgresql 127\.0\.0\.1:1/logins \(schema coatcheck\) cannot be reached"
    ):
        driver.run(store.ready())


def test_a_host_that_does_not_exist_is_unavailable(driver: Driver) -> None:
    store = PostgresStore("postgresql://app:hush@nothing.invalid/logins?sslmode=disable", driver.colour)

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        driver.run(store.ready())


def test_a_password_that_is_changed_while_we_run_is_an_outage_and_no_mistake_of_the_start(
    postgres_url: str, driver: Driver
) -> None:
    """A server that was right when it started answers 503 then, and goes on when the password is put right."""
    name = urlsplit(postgres_url).path[1:]
    parts = urlsplit(postgres_url)
    url = parts._replace(netloc=f"app_{name}:hush@{parts.hostname}:{parts.port}").geturl()
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE app_{name} LOGIN PASSWORD 'hush'")
        admin.execute(f"CREATE SCHEMA coatcheck AUTHORIZATION app_{name}")
        with Relay(url) as relay:
            store = PostgresStore(relay.url, driver.colour)
            driver.run(started(store, 1))
            admin.execute(f"ALTER ROLE app_{name} PASSWORD 'changed'")
            relay.cut()
            eventually(lambda: isinstance(caught(driver, store), StoreUnavailable), "it is let in")
            admin.execute(f"ALTER ROLE app_{name} PASSWORD 'hush'")

            assert driver.run(store.find(a_digest(1))) is not None
            driver.run(store.close())
        admin.execute(f"DROP OWNED BY app_{name}; DROP ROLE app_{name}")


def caught(driver: Driver, store: PostgresStore) -> Exception | None:
    try:
        driver.run(store.find(a_digest(1)))
    except Exception as error:  # noqa: BLE001 - looked at by the caller
        return error
    return None


def test_a_read_only_database_is_refused_at_the_start_and_unavailable_later(postgres_url: str, driver: Driver) -> None:
    """As a replica is, and as a primary becomes that was demoted."""
    name = urlsplit(postgres_url).path[1:]
    with Relay(postgres_url) as relay:
        running = PostgresStore(relay.url, driver.colour)
        driver.run(started(running, 1))
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            relay.cut()

            with pytest.raises(ConfigurationError, match=r"store: .*read-only.*name the primary"):
                driver.run(PostgresStore(postgres_url, driver.colour).ready())
            eventually(lambda: isinstance(caught(driver, running), StoreUnavailable), "it is let in")
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        assert driver.run(running.find(a_digest(1))) is not None
        driver.run(running.close())


def test_a_database_that_cannot_hold_every_text_is_refused(driver: Driver, postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    name = f"latin_{parts.path[1:]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with pytest.raises(ConfigurationError, match=r"store: .*LATIN1.*ENCODING 'UTF8'"):
                driver.run(PostgresStore(parts._replace(path=f"/{name}").geturl(), driver.colour).ready())
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


# What a debugger shows


def test_err_08_no_frame_and_no_repr_behind_an_outage_holds_the_password(driver: Driver) -> None:
    store = PostgresStore("postgresql://app:hush@127.0.0.1:1/logins", driver.colour)

    with pytest.raises(StoreUnavailable) as caught:
        driver.run(store.ready())

    error: BaseException | None = caught.value
    assert "hush" not in repr(address_of(REMOTE))
    while error is not None:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format(chain=False))
        ours = [part for part in shown.split("\n  File ") if "stores/postgres" in part]
        assert not [part for part in ours if "hush" in part]
        error = error.__cause__
