"""What `coatcheck doctor` looks at. Each check gives findings and changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import Literal

import msgspec

from coatcheck.cli.output import counted
from coatcheck.cli.schema import state_of, store_at
from coatcheck.colour import run_blocking
from coatcheck.core.policy import DAY
from coatcheck.errors import ConfigurationError
from coatcheck.facade import Coatcheck
from coatcheck.server import tls
from coatcheck.server.advice import weaknesses_of
from coatcheck.server.config import Config
from coatcheck.server.run import beside
from coatcheck.server.secret import problem_of_file
from coatcheck.stores.sqlite.file import FLOOR

YEAR_2026 = 1_767_225_600
WAL_LARGE = 64 * 1024 * 1024
FREE_LEAST, FREE_LITTLE = 16 * 1024 * 1024, 256 * 1024 * 1024
COUNTED = 100_000  # looking further would take too long for a check-up
PAGE = 1000

Level = Literal["ok", "info", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """What a check found: how bad it is, about what, in words, and how to mend it."""

    level: Level
    check: str
    message: str
    mend: str = ""


def findings_of(config: Config, *, now: int) -> Iterator[Finding]:
    """Do all checks, what matters most first within each."""
    yield from _mode(config)
    yield from _weaknesses(config)
    yield from _proxies(config)
    yield from _certificate(config, now=now)
    yield from _secret(config)
    yield from _clock(now)
    yield from _sqlite()
    yield from _mail()
    yield from _store(config, now=now)


def _mode(config: Config) -> Iterator[Finding]:
    if config.development:
        yield Finding(
            "warning",
            "mode",
            "development mode: cookies without https, answers on this machine only",
            "set public_url (and secret: coatcheck init) before real people log in",
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


def _store(config: Config, *, now: int) -> Iterator[Finding]:
    file = config.store_file
    if file is None:
        yield Finding("warning", "store", "memory:// forgets everything when the server stops", "use sqlite:///file.db")
        return
    if not file.exists():
        yield Finding("info", "store", f"there is no database at {file.absolute()} yet; the first start makes it")
        return
    yield from _disk(file)
    try:
        kept = store_at(file)
        state = state_of(run_blocking(kept.schema_version()), kept.schema_latest)
    except ConfigurationError as error:
        # Of a file that is not ours there is nothing else to say, and no advice to change it.
        yield Finding("error", "schema", *str(error).removeprefix("store: ").split("; ", 1))
        return
    yield from _files(file)
    if state in ("older", "newer"):
        mend = "coatcheck schema upgrade" if state == "older" else "run the newer Coatcheck that wrote it"
        yield Finding("error", "schema", f"the schema is {state} than this Coatcheck", mend)
        return
    yield Finding("ok", "schema", state)
    if state == "current":
        yield from _contents(config, now=now)


def _disk(file: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(file.parent).free
    size = file.stat().st_size
    if free < FREE_LEAST:
        yield Finding("error", "disk", f"{_size(free)} free beside the database: log-ins will fail", "make room")
    elif free < max(FREE_LITTLE, size // 10):
        yield Finding(
            "warning", "disk", f"{_size(free)} free beside a database of {_size(size)}", "make room before it fills up"
        )
    else:
        yield Finding("ok", "disk", f"{_size(free)} free")


def _files(file: Path) -> Iterator[Finding]:
    belongings = [file, beside_wal(file), file.with_name(file.name + "-shm")]
    open_to_others = [
        quote(str(path))
        for path in belongings
        if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        reached = " ".join(open_to_others)
        yield Finding("warning", "store", f"other users of this machine can reach {reached}", f"chmod 600 {reached}")
    else:
        yield Finding("ok", "store", f"{file.absolute()}, {_size(file.stat().st_size)}, readable by its owner only")
    folder = file.absolute().parent
    is_sticky = folder.stat().st_mode & stat.S_ISVTX  # like /tmp: what lies there is safe from others
    if not is_sticky and (problem := problem_of_file(folder, holds_secret=False)) is not None:
        words, _, mend = problem.partition("; ")
        yield Finding("warning", "store", f"another file can be put in the database's place: {words}", mend)
    wal = beside_wal(file)
    if wal.exists() and wal.stat().st_size > WAL_LARGE:
        yield Finding(
            "warning",
            "store",
            f"{wal.name} has {_size(wal.stat().st_size)}: some program keeps a read transaction open",
            "find the program that holds the database open and restart it",
        )


def _contents(config: Config, *, now: int) -> Iterator[Finding]:
    assert config.store_file is not None  # noqa: S101 - the caller has seen to it
    with Coatcheck(config.store, profile=config.profile, settings=config.settings) as desk:
        events, _ = desk.all_events(limit=1)
        if events and events[0].at > now + 60:
            yield Finding(
                "error", "clock", "the newest event lies in the future: the clock was set back", "set the clock"
            )
        live = dead = overdue = 0
        after: str | None = None
        while live + dead < COUNTED:
            page, after = desk.all_sessions(after=after, limit=PAGE)
            for session, death in page:
                live, dead = live + (death is None), dead + (death is not None)
                ended = session.record.ended_at or session.record.expires_at
                overdue += death is not None and ended < now - 2 * DAY
            if after is None:
                break
    more = "" if after is None else " among the first looked at"
    yield Finding("ok", "growth", f"{live} live and {dead} dead sessions{more}")
    if overdue:
        yield Finding(
            "warning",
            "growth",
            f"{overdue} sessions have been dead for more than two days: nobody purges",
            "coatcheck sessions purge; a running server does it once an hour",
        )


def beside_wal(file: Path) -> Path:
    """Name SQLite's write-ahead log of a database."""
    return file.with_name(file.name + "-wal")


def _size(size: int) -> str:
    mib = size / 1024 / 1024
    return f"{mib:.1f} MiB" if mib < 10_000 else f"{mib / 1024:.0f} GiB"
