"""The table of rules: what docs/rules.toml says, and the tests that bear each rule's id.

A test bears an id when its name, the name of its class or a string in its decorators holds it:
`test_cky_10_duplicate_cookie_is_anonymous`, `class TestCky10`, `pytest.param(..., id="CKY-10")`. That counts names and
proves nothing: whether a test attacks what its rule says is for the reader to judge.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from docs.tables.markdown import code, table
from docs.trees import parsed

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tests", "src/coatcheck/testing")
STORIES = "src/coatcheck/testing/visits"
DOORS = "tests/doors"
# The areas that speak of what a visitor sends and is sent.
HTTP_AREAS = (
    *("CKY", "TOK", "SES", "TMO", "FIX", "REV", "REM", "ENU", "RAT", "CSR", "HDR", "RED", "STP", "LOG", "ERR"),
    *("HST", "DUA"),
)
TAGS = {"M": "always", "D": "default", "O": "optional"}

_IN_NAME = re.compile(r"_([a-z]{3})_(\d{2})(?![0-9])")
_IN_CLASS = re.compile(r"([A-Z][a-z]{2})(\d{2})(?![0-9])")
_IN_TEXT = re.compile(r"\b([A-Z]{3})-(\d{2})\b")


class Rule(NamedTuple):
    """One rule. `waits` names what it speaks of and what does not exist yet."""

    id: str
    tag: str
    rule: str
    standards: str
    waits: str | None = None


class Bearer(NamedTuple):
    """A test that bears an id, by file and name."""

    file: str
    name: str


def areas() -> Mapping[str, str]:
    """Give the areas by their three letters."""
    return _document().areas


def rules() -> list[Rule]:
    """Give all rules, in their order."""
    return [Rule(name, **entry) for name, entry in _document().rules.items()]


def bearers(root: Path = ROOT, folders: Iterable[str] = FOLDERS) -> dict[str, list[Bearer]]:
    """Collect the tests that bear an id of one of the areas."""
    known = set(areas())
    found: dict[str, list[Bearer]] = defaultdict(list)
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            tree = parsed(path.read_text("utf-8"))
            for name, ids in _bearing(tree, frozenset()):
                for one in sorted(ids):
                    if one[:3] in known:
                        found[one].append(Bearer(path.relative_to(root).as_posix(), name))
    return dict(found)


def unborne(bearing: Mapping[str, object]) -> list[str]:
    """Name the rules that must hold now and that no test attacks."""
    return [rule.id for rule in rules() if rule.tag in "MD" and rule.waits is None and rule.id not in bearing]


def unknown(bearing: Mapping[str, object]) -> list[str]:
    """Name the ids that a test bears and no rule has."""
    return sorted(set(bearing) - {rule.id for rule in rules()})


def beside_doors() -> Mapping[str, str]:
    """Give the rules that no story of front doors attacks, each with the reason."""
    return _document().beside_doors


def untold() -> list[str]:
    """Name the rules about HTTP that must hold now in every door and that no story attacks nor anything excuses."""
    told = bearers(folders=[STORIES])
    return [
        rule.id
        for rule in rules()
        if rule.id[:3] in HTTP_AREAS
        and rule.tag in "MD"
        and rule.waits is None
        and rule.id not in told
        and rule.id not in beside_doors()
    ]


def doors(root: Path = ROOT) -> list[str]:
    """Name the doors of which all stories are told: the classes of tests that are `DoorStories` and never skipped."""
    found: list[str] = []
    for path in sorted((root / DOORS).glob("test_*.py")):
        for node in parsed(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.decorator_list:
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if "DoorStories" in bases:
                    found.append(node.name.removeprefix("Test"))
    return found


def rules_in_doors() -> str:
    """Say which rules are attacked in every door, and why others are not."""
    told = bearers(folders=[STORIES])
    rows = [(f"**{rule.id}**", rule.rule) for rule in rules() if rule.id in told]
    excused = [(f"**{name}**", reason) for name, reason in beside_doors().items()]
    return (
        f"{len(rows)} rules are attacked by stories, each of which is told in {len(doors())} doors "
        f"({', '.join(doors())}):\n\n{table(('id', 'rule'), rows)}\n"
        f"These are not, for they are the same in every door or differ in each:\n\n{table(('id', 'why'), excused)}"
    )


def summary() -> str:
    """Say in one line how far the tests reach."""
    bearing, everything = bearers(), rules()
    attacked = [rule for rule in everything if rule.id in bearing]
    waiting = [rule for rule in everything if rule.waits and rule.id not in bearing]
    return f"{len(attacked)} of {len(everything)} rules are attacked by tests; {len(waiting)} wait.\n"


def all_rules() -> str:
    """Give one table for each area."""
    bearing = bearers()
    parts: list[str] = []
    for area, title in areas().items():
        rows = [_row(rule, bearing.get(rule.id, [])) for rule in rules() if rule.id.startswith(area)]
        parts.append(f"## {title} ({area})\n\n{table(('id', 'rule', 'standards', 'tests'), rows)}")
    return "\n".join(parts)


def _row(rule: Rule, tests: list[Bearer]) -> tuple[str, str, str, str]:
    return f"**{rule.id}**<br>{TAGS[rule.tag]}", rule.rule, rule.standards.replace("#", "\\#"), _tests(rule, tests)


def _tests(rule: Rule, tests: list[Bearer]) -> str:
    if not tests:
        return f"waits for: {rule.waits}" if rule.waits else "**none**" if rule.tag != "O" else "none"
    # By folder: tests come and go, and each would have to be written here again. Their id finds them.
    return "<br>".join(map(code, dict.fromkeys(test.file.rpartition("/")[0] for test in tests)))


def _bearing(tree: ast.AST, inherited: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _bearing(node, inherited | _ids(_IN_CLASS, node.name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, inherited | _ids(_IN_NAME, node.name) | _ids(_IN_TEXT, " ".join(_texts(node)))


def _texts(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for part in (part for decorator in test.decorator_list for part in ast.walk(decorator)):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _ids(form: re.Pattern[str], text: str) -> frozenset[str]:
    return frozenset(f"{area.upper()}-{number}" for area, number in form.findall(text))


class _Document(NamedTuple):
    areas: Mapping[str, str]
    rules: Mapping[str, Mapping[str, str]]
    beside_doors: Mapping[str, str]


def _document() -> _Document:
    return _Document(**tomllib.loads((ROOT / "docs" / "rules.toml").read_text("utf-8")))
