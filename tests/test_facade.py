"""The two desks are one: same methods, same arguments, same promises."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import coatcheck
from coatcheck import AsyncCoatcheck, Coatcheck, ConfigurationError, Event, StoreUnavailable, facade
from coatcheck.testing.entropy import PredictableEntropy
from docs.trees import parsed

COLOURLESS = {
    "AsyncGenerator": "Generator",
    "AsyncIterator": "Iterator",
    "asynccontextmanager": "contextmanager",
    "AsyncCoatcheck": "Coatcheck",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "_async": "_blocking",
}


class Strip(ast.NodeTransformer):
    """Takes the colour out of a class: no async, no await, no run_blocking, the blocking names."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        fields = {field: getattr(node, field) for field in ast.FunctionDef._fields if hasattr(node, field)}
        return self.visit(ast.copy_location(ast.FunctionDef(**fields), node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = COLOURLESS.get(node.name, node.name)
        self.generic_visit(node)
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "run_blocking":
            return self.visit(node.args[0])
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        # Only the blocking kind of generator has a return type.
        if isinstance(node.value, ast.Name) and node.value.id == "Generator" and isinstance(node.slice, ast.Tuple):
            del node.slice.elts[2:]
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = COLOURLESS.get(node.id, node.id)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            # Docstrings are wrapped where lines end: compare words.
            node.value = " ".join(node.value.replace("async with", "with").split())
        return node


def methods(name: str) -> dict[str, str]:
    (found,) = parsed(inspect.getsource(getattr(facade, name))).body
    assert isinstance(found, ast.ClassDef)
    stripped = [Strip().visit(node) for node in found.body[1:]]
    return {getattr(node, "name", "") or node.targets[0].id: ast.unparse(node) for node in stripped}


@pytest.mark.parametrize("name", methods("Coatcheck"))
def test_method_is_the_same_in_both_colours(name):
    assert methods("AsyncCoatcheck")[name] == methods("Coatcheck")[name]


def test_neither_desk_has_a_method_more():
    assert list(methods("AsyncCoatcheck")) == list(methods("Coatcheck"))


@pytest.mark.parametrize("desk", [Coatcheck, AsyncCoatcheck])
def test_every_public_method_says_what_a_caller_can_rely_on(desk):
    for name, method in inspect.getmembers(desk, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__, name


def test_err_03_key_09_every_mistake_in_the_arguments_is_told_at_once():
    with pytest.raises(ConfigurationError) as refused:
        Coatcheck("mysql://db", secret=b"changeme", profile="lax", settings={"idle_timeout": 1, "speed": 2})

    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "profile",
        "idle_timeout",
        "speed",
        "store",
        "secret",
    ]


URLS = [
    "sqlite://app.db",
    "sqlite://",
    "sqlite:///",
    "sqlite:///a.db?mode=ro",
    "memory:",
    "memory:///x",
    "app.db",
    "",
    "x",
]


@pytest.mark.parametrize("url", URLS)
def test_url_that_names_no_store_is_refused_with_the_forms_that_do(url):
    with pytest.raises(ConfigurationError, match=re.escape("sqlite:///path/to/file.db")):
        Coatcheck(url)


def test_an_sqlite_url_may_say_that_the_file_has_to_be_there(tmp_path):
    with Coatcheck(f"sqlite:///{tmp_path}/app.db?mode=rw") as desk, pytest.raises(StoreUnavailable, match="not there"):
        desk.ready()
    with Coatcheck(f"sqlite:///{tmp_path}/app.db") as desk:
        desk.ready()
    with Coatcheck(f"sqlite:///{tmp_path}/app.db?mode=rw") as desk:
        desk.ready()


def test_nothing_is_opened_before_the_first_call(tmp_path):
    Coatcheck(f"sqlite:///{tmp_path}/app.db")

    assert list(tmp_path.iterdir()) == []


def test_desk_made_of_predictable_bytes_can_be_foretold():
    desks = [Coatcheck("memory://", entropy=PredictableEntropy(), clock=lambda: 1_800_000_000) for _ in range(2)]

    one, other = (desk.start_session("ada") for desk in desks)

    assert one.token.reveal() == other.token.reveal()
    assert one.session.id == other.session.id


def test_acc_10_fresh_store_has_no_account_and_no_session():
    desk = Coatcheck("memory://")

    assert desk.all_accounts() == ([], None)
    assert desk.all_sessions() == ([], None)
    assert desk.all_events() == ((), None)


def imported_by(statement: str) -> set[str]:
    source = str(Path(coatcheck.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {source!r}); {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


HEAVY = {"argon2", "asyncio", "click", "cryptography", "django", "fastapi", "flask", "granian", "jinja2", "psycopg"}
HEAVY |= {"redis", "rich", "sqlite3", "ssl", "starlette", "socket", "urllib.request", "http"}


def test_import_of_coatcheck_brings_no_framework_no_driver_and_no_asyncio():
    assert not imported_by("import coatcheck") & HEAVY


def test_blocking_desk_never_imports_asyncio():
    used = "import coatcheck; coatcheck.Coatcheck('memory://').start_session('ada')"

    assert "asyncio" not in imported_by(used)


AUDITED = """
import sys
sys.path.insert(0, {source!r})
seen = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.fork")):
        seen.append(event)
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append(f"{{event}} {{args[0]}}")
sys.dont_write_bytecode = True
sys.addaudithook(hook)
import coatcheck
print(seen)
"""


def test_sup_03_import_opens_no_socket_file_or_process():
    source = str(Path(coatcheck.__file__).parent.parent)

    done = subprocess.run(
        [sys.executable, "-I", "-c", AUDITED.format(source=source)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert done.stdout.strip() == "[]"


def test_every_kind_of_event_can_be_imported_from_the_package():
    kinds = {kind.__name__ for kind in Event.__subclasses__()} | {"Event"}

    assert kinds <= set(coatcheck.__all__)
