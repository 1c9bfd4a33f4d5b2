"""The processes of the server: start, drain, death, and what goes over the wire before an application sees it."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from coatcheck import Coatcheck
from coatcheck.server import run
from coatcheck.server.run import reminding
from coatcheck.server.secret import create_private
from coatcheck.testing.patience import PATIENCE, eventually
from tests.ports import free_port

SMALL_APP = Path(__file__).with_name("small_app.py")
SOURCES = Path(__file__).resolve().parents[2] / "src"


def environment() -> dict[str, str]:
    """The caller's environment without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(SOURCES), *filter(None, [kept.get("PYTHONPATH")])])}


class Server:
    """A running server in its own process group."""

    def __init__(self, command: Sequence[str], port: int, cwd: Path) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment(),
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if line.startswith("Stop with"):
                break

    def get(self, path: str = "/", **headers: str) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if answer.status == 200 else body, dict(answer.headers)
        finally:
            connection.close()

    def end(self, number: int = signal.SIGTERM, *, group: bool = False) -> tuple[int, str]:
        """Send a signal, wait, and give the exit status and what stood on the standard error."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err


Start = Callable[..., Server]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may be there to collect an orphan that has ended.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal has been sent to a process and not yet taken: another of its kind would be none."""
    masks = re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def begin(*settings: str) -> Server:
        port = free_port()
        servers.append(Server([str(SMALL_APP), f"port={port}", *settings], port, tmp_path))
        return servers[-1]

    yield begin
    for server in servers:
        server.process.terminate()
        with server.process:  # waits and closes the pipes
            pass


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_first_start_says_where_to_click(start: Start, tmp_path: Path) -> None:
    server = start()

    assert f"http://127.0.0.1:{server.port}/" in server.said
    assert str(tmp_path / "coatcheck.db") in server.said
    assert "development mode" in server.said
    assert server.get()[0] == 200


def test_the_first_start_names_the_account_page_and_the_documentation(start: Start) -> None:
    server = start()

    assert f"http://127.0.0.1:{server.port}/account\n" in server.said
    assert f"http://127.0.0.1:{server.port}/docs\n" in server.said


PRODUCTION = ("public_url=https://login.example.org", "secret_file=secret")


@pytest.fixture
def production(start: Start, tmp_path: Path) -> Start:
    create_private(tmp_path / "secret", b"Zq3v9-KfT1mXc7Rw5Lb2Yd8Hn4Js6Pg0Ue_AoIxBtC")
    return lambda *settings: start(*PRODUCTION, *settings)


def test_tmo_06_each_deviation_is_told_once_by_name_however_many_workers(production: Start) -> None:
    server = production("workers=2", "idle_timeout=2h", "absolute_timeout=2d", "password_min_length=8")
    status, err = server.end()

    for name in ("idle_timeout", "absolute_timeout", "password_min_length"):
        assert (server.said + err).count(f"weaker than it should be: {name} is ") == 1
    assert status == 0


def test_rat_04_a_proxy_that_nobody_named_is_told_at_the_start(production: Start) -> None:
    assert "no trusted_proxies" in production().said


def test_a_server_with_named_proxies_and_defaults_has_nothing_to_tell(production: Start) -> None:
    server = production("trusted_proxies=127.0.0.1", "trusted_hops=1")

    assert "weaker" not in server.said
    assert "https://login.example.org/account" in server.said


def test_sessions_that_were_left_behind_are_told_at_the_start(production: Start, tmp_path: Path) -> None:
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.start_session("subject-42")

    left = production("trusted_proxies=127.0.0.1", "trusted_hops=1", f"sessions=sqlite:///{tmp_path}/sessions.db")
    with Coatcheck(f"sqlite:///{tmp_path}/coatcheck.db") as desk:
        desk.revoke_everybody()
    left.end()
    again = production("trusted_proxies=127.0.0.1", "trusted_hops=1", f"sessions=sqlite:///{tmp_path}/sessions.db")

    assert left.said.count("warning: store itself holds live sessions") == 1
    assert "warning" not in again.said


def hang(port: int, sent: bytes, stack: ExitStack, *, count: int = 600) -> list[socket.socket]:
    """Open connections that send this much and then nothing."""
    held = [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(count)]
    for connection in held:
        connection.sendall(sent)
    return held


def answered(held: list[socket.socket]) -> list[socket.socket]:
    """Those that have got an answer, or were thrown out."""
    poll = select.poll()
    for connection in held:
        poll.register(connection, select.POLLIN | select.POLLHUP)
    return [connection for connection in held if connection.fileno() in dict(poll.poll(0))]


HEAD = b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n"
half_a_request = pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b'\r\n{"identifier": "a'], ids=["nothing", "half a head", "half a body"]
)


@half_a_request
def test_err_06_six_hundred_who_send_half_a_request_keep_nobody_waiting(
    tmp_path: Path, sent: bytes, stack: ExitStack
) -> None:
    port = free_port()
    server = Server(["-m", "coatcheck", "serve", "--port", str(port)], port, tmp_path)
    stack.callback(server.end)

    def newcomer_is_first() -> bool:
        """Whether health was answered before any of the others; a busy machine may use up their time before it asks."""
        with ExitStack() as crowd:
            held = hang(port, sent, crowd)
            assert server.get("/healthz")[0] == 200
            return answered(held) == []

    eventually(newcomer_is_first, "the newcomer had to wait until others were thrown out")


@pytest.mark.long
@half_a_request
def test_err_06_half_a_request_is_not_waited_for_for_ever(tmp_path: Path, sent: bytes, stack: ExitStack) -> None:
    port = free_port()
    server = Server(["-m", "coatcheck", "serve", "--port", str(port)], port, tmp_path)
    stack.callback(server.end)

    (connection,) = hang(port, sent, stack, count=1)

    assert connection.recv(100)[:12] in (b"", b"HTTP/1.1 408")


def test_the_signal_to_stop_is_heard_while_six_hundred_visitors_leave(tmp_path: Path, stack: ExitStack) -> None:
    port = free_port()
    server = Server(["-m", "coatcheck", "serve", "--port", str(port)], port, tmp_path)
    hang(port, HEAD + b'\r\n{"identifier": "a', stack)
    assert server.get("/healthz")[0] == 200

    stack.close()
    status, err = server.end()

    assert status == 0
    assert "refused to gracefully stop" not in err


class Deaf:
    """A worker of which the first signal is lost, as happens now and then amid what the test above does."""

    def __init__(self) -> None:
        program = (
            "import os, signal\nheard = []\n"
            "def hear(*_): heard.append(1); len(heard) > 1 and os._exit(7)\n"
            "signal.signal(signal.SIGTERM, hear)\nprint('ready', flush=True)\nwhile True: signal.pause()"
        )
        self.process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.interrupt_by_parent = False

    def terminate(self) -> None:
        self.interrupt_by_parent = True
        self.process.terminate()


def test_a_worker_that_lost_the_signal_to_stop_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "REMINDED_EVERY", 0.01)
    worker: Any = Deaf()

    with reminding([worker]), worker.process:
        worker.terminate()
        status = worker.process.wait(PATIENCE)

    assert status == 7


def test_a_worker_that_was_not_told_to_stop_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "REMINDED_EVERY", 0.01)
    told, other = [Deaf() for _ in range(2)]
    workers: Any = [told, other]

    with reminding(workers), told.process:
        told.terminate()
        told.process.wait(PATIENCE)

    assert other.process.poll() is None
    with other.process:
        other.process.kill()


@pytest.mark.parametrize(("soft", "hard", "places"), [(1024, 6000, 4096), (256, 1024, 768), (64, 64, 64)])
def test_connections_never_outnumber_the_files_that_may_be_open(soft: int, hard: int, places: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from coatcheck.server import run; print(run.places(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment(), text=True, timeout=PATIENCE, check=True
    )

    given, soft_now, hard_now = map(int, ran.stdout.split())
    assert given == places
    assert (given < soft_now or given == 64, hard_now) == (True, hard)


def test_sigterm_answers_what_is_under_way_and_ends_well(start: Start, tmp_path: Path) -> None:
    server = start("workers=2")
    answers: list[int] = []
    visitor = Thread(target=lambda: answers.append(server.get("/wait/go")[0]))
    visitor.start()
    eventually((tmp_path / "go.begun").exists, "the request did not begin")

    server.process.terminate()
    (tmp_path / "go").touch()
    visitor.join(PATIENCE)

    assert answers == [200]
    assert server.process.wait(PATIENCE) == 0
    assert len(list(tmp_path.glob("closed.*"))) == 2


@pytest.mark.parametrize("how", ["its parent is told", "Ctrl-C", "its parent is killed"])
def test_a_worker_that_is_told_again_and_again_answers_what_is_under_way(
    start: Start, tmp_path: Path, how: str
) -> None:
    """Its parent tells it once a second; here it is told more often."""
    server = start()
    worker = server.get()[1]["pid"]
    answers: list[int] = []
    visitor = Thread(target=lambda: answers.append(server.get("/wait/go")[0]))
    visitor.start()
    eventually((tmp_path / "go.begun").exists, "the request did not begin")

    if how == "its parent is told":
        server.process.terminate()
    elif how == "Ctrl-C":
        os.killpg(server.process.pid, signal.SIGINT)
    else:
        server.process.kill()
    for _ in range(20):
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: not is_pending(worker, signal.SIGTERM), "the signal is not taken")  # or the next is the same
    (tmp_path / "go").touch()
    visitor.join(PATIENCE)

    assert answers == [200]
    eventually(lambda: not is_running(worker), "the worker lives on")


def test_ctrl_c_is_no_failure_and_says_nothing_of_one(start: Start) -> None:
    server = start()

    status, err = server.end(signal.SIGINT, group=True)

    # On a machine with twenty things to do, three workers in a hundred come to a halt in granian when they are told to
    # stop, and are killed after the time for draining: that is said, and is no failure of the server's either.
    others = [line for line in err.splitlines() if "Killing worker-1 after it refused to gracefully stop" not in line]
    assert (status, others) == (0, [])


def test_workers_end_with_a_parent_that_was_killed(start: Start) -> None:
    server = start("workers=2")
    worker = server.get()[1]["pid"]

    server.process.kill()
    server.process.communicate(timeout=PATIENCE)

    eventually(lambda: not is_running(worker), "the worker lives on")


def test_a_worker_that_has_only_begun_ends_with_a_parent_that_was_killed(start: Start, tmp_path: Path) -> None:
    """It was seen once in a run of these tests: told to stop before it listened, it went on serving for ever."""
    (tmp_path / "deaf").touch()
    server = start("workers=2")
    eventually(lambda: list(tmp_path.glob("deaf.*")), "nobody became deaf")

    server.process.kill()
    server.process.communicate(timeout=PATIENCE)  # which is over when nobody holds the pipes any more


def test_a_worker_that_died_is_replaced(start: Start) -> None:
    server = start()
    first = server.get()[1]["pid"]

    os.kill(first, signal.SIGKILL)
    eventually(lambda: not is_running(first), "the first worker lives on")

    def answers_anew() -> bool:
        try:
            return bool(server.get()[1]["pid"] != first)
        except OSError:
            return False

    eventually(answers_anew, "nobody took its place")


def test_cky_12_a_cookie_header_of_16_kib_reaches_the_application(start: Start) -> None:
    server = start()

    status, body, _ = server.get(Cookie="a=" + "x" * (16 * 1024 - 2))

    assert (status, body["cookies"]) == (200, [16 * 1024])


def test_cky_12_a_huge_head_is_answered_431(start: Start) -> None:
    server = start()

    status, _, _ = server.get(Cookie="a=" + "x" * 300_000)

    assert status == 431


def test_hdr_11_the_server_tells_no_version(start: Start) -> None:
    server = start()

    _, _, headers = server.get()

    assert not any(character.isdigit() for character in headers.get("server", ""))


def test_the_secret_stands_in_no_command_line(start: Start, tmp_path: Path) -> None:
    server = start("workers=2")
    secret = (tmp_path / "coatcheck.db.secret").read_bytes().strip()
    worker = server.get()[1]["pid"]

    for pid in (server.process.pid, worker):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert secret not in Path(f"/proc/{pid}/environ").read_bytes()


def test_self_signed_tls_answers_and_tells_the_fingerprint(start: Start, tmp_path: Path) -> None:
    server = start("tls_self_signed=true")
    context = ssl.create_default_context(cafile=str(tmp_path / "coatcheck.db.tls.pem"))

    with (
        socket.create_connection(("127.0.0.1", server.port)) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secured,
    ):
        version = secured.version()

    assert version in ("TLSv1.2", "TLSv1.3")
    assert "fingerprint" in server.said


def test_a_taken_port_is_told_with_the_mend(start: Start, tmp_path: Path) -> None:
    server = start()

    ran = subprocess.run(
        [sys.executable, "-m", "coatcheck", "serve", "--port", str(server.port)],
        capture_output=True,
        cwd=tmp_path,
        env=environment(),
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: port: {server.port} on 127.0.0.1 is taken")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "0"], "error: port (--port): 0 is out of bounds"),
        (["--host", "no such host", "--store", "memory://"], "public_url"),
        (["--store", "sqlite:///nowhere/app.db"], "the directory nowhere does not exist"),
    ],
)
def test_what_cannot_be_served_is_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "coatcheck", "serve", *arguments],
        capture_output=True,
        cwd=tmp_path,
        env=environment(),
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ran.returncode == 2
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
