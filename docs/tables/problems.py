"""Every reason with its statuses, collected from the places in the source that give it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import coatcheck
from coatcheck import errors
from coatcheck.core import sessions
from coatcheck.errors import Refused
from coatcheck.http.csrf import Verdict
from coatcheck.http.problems import TITLES, problem
from coatcheck.web.pages.messages import CATALOGUE, for_reason
from docs.tables.markdown import code, table
from docs.trees import parsed

KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Refused)}
# What only the library or the command line says; neither has a title of its own.
ENDS = ("no_session", "unknown_session", "duplicate_cookie")


def all_problems() -> str:
    """Give every reason that a call may be answered with."""
    found = statuses()
    rows = ((code(reason), _statuses(found[reason]), _title(found[reason], reason)) for reason in sorted(answered()))
    return table(("reason", "status", "title"), rows)


def field_reasons() -> str:
    """Give every reason that may stand beside a field in `errors`."""
    rows = ((code(reason), for_reason(reason)) for reason in sorted(_reasons_of_fields()))
    return table(("reason", "in words"), rows)


def library_reasons() -> str:
    """Give the reasons that no call is answered with: those of mistakes in a program's own arguments."""
    rows = ((code(reason), code(kind)) for reason, kind in sorted(_only_in_the_library()))
    return table(("reason", "raised as"), rows)


def session_ends() -> str:
    """Give every reason of an `Absent`."""
    return table(("reason", "what the visitor reads"), ((code(end), for_reason(end)) for end in _ends()))


def answered() -> set[str]:
    """Give the reasons that calls are answered with: those with a title, and those that take the status's own."""
    only_in_the_library = {reason for reason, _ in _only_in_the_library()}
    named = {reason for called, reasons, _ in _calls() if called != "FieldError" for reason in reasons}
    return (set(TITLES) | named) - only_in_the_library


@cache
def statuses() -> dict[str, set[int]]:
    """Collect the statuses of each reason: the kinds of refusals, the verdicts on foreign requests, single places."""
    found: dict[str, set[int]] = defaultdict(set)
    for kind in KINDS.values():
        found[kind.reason].add(kind.status)
    for verdict in Verdict:
        if not verdict.passes:
            found[verdict.value].add(403)
    found["csrf_token_invalid"].add(403)
    for called, reasons, status in _calls():
        if called != "FieldError":
            usual = KINDS[called].status if called in KINDS else 0
            for reason in reasons:
                found[reason].add(status or usual)
    return {reason: codes - {0} for reason, codes in found.items()}


def _reasons_of_fields() -> set[str]:
    # Not all stand where the field is named; but every one is a constant somewhere, and has its sentence for a page.
    named = {reason for called, reasons, _ in _calls() if called == "FieldError" for reason in reasons}
    spoken = {key.removeprefix("reason.") for key in CATALOGUE if key.startswith("reason.")}
    others = _constants() & spoken - answered() - set(_ends()) - {kind.reason for kind in KINDS.values()}
    return others | (named & spoken)


def _only_in_the_library() -> Iterator[tuple[str, str]]:
    for called, arguments, _ in _calls():
        for reason in arguments:
            if called in ("InvalidInput", "InvalidData") and reason not in TITLES:
                yield reason, called


def _ends() -> list[str]:
    return [*ENDS, *(value for name, value in vars(sessions).items() if name.isupper() and isinstance(value, str))]


@cache
def _calls() -> tuple[tuple[str, tuple[str, ...], int], ...]:
    """Give each place that names a reason: what is called, the reasons, and the status where one stands there."""
    found: dict[tuple[str, tuple[str, ...], int], None] = {}
    for node in (part for tree in _trees() for part in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in KINDS or called in ("problem", "HostRefused", "FieldError"):
                found[(called, _texts(node), _status(node))] = None
    return tuple(found)


def _constants() -> set[str]:
    nodes = (part for tree in _trees() for part in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@cache
def _trees() -> tuple[ast.Module, ...]:
    """Read what runs behind the calls. The command line has words of its own."""
    root = Path(coatcheck.__file__).parent
    paths = [path for path in sorted(root.rglob("*.py")) if path.relative_to(root).parts[0] not in ("testing", "cli")]
    return tuple(parsed(path.read_text("utf-8")) for path in paths)


def _texts(call: ast.Call) -> tuple[str, ...]:
    inside = call.args[-1:] if isinstance(call.func, ast.Name) and call.func.id == "FieldError" else call.args
    constants = [node.value for argument in inside for node in ast.walk(argument) if isinstance(node, ast.Constant)]
    return tuple(value for value in constants if isinstance(value, str) and value.isidentifier())


def _status(call: ast.Call) -> int:
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "status")]
    numbers = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, int)]
    return numbers[0] if numbers else 0


def _statuses(codes: set[int]) -> str:
    return ", ".join(str(status) for status in sorted(codes))


def _title(codes: set[int], reason: str) -> str:
    return problem(min(codes), reason).title
