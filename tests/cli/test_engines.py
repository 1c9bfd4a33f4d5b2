"""The command line on real servers: what it does there, and what it says of those it cannot use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from coatcheck import Coatcheck
from coatcheck.testing.servers import PostgresServer, ValkeyServer
from tests.cli.conftest import MODULE, NEXT_VERSION, PASSWORD, Ran, Run
from tests.cli.test_store_commands import PRODUCTION
from tests.e2e.serving import Server, Visitor
from tests.engines.replicas import pair

ENGINES = ["postgres", "valkey"]
SETTINGS = ["store", "sessions"]


@pytest.fixture
def url_at(postgres_url: str, redis_url: str) -> Callable[[str], str]:
    """An empty database of an engine."""
    return {"postgres": postgres_url, "valkey": redis_url}.__getitem__


def told(ran: Ran) -> list[str]:
    """The mistakes that a command told as JSON."""
    return [one["detail"] for one in json.loads(ran.err)["errors"]]


@pytest.fixture(autouse=True)
def beside(tmp_path: Path) -> None:
    """The database that is the store where only the place of sessions is said."""
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.ready()


def refusal(coatcheck: Run, setting: str, url: str) -> str:
    """Start a server that must not start, and a command, with an unusable URL for a setting; give what was said."""
    env = {f"COATCHECK_{setting.upper()}": url}

    served = coatcheck("serve", "--port", "1", env=env)
    listed = coatcheck("accounts", "list", "--json", env=env)

    assert (served.status, listed.status) == (2, 2)
    assert served.err.startswith((f"error: {setting}:", f"error: {setting} ("))
    assert "; " in served.err or "?" in served.err, "comes with its mend"
    document = json.loads(listed.err)
    assert document["reason"] in ("configuration", "store_unavailable")
    assert document["title"].startswith((f"{setting}:", f"{setting} ("))
    return served.err


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_err_03_a_wrong_password_is_told_and_not_repeated(
    coatcheck: Run, url_at: Callable[[str], str], engine: str, setting: str
) -> None:
    before, _, after = url_at(engine).rpartition("@")

    words = refusal(coatcheck, setting, f"{before}tiger@{after}")

    assert "password" in words
    assert "tiger" not in words
    assert before.rpartition(":")[2] not in words


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_err_03_a_place_where_nobody_answers_is_told(
    coatcheck: Run, url_at: Callable[[str], str], engine: str, setting: str
) -> None:
    server, _, rest = url_at(engine).rpartition("@")[2].partition("/")
    url = url_at(engine).replace(server, "127.0.0.1:9")

    assert "127.0.0.1:9" in refusal(coatcheck, setting, url)
    assert rest


@pytest.mark.parametrize("setting", SETTINGS)
def test_err_03_a_database_that_is_not_there_is_told(coatcheck: Run, postgres_url: str, setting: str) -> None:
    assert "createdb" in refusal(coatcheck, setting, postgres_url + "nowhere")


def somebody_elses_schema(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA coatcheck")
        connection.execute("CREATE TABLE coatcheck.theirs (x int)")


def somebody_elses_keys(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set("coatcheck:theirs", "x")


def a_newer_schema(url: str) -> None:
    with Coatcheck(url) as desk:
        desk.ready()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE coatcheck.schema_version SET coatcheck = 999")


def newer_keys(url: str) -> None:
    with Coatcheck(url) as desk:
        desk.ready()
    with redis.Redis.from_url(url) as client:
        client.set("coatcheck:version", "999")


def no_longer_writable(url: str) -> None:
    with Coatcheck(url) as desk:
        desk.ready()
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("engine", "spoil", "words"),
    [
        ("postgres", somebody_elses_schema, "another program"),
        ("postgres", a_newer_schema, "newer"),
        ("postgres", no_longer_writable, "read-only"),
        ("valkey", somebody_elses_keys, "another program"),
        ("valkey", newer_keys, "newer"),
    ],
)
def test_dat_08_a_server_does_not_start_on_what_it_cannot_use(
    coatcheck: Run,
    url_at: Callable[[str], str],
    engine: str,
    spoil: Callable[[str], None],
    words: str,
    setting: str,
) -> None:
    spoil(url_at(engine))

    assert words in refusal(coatcheck, setting, url_at(engine))


@pytest.fixture(scope="module")
def forgetful() -> Iterator[ValkeyServer]:
    """A Valkey that keeps no file and throws out what was used longest ago."""
    with ValkeyServer(settings={"maxmemory-policy": "allkeys-lru"}) as server:
        yield server


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_server_that_would_throw_sessions_away_is_refused(
    coatcheck: Run, forgetful: ValkeyServer, setting: str
) -> None:
    assert "noeviction" in refusal(coatcheck, setting, forgetful.url)


@contextmanager
def replica_of_postgres(_forgetful: ValkeyServer) -> Iterator[str]:
    with pair() as two:
        database = two.primary.fresh()
        with Coatcheck(database) as desk:
            desk.ready()
        two.catch_up()
        yield two.at_replica(database)


@contextmanager
def replica_of_valkey(forgetful: ValkeyServer) -> Iterator[str]:
    _, _, place = forgetful.url.rpartition("@")
    port = place.partition(":")[2].partition("/")[0]
    with ValkeyServer(settings={"replicaof": f"127.0.0.1 {port}", "masterauth": forgetful.password}) as replica:
        yield replica.url


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("replica", [replica_of_postgres, replica_of_valkey])
def test_a_replica_is_refused(
    coatcheck: Run,
    forgetful: ValkeyServer,
    replica: Callable[[ValkeyServer], AbstractContextManager[str]],
    setting: str,
) -> None:
    with replica(forgetful) as url:
        words = refusal(coatcheck, setting, url)
        examined = coatcheck("doctor", "--json", env={**PRODUCTION, f"COATCHECK_{setting.upper()}": url})

    assert "replica" in words
    found = [one for one in examined.json["findings"] if one["level"] == "error"]
    assert [(one["check"], "replica" in one["message"], bool(one["mend"])) for one in found] == [(setting, True, True)]


# Other versions


def told_by(coatcheck: Run, url: str, *, program: Sequence[str] = MODULE) -> dict[str, Ran]:
    """Ask every command that begins with a look at the schema."""
    env = {**PRODUCTION, "COATCHECK_STORE": url}
    commands = {
        "status": ["schema", "status", "--json"],
        "serve": ["serve", "--port", "1"],
        "doctor": ["doctor", "--json"],
        "list": ["accounts", "list", "--json"],
    }
    return {name: coatcheck(*words, env=env, program=program) for name, words in commands.items()}


def assert_refused(ran: dict[str, Ran], state: str, mend: str) -> None:
    """Each tells the state, or says what to do about it."""
    assert (ran["status"].status, ran["status"].json["state"]) == (1, state)
    assert (ran["serve"].status, ran["list"].status, ran["doctor"].status) == (2, 2, 1)
    assert ran["serve"].err.startswith("error: store: ")
    assert f"; {mend}" in ran["serve"].err
    assert f"; {mend}" in told(ran["list"])[0]
    found = [one for one in ran["doctor"].json["findings"] if one["level"] == "error"]
    assert [(one["check"], one["mend"].startswith(mend)) for one in found] == [("schema", True)]
    assert state in found[0]["message"]


def in_use_by_the_next(coatcheck: Run, url: str) -> None:
    """Let the next version keep something there."""
    env = {"COATCHECK_STORE": url}
    for words in (["schema", "upgrade"], ["accounts", "create", "--username", "ada", "--password-stdin"]):
        ran = coatcheck(*words, env=env, program=NEXT_VERSION, given=PASSWORD)
        assert ran.status == 0, ran.err


@pytest.mark.parametrize("engine", ENGINES)
def test_dat_08_what_the_next_version_wrote_is_refused_by_every_command_and_left_alone(
    coatcheck: Run, url_at: Callable[[str], str], engine: str
) -> None:
    url = url_at(engine)
    if engine == "valkey":  # where the first command that keeps something begins the store
        with Coatcheck(url):
            pass
    in_use_by_the_next(coatcheck, url)

    ran = told_by(coatcheck, url)
    upgraded = coatcheck("schema", "upgrade", env={"COATCHECK_STORE": url})

    assert_refused(ran, "newer", "run the newer Coatcheck that wrote it")
    assert upgraded.status == 2
    assert "run the newer Coatcheck that wrote it" in upgraded.err
    listed = coatcheck("accounts", "list", "--json", env={"COATCHECK_STORE": url}, program=NEXT_VERSION)
    assert [one["username"] for one in listed.json["accounts"]] == ["ada"]


def test_dat_08_an_older_schema_is_refused_by_every_command_until_it_is_upgraded(
    coatcheck: Run, postgres_url: str
) -> None:
    with Coatcheck(postgres_url) as desk:
        desk.sign_up(username="ada", password=PASSWORD)
        session = desk.log_in("ada", PASSWORD).session.id
    env = {"COATCHECK_STORE": postgres_url}

    before = told_by(coatcheck, postgres_url, program=NEXT_VERSION)
    upgraded = coatcheck("schema", "upgrade", "--json", env=env, program=NEXT_VERSION)
    status = coatcheck("schema", "status", "--json", env=env, program=NEXT_VERSION)
    shown = coatcheck("sessions", "show", session, "--json", env=env, program=NEXT_VERSION)

    assert_refused(before, "older", "run: coatcheck schema upgrade")
    assert upgraded.json == {"before": 1, "after": 3}
    assert (status.status, status.json["state"]) == (0, "current")
    assert (shown.status, shown.json["id"]) == (0, session)


def test_dat_08_of_two_stores_the_older_one_is_named(coatcheck: Run, postgres_url: str) -> None:
    apart = f"{postgres_url}?schema=sessions_apart"
    with Coatcheck(postgres_url, sessions=apart) as desk:
        desk.ready()
    coatcheck("schema", "upgrade", env={"COATCHECK_STORE": postgres_url}, program=NEXT_VERSION)
    both = {**PRODUCTION, "COATCHECK_STORE": postgres_url, "COATCHECK_SESSIONS": apart}

    served = coatcheck("serve", "--port", "1", env=both, program=NEXT_VERSION)
    status = coatcheck("schema", "status", "--json", env=both, program=NEXT_VERSION)
    upgraded = coatcheck("schema", "upgrade", "--json", env=both, program=NEXT_VERSION)

    assert served.err.startswith("error: sessions: ")
    assert "coatcheck schema upgrade" in served.err
    assert (status.json["state"], status.json["sessions"]["state"]) == ("current", "older")
    assert upgraded.json == {"before": 3, "after": 3, "sessions": {"before": 1, "after": 3}}


def test_an_upgrade_shows_how_far_it_is_while_a_server_of_the_old_version_serves_on(
    at_terminal: Run, coatcheck: Run, postgres_url: str, tmp_path: Path
) -> None:
    """Held up amid it by somebody who reads: the bar shows what is done, and the reader is not waited for by others."""
    env = {"COATCHECK_STORE": postgres_url}
    server = Server(tmp_path / "server", "--workers", "1", env=env, is_elsewhere=True)
    server.start()
    try:
        ada = Visitor(server)
        assert (ada.sign_up("ada").status, ada.log_in("ada").status) == (201, 200)
        with psycopg.connect(postgres_url) as reader:
            reader.execute("SELECT count(*) FROM coatcheck.sessions")  # and the transaction stays open
            seen: list[int] = []

            def let_go_when_it_is_shown(shown: str) -> None:
                if "to version 3: 1 of 3 statements" in shown and not seen:
                    seen.append(ada.get("/api/me").status)
                    reader.rollback()

            ran = at_terminal("schema", "upgrade", env=env, program=NEXT_VERSION, watch=let_go_when_it_is_shown)

        assert ran.status == 0, ran.out
        assert "upgrading from version 1 to 3 (2 steps)" in ran.out.replace("\r\n", " ")
        assert seen == [200]
        assert (ada.get("/api/me").status, ada.log_in("ada").status) == (200, 200), "and after it"
        assert "newer" in coatcheck("serve", "--port", "1", env=env).err
        server.stop()
    finally:
        server.end()


@pytest.mark.parametrize("kept", ["0", "one"])
def test_dat_08_a_version_that_no_release_wrote_is_refused(coatcheck: Run, redis_url: str, kept: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("coatcheck:version", kept)

    assert "another program" in refusal(coatcheck, "store", redis_url)
    for words in (["schema", "status"], ["schema", "upgrade"]):
        ran = coatcheck(*words, env={"COATCHECK_STORE": redis_url})
        assert (ran.status, "another program" in ran.err) == (2, True)


# What is there is shown


@pytest.mark.parametrize("engine", ENGINES)
def test_a_mistyped_place_is_not_an_empty_store(coatcheck: Run, url_at: Callable[[str], str], engine: str) -> None:
    ran = coatcheck("accounts", "list", "--json", env={"COATCHECK_STORE": url_at(engine)})

    assert ran.status == 2
    assert told(ran)[0].startswith("store: nothing is kept in ")
    assert coatcheck("accounts", "list", env={"COATCHECK_STORE": url_at(engine)}).status == 2, "and none was made"


@pytest.mark.parametrize("engine", ENGINES)
def test_accounts_and_sessions_are_listed_whatever_keeps_them(
    coatcheck: Run, url_at: Callable[[str], str], engine: str
) -> None:
    with Coatcheck(url_at(engine)) as desk:
        desk.sign_up(username="ada", password=PASSWORD)
        login = desk.log_in("ada", PASSWORD)
    env = {"COATCHECK_STORE": url_at(engine)}

    accounts = coatcheck("accounts", "list", "--json", env=env)
    ended = coatcheck("sessions", "revoke", login.session.id, env=env)
    left = coatcheck("sessions", "list", "--json", env=env)

    assert [one["username"] for one in accounts.json["accounts"]] == ["ada"]
    assert (ended.status, left.json["sessions"]) == (0, [])


def test_sessions_kept_apart_are_listed_with_their_accounts(
    coatcheck: Run, tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    with Coatcheck(postgres_url, sessions=redis_url) as desk:
        desk.sign_up(username="ada", password=PASSWORD)
        desk.log_in("ada", PASSWORD)
    (tmp_path / "password").write_text(redis_url.partition(":")[2].rpartition("@")[0].rpartition(":")[2])
    (tmp_path / "password").chmod(0o600)
    env = {"COATCHECK_STORE": postgres_url, "COATCHECK_SESSIONS_PASSWORD_FILE": "password"}

    ran = coatcheck("sessions", "list", "--sessions", f"redis://{redis_url.rpartition('@')[2]}", "--json", env=env)

    assert ran.status == 0, ran.err
    assert [one["username"] for one in ran.json["sessions"]] == ["ada"]


def warnings_of(ran: Ran) -> list[tuple[str, str]]:
    found = [one for one in ran.json["findings"] if one["level"] in ("warning", "error")]
    assert all(one["mend"] for one in found), "each comes with its mend"
    return [(one["check"], one["message"] + one["mend"]) for one in found]


def test_doctor_says_what_is_weak_about_each_engine(coatcheck: Run, postgres_url: str) -> None:
    with ValkeyServer(settings={"appendonly": "no"}) as valkey:
        sessions = valkey.fresh()
        with Coatcheck(postgres_url, sessions=sessions) as desk:
            desk.ready()

        env = {**PRODUCTION, "COATCHECK_STORE": postgres_url, "COATCHECK_SESSIONS": sessions}
        ran = coatcheck("doctor", "--json", env=env)

    weak = warnings_of(ran)
    assert ran.status == 1
    assert any(check == "store" and "fsync = on" in words for check, words in weak)
    assert any(check == "sessions" and "appendonly yes" in words for check, words in weak)
    assert ran.err == ""
    assert postgres_url.rpartition("@")[0].rpartition(":")[2] not in ran.out


def test_doctor_is_content_with_engines_that_keep_their_word(coatcheck: Run) -> None:
    with (
        PostgresServer(settings={"fsync": "on", "full_page_writes": "on"}) as postgres,
        ValkeyServer(settings={"appendonly": "yes", "appendfsync": "always"}) as valkey,
    ):
        accounts, sessions = postgres.fresh(), valkey.fresh()
        with Coatcheck(accounts, sessions=sessions) as desk:
            desk.ready()

        ran = coatcheck(
            "doctor", "--json", env={**PRODUCTION, "COATCHECK_STORE": accounts, "COATCHECK_SESSIONS": sessions}
        )

    assert warnings_of(ran) == []
    assert ran.status == 0
    said = [(one["check"], one["message"]) for one in ran.json["findings"]]
    assert [message for check, message in said if check == "schema"] == ["store: current", "sessions: current"]
    assert "sqlite" not in dict(said), "there is none in use"


@pytest.mark.parametrize("engine", ENGINES)
def test_doctor_changes_nothing_where_nothing_is_kept_yet(
    coatcheck: Run, url_at: Callable[[str], str], engine: str
) -> None:
    env = {**PRODUCTION, "COATCHECK_STORE": url_at(engine)}

    first, again = coatcheck("doctor", "--json", env=env), coatcheck("doctor", "--json", env=env)

    for ran in (first, again):
        assert [one["level"] for one in ran.json["findings"] if "nothing is kept" in one["message"]] == ["info"]


def test_doctor_tells_what_cannot_be_reached_and_goes_on(coatcheck: Run, redis_url: str) -> None:
    nowhere = f"redis://127.0.0.1:9/{redis_url.rpartition('/')[2]}"

    ran = coatcheck("doctor", "--json", env={**PRODUCTION, "COATCHECK_SESSIONS": nowhere})

    assert ran.status == 1
    assert any(check == "sessions" and "127.0.0.1:9" in words for check, words in warnings_of(ran))
