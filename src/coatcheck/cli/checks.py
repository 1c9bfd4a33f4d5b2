"""What `coatcheck doctor` looks at. Each check gives findings and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

from coatcheck.cli.findings import Finding, Level
from coatcheck.cli.output import counted
from coatcheck.cli.store_checks import findings_of_stores
from coatcheck.server import tls
from coatcheck.server.advice import weaknesses_of
from coatcheck.server.config import Config
from coatcheck.server.run import beside
from coatcheck.server.secret import problem_of_file
from coatcheck.server.store_urls import sqlite_file
from coatcheck.stores.sqlite.file import FLOOR

YEAR_2026 = 1_767_225_600


def findings_of(config: Config, *, now: int) -> Iterator[Finding]:
    """Do all checks, what matters most first within each."""
    yield from _mode(config)
    yield from _weaknesses(config)
    yield from _proxies(config)
    yield from _certificate(config, now=now)
    yield from _secret(config)
    yield from _clock(now)
    if any(url is not None and sqlite_file(url) is not None for url in (config.store, config.sessions)):
        yield from _sqlite()
    yield from _mail()
    yield from findings_of_stores(config, now=now)


def _mode(config: Config) -> Iterator[Finding]:
    if config.development:
        yield Finding(
            "warning",
            "mode",
            "development mode: cookies without https, answers on this machine only",
            f"set public_url{'' if config.secret else ' (and secret: coatcheck init)'} before real people log in",
        )
    else:
        yield Finding("ok", "mode", f"serves {config.public_url}")


def _weaknesses(config: Config) -> Iterator[Finding]:
    found = weaknesses_of(config)
    for one in found:
        yield Finding("warning", one.about, one.words, one.mend)
    if not any(one.about == "policy" for one in found):
        yield Finding("ok", "policy", f"{config.profile} profile, nothing weaker than NIST SP 800-63B-4 at AAL2")


def _proxies(config: Config) -> Iterator[Finding]:
    if config.trusted_proxies:
        proxies = ", ".join(map(str, config.trusted_proxies))
        yield Finding("ok", "proxies", f"{counted(config.trusted_hops, 'hop')} through {proxies}")
    if config.public_url is not None and not config.uses_tls and not config.is_loopback:
        yield Finding(
            "info",
            "listening",
            f"plain http on {config.host}: whoever reaches it past the proxy reaches it unencrypted",
            "let only the proxy through to it, or listen on 127.0.0.1",
        )


def _certificate(config: Config, *, now: int) -> Iterator[Finding]:
    if config.tls_cert is None:
        return
    due: tuple[tuple[int, Level, str], ...] = ((0, "error", "has ended"), (14, "warning", "ends within two weeks"))
    for days, level, words in due:
        if tls.ends_within(config.tls_cert, timedelta(days=days), now=now):
            yield Finding(level, "certificate", f"{config.tls_cert} {words}", "renew it and start the server again")
            return
    yield Finding("ok", "certificate", f"{config.tls_cert} is valid for two weeks at least")


def _secret(config: Config) -> Iterator[Finding]:
    if config.secret is not None:
        yield Finding("ok", "secret", "set, long enough, not a placeholder")
        return
    file = None if config.store_file is None else beside(config.store_file, "secret")
    if file is None or not file.exists():
        yield Finding("info", "secret", "none yet; the server makes one for development when it starts")
    elif (problem := problem_of_file(file)) is not None:
        yield Finding("error", "secret", *problem.split("; ", 1))
    else:
        yield Finding("ok", "secret", f"{file}, readable by its owner only")


def _clock(now: int) -> Iterator[Finding]:
    if now < YEAR_2026:
        yield Finding("error", "clock", "this machine's clock is years behind: timeouts mean nothing", "set the clock")
    else:
        yield Finding("ok", "clock", "plausible")


def _sqlite() -> Iterator[Finding]:
    if sqlite3.sqlite_version_info < FLOOR:
        needed = ".".join(map(str, FLOOR))
        yield Finding("error", "sqlite", f"{sqlite3.sqlite_version} is too old", f"use a Python with {needed} or newer")
    else:
        yield Finding("ok", "sqlite", sqlite3.sqlite_version)


def _mail() -> Iterator[Finding]:
    yield Finding("info", "mail", "this version sends none: addresses are not verified, forgotten passwords stay so")
