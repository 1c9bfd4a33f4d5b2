"""Pages for everybody: axe-core finds nothing, the keyboard reaches everything, without JavaScript as well.

axe-core runs over every page in every state of `tests.e2e.gallery`, by day and by night, on a desk and in a hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browsers import browser_at, context_in
from tests.conftest import missing
from tests.e2e import gallery
from tests.e2e.serving import FOR_CROWDS, Server

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
FIVE_TRIES = {"COATCHECK_ACCOUNT_FREE_FAILURES": "5", "COATCHECK_NETWORK_FREE_SIGN_UPS": "1000"}

# The states of pages that have fields or a summary, and what has the focus when the page opens: an id, or the summary.
FOCUSED = {
    "login": "identifier",
    "login_after_log_out": "identifier",
    "login_after_revocation": "identifier",
    "login_after_sign_up": "password",
    "signup": "username",
    "reauthenticate": "password",
}
REFUSED = [name for name in gallery.STATES if name.rpartition("_")[2] in ("refused", "empty", "taken", "throttled")]
LEFT_OPEN = [name for name in gallery.STATES if name.endswith("_left_open")]

# What Tab reaches, in this order, first to last, by the name it is announced with.
ORDER = {
    "login": [
        "Skip to the main content", "Coatcheck", "User name or e-mail address", "Password",
        "Keep me logged in on this device", "Log in", "Sign up",
    ],
    "signup": ["Skip to the main content", "Coatcheck", "User name", "E-mail address", "Password", "Sign up", "Log in"],
    "login_refused": [
        "Skip to the main content", "Coatcheck", "No account goes with this name and this password.",
        "User name or e-mail address", "Password", "Keep me logged in on this device", "Log in", "Sign up",
    ],
    "reauthenticate": [
        "Skip to the main content", "Coatcheck", "{name}", "Log out", "Password", "Confirm", "Back to your account",
    ],
    "logout": ["Skip to the main content", "Coatcheck", "{name}", "Log out"],
    "account": [
        "Skip to the main content", "Coatcheck", "{name}", "Log out", "Details of ticket", "Details of ticket",
        "Revoke ticket", "Log out everywhere else", "Current password", "New password", "Change password",
    ],
    "problem_404": ["Skip to the main content", "Coatcheck", "Your account", "To the start page"],
    "problem_503": ["Skip to the main content", "Coatcheck", "Your account", "Try again", "To the start page"],
}  # fmt: skip


@pytest.fixture(scope="module")
def axe() -> Any:
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("no axe-core: install axe-playwright-python")
    return Axe()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with browser_at(chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("accessibility"), env={**FOR_CROWDS, **FIVE_TRIES})
    server.start()
    yield server
    server.end()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Bring a new page into a state."""
    contexts: list[BrowserContext] = []

    def open_(name: str, **options: Any) -> Page:
        context = context_in(browser, base_url=server.url, viewport=gallery.WIDE, **options)
        contexts.append(context)
        page = context.new_page()
        gallery.bring(page, server, name)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", gallery.STATES)
def test_axe_finds_nothing_and_nothing_is_too_wide(open_page: Open, axe: Any, name: str) -> None:
    page, found = open_page(name), list[tuple[str, str, list[str]]]()

    for look in gallery.LOOKS:
        gallery.look(page, look)
        for violation in axe.run(page).response["violations"]:
            found.append((look, violation["id"], [node["html"] for node in violation["nodes"]]))
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((look, "too wide", []))

    assert found == []


def test_axe_would_find_something(open_page: Open, axe: Any) -> None:
    """The tool is there and looks: a label taken away and a text made pale are told."""
    page = open_page("login")
    page.locator("label[for=identifier]").evaluate("label => label.remove()")
    page.locator(".elsewhere").evaluate("text => text.style.color = '#ddd'")

    found = {violation["id"] for violation in axe.run(page).response["violations"]}

    assert {"label", "color-contrast"} <= found


@pytest.mark.parametrize("name", FOCUSED)
def test_the_first_field_to_fill_in_has_the_focus(open_page: Open, name: str) -> None:
    page = open_page(name)

    expect(page.locator(f"#{FOCUSED[name]}")).to_be_focused()
    assert is_focus_visible(page)


@pytest.mark.parametrize("name", [*REFUSED, *LEFT_OPEN])
@pytest.mark.parametrize("with_javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_what_is_wrong_has_the_focus_and_the_next_tab_leads_to_it(
    open_page: Open, name: str, with_javascript: bool
) -> None:
    page = open_page(name, java_script_enabled=with_javascript)

    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")

    first = page.locator(":focus")
    expect(first).to_have_count(1)
    if name in REFUSED and name != "login_throttled":
        wrong = page.locator("[aria-invalid=true]").first
        assert first.get_attribute("href") == f"#{wrong.get_attribute('id')}"
        page.keyboard.press("Enter")
        expect(wrong).to_be_focused()


@pytest.mark.parametrize("name", ORDER)
def test_tab_reaches_everything_in_the_order_of_reading_and_shows_where_it_is(open_page: Open, name: str) -> None:
    page = open_page(name)
    who = page.locator(".who").text_content() if page.locator(".who").count() else ""
    go_to_the_top(page)
    reached: list[str] = []

    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        assert is_focus_visible(page), f"the focus cannot be seen on {announced(page)}"
        reached.append(announced(page))

    expected = [wanted.format(name=who) for wanted in ORDER[name]]
    assert len(reached) == len(expected), reached
    for said, wanted in zip(reached, expected, strict=True):
        assert said.startswith(wanted), reached


@pytest.mark.parametrize("name", ["login", "signup", "reauthenticate", "account", "logout", "problem_404", "docs"])
def test_the_skip_link_is_seen_when_it_has_the_focus_and_leads_past_the_header(open_page: Open, name: str) -> None:
    page = open_page(name)
    go_to_the_top(page)

    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the main content")
    expect(skip).to_be_focused()
    box = skip.bounding_box()
    assert box is not None
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("name", ["login", "signup", "reauthenticate", "account"])
def test_every_touch_target_is_large_enough(open_page: Open, name: str) -> None:
    """WCAG 2.2, 2.5.8: at least 24 by 24 pixels, links within sentences apart."""
    page = open_page(name)
    gallery.look(page, "phone")

    small = [
        (target.text_content() or target.get_attribute("id"), box)
        for target in page.locator("button, input:not([type=hidden]):not([hidden]), summary, .bar a, a.button").all()
        if (box := target.bounding_box()) is not None and min(box["width"], box["height"]) < 24
    ]

    assert small == []


@pytest.mark.parametrize("name", ["login_refused", "signup_refused", "account_refused", "account_of_long_names"])
def test_text_enlarged_four_times_needs_no_scrolling_sideways(open_page: Open, name: str) -> None:
    """WCAG 2.2, 1.4.10: 1280 pixels enlarged four times are 320."""
    page = open_page(name)
    page.set_viewport_size({"width": 320, "height": 640})

    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def go_to_the_top(page: Page) -> None:
    """Put the keyboard where it is when a page without fields opens: before everything."""
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")


def announced(page: Page) -> str:
    """The name of what has the focus, as the accessibility tree has it: label, or text."""
    name: str = page.evaluate(
        """() => {
          const one = document.activeElement;
          const by = one.getAttribute('aria-labelledby');
          return (one.labels?.[0] ?? (by && document.getElementById(by)) ?? one).textContent;
        }"""
    )
    return " ".join(name.split())


def is_focus_visible(page: Page) -> bool:
    """An outline of two pixels or more, not of the colour of nothing."""
    return bool(
        page.evaluate(
            """() => {
              const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(document.activeElement);
              return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && outlineColor !== 'rgba(0, 0, 0, 0)';
            }"""
        )
    )
