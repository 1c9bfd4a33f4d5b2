"""`kill -9` at every moment of what a process does with its store.

A life is a function that works with a store and tells what was acknowledged to it. It is lived to its end once, in a
forked child, which counts its moments: before each call into the database driver, unless `watch` says otherwise, and
the end. (After a call is before the next one: nothing happens in between that outlives the process.) Then child after
child lives it again, and each kills itself at another moment. Whoever asked looks at the store in between:

    for death in deaths(life, arrange):
        ...  # what `death.told` acknowledges is there; all else happened or did not, and nothing half

A process that does this has one thread only, and each life takes the same steps: predictable entropy, a clock that
stands, nothing open before the fork. A store that is a server of its own learns of a death only when the connection
ends: give it time before looking.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

Reach = Callable[[str], None]
"""Says that a moment, whose name is given, has come."""
Watch = Callable[[Reach], None]
"""Sees to it that each moment of the process it is called in is told, from then on."""
Tell = Callable[[str], None]
"""Notes, outside of the process, what has happened so far."""

SQLITE_CALLS = frozenset({"connect", "execute", "executemany", "fetchone", "fetchall", "commit", "rollback", "close"})


class Death(NamedTuple):
    """One child that was killed: at which moment of how many, what that was, and what it had told."""

    moment: int
    moments: int
    name: str
    told: tuple[str, ...]


def calls_into(module: str, names: Collection[str]) -> Watch:
    """Watch calls of a driver's compiled functions and methods, in all threads that start later too.

    A moment is named after the line that calls, like `execute at steps.py:33 subject_key`.
    """

    def watch(reach: Reach) -> None:
        def on_event(frame: FrameType, event: str, called: object) -> None:
            name: str = getattr(called, "__name__", "") if event == "c_call" else ""
            if name in names and _home_of(called) == module:
                code = frame.f_code
                reach(f"{name} at {Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")

        threading.setprofile(on_event)
        sys.setprofile(on_event)

    return watch


SQLITE = calls_into("sqlite3", SQLITE_CALLS)


def deaths(
    life: Callable[[Tell], None],
    arrange: Callable[[], Callable[[], None] | None],
    *,
    watch: Watch = SQLITE,
    stride: int = 1,
) -> Iterator[Death]:
    """Kill a child at every moment of a life, or at every `stride`-th and the last; give each when it has died.

    `arrange` sets the stage in this process before each child, and may give what the child does before its life is
    watched.

    Raises:
        RuntimeError: a life failed, or took other steps than the first one.
    """
    ended, _, moments = _live(life, arrange, watch, deadly=None)
    if ended != 0:
        raise RuntimeError(f"the life fails by itself: exit status {ended} after {moments[-1:]}")
    last = len(moments) - 1
    for moment in sorted({*range(0, last, stride), last}):
        ended, told, reached = _live(life, arrange, watch, deadly=moment)
        if ended != -signal.SIGKILL or reached != moments[: moment + 1]:
            raise RuntimeError(f"no life like the first: exit status {ended} at {moments[moment]}")
        yield Death(moment, len(moments), moments[moment], told)


def _live(
    life: Callable[[Tell], None],
    arrange: Callable[[], Callable[[], None] | None],
    watch: Watch,
    *,
    deadly: int | None,
) -> tuple[int, tuple[str, ...], list[str]]:
    """Live in a child; give its status, what it told, and the moments it reached."""
    prepare = arrange()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            if prepare is not None:
                prepare()
            _watched(life, watch, writing, deadly)
            status = 0
        finally:
            os._exit(status)  # nothing is closed or flushed: what was acknowledged must not depend on a tidy end
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        entries: list[tuple[str, str]] = [tuple(json.loads(line)) for line in lines]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told = tuple(words for kind, words in entries if kind == "told")
    return status, told, [words for kind, words in entries if kind == "moment"]


def _watched(life: Callable[[Tell], None], watch: Watch, pipe: int, deadly: int | None) -> None:
    reached = 0

    def note(kind: str, words: str) -> None:
        os.write(pipe, json.dumps([kind, words]).encode() + b"\n")

    def reach(name: str) -> None:
        nonlocal reached
        note("moment", name)
        if reached == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        reached += 1

    watch(reach)
    life(lambda words: note("told", words))
    sys.setprofile(None)
    reach("the end")


def _home_of(called: object) -> str:
    """Name the package a compiled function or method is from."""
    home: str = getattr(called, "__module__", None) or type(getattr(called, "__self__", None)).__module__
    return home.lstrip("_").partition(".")[0]
