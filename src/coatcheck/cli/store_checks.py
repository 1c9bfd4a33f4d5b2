"""What `coatcheck doctor` looks at in the stores: files and engines, one after the other, then what is kept there."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from coatcheck.cli.findings import Finding
from coatcheck.colour import run_blocking
from coatcheck.core.policy import DAY
from coatcheck.errors import ConfigurationError, SchemaMismatch, StoreError
from coatcheck.facade import Coatcheck
from coatcheck.flows.copying import UNFINISHED
from coatcheck.server.advice import sessions_left_behind
from coatcheck.server.config import Config
from coatcheck.server.secret import problem_of_file
from coatcheck.server.store_urls import MEMORY, sqlite_file, store_at, version_at, without_password

WAL_LARGE = 64 * 1024 * 1024
FREE_LEAST, FREE_LITTLE = 16 * 1024 * 1024, 256 * 1024 * 1024
COUNTED = 100_000  # looking further would take too long for a check-up
PAGE = 1000


def findings_of_stores(config: Config, *, now: int) -> Iterator[Finding]:
    """Look at the store, at the one of sessions, and if both are sound at what is in them."""
    are_sound = True
    for setting, url in (("store", config.store), ("sessions", config.sessions)):
        if url is not None:
            found = list(_store(setting, url, current="current" if config.sessions is None else f"{setting}: current"))
            is_sound = any((one.level, one.check) == ("ok", "schema") for one in found)
            are_sound = are_sound and is_sound
            yield from found
            # Also before the first start with `sessions`, when nothing is kept there yet.
            if setting == "store" and is_sound and (left_behind := sessions_left_behind(config)) is not None:
                yield Finding("warning", *left_behind)
    if are_sound:
        yield from _contents(config, now=now)


def _store(setting: str, url: str, *, current: str) -> Iterator[Finding]:
    file = sqlite_file(url)
    if url == MEMORY:
        yield Finding("warning", setting, "memory:// forgets everything when the server stops", "use sqlite:///file.db")
        return
    if file is not None and not file.exists():
        yield Finding("info", setting, f"there is no database at {file.absolute()} yet; the first start makes it")
        return
    if file is not None:
        yield from _disk(file)
    try:
        version = version_at(url)
    except (ConfigurationError, StoreError) as error:
        # Of what is not ours there is nothing else to say, and no advice to change it.
        yield _trouble("schema" if file is not None else setting, error)
        return
    if file is not None:
        yield from _files(setting, file)
    if version == 0:
        yield Finding("info", setting, f"nothing is kept in {without_password(url)} yet; the first start begins it")
        return
    store = store_at(url)
    try:
        run_blocking(store.ready())
        is_unfinished = run_blocking(store.bookmark()) is not None
    except (ConfigurationError, StoreError) as error:
        yield _trouble("schema" if file is not None or isinstance(error, SchemaMismatch) else setting, error)
        return
    finally:
        run_blocking(store.close())
    if is_unfinished:
        words, _, mend = UNFINISHED.partition(": ")
        yield Finding("error", setting, f"{store.location} {words}", mend)
    yield Finding("ok", "schema", current)
    if file is None:
        yield from _engine(setting, url)


def _engine(setting: str, url: str) -> Iterator[Finding]:
    store = store_at(url)
    try:
        weak = run_blocking(store.advisories())
    except (ConfigurationError, StoreError) as error:
        yield _trouble(setting, error)
        return
    finally:
        run_blocking(store.close())
    for advisory in weak:
        words, _, mend = advisory.rpartition("; ")
        yield Finding("warning", setting, words, mend)
    if not weak:
        yield Finding("ok", setting, f"{store.location} keeps what it acknowledges")


def _trouble(check: str, error: ConfigurationError | StoreError) -> Finding:
    words, _, mend = str(error).removeprefix("store: ").partition("; ")
    return Finding("error", check, words, mend or "see that it runs and answers")


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


def _files(setting: str, file: Path) -> Iterator[Finding]:
    belongings = [file, beside_wal(file), file.with_name(file.name + "-shm")]
    open_to_others = [
        quote(str(path))
        for path in belongings
        if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        reached = " ".join(open_to_others)
        yield Finding("warning", setting, f"other users of this machine can reach {reached}", f"chmod 600 {reached}")
    else:
        yield Finding("ok", setting, f"{file.absolute()}, {_size(file.stat().st_size)}, readable by its owner only")
    folder = file.absolute().parent
    is_sticky = folder.stat().st_mode & stat.S_ISVTX  # like /tmp: what lies there is safe from others
    if not is_sticky and (problem := problem_of_file(folder, holds_secret=False)) is not None:
        words, _, mend = problem.partition("; ")
        yield Finding("warning", setting, f"another file can be put in the database's place: {words}", mend)
    wal = beside_wal(file)
    if wal.exists() and wal.stat().st_size > WAL_LARGE:
        yield Finding(
            "warning",
            setting,
            f"{wal.name} has {_size(wal.stat().st_size)}: some program keeps a read transaction open",
            "find the program that holds the database open and restart it",
        )


def _contents(config: Config, *, now: int) -> Iterator[Finding]:
    with Coatcheck(config.store, sessions=config.sessions, profile=config.profile, settings=config.settings) as desk:
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
