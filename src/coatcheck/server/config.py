"""Settings of the server, from the command line, the environment and `coatcheck.toml`, checked together at start.

Precedence: command-line option, `COATCHECK_*`, `coatcheck.toml`, default. Every mistake is told at once, each with the
setting, where it came from and how to mend it (ERR-03). Loading reads and never writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

import msgspec

from coatcheck.core.policy import make_policy
from coatcheck.crypto.keys import problem_of_secret
from coatcheck.errors import ConfigurationError
from coatcheck.http.client_address import Network, problems_of_proxies
from coatcheck.http.hosts import Site
from coatcheck.server import tls
from coatcheck.server.secret import problem_of_file, read_secret_file
from coatcheck.server.settings import FILE_NAME, POLICY_SETTINGS, PREFIX, SETTINGS, Unfit, policy_value
from coatcheck.server.sources import Given, from_environment, from_file, from_options, read_toml
from coatcheck.server.store_file import problem_of_store_file
from coatcheck.server.store_urls import (
    MEMORY,
    bears_password,
    password_from,
    problems_of,
    sqlite_file,
    with_password,
    without_password,
)
from coatcheck.web.mount import problems_of_passive_paths

STORES = ("store", "sessions")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `coatcheck serve` needs to know, in order and consistent.

    `secret` is None until the server has made one (development mode), and for commands that serve nothing. It never
    shows itself, nor does a password in the URL of a store: what prints a `Config` prints `****`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    store: str = "sqlite:///coatcheck.db"
    sessions: str | None = None
    public_url: str | None = None
    workers: int = 1
    tls_self_signed: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    secret: bytes | None = None
    development: bool = False
    profile: str = "standard"
    settings: dict[str, object] = {}
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    trusted_hops: int = 0
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    trusted_origins: tuple[str, ...] = ()
    redirect_hosts: tuple[str, ...] = ()
    cookie_name: str = "coatcheck"
    passive_paths: tuple[str, ...] = ()
    templates: Path | None = None
    log_level: str = "info"
    log_format: str = "auto"

    @property
    def uses_tls(self) -> bool:
        """Whether the server itself speaks TLS."""
        return self.tls_self_signed or self.tls_cert is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def store_file(self) -> Path | None:
        """The database file, where the store is one."""
        return sqlite_file(self.store)

    @property
    def shown_store(self) -> str:
        """The store's URL without a password, fit to be printed."""
        return without_password(self.store)

    @property
    def shown_sessions(self) -> str | None:
        """The same for the store of sessions, where it is another."""
        return None if self.sessions is None else without_password(self.sessions)

    @property
    def forgets(self) -> bool:
        """Whether something is kept in the memory of one process only."""
        return MEMORY in (self.store, self.sessions)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = {"secret": "****", "store": self.shown_store, "sessions": self.shown_sessions}
        return [(name, hidden.get(name, getattr(self, name))) for name in self.__struct_fields__]


def load(
    options: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None, *, serving: bool = True
) -> Config:
    """Put the settings together.

    Args:
        options: what the command line says, by setting; None means that an option was not given.
        environ: the environment.
        file: the file named on the command line; without one `COATCHECK_CONFIG`, else `coatcheck.toml` if it is there.
        serving: False for commands that only need the store: what serving needs may be missing then.

    Raises:
        ConfigurationError: lists every mistake.
    """
    problems: list[str] = []
    named = file or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    path = named or Path(FILE_NAME)
    is_named = named is not None
    document = read_toml(path, problems, is_named=is_named) if is_named or path.exists() else {}
    given = from_file(document, path, problems)
    given |= from_environment(environ, problems)
    given |= from_options(options)
    values = dict(_read(given, problems))
    settings = {name: values.pop(name) for name in POLICY_SETTINGS & values.keys()}
    secret_text, secret_file = values.pop("secret", None), values.pop("secret_file", None)
    passwords = {name: values.pop(f"{name}_password_file", None) for name in STORES}
    config = Config(**values, settings=settings)
    if "development" not in values:
        # CKY-04: implied on loopback without a real certificate, never where a public address is configured.
        is_implied = config.is_loopback and config.public_url is None and not (config.tls_cert or config.tls_key)
        config = msgspec.structs.replace(config, development=is_implied)

    found = [*_problems_of_stores(config, given)]
    config = _with_passwords(config, passwords, found)
    found.extend(_problems_of_policy(config))
    if serving:
        secret = _secret(given, secret_text, secret_file, found)
        config = msgspec.structs.replace(config, secret=secret)
        found.extend(_problems_of_serving(config))
    problems.extend(_with_source(problem, given) for problem in found)
    if problems:
        raise ConfigurationError(*problems)
    return config


def is_loopback(host: str) -> bool:
    """Say whether an address to listen on is reachable from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _read(given: Mapping[str, Given], problems: list[str]) -> Iterator[tuple[str, Any]]:
    for name, (value, source, textual) in given.items():
        try:
            is_ours = name in SETTINGS
            yield name, SETTINGS[name].read(value, textual) if is_ours else policy_value(name, value, textual)
        except Unfit as error:
            problems.append(f"{name} ({source}): {error}")


def _with_source(problem: str, given: Mapping[str, Given]) -> str:
    name, colon, rest = problem.partition(":")
    return f"{name} ({given[name].source}){colon}{rest}" if name in given else problem


def _secret(given: Mapping[str, Given], text: str | None, file: Path | None, problems: list[str]) -> bytes | None:
    if text is not None and given["secret"].source == "--secret":
        problems.append("secret: other users can read a command line; use COATCHECK_SECRET, secret_file or the file")
    if text is not None and file is not None:
        # What stands nearer to the command line wins; within one place they contradict each other.
        ranks = [0 if given[name].source.startswith(PREFIX) else 1 for name in ("secret", "secret_file")]
        if ranks[0] == ranks[1]:
            problems.append("secret_file: secret is set in the same place; remove one of the two")
        text, file = (text, None) if ranks[0] <= ranks[1] else (None, file)
    if file is not None:
        try:
            secret = read_secret_file(file)
        except ConfigurationError as error:
            problems.append(f"secret_file: {error}")
            return None
    elif text is not None:
        secret = text.encode(errors="surrogateescape")
    else:
        return None
    if (problem := problem_of_secret(secret)) is not None:
        problems.append(problem if file is None else problem.replace("secret:", "secret_file:", 1))
    return secret


def _problems_of_stores(config: Config, given: Mapping[str, Given]) -> Iterator[str]:
    yield from problems_of(config.store, config.sessions)
    for name in STORES:
        url: str | None = getattr(config, name)
        if url is None:
            continue
        if bears_password(url) and given[name].source == f"--{name}":
            yield (
                f"{name}: bears a password, which other users of this machine can read on a command line; put the "
                f"{url.partition(':')[0]} URL into COATCHECK_{name.upper()} or {FILE_NAME}, or the password alone into "
                f"a file that {name}_password_file names"
            )
        file = sqlite_file(url)
        if file is not None and (problem := problem_of_store_file(file)) is not None:
            yield f"{name}: {problem}"


def _with_passwords(config: Config, files: Mapping[str, Path | None], problems: list[str]) -> Config:
    for name, file in files.items():
        if file is None:
            continue
        url: str | None = getattr(config, name)
        if url is None:
            problems.append(f"{name}_password_file: there is no {name} whose password it could be; set {name}")
            continue
        try:
            config = msgspec.structs.replace(config, **{name: with_password(url, password_from(file, url))})
        except ConfigurationError as error:
            problems.append(f"{name}_password_file: {error}")
    return config


def _problems_of_policy(config: Config) -> Iterator[str]:
    try:
        make_policy(config.profile, config.settings)
    except ConfigurationError as error:
        yield from error.problems


def _problems_of_serving(config: Config) -> Iterator[str]:
    if config.public_url is None and not config.development:
        why = _why_for_real(config)
        yield f"public_url: is missing, and {why}; set it to the https address under which visitors see the site"
    if config.development and not config.is_loopback:
        yield f"development: holds on loopback only, and host is {config.host}; use host 127.0.0.1, or set public_url"
    if config.secret is None and not config.development:
        yield (
            "secret: is missing; coatcheck init writes a configuration with a fresh one, or set COATCHECK_SECRET or "
            "secret_file to at least 32 random bytes"
        )
    if config.workers > 1 and config.forgets:
        yield "workers: memory:// lives in one process, so every worker would know other sessions; use 1 or sqlite:///"
    yield from problems_of_proxies(config.trusted_proxies, config.trusted_hops)
    if config.templates is not None:
        if not config.templates.is_dir():
            yield f"templates: the folder {config.templates} does not exist; create it or leave it out"
        elif (problem := problem_of_file(config.templates, holds_secret=False)) is not None:
            yield f"templates: {problem}"
    yield from problems_of_passive_paths(config.passive_paths)
    yield from _problems_of_tls(config)
    try:
        Site.configure(
            # What is missing has been told above, in the words of whoever starts a server.
            public_url=config.public_url or (None if config.development else "https://missing.invalid"),
            development=config.development,
            tls=config.tls_self_signed,
            allowed_hosts=config.allowed_hosts,
            trusted_origins=config.trusted_origins,
            redirect_hosts=config.redirect_hosts,
            cookie_name=config.cookie_name,
            strict=config.profile == "strict",
        )
    except ConfigurationError as error:
        yield from error.problems


def _why_for_real(config: Config) -> str:
    if not config.is_loopback:
        return f"host {config.host} can be reached from other machines"
    return "a certificate is given, as for real visitors" if config.tls_cert or config.tls_key else "development is off"


def _problems_of_tls(config: Config) -> Iterator[str]:
    pair = {"tls_cert": config.tls_cert, "tls_key": config.tls_key}
    missing = [name for name, path in pair.items() if path is None]
    if config.tls_self_signed and len(missing) < 2:
        yield "tls_self_signed: a certificate is given too; use the one or the other"
    elif config.tls_self_signed and config.public_url is not None:
        yield (
            "tls_self_signed: is for development, and public_url is set; use tls_cert and tls_key, "
            "or let the proxy in front speak TLS"
        )
    if len(missing) == 1:
        given = "tls_key" if missing == ["tls_cert"] else "tls_cert"
        yield f"{missing[0]}: is missing, and {given} is given; give both or neither"
    elif config.tls_cert is not None and config.tls_key is not None:
        yield from tls.problems_of(config.tls_cert, config.tls_key)
