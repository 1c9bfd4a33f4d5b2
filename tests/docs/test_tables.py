"""The tables in the pages: whole, and about what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
from jinja2 import Environment, meta, nodes

from coatcheck import Coatcheck
from coatcheck.cli.main import cli
from coatcheck.core.audit import Event
from coatcheck.core.policy import BOUNDS, Policy, make_policy
from coatcheck.errors import ConfigurationError
from coatcheck.http.problems import TITLES
from coatcheck.server.durations import seconds_of
from coatcheck.server.settings import PREFIX, SETTINGS, is_duration
from coatcheck.web.door import Door, DoorSettings
from coatcheck.web.pages import PATHS, template_names
from coatcheck.web.routes import ROUTES, Form
from docs import tables
from docs.tables import commands, doors, problems, rules, settings
from tests.conftest import ROOT

DOCS = ROOT / "docs"
TEMPLATES = ROOT / "src" / "coatcheck" / "web" / "pages" / "templates"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def test_every_table_stands_in_a_page_and_every_mark_is_a_table() -> None:
    marks = [mark for path in DOCS.glob("*.md") for mark in tables.names_in(path.read_text("utf-8"))]

    assert sorted(marks) == sorted(tables.TABLES)
    assert sum(path.read_text("utf-8").count("\n<!-- end -->\n") for path in DOCS.glob("*.md")) == len(marks)


@pytest.mark.parametrize("name", sorted(path.stem for path in DOCS.glob("*.md")))
def test_the_tables_of_a_page_are_those_of_the_program(name: str) -> None:
    """Whoever reads the Markdown reads them, too."""
    assert page(name) == tables.filled(page(name)), "write them anew: python -m docs.tables"


def test_a_table_that_is_old_or_empty_is_written_anew_and_the_words_around_it_stay() -> None:
    written = "# One\n\n<!-- table: pages -->\n\nold\n\n<!-- end -->\n\nTwo\n\n<!-- table: cookies -->\n<!-- end -->\n"

    now = tables.filled(written)

    pages, cookies = tables.TABLES["pages"](), tables.TABLES["cookies"]()
    assert now.startswith(f"# One\n\n<!-- table: pages -->\n\n{pages}\n<!-- end -->\n\nTwo\n")
    assert now.endswith(f"<!-- table: cookies -->\n\n{cookies}\n<!-- end -->\n")
    assert tables.filled(now) == now
    assert tables.emptied(now).split() == ["#", "One", "Two"]
    assert tables.emptied(now).count("\n") == now.count("\n")


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_table_has_rows_of_one_width(name: str) -> None:
    """A bar inside a cell would shift everything behind it."""
    for part in re.split(r"\n(?!\|)", tables.TABLES[name]()):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in part.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, part[:300]


# Settings


def test_every_setting_is_in_the_page_with_its_name_in_the_environment() -> None:
    configuration = page("configuration")

    for name in SETTINGS:
        assert f"| `{name}`<br>`{PREFIX}{name.upper()}` |" in configuration
    for name in Policy.__struct_fields__:
        assert f"| `{name}` |" in configuration


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_in_the_page_are_those_that_are_enforced(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| [^|]* \| ([^|]*) \|", settings.policy_settings(), re.MULTILINE)
    lowest, highest = (seconds_of(text) if is_duration(name) else int(text) for text in row.split(" to "))

    for allowed in (lowest, highest):
        assert f"{name}: {allowed} is outside" not in problems_with(name, allowed)
    for refused in (lowest - 1, highest + 1):
        assert f"{name}: {refused} is outside" in problems_with(name, refused)


def problems_with(name: str, value: int) -> str:
    """What is said of one setting; others may contradict it."""
    try:
        make_policy(overrides={name: value})
    except ConfigurationError as error:
        return "\n".join(error.problems)
    return ""


@pytest.mark.parametrize("name", Policy.__struct_fields__)
def test_every_number_has_words(name: str) -> None:
    assert len(settings.words_of(name)) > 10


def test_no_words_are_left_of_a_number_that_is_gone() -> None:
    assert set(settings.words()) <= set(Policy.__struct_fields__)


@pytest.mark.parametrize("name", sorted(DoorSettings.__annotations__))
def test_every_setting_of_a_door_is_in_the_page(name: str) -> None:
    (words,) = [words for names, words in doors.told() if name in names]

    assert len(words) > 20
    assert " ".join(words.split()) in page("doors")


def test_the_defaults_of_a_door_are_those_that_the_page_tells() -> None:
    words = {name: told for names, told in doors.told() for name in names}
    with Coatcheck("memory://") as desk:
        door = Door(desk, {"development": True}, wanted=Coatcheck)
    site, mount = door.mount.site, door.mount

    assert f"`{site.cookie_name}`" in words["cookie_name"]
    assert f"`{site.session_cookie.name}`" in words["cookie_name"]
    assert f"by default `{mount.prefix}`" in words["prefix"]
    assert f"by default `{mount.home}`" in words["home"]
    assert f"by default `{door.namespace}`" in words["namespace"]
    assert f"by default `{mount.forwarded_header.decode()}`" in words["forwarded_header"]
    assert "by default they are" in words["pages"]
    assert door.has_pages
    assert mount.trusted_hops == 0


# Pages of one's own


@pytest.mark.parametrize("name", template_names())
def test_every_template_is_in_the_page_with_what_it_alone_is_given(name: str) -> None:
    rows = [line for line in page("doors").splitlines() if line.startswith("| `")]
    (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
    everywhere = page("doors").partition("Every template has:")[2].partition("\n\nA name")[0]
    told = {*re.findall(r"`(\w+)", row), *re.findall(r"`(\w+)", everywhere)}
    environment = Environment(autoescape=True)
    environment.filters.update(dict.fromkeys(("duration", "operations_by_tag", "refusal_members"), str))
    tree = environment.parse((TEMPLATES / name).read_text("utf-8"))

    assert everywhere
    assert sorted(meta.find_undeclared_variables(tree) - made_in(tree) - told) == []


def made_in(tree: nodes.Template) -> set[str]:
    """What a template imports, sets and defines itself; its blocks do not see where."""
    made = {node.target for node in tree.find_all(nodes.Import)} | {node.name for node in tree.find_all(nodes.Macro)}
    return made | {node.target.name for node in tree.find_all(nodes.Assign) if isinstance(node.target, nodes.Name)}


@pytest.mark.parametrize("form", [route for route in ROUTES if isinstance(route, Form)], ids=lambda form: form.path)
def test_every_form_is_in_the_page_with_its_fields(form: Form) -> None:
    (name,) = {name for name, path in PATHS.items() if path == form.path}
    (row,) = [line for line in page("doors").splitlines() if line.startswith(f'| `path("{name}")` |')]
    fields = set(form.fields.__struct_fields__) - {"transport"}  # of calls alone

    assert {*re.findall(r"`(\w+)`", row.split("|")[2])} - {"on"} == fields


# Commands


def test_every_command_and_option_is_in_the_page() -> None:
    command_line = page("command-line")

    for path, command in commands.walk():
        section = command_line.partition(f"\n### {path}\n")[2].partition("\n### ")[0]
        assert section, path
        for parameter in command.params:
            shown = (
                parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(a_context(command))]
            )
            assert all(name in section for name in shown), f"{path} {shown}"


def a_context(command: click.Command) -> click.Context:
    return click.Context(command)


def test_the_walk_meets_every_command_that_help_offers() -> None:
    first_words = {path.split()[1] for path, _ in commands.walk()}

    assert first_words == set(cli.list_commands(click.Context(cli)))


# Reasons, events, calls


@pytest.mark.parametrize("reason", sorted(problems.answered()))
def test_every_reason_has_one_status(reason: str) -> None:
    assert len(problems.statuses()[reason]) == 1, problems.statuses()[reason]


def test_every_title_is_in_the_page() -> None:
    errors = page("errors")

    assert [reason for reason, title in TITLES.items() if f"| `{reason}` |" not in errors or title not in errors] == []


def test_every_event_is_in_the_page() -> None:
    errors = page("errors")

    assert [kind for kind in Event.__subclasses__() if f"| `{kind.name}` | `{kind.__name__}` |" not in errors] == []


def test_every_path_is_in_the_page() -> None:
    server = page("server")

    assert [route.path for route in ROUTES if f"{route.path}`" not in server] == []


# Rules


@pytest.fixture(scope="module")
def bearing() -> dict[str, list[rules.Bearer]]:
    return rules.bearers()


def test_every_id_that_a_test_bears_is_a_rule(bearing: dict[str, list[rules.Bearer]]) -> None:
    assert rules.unknown(bearing) == []


def test_every_rule_that_must_hold_now_has_a_test(bearing: dict[str, list[rules.Bearer]]) -> None:
    assert rules.unborne(bearing) == []


def test_every_rule_about_http_is_attacked_in_every_door_or_says_why_not() -> None:
    assert rules.untold() == []
    assert sorted(set(rules.beside_doors()) & set(rules.bearers(folders=[rules.STORIES]))) == []
    assert set(rules.beside_doors()) <= {rule.id for rule in rules.rules()}


def test_every_door_is_told_all_stories() -> None:
    assert rules.doors() == ["Asgi", "FastApi", "Flask", "HttpServer", "Starlette", "Wsgi"]


def test_rules_have_a_form() -> None:
    areas = rules.areas()

    for rule in rules.rules():
        assert re.fullmatch(r"[A-Z]{3}-\d{2}", rule.id)
        assert rule.id[:3] in areas
        assert rule.tag in rules.TAGS
        assert rule.rule.endswith(".")
        assert rule.standards
    document = tomllib.loads((DOCS / "rules.toml").read_text("utf-8"))
    assert list(document["rules"]) == [rule.id for rule in rules.rules()]


def test_an_id_is_found_in_names_classes_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(
        "def test_cky_10_tok_01_two_at_once(): ...\n"
        "def test_nothing_of_all_this_12_times(): ...\n"
        "class TestRev03Foreign:\n"
        "    async def test_a_stranger(self): ...\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, id='SES-05: late')])\n"
        "def test_saves(x): ...\n"
        "def helper_sup_01_(): ...\n"
        "def test_abc_10_no_area(): ...\n"
        "def test_cky_100_no_id(): ...\n"
    )

    found = rules.bearers(tmp_path, ["tests"])

    assert {name: [test.name for test in tests] for name, tests in found.items()} == {
        "CKY-10": ["test_cky_10_tok_01_two_at_once"],
        "TOK-01": ["test_cky_10_tok_01_two_at_once"],
        "REV-03": ["test_a_stranger"],
        "SES-05": ["test_saves"],
    }


def test_what_is_missing_is_named() -> None:
    everything: dict[str, list[rules.Bearer]] = {rule.id: [] for rule in rules.rules()}
    without_one = {name: tests for name, tests in everything.items() if name != "CKY-10"}

    assert rules.unborne(everything) == []
    assert rules.unborne(without_one) == ["CKY-10"]
    assert rules.unknown({**everything, "CKY-99": []}) == ["CKY-99"]
