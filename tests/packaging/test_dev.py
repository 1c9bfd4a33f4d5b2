"""`./dev`, run as people run it.

The packages it installs here are made on the spot and come from a folder, so that no network is needed; the script, the
environment, pip and its checking of hashes are the real ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from coatcheck.testing.patience import PATIENCE

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# A project whose command says how it was called, and waits when told to. Its build backend is the file beside it.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "coatcheck"
version = "1"
"""
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "coatcheck-1-py3-none-any.whl"
    files = {
        "coatcheck_said.py": "import os, signal, sys\\ndef main():\\n print(os.getpid(), *sys.argv[1:], flush=True)\\n"
        " if '--wait' in sys.argv: signal.pause()",
        "coatcheck-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: coatcheck\\nVersion: 1\\n",
        "coatcheck-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "coatcheck-1.dist-info/entry_points.txt": "[console_scripts]\\ncoatcheck = coatcheck_said:main\\n",
        "coatcheck-1.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""


class Checkout:
    """A folder with `dev` in it, the project above and a lock file for `serve`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        (folder / "requirements").mkdir(parents=True)
        (folder / "shelf").mkdir()
        shutil.copy(root / "dev", folder)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "backend.py").write_text(BACKEND)
        self.wheel = folder / "shelf" / "plaincoat-1-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w") as wheel:
            wheel.writestr("plaincoat.py", "")
            wheel.writestr("plaincoat-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: plaincoat\nVersion: 1\n")
            wheel.writestr(
                "plaincoat-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr("plaincoat-1.dist-info/RECORD", "")
        self.lock(f"plaincoat==1 --hash=sha256:{hashlib.sha256(self.wheel.read_bytes()).hexdigest()}\n")

    def lock(self, text: str) -> None:
        (self.folder / "requirements" / "server.txt").write_text(text)

    def touch_lock(self) -> None:
        """Change the lock file in a way that means nothing, so that the next start installs."""
        file = self.folder / "requirements" / "server.txt"
        file.write_text(f"{file.read_text()}# changed\n")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": (self.folder / "shelf").as_uri(),
        }
        return subprocess.Popen(
            ["./dev", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit status, what was said without the process id, and the complaints."""
        process = self.start(*arguments)
        output, complaints = process.communicate(timeout=PATIENCE)
        return process.returncode, output.partition(" ")[2], complaints

    @property
    def installed(self) -> bool:
        return any(self.folder.glob(".venv-*/lib/*/site-packages/plaincoat.py"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Checkout:
    """One in which `./dev serve` has run."""
    checkout = Checkout(tmp_path_factory.mktemp("dev") / "a check out", root)
    status, output, complaints = checkout.run("serve", "--port", "1", "--name", "a b")
    assert (status, output) == (0, "serve --port 1 --name a b\n"), complaints
    return checkout


@pytest.fixture(scope="module")
def unserved(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Checkout:
    """One in which nothing that the lock file names has been installed."""
    return Checkout(tmp_path_factory.mktemp("dev") / "checkout", root)


def test_serve_installs_what_the_lock_file_names_and_keeps_it_in_the_checkout(served: Checkout) -> None:
    assert served.installed


def test_a_second_serve_starts_at_once_and_installs_nothing(served: Checkout) -> None:
    assert served.run("serve", "--port", "2") == (0, "serve --port 2\n", "")


def test_a_signal_reaches_the_server_itself(served: Checkout) -> None:
    process = served.start("serve", "--wait")
    assert process.stdout is not None
    told = process.stdout.readline().split()[0]

    process.terminate()
    process.communicate(timeout=PATIENCE)

    assert (told, process.returncode) == (str(process.pid), -signal.SIGTERM)


@pytest.mark.parametrize(
    ("lock", "complaint"),
    [
        (f"plaincoat==1 --hash=sha256:{'0' * 64}\n", "DO NOT MATCH THE HASHES"),
        ("plaincoat==1\n", "Hashes are required"),
    ],
    ids=["altered", "missing"],
)
def test_sup_04_an_altered_or_missing_hash_stops_the_installation(
    unserved: Checkout, lock: str, complaint: str
) -> None:
    unserved.lock(lock)

    status, output, complaints = unserved.run("serve")

    assert (status, output, unserved.installed) == (1, "", False)
    assert complaint in complaints


def test_two_at_once_install_once_and_both_start(served: Checkout) -> None:
    served.touch_lock()
    two = [served.start("serve", name) for name in ("one", "other")]

    ended = [process.communicate(timeout=PATIENCE) for process in two]

    assert [process.returncode for process in two] == [0, 0]
    assert sum("installing requirements" in complaints for _, complaints in ended) == 1


def test_an_installation_that_was_killed_is_begun_afresh(served: Checkout) -> None:
    served.touch_lock()
    process = served.start("serve")
    assert process.stderr is not None
    while "installing requirements" not in process.stderr.readline():
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)

    status, output, complaints = served.run("serve")

    assert (status, output) == (0, "serve\n"), complaints
    assert "making .venv" in complaints


def test_the_script_is_plain_posix_shell(root: Path) -> None:
    shell = shutil.which("dash") or "sh"

    ran = subprocess.run([shell, "-n", root / "dev"], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")


# --- Where something is missing ----------------------------------------------------------------------------------


def on_a_machine_with(tmp_path: Path, root: Path, change: str | None) -> subprocess.CompletedProcess[str]:
    """Run `./dev serve` where `python3` is this Python, changed by a module it finds first; or where there is none."""
    shutil.copy(root / "dev", tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("cat", "cksum", "dirname", "rm"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    if change is not None:
        name, _, text = change.partition(": ")
        (tmp_path / f"{name}.py").write_text(text)
        (tools / "python3").write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
        (tools / "python3").chmod(0o755)
    return subprocess.run(
        ["/bin/sh", "./dev", "serve"],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_where_venv_is_lacking_it_says_which_package_brings_it(tmp_path: Path, root: Path) -> None:
    ran = on_a_machine_with(tmp_path, root, "ensurepip: raise ImportError")

    assert ran.returncode == 1
    assert f"python3 (Python {VERSION}) lacks venv" in ran.stderr
    assert f"apt install python{VERSION}-venv" in ran.stderr


def test_where_python_is_too_old_it_says_so_and_what_to_install(tmp_path: Path, root: Path) -> None:
    ran = on_a_machine_with(tmp_path, root, "sitecustomize: import sys; sys.version_info = (3, 10, 13, 'final', 0)")

    assert ran.returncode == 1
    assert "python3 is Python 3.10, which is too old" in ran.stderr
    assert "apt install python3 python3-venv" in ran.stderr


def test_where_there_is_no_python_it_says_so_and_what_to_install(tmp_path: Path, root: Path) -> None:
    ran = on_a_machine_with(tmp_path, root, None)

    assert ran.returncode == 1
    assert "no Python found" in ran.stderr
    assert "apt install python3 python3-venv" in ran.stderr


def test_an_unknown_command_exits_2_with_the_help(root: Path) -> None:
    ran = subprocess.run([root / "dev", "sreve"], capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert 'there is no command "sreve"' in ran.stderr
    assert "usage: ./dev COMMAND" in ran.stderr


def test_help_has_a_line_for_each_command(root: Path) -> None:
    ran = subprocess.run([root / "dev"], capture_output=True, text=True, check=False)

    described = [line.split()[0] for line in ran.stdout.splitlines() if line.startswith("  ")]
    assert described == ["serve", "test", "check", "mutate", "bench", "docs", "release", "lock", "help"]
