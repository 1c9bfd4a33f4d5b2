"""Sphinx settings. The source folder is the root of the checkout: a link in README.md works here as it does there."""

import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent

project = "Coatcheck"
release = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
copyright = "The Coatcheck authors"  # noqa: A001 (Sphinx wants this name)

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "bench/*.md", "docs/**.md"]
exclude_patterns = ["docs/_build/**"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Coatcheck {release}"
html_show_sphinx = False
