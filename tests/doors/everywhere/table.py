"""Every door, every way to it and every store: how many stories are told there, and which are not, and why.

python -m tests.doors.everywhere.table      prints what `docs/stories.md` has to hold
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from coatcheck.testing.stories import DoorStories
from tests.conftest import ROOT
from tests.doors.places import STORES

CLIENT = "client"
WAYS = {
    "flask": (CLIENT, "gunicorn", "granian", "waitress", "werkzeug", "wsgiref"),
    "starlette": (CLIENT, "uvicorn", "granian", "hypercorn"),
    "fastapi": (CLIENT, "uvicorn", "granian", "hypercorn"),
    "wsgi": (CLIENT, "gunicorn", "granian", "waitress", "wsgiref"),
    "asgi": (CLIENT, "uvicorn", "granian", "hypercorn"),
    "http_server": ("itself",),
}
"""How requests come to a door: handed over without a server, or over sockets by one of these."""

APART = ("gunicorn", "granian")
"""Servers of WSGI that want a process of their own."""

DOORS = {
    "flask": "Flask",
    "starlette": "Starlette",
    "fastapi": "FastAPI",
    "wsgi": "WSGI",
    "asgi": "ASGI",
    "http_server": "`http.server`",
}
CLIENTS = {"wsgi": "called by the test", "asgi": "called by the test"}
HEAD = ("door", "way to it", *STORES.values())


class Where(NamedTuple):
    """One of all the places where stories are told."""

    door: str
    way: str
    store: str


class NotTold(NamedTuple):
    """What some places cannot tell: a story by the name of its test, in all variations or in some; "" is any story."""

    why: str
    doors: Sequence[str]
    ways: Sequence[str]
    stores: Sequence[str] = tuple(STORES)
    story: str = ""
    variations: Sequence[str] = ()

    def covers(self, story: str, variation: str, where: Where) -> bool:
        return (
            self.story in ("", story)
            and (not self.variations or variation in self.variations)
            and where.door in self.doors
            and where.way in self.ways
            and where.store in self.stores
        )


NOT_TOLD = (
    NotTold(
        "the server has a process of its own, and nobody else can look at what a process keeps in its memory",
        doors=("flask", "wsgi"),
        ways=APART,
        stores=("memory",),
    ),
    NotTold(
        "granian gives a WSGI application no `Cookie` field that has octets beyond ASCII",
        doors=("flask", "wsgi"),
        ways=("granian",),
        story="test_cky_08_nor_do_octets_beyond_ascii",
    ),
    NotTold(
        "`wsgiref`, which is for development, takes blanks that only Unicode knows off the ends of a field",
        doors=("flask", "wsgi"),
        ways=("wsgiref",),
        story="test_cky_01_cky_04_cky_06_cky_08_cky_09_a_bent_cookie_is_nobodys",
        variations=(
            "CKY-08 a Unicode blank before the name, Latin-1",
            "CKY-08 a blank that only Unicode knows",
        ),
    ),
)


def why_not(story: str, variation: str, where: Where) -> str | None:
    """Say why a place cannot tell a variation of a story; None if it can."""
    return next((one.why for one in NOT_TOLD if one.covers(story, variation, where)), None)


@cache
def stories() -> Mapping[str, Sequence[str]]:
    """Name the stories and, where it has names, each variation of theirs."""
    found: dict[str, Sequence[str]] = {}
    for name in dir(DoorStories):
        if name.startswith("test_"):
            marks = getattr(getattr(DoorStories, name), "pytestmark", [])
            variations = [""]
            for mark in marks:
                if mark.name == "parametrize":
                    named = mark.kwargs.get("ids")
                    names = list(map(str, range(len(mark.args[1])) if named is None or callable(named) else named))
                    variations = [f"{one}{name}" for one in variations for name in names]
            found[name] = variations
    return found


def expected() -> dict[Where, int]:
    """Say how many are told in each place."""
    return {
        where: sum(why_not(name, one, where) is None for name, variations in stories().items() for one in variations)
        for where in (Where(door, way, store) for door, ways in WAYS.items() for way in ways for store in STORES)
    }


def places(door: str) -> list[tuple[str, str]]:
    """Give each way to a door with each store, where anything is told."""
    return [(where.way, where.store) for where, number in expected().items() if where.door == door and number]


def as_table(told: Mapping[Where, str]) -> Iterator[str]:
    """Make the table of what is to be said of each place."""
    yield _row(HEAD)
    yield "|---|---|" + "--:|" * len(STORES)
    for door, ways in WAYS.items():
        for way in ways:
            words = CLIENTS.get(door, "its test client") if way == CLIENT else way
            cells = [told.get(Where(door, way, store), "") for store in STORES]
            if any(cells):
                yield _row((DOORS[door], words, *cells))


def in_docs() -> Iterator[str]:
    """Make what the docs say."""
    counts = expected()
    most = sum(map(len, stories().values()))
    yield f"{len(stories())} stories in {most} variations, told {sum(counts.values())} times in all:"
    yield ""
    yield from as_table({where: str(number or "-") for where, number in counts.items()})
    yield ""
    yield "Not told:"
    yield ""
    for one in NOT_TOLD:
        what = f"`{one.story}`" if one.story else "All"
        what += f" ({_listed(one.variations)})" if one.variations else ""
        doors = _listed(DOORS[door] for door in one.doors)
        stores = "" if set(one.stores) == set(STORES) else f" on {_listed(STORES[store] for store in one.stores)}"
        yield f"- {what}: {doors} under {_listed(one.ways)}{stores}: {one.why}."


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(words: Iterable[str]) -> str:
    return " and ".join(words)


def write(page: Path) -> None:
    """Write it into a page, between its marks."""
    before, begin, rest = page.read_text("utf-8").partition("<!-- stories -->\n")
    _, end, after = rest.partition("<!-- end of stories -->")
    page.write_text(before + begin + "".join(f"{line}\n" for line in in_docs()) + end + after, "utf-8")


if __name__ == "__main__":
    write(ROOT / "docs/stories.md")
