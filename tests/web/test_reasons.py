"""Every reason has its sentence: in the table of problems, and in the catalogue of pages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import coatcheck
from coatcheck import errors
from coatcheck.http.csrf import Verdict
from coatcheck.http.problems import TITLES
from coatcheck.web.pages.messages import CATALOGUE
from docs.trees import parsed

SOURCES = sorted(Path(coatcheck.__file__).parent.rglob("*.py"))
# What only programs and operators get to see, for no form and no call of ours leads there.
FOR_PROGRAMS = {
    "account_not_found",
    "methods_invalid",
    "session_anonymous",
    "subject_invalid",
    "data_key_invalid",
    "data_namespace_invalid",
    "data_not_an_integer",
    "data_not_json",
    "data_too_deep",
    "data_too_large",
}


def kinds() -> list[type[errors.Refused]]:
    found, waiting = [errors.Refused], [errors.Refused]
    while waiting:
        waiting = [sub for kind in waiting for sub in kind.__subclasses__() if sub.__module__.startswith("coatcheck.")]
        found.extend(waiting)
    return found


def raised_reasons() -> Iterator[str]:
    """Each constant reason that a refusal, a field or a refused host is made with, anywhere in the sources."""
    names = {kind.__name__ for kind in kinds()}
    for path in SOURCES:
        for node in ast.walk(parsed(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                wanted = node.args[1:2] if node.func.id == "FieldError" else node.args[:1]
                if node.func.id in names | {"FieldError", "HostRefused"}:
                    yield from (part.value for arg in wanted for part in _constants(arg))
                if node.func.id == "problem":
                    yield from (part.value for arg in node.args[1:2] for part in _constants(arg))


def _constants(node: ast.expr) -> Iterator[ast.Constant]:
    """A text, or the two of `"a" if x else "b"`."""
    choices = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    yield from (choice for choice in choices if isinstance(choice, ast.Constant) and isinstance(choice.value, str))


def test_the_sources_were_read() -> None:
    found = set(raised_reasons())

    assert {"username_taken", "username_invalid", "session_not_found", "missing_host", "too_deep"} <= found


def test_every_reason_raised_has_a_sentence_for_a_page() -> None:
    reasons = {*raised_reasons(), *(kind.reason for kind in kinds())} - FOR_PROGRAMS

    assert sorted(reason for reason in reasons if f"reason.{reason}" not in CATALOGUE) == []


def test_every_title_of_a_problem_has_a_sentence_for_a_page() -> None:
    assert sorted(reason for reason in TITLES if f"reason.{reason}" not in CATALOGUE) == []


def test_every_refusal_that_can_be_a_problem_has_a_title() -> None:
    reasons = {kind.reason for kind in kinds()} | {verdict.value for verdict in Verdict if not verdict.passes}

    assert sorted(reasons - TITLES.keys() - {"refused"}) == []
