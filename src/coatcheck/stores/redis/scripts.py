"""The atomic steps, as the server knows them: each script with the shared parts that its first lines name."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).with_name("scripts")
_USES = re.compile(r"^--@ uses (.*)$", re.MULTILINE)


class Script(NamedTuple):
    """A script: what it is called by, and its text for a server that has not met it yet."""

    sha: str
    text: str


@cache
def script(name: str) -> Script:
    """Read a script and put its parts before it. Parts come in the order in which they need each other."""
    own = (_FOLDER / f"{name}.lua").read_text("utf-8")
    uses = _USES.search(own)
    parts = [(_FOLDER / "shared" / f"{part}.lua").read_text("utf-8") for part in (uses[1].split() if uses else [])]
    text = "\n".join([*parts, own])
    return Script(sha1(text.encode(), usedforsecurity=False).hexdigest(), text)
