"""Python source as a tree, for tables of what the source says and for tests of it."""

from __future__ import annotations

import ast
import gc


def parsed(source: str) -> ast.Module:
    """Parse source, and let nothing be collected meanwhile.

    CPython before 3.11.9 and 3.12.3 counts in one place how deep all trees are that it makes (gh-106905). A finalizer
    or another thread may run when garbage is collected amid the making, and if it parses as well (formatting a
    traceback does), then the first tree ends in a SystemError, "AST constructor recursion depth mismatch".
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if was_enabled:
            gc.enable()
