"""Importing Coatcheck has no effects and costs little."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from docs.trees import parsed

# Prints the events of an import that reach beyond the process. Python's own writing of bytecode is switched off (-B).
WATCH = """
import os, sys
seen = []
REACHING = {
    "os.exec", "os.fork", "os.forkpty", "os.kill", "os.link", "os.mkdir", "os.posix_spawn", "os.putenv", "os.remove",
    "os.rename", "os.rmdir", "os.symlink", "os.system", "os.truncate", "os.chmod", "os.chown", "shutil.rmtree",
    "sqlite3.connect", "subprocess.Popen", "tempfile.mkdtemp", "tempfile.mkstemp", "urllib.Request",
}
def hook(event, arguments):
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    # Making a socket object tells of itself as socket.__new__; looking a host up as socket.getaddrinfo.
    if writes or event in REACHING or event.startswith("socket."):
        seen.append((event, str(arguments[0])))
sys.addaudithook(hook)
"""
FOREIGN = [
    "aiosqlite",
    "argon2",
    "asyncio",
    "click",
    "cryptography",
    "django",
    "fastapi",
    "flask",
    "granian",
    "jinja2",
    "psycopg",
    "redis",
    "rich",
    "sqlite3",
    "ssl",
    "starlette",
    "ua_parser",
]


def run(program: str) -> str:
    ran = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.stdout


def modules(root: Path) -> list[str]:
    source = root / "src"
    names = [".".join(path.relative_to(source).with_suffix("").parts) for path in (source / "coatcheck").rglob("*.py")]
    return sorted(name.removesuffix(".__init__") for name in names)


def test_sup_03_importing_coatcheck_reaches_no_network_writes_no_file_and_starts_no_process() -> None:
    assert run(f"{WATCH}\nimport coatcheck\nprint(seen)") == "[]\n"


def test_sup_03_neither_does_importing_every_module_of_it(root: Path) -> None:
    imports = "\n".join(f"import {name}" for name in modules(root) if not name.endswith("__main__"))

    assert run(f"{WATCH}\n{imports}\nprint(seen)") == "[]\n"


@pytest.mark.parametrize(
    "deed",
    [
        "open(os.devnull, 'w')",
        "__import__('socket').socket()",
        "__import__('socket').getaddrinfo('127.0.0.1', 80)",
        "__import__('subprocess').run(['true'])",
        "os.system('true')",
        "__import__('sqlite3').connect(':memory:')",
    ],
)
def test_the_watch_of_sup_03_sees_a_module_that_reaches_out(deed: str) -> None:
    assert run(f"{WATCH}\n{deed}\nprint(seen)") != "[]\n"


def test_importing_coatcheck_imports_no_framework_no_driver_and_no_asyncio() -> None:
    assert run(f"import coatcheck, sys\nprint([name for name in {FOREIGN} if name in sys.modules])") == "[]\n"


def test_sup_02_nothing_but_vetted_packages_is_imported(root: Path) -> None:
    """A package that is not in this list has not been looked at; hashlib, hmac and secrets are all of the standard
    library's primitives that are needed."""
    vetted = {"argon2", "click", "cryptography", "granian", "hypothesis", "jinja2", "markupsafe", "msgspec", "pytest"}
    vetted |= {
        "anyio",  # Starlette's own way to threads and back
        "fastapi",
        "flask",
        "hiredis",
        "psycopg",
        "redis",
        "rich",
        "starlette",
        "ua_parser",
        "werkzeug",
        "coatcheck",
    }
    vetted |= sys.stdlib_module_names - {"crypt", "random", "uuid"}

    strangers = {
        (path.name, name)
        for path in (root / "src").rglob("*.py")
        for node in ast.walk(AsItRuns().visit(parsed(path.read_text())))
        for name in imported_by(node)
        if name not in vetted
    }

    assert strangers == set()


class AsItRuns(ast.NodeTransformer):
    """Takes out what only checkers read: it imports nothing."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)


def imported_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    return []
