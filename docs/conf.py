"""Sphinx settings. The source folder is the root of the checkout: a link in README.md works here as it does there."""

import sys
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root), str(root / "src")]

project = "Coatcheck"
release = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
copyright = "The Coatcheck authors"  # noqa: A001 (Sphinx wants this name)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "bench/*.md", "docs/**.md"]
exclude_patterns = ["docs/_build/**"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write names between single backquotes
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"Coatcheck {release}"
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["docs.css"]
