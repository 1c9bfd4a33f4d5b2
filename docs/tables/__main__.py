"""Writes the tables into the pages anew: `python -m docs.tables`, in the root of the checkout."""

from __future__ import annotations

from pathlib import Path

from docs.tables import filled

DOCS = Path(__file__).parents[1]

if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text("utf-8")
        if (now := filled(page)) != page:
            path.write_text(now, "utf-8")
            print(f"docs.tables: wrote docs/{path.name}")
