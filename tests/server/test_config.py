"""Settings: precedence, types, and combinations that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from multiprocessing import Pipe
from pathlib import Path

import pytest

from coatcheck import ConfigurationError
from coatcheck.server.app import ServerApp
from coatcheck.server.config import Config, load
from coatcheck.server.durations import duration_text, seconds_of
from coatcheck.server.secret import create_private
from coatcheck.server.store_urls import without_password

SECRET = "Zq3v9-KfT1mXc7Rw5Lb2Yd8Hn4Js6Pg0Ue_AoIxBtC"
PUBLIC = {"COATCHECK_PUBLIC_URL": "https://login.example.org", "COATCHECK_SECRET": SECRET}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, *, mode: int = 0o600) -> Path:
    path = Path("coatcheck.toml")
    path.write_text(text)
    path.chmod(mode)
    return path


def problems(options: Mapping[str, object] = {}, environ: Mapping[str, str] = {}) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refusal:
        load(options, environ)
    return refusal.value.problems


def test_without_anything_the_server_is_for_this_machine() -> None:
    config = load({}, {})

    assert (config.host, config.port, config.store) == ("127.0.0.1", 8000, "sqlite:///coatcheck.db")
    assert config.development


def test_loading_writes_nothing(here: Path) -> None:
    load({}, {})

    assert list(here.iterdir()) == []


def test_command_line_wins_over_environment_over_file_over_default() -> None:
    written("port = 1\nworkers = 3\nlog_level = 'debug'")

    config = load({"port": "3"}, {"COATCHECK_PORT": "2", "COATCHECK_WORKERS": "4"})

    assert (config.port, config.workers, config.log_level, config.host) == (3, 4, "debug", "127.0.0.1")


def test_an_empty_variable_counts_as_not_set() -> None:
    config = load({}, {"COATCHECK_PUBLIC_URL": ""})

    assert config.public_url is None


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match=r"elsewhere\.toml.*coatcheck init"):
        load({}, {}, Path("elsewhere.toml"))


def test_the_environment_may_name_the_file() -> None:
    Path("other.toml").write_text("port = 99")

    assert load({}, {"COATCHECK_CONFIG": "other.toml"}).port == 99


@pytest.mark.parametrize("content", [b"port = ", b"\xff", b"port = 1\nport = 2"])
def test_a_damaged_file_is_told(content: bytes) -> None:
    written("")
    Path("coatcheck.toml").write_bytes(content)

    (problem,) = problems()

    assert problem.startswith("config (coatcheck.toml): ")


def test_all_kinds_of_values_are_read_from_a_file() -> None:
    written(
        'host = "::1"\nallowed_hosts = ["a.example"]\ntrusted_proxies = ["10.0.0.0/8", "::1"]\ntrusted_hops = 2\n'
        f'public_url = "https://a.example"\nsecret = "{SECRET}"\nprofile = "strict"\nlog_format = "json"\n'
        "[settings]\nidle_timeout = 600\n"
    )

    config = load({}, {})

    assert config.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert (config.allowed_hosts, config.settings) == (("a.example",), {"idle_timeout": 600})
    assert (config.secret, config.development) == (SECRET.encode(), False)


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    config = load({}, {**PUBLIC, "COATCHECK_REDIRECT_HOSTS": "a.example, b.example"})

    assert config.redirect_hosts == ("a.example", "b.example")


def test_policy_settings_are_read_from_the_environment_by_their_type() -> None:
    config = load({}, {"COATCHECK_IDLE_TIMEOUT": "600", "COATCHECK_REMEMBER_ALLOWED": "no"})

    assert config.settings == {"idle_timeout": 600, "remember_allowed": False}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("port = '80'", "port"),
        ("port = true", "port"),
        ("port = 0", "port"),
        ("port = 65536", "port"),
        ("workers = 2.5", "workers"),
        ("tls_self_signed = 'yes'", "tls_self_signed"),
        ("store = 5", "store"),
        ("allowed_hosts = 'a.example'", "allowed_hosts"),
        ("allowed_hosts = [1]", "allowed_hosts"),
        ("trusted_proxies = ['10.0.0.1/8']", "trusted_proxies"),
        ("forwarded_header = 'x-real-ip'", "forwarded_header"),
        ("profile = 'loose'", "profile"),
        ("host = ''", "host"),
        ("[settings]\nidle_timeout = 'long'", "idle_timeout"),
        ("[settings]\nidle_timeout = 1", "idle_timeout"),
        ("settings = 5", "settings"),
    ],
)
def test_err_03_a_wrong_value_is_told_with_setting_and_place(text: str, name: str) -> None:
    written(text)

    assert any(problem.startswith(f"{name} (coatcheck.toml): ") for problem in problems())


@pytest.mark.parametrize("value", ["abc", "-1", "8000 ", "٣", "1e3", "99999999999999999999"])
def test_err_03_a_number_in_the_environment_is_plain_digits(value: str) -> None:
    (problem,) = problems(environ={"COATCHECK_PORT": value})

    assert problem.startswith("port (COATCHECK_PORT): ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "prot (coatcheck.toml): there is no such setting; did you mean port?"),
        ("idle_timeout = 1", "idle_timeout (coatcheck.toml): there is no such setting; it belongs under [settings]"),
        ("[settings]\nport = 1", "settings.port (coatcheck.toml): there is no such setting; it belongs above"),
        ("[settings]\nidle_timout = 1", "did you mean idle_timeout?"),
        ("Public-URL = 1", "did you mean public_url?"),
        ("TRUSTED_PROXY = 1", "did you mean trusted_proxies?"),
        ("zebra = 1", "zebra (coatcheck.toml): there is no such setting; remove it"),
    ],
)
def test_err_03_an_unknown_setting_is_told_with_what_may_be_meant(text: str, told: str) -> None:
    written(text)

    assert told in problems()[0]


def test_err_03_an_unknown_variable_is_told() -> None:
    (problem,) = problems(environ={"COATCHECK_PUBLC_URL": "https://a.example"})

    assert "did you mean COATCHECK_PUBLIC_URL?" in problem


@pytest.mark.parametrize(
    ("written_as", "seconds"),
    [
        ("600", 600),
        ('"600"', 600),
        ('"600s"', 600),
        ('"10m"', 600),
        ('"1 h"', 3600),
        ('"1h 30m"', 5400),
        ('"1h30m"', 5400),
    ],
)
def test_durations_are_written_as_people_write_them(written_as: str, seconds: int) -> None:
    written(f"[settings]\nidle_timeout = {written_as}")

    assert load({}, {}).settings == {"idle_timeout": seconds}
    assert load({}, {"COATCHECK_IDLE_TIMEOUT": written_as.strip('"')}).settings == {"idle_timeout": seconds}


@pytest.mark.parametrize("text", ["", "h", "1 x", "1.5h", "-1h", "1h-", "1  h", "\u0661h", "1h,30m", "9" * 11, "1 y"])
def test_err_03_what_is_no_duration_is_told_with_the_form(text: str) -> None:
    written(f'[settings]\nidle_timeout = "{text}"')

    (problem,) = problems()

    assert problem.startswith("idle_timeout (coatcheck.toml): ")
    assert "30 d" in problem


def test_a_number_that_is_no_duration_takes_no_units() -> None:
    written('[settings]\npassword_min_length = "15s"')

    (problem,) = problems()

    assert problem.startswith("password_min_length (coatcheck.toml): must be a whole number")


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 90, 3600, 5400, 86_400, 90_061, 30 * 86_400])
def test_a_duration_that_is_shown_is_read_as_what_it_was(seconds: int) -> None:
    assert seconds_of(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"COATCHECK_DEVELOPMENT": "false"}, "development is off"),
        ({"COATCHECK_TLS_CERT": "a", "COATCHECK_TLS_KEY": "b"}, "a certificate is given, as for real visitors"),
        ({"COATCHECK_HOST": "0.0.0.0"}, "host 0.0.0.0 can be reached from other machines"),
    ],
)
def test_err_03_a_missing_public_url_is_told_with_why_it_is_needed(environ: Mapping[str, str], why: str) -> None:
    (problem,) = [problem for problem in problems(environ=environ) if problem.startswith("public_url")]

    assert (
        problem == f"public_url: is missing, and {why}; set it to the https address under which visitors see the site"
    )


def test_variables_that_kubernetes_sets_are_not_ours() -> None:
    config = load({}, {"COATCHECK_PORT": "tcp://10.0.0.1:80", "COATCHECK_SERVICE_HOST": "10.0.0.1"})

    assert config.port == 8000


def test_err_03_all_mistakes_are_told_at_once() -> None:
    written("workers = 0\nnonsense = 1")

    found = problems({"port": "x"}, {"COATCHECK_PUBLIC_URL": "http://a.example", "COATCHECK_TLS_KEY": "k.pem"})

    names = {problem.split(" ")[0].rstrip(":") for problem in found}
    assert names == {"nonsense", "workers", "port", "public_url", "secret", "tls_cert"}


@pytest.mark.parametrize("url", ["http://a.example", "a.example", "https://a.example/login", "https://a.example:0"])
def test_err_03_a_public_url_must_be_an_https_origin(url: str) -> None:
    (problem,) = problems(environ={**PUBLIC, "COATCHECK_PUBLIC_URL": url})

    assert problem.startswith("public_url (COATCHECK_PUBLIC_URL): ")


def test_acc_10_a_missing_secret_stops_a_production_server() -> None:
    (problem,) = problems(environ={"COATCHECK_PUBLIC_URL": "https://a.example"})

    assert problem.startswith("secret: is missing")


def test_commands_that_serve_nothing_need_no_secret() -> None:
    config = load({}, {"COATCHECK_PUBLIC_URL": "https://a.example"}, serving=False)

    assert config.secret is None


@pytest.mark.parametrize("secret", ["short", "a" * 64, "changeme" * 8])
def test_key_09_a_poor_secret_is_refused_and_not_repeated(secret: str) -> None:
    (problem,) = problems(environ={**PUBLIC, "COATCHECK_SECRET": secret})

    assert problem.startswith("secret (COATCHECK_SECRET): ")
    assert secret not in problem.removeprefix("secret (COATCHECK_SECRET)")


def test_a_secret_is_not_taken_from_the_command_line() -> None:
    (problem,) = problems({"secret": SECRET})

    assert "command line" in problem
    assert SECRET not in problem


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_07_a_file_with_a_secret_that_others_can_read_is_refused(mode: int) -> None:
    written(f'secret = "{SECRET}"', mode=mode)

    (problem,) = problems()

    assert "chmod 600" in problem
    assert SECRET not in problem


def test_key_07_a_secret_file_that_others_can_read_is_refused(here: Path) -> None:
    (here / "key").write_text(SECRET)
    (here / "key").chmod(0o644)

    (problem,) = problems(environ={"COATCHECK_SECRET_FILE": "key"})

    assert problem.startswith("secret_file (COATCHECK_SECRET_FILE): ")


def test_key_07_a_secret_file_of_another_user_is_refused(here: Path, give_away: Callable[[Path], None]) -> None:
    create_private(here / "key", SECRET.encode())
    give_away(here / "key")

    (problem,) = problems(environ={"COATCHECK_SECRET_FILE": "key"})

    assert problem.startswith("secret_file (COATCHECK_SECRET_FILE): key belongs to another user")
    assert SECRET not in problem


def test_key_07_a_file_with_a_secret_of_another_user_is_refused_even_if_named(
    give_away: Callable[[Path], None],
) -> None:
    give_away(written(f'secret = "{SECRET}"'))

    (problem,) = problems(environ={"COATCHECK_CONFIG": "coatcheck.toml"})

    assert problem.startswith("secret (coatcheck.toml): coatcheck.toml belongs to another user")
    assert "chown" in problem


@pytest.mark.parametrize("serving", [True, False])
def test_a_configuration_that_another_user_planted_is_refused(give_away: Callable[[Path], None], serving: bool) -> None:
    give_away(written('templates = "nowhere"\nport = 99'))

    with pytest.raises(ConfigurationError) as refusal:
        load({}, {}, serving=serving)

    (problem,) = refusal.value.problems
    assert problem.startswith("config (coatcheck.toml): coatcheck.toml belongs to another user (uid 65534); ")
    assert "chown" in problem
    assert "--config" in problem


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_configuration_found_here_that_others_can_change_is_refused(mode: int) -> None:
    written("port = 99", mode=mode)

    (problem,) = problems()

    assert problem.startswith("config (coatcheck.toml): coatcheck.toml can be changed by other users")
    assert "chmod go-w coatcheck.toml" in problem
    assert "--config" in problem


def test_a_configuration_of_another_user_without_a_secret_is_read_if_named(give_away: Callable[[Path], None]) -> None:
    give_away(written("port = 99", mode=0o644))

    assert load({}, {}, Path("coatcheck.toml")).port == 99


def test_templates_of_another_user_are_refused(here: Path, give_away: Callable[[Path], None]) -> None:
    (here / "pages").mkdir(mode=0o755)
    give_away(here / "pages")

    (problem,) = problems(environ={"COATCHECK_TEMPLATES": "pages"})

    assert problem.startswith("templates (COATCHECK_TEMPLATES): pages belongs to another user")


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_templates_that_others_can_change_are_refused(here: Path, mode: int) -> None:
    (here / "pages").mkdir()
    (here / "pages").chmod(mode)

    (problem,) = problems(environ={"COATCHECK_TEMPLATES": "pages"})

    assert problem.startswith("templates (COATCHECK_TEMPLATES): pages can be changed by other users")
    assert "chmod go-w pages" in problem


def test_rat_04_the_forwarding_header_that_is_set_is_the_one_that_is_read() -> None:
    apps = [ServerApp(load({}, {"COATCHECK_FORWARDED_HEADER": name} if name else {})) for name in ("", "forwarded")]

    assert [app.mount.forwarded_header for app in apps] == [b"x-forwarded-for", b"forwarded"]


@pytest.mark.parametrize("name", ["x-real-ip", "X-Forwarded-For", "x-forwarded-for,forwarded"])
def test_rat_04_any_other_forwarding_header_is_refused(name: str) -> None:
    (problem,) = problems(environ={"COATCHECK_FORWARDED_HEADER": name})

    assert problem.startswith("forwarded_header (COATCHECK_FORWARDED_HEADER): ")
    assert problem.endswith("is not one of x-forwarded-for, forwarded")


def test_a_secret_file_is_read_without_its_line_end(here: Path) -> None:
    (here / "key").write_text(SECRET + "\n")
    (here / "key").chmod(0o600)

    assert load({}, {"COATCHECK_SECRET_FILE": "key"}).secret == SECRET.encode()


def test_a_secret_in_the_environment_wins_over_a_file_named_in_the_file() -> None:
    written('secret_file = "nowhere"')

    assert load({}, {"COATCHECK_SECRET": SECRET}).secret == SECRET.encode()


def test_a_secret_given_twice_in_one_place_is_refused() -> None:
    found = problems(environ={"COATCHECK_SECRET": SECRET, "COATCHECK_SECRET_FILE": "key"})

    assert "remove one of the two" in found[0]


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"COATCHECK_HOST": "0.0.0.0"}, "public_url"),
        ({"COATCHECK_HOST": "0.0.0.0", "COATCHECK_DEVELOPMENT": "true"}, "development"),
        ({"COATCHECK_DEVELOPMENT": "false"}, "public_url"),
        ({**PUBLIC, "COATCHECK_DEVELOPMENT": "true"}, "development"),
        ({**PUBLIC, "COATCHECK_TLS_SELF_SIGNED": "true"}, "tls_self_signed"),
        ({"COATCHECK_TLS_SELF_SIGNED": "1", "COATCHECK_TLS_CERT": "a", "COATCHECK_TLS_KEY": "b"}, "tls_self_signed"),
        ({**PUBLIC, "COATCHECK_TLS_CERT": "a"}, "tls_key"),
        ({**PUBLIC, "COATCHECK_TLS_KEY": "a"}, "tls_cert"),
        ({"COATCHECK_WORKERS": "2", "COATCHECK_STORE": "memory://"}, "workers"),
        ({**PUBLIC, "COATCHECK_TRUSTED_PROXIES": "10.0.0.1"}, "trusted_hops"),
        ({**PUBLIC, "COATCHECK_TRUSTED_HOPS": "1"}, "trusted_proxies"),
        ({**PUBLIC, "COATCHECK_ALLOWED_HOSTS": "*.example.org"}, "allowed_hosts"),
        ({**PUBLIC, "COATCHECK_TRUSTED_ORIGINS": "http://a.example"}, "trusted_origins"),
        ({"COATCHECK_TEMPLATES": "nowhere"}, "templates"),
        ({"COATCHECK_STORE": "sqlite:///nowhere/app.db"}, "store"),
        ({"COATCHECK_STORE": "sqlite:///."}, "store"),
        ({"COATCHECK_STORE": "sqlite://app.db"}, "store"),
        ({"COATCHECK_STORE": "sqlite:///a%00b"}, "store"),
        ({"COATCHECK_STORE": "http://["}, "store"),
        ({"COATCHECK_STORE": "redis://127.0.0.1/x"}, "store"),
        ({"COATCHECK_SESSIONS": "sqlite:///nowhere/app.db"}, "sessions"),
        ({"COATCHECK_SESSIONS": "oracle://db"}, "sessions"),
        ({"COATCHECK_SESSIONS": "http://["}, "sessions"),
        ({"COATCHECK_SESSIONS": "redis://192.0.2.1/0"}, "sessions"),
        ({"COATCHECK_SESSIONS": "sqlite:///coatcheck.db"}, "sessions"),
        ({"COATCHECK_WORKERS": "2", "COATCHECK_SESSIONS": "memory://"}, "workers"),
        ({"COATCHECK_SESSIONS_PASSWORD_FILE": "password"}, "sessions_password_file"),
        ({"COATCHECK_STORE_PASSWORD_FILE": "password"}, "store_password_file"),
    ],
)
def test_err_03_unsafe_and_impossible_combinations_are_refused(environ: Mapping[str, str], name: str) -> None:
    assert any(problem.startswith((f"{name}:", f"{name} (")) for problem in problems(environ=environ))


def test_cky_04_development_is_implied_on_loopback_only_without_public_url_and_certificate() -> None:
    on_loopback = [load({"host": host}, {}).development for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1")]

    assert all(on_loopback)
    assert not load({}, PUBLIC).development


@pytest.mark.parametrize("name", ["store", "sessions"])
@pytest.mark.parametrize(
    "url", ["redis://:tiger@127.0.0.1/0", "redis://u:tiger@127.0.0.1/0", "postgresql://127.0.0.1/d?password=tiger"]
)
def test_log_03_a_url_that_bears_a_password_is_refused_on_the_command_line(name: str, url: str) -> None:
    found = problems({name: url})

    assert any("command line" in problem and f"{name}_password_file" in problem for problem in found)
    assert not any("tiger" in problem for problem in found)


@pytest.mark.parametrize("name", ["store", "sessions"])
def test_a_url_that_bears_a_password_may_stand_in_the_environment_and_in_a_private_file(name: str) -> None:
    url = "redis://u:tiger@127.0.0.1/0"

    from_environment = load({}, {f"COATCHECK_{name.upper()}": url})
    written(f'{name} = "{url}"')

    assert getattr(load({}, {}), name) == getattr(from_environment, name) == url


@pytest.mark.parametrize("name", ["store", "sessions"])
def test_key_07_a_file_with_a_password_in_it_must_be_private(name: str) -> None:
    written(f'{name} = "redis://u:tiger@127.0.0.1/0"', mode=0o644)

    found = problems()

    assert [problem.partition(" ")[0] for problem in found] == [name]
    assert "chmod 600" in found[0]
    assert "tiger" not in found[0]


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://127.0.0.1/0", "redis://:a%20%2F%40%3A%25%20b@127.0.0.1/0"),
        ("redis://u@127.0.0.1/0?prefix=x", "redis://u:a%20%2F%40%3A%25%20b@127.0.0.1/0?prefix=x"),
    ],
)
def test_a_password_may_stand_in_a_file_of_its_own(here: Path, url: str, whole: str) -> None:
    create_private(here / "password", b"a /@:% b\n")
    environ = {"COATCHECK_STORE_PASSWORD_FILE": "password", "COATCHECK_SESSIONS_PASSWORD_FILE": "password"}

    config = load({"store": url, "sessions": url.replace("/0", "/1")}, environ)

    assert config.store == whole
    assert config.sessions == whole.replace("/0", "/1")


@pytest.mark.parametrize(
    ("url", "content", "mode", "words"),
    [
        ("redis://u:pw@127.0.0.1/0", b"tiger", 0o600, "bears a password too"),
        ("sqlite:///app.db", b"tiger", 0o600, "no password"),
        ("redis://127.0.0.1/0", b"tiger", 0o644, "chmod 600"),
        ("redis://127.0.0.1/0", b"", 0o600, "one line"),
        ("redis://127.0.0.1/0", b"tiger\ntiger", 0o600, "one line"),
        ("redis://127.0.0.1/0", b"\xff", 0o600, "UTF-8"),
    ],
)
def test_a_password_file_that_cannot_be_meant_is_refused_without_its_content(
    here: Path, url: str, content: bytes, mode: int, words: str
) -> None:
    create_private(here / "password", content)
    (here / "password").chmod(mode)

    found = problems({}, {"COATCHECK_STORE": url, "COATCHECK_STORE_PASSWORD_FILE": "password"})

    assert len(found) == 1
    assert found[0].startswith("store_password_file (COATCHECK_STORE_PASSWORD_FILE): ")
    assert words in found[0]
    assert "tiger" not in found[0]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pw@h/d", "postgresql://u:****@h/d"),
        ("postgresql://u:p@w@h/d", "postgresql://u:****@h/d"),
        ("postgresql://u:p?w@h/d", "postgresql://u:****@h/d"),
        ("postgresql://u:p/w@h/d", "postgresql://u:****@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?password=pw&sslmode=require", "postgresql://h/d?password=****&sslmode=require"),
        ("postgresql://h/d?user=u&p%61ssword=pw", "postgresql://h/d?user=u&p%61ssword=****"),
        ("postgresql://h/d?password%20=pw&%09password=pw", "postgresql://h/d?password%20=****&%09password=****"),
        ("postgresql://h/d?password=p@w", "postgresql://h/d:****@w"),
        (
            "postgresql://h/d?sslmode=verify-full&sslpassword=pw",
            "postgresql://h/d?sslmode=verify-full&sslpassword=****",
        ),
        ("redis://:pw@h/0", "redis://:****@h/0"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("u:pw@h", "****"),
        ("host=h password=pw", "****"),
    ],
)
def test_log_03_a_password_in_a_url_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_err_08_a_configuration_does_not_show_its_secrets() -> None:
    config = Config(secret=SECRET.encode(), store="postgresql://u:tiger@h/d", sessions="redis://:tiger@h/0")

    for shown in (repr(config), str(config), f"{config}", str(config.__rich_repr__())):
        assert SECRET not in shown
        assert "tiger" not in shown


def test_a_configuration_can_travel_to_a_worker() -> None:
    config = load({}, {**PUBLIC, "COATCHECK_TRUSTED_PROXIES": "10.0.0.1", "COATCHECK_TRUSTED_HOPS": "1"})

    here, there = Pipe()
    here.send(config)

    assert there.recv() == config
