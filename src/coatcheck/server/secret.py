"""The root secret: read from a file that is ours alone, or made beside the database in development mode.

Also the judgement on which files may be believed at all.
"""

from __future__ import annotations

import os
import stat
from base64 import urlsafe_b64encode
from pathlib import Path

from coatcheck.crypto.entropy import Entropy, system_entropy
from coatcheck.crypto.keys import SECRET_BYTES
from coatcheck.errors import ConfigurationError

MOST_BYTES = 4096


def new_secret(entropy: Entropy = system_entropy) -> str:
    """Draw a fresh secret, as text for a file."""
    return urlsafe_b64encode(entropy(SECRET_BYTES)).decode("ascii").rstrip("=")


def problem_of_file(path: Path, status: os.stat_result | None = None, *, holds_secret: bool = True) -> str | None:
    """Say why a file or folder must not be believed, and how to mend it after a "; "; None if it may be (KEY-07).

    Whoever can write where we run can plant a file there, so it must belong to us or to root, who rules anyway; others
    must not write it, nor read it if it `holds_secret`. Pass the `status` of the opened file where its content is
    used: between a look at a path and the reading, others can put another file there.
    """
    if os.name != "posix":
        return None
    status = status or path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (os.geteuid(), 0):
        mend = f"if its content is yours, run as root: chown {os.geteuid()} {path}"
        return f"{path} belongs to another user (uid {status.st_uid}); {mend}"
    if holds_secret and mode & 0o077:
        return f"{path} holds a secret and other users can reach it (mode {mode:04o}); run: chmod 600 {path}"
    if mode & 0o022:
        return f"{path} can be changed by other users (mode {mode:04o}); run: chmod go-w {path}"
    return None


def read_secret_file(path: Path) -> bytes:
    """Read a secret from a file of its own; the line's end does not belong to it.

    Raises:
        ConfigurationError: it cannot be read, it is not ours, or others can read it too.
    """
    try:
        with path.open("rb") as file:
            if (problem := problem_of_file(path, os.fstat(file.fileno()))) is not None:
                raise ConfigurationError(problem)
            return file.read(MOST_BYTES).strip()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); name a file that can") from error


def development_secret(path: Path) -> bytes:
    """Give the secret kept in a file, made with mode 0600 if it is not there. Of several makers at once one wins.

    Raises:
        ConfigurationError: it can neither be read nor made, it is not ours, or others can read it.
    """
    if not path.exists():
        try:
            create_private(path, (new_secret() + "\n").encode("ascii"))
        except FileExistsError:
            pass  # another server was first: its secret is ours too
        except OSError as error:
            raise ConfigurationError(
                f"secret: {path} cannot be made ({error.strerror}); "
                "let this user write there, or set COATCHECK_SECRET to at least 32 random bytes"
            ) from error
    try:
        return read_secret_file(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"secret: {error}") from error


def create_private(path: Path, content: bytes, *, replaces: bool = False) -> None:
    """Create a file that only its owner can read; it is there complete or not at all.

    Raises FileExistsError where it is there already, unless it `replaces` that; OSError where it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{system_entropy(4).hex()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replaces:
            draft.replace(path)
        else:
            path.hardlink_to(draft)  # unlike a rename, a link never takes the place of what is there
    finally:
        draft.unlink(missing_ok=True)
