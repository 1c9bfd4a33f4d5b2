"""Rules that reading the source can prove (SUP-02, SUP-08, TOK-02, DAT-01, DAT-03)."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import coatcheck
from docs.trees import parsed

ROOT = Path(coatcheck.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

NEVER_IMPORTED = {"pickle", "marshal", "shelve", "dill", "yaml", "random", "uuid"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__"}
CRYPTO = {"hashlib", "hmac", "secrets", "ssl", "argon2", "cryptography"}
# Who may hash, sign or draw bytes at all; anybody else asks these.
CRYPTO_USERS = {
    "cli": {"secrets"},
    "core/throttle.py": {"hashlib"},  # keys of counters
    "core/tokens.py": {"hashlib"},  # digests of tokens
    "crypto": CRYPTO,
    "flows/copying.py": {"hashlib"},  # whether a store's newest event is still the same
    "flows/verifying.py": {"hashlib"},  # whether two entries are the same
    "http/csrf.py": {"hashlib", "hmac"},
    "http/presession.py": {"hashlib", "hmac"},
    "http_server/server.py": {"ssl"},  # speaks TLS
    "server": {"cryptography", "hashlib", "secrets", "ssl"},
    "stores/postgres/address.py": {"ssl"},  # where the system keeps the authorities it trusts
    "stores/redis": {"hashlib", "ssl"},  # names of keys and scripts; an error that is recognised
    "testing": {"hashlib", "secrets"},
    "web/assets.py": {"hashlib"},  # names of files
    "web/pages/__init__.py": {"hashlib"},
}
SECRET_WORDS = {"token", "digest", "secret", "password", "mac", "signature", "nonce", "hash", "hashed"}


@cache
def tree_of(module: Path) -> ast.Module:
    return parsed(module.read_text())


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return ""


def broken_rules(source: str) -> list[str]:
    """Say which bans a piece of source breaks, each by a short name."""
    tree = parsed(source)
    broken = [f"imports {name}" for name in sorted(imports(tree) & NEVER_IMPORTED)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in NEVER_CALLED:
                broken.append(f"calls {node.func.id}")
            for keyword in node.keywords:
                if isinstance(keyword.value, ast.Constant):
                    if keyword.arg == "shell" and keyword.value.value is True:
                        broken.append("shell=True")
                    if keyword.arg in ("verify", "check_hostname") and keyword.value.value is False:
                        broken.append(f"{keyword.arg}=False")
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            with_a_literal = any(isinstance(side, ast.Constant) for side in sides)
            if not with_a_literal and any(set(name_of(side).split("_")) & SECRET_WORDS for side in sides):
                broken.append(f"== on a secret, line {node.lineno}")
    return broken


# `==` on what bears a secret's name and is none, or decides nothing.
EXPLAINED = {
    "stores/memory.py": "digests are dict keys; `present.hash != was` is an optimistic version, no proof",
    "testing/": "tests compare what they made themselves",
}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sup_08_tok_02_tok_04_dat_01_module_uses_nothing_banned(module):
    broken = broken_rules(module.read_text())

    if str(module.relative_to(ROOT)).startswith(tuple(EXPLAINED)):
        broken = [rule for rule in broken if not rule.startswith("==")]
    assert broken == []


BANNED = [
    "import pickle",
    "from pickle import loads",
    "import marshal",
    "import shelve",
    "import yaml",
    "import random",
    "from random import choice",
    "import uuid",
    "eval('1')",
    "exec('1')",
    "token == given",
    "record.digest != other",
    "if password == typed: pass",
    "subprocess.run('ls', shell=True)",
    "get(url, verify=False)",
]


@pytest.mark.parametrize("source", BANNED)
def test_sup_08_each_banned_line_is_seen(source):
    assert broken_rules(source)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sup_02_cryptography_happens_where_it_is_listed(module):
    place = str(module.relative_to(ROOT))
    allowed = set().union(
        *(mods for where, mods in CRYPTO_USERS.items() if place == where or place.startswith(where + "/"))
    )

    assert imports(tree_of(module)) & CRYPTO <= allowed


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_log_06_log_calls_use_fixed_format_strings(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            is_log_call = node.func.attr in {"debug", "info", "warning", "error", "exception", "critical"}
            is_built = isinstance(node.args[0], ast.JoinedStr | ast.BinOp | ast.Call)
            assert not (is_log_call and is_built), f"line {node.lineno}"


def test_tok_02_secrets_are_drawn_in_one_place():
    drawing = {
        str(module.relative_to(ROOT))
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute) and node.attr == "urandom"
    }

    assert drawing <= {"crypto/entropy.py", "server/secret.py"}  # the latter for the name of a draft file


# SQL that is put together: of constants (in capitals) and of these names, which hold no value from outside.
SQL_NAMES = {
    "stores/sqlite/schema.py": {"len", "steps"},  # how many steps there are
    "stores/sqlite/store.py": {"rows"},  # the module
    "testing/servers.py": {"an operator"},  # a name drawn here, in the quotes of psycopg.sql
    "stores/sqlite/file.py": {"durable", "mode"},  # which of two words
    "stores/sqlite/purge.py": {"returning", "upper", "walk"},  # pieces of a query, and the table it is about
    "stores/sqlite/steps.py": {"owner", "places"},  # whether a condition is added; question marks
}


def sql_names(source: str) -> set[str]:
    """Give the names that are put into texts handed to `execute` or bound to a name and handed to it."""
    tree = parsed(source)
    texts = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name_of(node.func) in {"execute", "executemany", "executescript"}
        and node.args
    ]
    named = {text.id for text in texts if isinstance(text, ast.Name)}
    texts += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id in named for target in node.targets)
    ]
    found: set[str] = set()
    for text in texts:
        if isinstance(text, ast.BinOp) or (isinstance(text, ast.Call) and name_of(text.func) == "format"):
            found.add("an operator")
        for part in ast.walk(text):
            if isinstance(part, ast.FormattedValue):
                found |= {name.id for name in ast.walk(part.value) if isinstance(name, ast.Name)}
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dat_03_sql_is_put_together_of_nothing_that_came_from_outside(module):
    values = {name for name in sql_names(module.read_text()) if not name.isupper()}

    assert values <= SQL_NAMES.get(str(module.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    "source",
    ["cursor.execute(f'SELECT {name}')", "c.execute('SELECT %s' % name)", "c.execute('SELECT {}'.format(name))"],
)
def test_dat_03_sql_that_is_put_together_of_values_is_seen(source):
    assert sql_names(source)


@pytest.mark.parametrize("module", sorted((ROOT / "stores").glob("*.py")), ids=lambda path: path.name)
def test_dat_03_nothing_is_looked_up_by_likeness(module):
    texts = [
        node.value
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert not [text for text in texts if re.search(r"\b(I?LIKE|GLOB|REGEXP|MATCH|COLLATE NOCASE)\b", text)]


# Who may draw a token, and by what: nothing foretells it and nothing is in it (TOK-02, TOK-06).
IDENTIFIERS_BY_RULE = {"uuid1", "uuid3", "uuid4", "uuid5", "uuid7", "getrandbits", "randbytes", "token_urlsafe"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tok_02_no_secret_is_a_uuid_or_drawn_past_the_one_place(module):
    named = {name_of(node) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Attribute)}

    assert named & IDENTIFIERS_BY_RULE == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sup_08_no_module_is_imported_by_a_name_that_a_value_could_be(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and name_of(node.func) == "import_module":
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno}"


def test_tok_04_every_code_is_compared_in_constant_time():
    """Who computes a code to compare with one that was shown does it with `compare_digest`."""
    comparing = {
        str(module.relative_to(ROOT))
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and name_of(node.func) == "compare_digest"
    }

    assert comparing >= {"crypto/known_devices.py", "http/csrf.py", "http/presession.py"}
