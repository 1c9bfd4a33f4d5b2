"""The root secret: read from a file that nobody else can read, or made beside the database in development mode."""

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


def problem_of_mode(path: Path) -> str | None:
    """Say that others can read a file in which a secret stands, and how to mend it; None if they cannot (KEY-07)."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        return f"{path} holds a secret and other users can reach it (mode {mode:04o}); run: chmod 600 {path}"
    return None


def read_secret_file(path: Path) -> bytes:
    """Read a secret from a file of its own; the line's end does not belong to it.

    Raises:
        ConfigurationError: it cannot be read, or others can read it too.
    """
    try:
        if (problem := problem_of_mode(path)) is not None:
            raise ConfigurationError(problem)
        with path.open("rb") as file:
            return file.read(MOST_BYTES).strip()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); name a file that can") from error


def development_secret(path: Path) -> bytes:
    """Give the secret kept in a file, made with mode 0600 if it is not there. Of several makers at once one wins.

    Raises:
        ConfigurationError: it can neither be read nor made, or others can read it.
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
