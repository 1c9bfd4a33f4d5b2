"""May this user work with a database file? Asked before anything is opened, so that the answer names path and mend.

SQLite itself would only say that it is unable to open a database file, or that it is read-only.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote


def problem_of_store_file(file: Path) -> str | None:
    """Say why a database file cannot be used or made, and how to mend it after a "; "; None if it can.

    Opens nothing and creates nothing.
    """
    if (closed := _first_closed(file)) is not None:
        return f"{_refusal('enter the directory', closed)}; {_mend(closed, 'x')}"
    folder = file.parent
    if not folder.is_dir():
        return f"the directory {folder} does not exist; create it or name another file"
    # To read a database is to write too: SQLite keeps its log and its locks in files beside it.
    if not _may(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"{_refusal('read and write in the directory', folder)}; {_mend(folder, 'rwx')}"
    if file.is_dir():
        return f"{file} is a directory; name a file in it"
    if file.exists() and not _may(file, os.R_OK | os.W_OK):
        return f"{_refusal('read and write', file)}; {_mend(file, 'rw')}"
    return None


def _first_closed(file: Path) -> Path | None:
    # The directory itself is judged later, with all that is needed there.
    above = reversed(file.absolute().parents[1:])
    return next((folder for folder in above if folder.is_dir() and not _may(folder, os.X_OK)), None)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _refusal(what: str, path: Path) -> str:
    return f"this user cannot {what} {path.absolute()} (mode {stat.S_IMODE(path.stat().st_mode):04o})"


def _mend(path: Path, rights: str) -> str:
    place = quote(str(path.absolute()))
    if os.name != "posix":
        return "give it the right to"
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "its file system is mounted read-only: mount it for writing, or name another file"
    owner = path.stat().st_uid
    if owner == os.geteuid():
        return f"run: chmod u+{rights} {place}"
    # Never the advice to take a directory over: it may be /etc.
    otherwise = "name a file elsewhere" if path.is_dir() else f"run as root: chown {os.geteuid()} {place}"
    return f"it belongs to uid {owner}: run this as that user, or {otherwise}"
