"""Chromium for tests: how it is started, and for how long anything of it is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from coatcheck.testing.patience import PATIENCE

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
MILLISECONDS = 1000 * PATIENCE

expect.set_options(timeout=MILLISECONDS)


@contextmanager
def browser_at(path: str, *, without: Sequence[str] = ()) -> Iterator[Browser]:
    """Start Chromium; `without` are options that playwright gives it by itself, to be left out."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=OPTIONS, ignore_default_args=[*without], timeout=MILLISECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


def context_in(browser: Browser, **options: Any) -> BrowserContext:
    """Give a context with cookies of its own, whose pages are waited for patiently."""
    context = browser.new_context(**options)
    context.set_default_timeout(MILLISECONDS)
    return context
