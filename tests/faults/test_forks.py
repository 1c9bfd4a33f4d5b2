"""Forks after use, in both colours: amid the work of others, many at once, followed by exec, and by a normal end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coatcheck import AsyncCoatcheck, Coatcheck, Login
from coatcheck.testing.scene import the_hasher
from tests.e2e.serving import environment
from tests.faults.whole import structure_of
from tests.patience import PATIENT

# From Python 3.12 on, fork() warns when threads exist; here it is the point of the test.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

CHILDREN = 4
TURNS = 25
HANGING = 100  # seconds after which a child has hung


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def desk(file: Path) -> Iterator[Coatcheck]:
    with Coatcheck(f"sqlite:///{file}") as desk:
        desk.flows.parts.hasher = the_hasher()
        yield desk


def forked(work: Callable[[], object]) -> int:
    """Have a child do the work; give its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(HANGING)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - nobody else would tell
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count(desk: Coatcheck, login: Login, key: str, turns: int = TURNS) -> None:
    """What a worker does: read, write durably, write quickly."""
    for _ in range(turns):
        assert desk.authenticate(login.token)
        desk.increment(login.session, key)
        desk.renew(login.session)
    assert desk.start_session("worker").token


def counts(desk: Coatcheck, login: Login) -> dict[str, object]:
    visit = desk.authenticate(login.token)
    assert visit
    return visit.session.data()


def test_dat_05_workers_forked_from_a_used_desk_lose_no_write_of_each_other(desk: Coatcheck, file: Path) -> None:
    login = desk.start_session("ada")

    children = [forked(lambda: count(desk, login, "shared")) for _ in range(CHILDREN)]
    count(desk, login, "shared")
    statuses = [status_of(child) for child in children]

    assert statuses == [0] * CHILDREN
    assert counts(desk, login) == {"shared": TURNS * (CHILDREN + 1)}
    assert len(desk.sessions(of="worker")) == CHILDREN + 1
    assert structure_of(file) == []


def test_workers_of_workers_and_those_that_take_the_place_of_killed_ones_go_on(desk: Coatcheck, file: Path) -> None:
    login = desk.start_session("ada")
    desk.increment(login.session, "shared")

    def with_grandchild() -> None:
        count(desk, login, "shared", 5)
        assert status_of(forked(lambda: count(desk, login, "shared", 5))) == 0
        count(desk, login, "shared", 5)

    def for_ever() -> None:
        while True:
            count(desk, login, "endless", 1)

    doomed = [forked(for_ever) for _ in range(2)]
    assert status_of(forked(with_grandchild)) == 0
    for child in doomed:
        os.kill(child, signal.SIGKILL)
        assert status_of(child) == -signal.SIGKILL
        assert status_of(forked(lambda: count(desk, login, "shared", 5))) == 0

    assert counts(desk, login)["shared"] == 1 + 3 * 5 + 2 * 5
    assert structure_of(file) == []


def test_a_fork_amid_the_use_of_other_threads_disturbs_neither_side(desk: Coatcheck, file: Path) -> None:
    login = desk.start_session("ada")
    ended = threading.Event()
    troubles: list[BaseException] = []
    turns = [0] * 3

    def work(number: int) -> None:
        try:
            while not ended.is_set():
                count(desk, login, f"thread{number}", 1)
                turns[number] += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            troubles.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    statuses = [status_of(forked(lambda: count(desk, login, "child", 3))) for _ in range(6)]
    ended.set()
    for thread in threads:
        thread.join()

    assert (statuses, troubles) == ([0] * 6, [])
    assert counts(desk, login) == {"child": 18, **{f"thread{number}": turns[number] for number in range(3)}}
    assert structure_of(file) == []


def test_an_async_desk_that_was_used_works_in_children_with_loops_of_their_own(file: Path) -> None:
    desk = AsyncCoatcheck(f"sqlite:///{file}")
    runner = asyncio.Runner()
    login = runner.run(desk.start_session("ada"))

    async def work(key: str) -> None:
        for _ in range(TURNS):
            assert await desk.authenticate(login.token)
        await asyncio.gather(*(desk.increment(login.session, key) for _ in range(TURNS)))

    def in_child() -> None:
        asyncio.set_event_loop(None)
        with asyncio.Runner() as own:
            own.run(work("shared"))

    children = [forked(in_child) for _ in range(CHILDREN)]
    runner.run(work("shared"))
    statuses = [status_of(child) for child in children]

    visit = runner.run(desk.authenticate(login.token))
    assert visit
    assert statuses == [0] * CHILDREN
    assert visit.session.data() == {"shared": TURNS * (CHILDREN + 1)}
    runner.run(desk.close())
    runner.close()
    assert structure_of(file) == []


def test_an_async_desk_forked_amid_its_own_writes_disturbs_neither_side(file: Path) -> None:
    desk = AsyncCoatcheck(f"sqlite:///{file}")

    async def parent() -> tuple[list[int], Login]:
        login = await desk.start_session("ada")
        under_way = [asyncio.ensure_future(desk.increment(login.session, "parent")) for _ in range(TURNS)]
        await asyncio.sleep(0)
        children = [forked(lambda: in_child(login)) for _ in range(3)]
        await asyncio.gather(*under_way)
        return [await asyncio.to_thread(status_of, child) for child in children], login

    def in_child(login: Login) -> None:
        blocking = Coatcheck(f"sqlite:///{file}")  # a desk of its own: the loop is the parent's
        count(blocking, login, "child", 5)

    with asyncio.Runner() as runner:
        statuses, login = runner.run(parent())
        visit = runner.run(desk.authenticate(login.token))
        assert visit
        assert statuses == [0] * 3
        assert visit.session.data() == {"parent": TURNS, "child": 15}
        runner.run(desk.close())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_that_is_started_inherits_no_descriptor_and_no_lock(desk: Coatcheck, file: Path) -> None:
    """Fork, then exec: what the other program opens and closes must not free our locks, nor ours be held by it."""
    login = desk.start_session("ada")
    desk.increment(login.session, "n")
    program = (
        "import os, sys; from coatcheck import Coatcheck\n"
        "held = [link for fd in os.listdir('/proc/self/fd') if os.path.exists(link := '/proc/self/fd/' + fd)"
        " and os.path.realpath(link).startswith(sys.argv[1])]\n"
        "with Coatcheck('sqlite:///' + sys.argv[1]) as desk:\n"
        "    visit = desk.authenticate(sys.argv[2]); desk.increment(visit.session, 'n')\n"
        "sys.exit(len(held))"
    )
    command = [sys.executable, "-c", program, str(file), login.token.reveal()]

    statuses = []
    for _ in range(3):
        desk.increment(login.session, "n")
        statuses.append(subprocess.run(command, env=environment(PATIENT), close_fds=False, check=False).returncode)
        desk.increment(login.session, "n")

    assert statuses == [0] * 3
    assert counts(desk, login) == {"n": 1 + 3 * 3}
    assert structure_of(file) == []


def test_a_child_that_ends_like_any_program_leaves_the_parents_log_alone(file: Path) -> None:
    """It frees what it inherited on its way out: not the file, or the parent's next writes would be lost."""
    program = """
import gc, os, sys
from coatcheck import Coatcheck
desk = Coatcheck("sqlite:///" + sys.argv[1])
login = desk.start_session("ada")
for turn in range(5):
    desk.increment(login.session, "n")
    child = os.fork()
    if child == 0:
        if turn % 2:
            desk.increment(login.session, "n")
        del desk
        gc.collect()
        sys.exit(0)
    desk.increment(login.session, "n")
    assert os.waitpid(child, 0)[1] == 0
    desk.increment(login.session, "n")
print(login.token.reveal(), flush=True)
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        env=environment(PATIENT),
        capture_output=True,
        text=True,
        check=True,
    )

    with Coatcheck(f"sqlite:///{file}") as desk:
        visit = desk.authenticate(done.stdout.strip())
        assert visit
        assert visit.session.data() == {"n": 5 * 3 + 2}
    assert structure_of(file) == []
