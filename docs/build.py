"""Build README.md and docs/*.md as HTML into docs/_build/. A broken link or an orphaned page fails the build."""

import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

here = Path(__file__).resolve().parent
output = here / "_build"

if __name__ == "__main__":
    folders = [str(here.parent), str(output / "html"), f"--conf-dir={here}", f"--doctree-dir={output / 'doctrees'}"]
    # Everything anew: Sphinx does not see that a docstring has changed.
    options = ["--builder=html", "--fresh-env", "--write-all", "--fail-on-warning", "--quiet"]
    status = sphinx([*folders, *options, *sys.argv[1:]])
    if status == 0:
        print(f"docs: open {output / 'html' / 'docs' / 'index.html'}")
    raise SystemExit(status)
