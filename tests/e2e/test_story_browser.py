"""The story by page, in Chromium: what a visitor sees, clicks and types, with a browser's own cookies and rules.

Anything a page writes to the browser's console as an error, and any error in a page, fails the test.
"""

from __future__ import annotations

import http.server
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from coatcheck.testing.patience import PATIENCE
from tests.browsers import browser_at, context_in
from tests.e2e.conftest import Serve
from tests.e2e.serving import FOR_CROWDS, PASSWORD, Server, Visitor

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "color_scheme": "dark",
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Mobile Safari/537.36",
}
# WCAG 2.2, 1.4.10: what a wide window becomes when it is enlarged four times.
NARROWEST: dict[str, Any] = {"viewport": {"width": 320, "height": 640}}
NEW_PASSWORD = "another long passphrase"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    # Playwright switches the back/forward cache off, because a page out of it never "loads" and `go_back` would wait
    # in vain. People have it, and it must not show what is over: here, to wait in vain is to fail.
    with browser_at(chromium, without=["--disable-back-forward-cache"]) as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all these tests: each uses an account of its own."""
    server = Server(tmp_path_factory.mktemp("browser"), env=FOR_CROWDS)
    server.start()
    yield server
    server.end()


@pytest.fixture
def complaints() -> list[str]:
    """What browsers complained of so far. A test that provokes something clears it."""
    return []


@pytest.fixture
def open_browser(browser: Browser, server: Server, complaints: list[str]) -> Iterator[Open]:
    """Open a page in a browser of its own: its own cookies, its own look."""
    contexts: list[BrowserContext] = []

    def open_(**options: Any) -> Page:
        context = context_in(browser, base_url=server.url, **{**DESKTOP, **options})
        context.on("console", lambda message: complaints.extend(complaint_in(message)))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        contexts.append(context)
        return context.new_page()

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def complaint_in(message: ConsoleMessage) -> list[str]:
    # Chromium reports every 4xx as an error, the page that says so itself included.
    is_answer = message.text.startswith("Failed to load resource: the server responded with a status of 4")
    is_page = message.page is not None and message.location["url"] == message.page.url
    return [message.text] if message.type in ("error", "warning") and not (is_answer and is_page) else []


def sign_up(page: Page, username: str) -> None:
    page.goto("/signup")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("status")).to_have_text("Your account is open. Log in to get your ticket.")


def log_in(page: Page, username: str, password: str = PASSWORD, *, remember: bool = False) -> None:
    page.goto("/login")
    page.get_by_label("User name or e-mail address").fill(username)
    page.get_by_label("Password").fill(password)
    if remember:
        page.get_by_label("Keep me logged in on this device").check()
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


def account_of(server: Server, username: str) -> str:
    assert Visitor(server).sign_up(username).status == 201
    return username


def devices(page: Page) -> Any:
    return page.get_by_role("region", name="Devices").get_by_role("listitem")


def session_cookies(page: Page) -> list[dict[str, Any]]:
    """Not those that protect forms or know the device."""
    return [dict(one) for one in page.context.cookies() if not str(one["name"]).endswith(("-pre", "-device"))]


def session_cookie(page: Page) -> dict[str, Any]:
    (found,) = session_cookies(page)
    return found


@pytest.mark.parametrize("with_javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_sign_up_log_in_twice_see_both_throw_one_out(open_browser: Open, with_javascript: bool) -> None:
    home, phone = (open_browser(**look, java_script_enabled=with_javascript) for look in (DESKTOP, PHONE))
    name = f"ada-{with_javascript}"

    sign_up(home, name)
    log_in(home, name)
    log_in(phone, name)
    home.reload()
    expect(devices(home)).to_have_count(2)
    other = devices(home).filter(has_text="Android")
    expect(other).to_have_count(1)
    other.get_by_role("button", name=re.compile("Revoke")).click()
    expect(home.get_by_role("status")).to_have_text("That device is logged out.")
    expect(devices(home)).to_have_count(1)

    phone.get_by_role("link", name=name).click()

    expect(phone.get_by_role("heading", level=1)).to_have_text("Log in")
    expect(phone.get_by_role("status")).to_have_text("This device was logged out from elsewhere. Please log in again.")
    assert session_cookies(phone) == []


def test_after_logging_out_the_back_button_shows_nothing_private(open_browser: Open, server: Server) -> None:
    """With the browser's back/forward cache on: a page is not to be kept, and not to be shown from memory (HDR-01)."""
    page, name = open_browser(), account_of(server, "backward")
    log_in(page, name)
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("main")).to_contain_text(name)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_have_text("You have logged out.")

    for _ in range(2):
        page.go_back()

        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        assert name not in page.content()


def test_the_story_with_the_keyboard_alone(open_browser: Open) -> None:
    """Tab, typing and Enter: every step can be reached, in an order that makes sense."""
    page, phone = open_browser(), open_browser(**PHONE)
    page.goto("/login")

    go_to(page, "link", "Sign up")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign up")
    go_to(page, "textbox", "User name")
    page.keyboard.type("keys")
    go_to(page, "textbox", "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    go_to(page, "textbox", "User name or e-mail address")
    page.keyboard.type("keys")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox")).to_be_checked()
    go_to(page, "button", "Log in")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    log_in(phone, "keys")
    page.reload()
    expect(devices(page)).to_have_count(2)

    go_to(page, "button", "Revoke")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("That device is logged out.")
    go_to(page, "button", "Log out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("You have logged out.")


def go_to(page: Page, role: str, name: str) -> None:
    """Press Tab until the focus is on the control of this role and name, and see that its focus is visible."""
    wanted = page.get_by_role(role, name=re.compile(f"^{name}"))  # type: ignore[arg-type]
    for _ in range(40):
        if any(one.evaluate("node => node === document.activeElement") for one in wanted.all()):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {name} cannot be seen"
            return
        page.keyboard.press("Tab")
    pytest.fail(f"no way to {role} {name} by Tab")


def test_the_skip_link_leads_to_the_main_content(open_browser: Open) -> None:
    page = open_browser()
    page.goto("/docs")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"


def test_the_contents_of_the_reference_are_folded_where_they_would_push_it_off_the_screen(open_browser: Open) -> None:
    page = open_browser()
    page.goto("/docs")
    contents = page.get_by_role("navigation", name="Contents")

    page.set_viewport_size({"width": 1200, "height": 900})
    expect(contents.get_by_role("link", name="/api/login")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(contents.get_by_role("link", name="/api/login")).to_have_count(0)
    contents.locator("summary").click()
    expect(contents.get_by_role("link", name="/api/login")).to_be_visible()


def test_a_refused_form_says_all_at_once_and_leads_to_each_field(open_browser: Open) -> None:
    page = open_browser()
    page.goto("/signup")
    page.get_by_label("User name").fill("x")
    page.get_by_label("E-mail address").fill("nowhere")
    page.get_by_label("Password").fill("short")

    page.get_by_role("button", name="Sign up").click()

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("link")).to_have_count(3)
    assert page.title().startswith("Error: ")
    for link, label in zip(summary.get_by_role("link").all(), ("User name", "E-mail address", "Password"), strict=True):
        field = page.get_by_label(label)
        link.click()
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        assert link.inner_text() in described(field)
    expect(page.get_by_label("User name")).to_have_value("x")
    expect(page.get_by_label("Password")).to_have_value("")


def described(field: Any) -> str:
    """What a screen reader says of a field besides its name."""
    told: str = field.evaluate(
        "node => node.getAttribute('aria-describedby').trim().split(/\\s+/)"
        ".map(id => document.getElementById(id).textContent).join(' ')"
    )
    return told


def test_a_wrong_password_is_told_and_the_name_stays(open_browser: Open, server: Server) -> None:
    page, name = open_browser(), account_of(server, "wrongly")
    page.goto("/login?next=/reauthenticate")
    page.get_by_label("User name or e-mail address").fill(name)
    page.get_by_label("Password").fill("not the right passphrase")

    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("alert")).to_contain_text("No account goes with this name and this password.")
    expect(page.get_by_label("User name or e-mail address")).to_have_value(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm it is you")


@pytest.mark.parametrize("remember", [True, False])
def test_cky_05_only_a_remembered_log_in_survives_the_browser(
    open_browser: Open, server: Server, remember: bool
) -> None:
    page, name = open_browser(), account_of(server, f"cookie-{remember}")

    log_in(page, name, remember=remember)

    now, expires = page.evaluate("Date.now() / 1000"), session_cookie(page)["expires"]
    assert abs(expires - now - 30 * 86_400) < 120 if remember else expires == -1


def test_cky_02_no_script_reads_the_cookie(open_browser: Open, server: Server) -> None:
    page, name = open_browser(), account_of(server, "unread")

    log_in(page, name)

    cookie = session_cookie(page)
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""


def test_hdr_03_no_script_that_got_into_a_page_runs(open_browser: Open, server: Server, complaints: list[str]) -> None:
    page, name = open_browser(), account_of(server, "scripted")
    log_in(page, name)

    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        refused = page.evaluate(
            """() => new Promise(done => {
              const refused = new Set();
              document.addEventListener('securitypolicyviolation', event => {
                refused.add(event.effectiveDirective);
                if (refused.size == 3) done([...refused].sort());
              });
              document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror="window.ran = 1">');
              const inline = document.createElement('script');
              inline.textContent = 'window.ran = 2';
              document.body.append(inline);
            })"""
        )

    assert refused == ["img-src", "script-src-attr", "script-src-elem"]
    assert page.evaluate("window.ran") is None
    complaints.clear()


def test_what_a_visitor_typed_stays_text(open_browser: Open, server: Server) -> None:
    """A user agent is whatever somebody chose to send; it is shown on the account page."""
    agent = "<script>window.ran=1</script><img src=x onerror='window.ran=2'>\" autofocus onfocus=\"window.ran=3"
    page, name = open_browser(user_agent=agent), account_of(server, "hostile")

    log_in(page, name)

    page.get_by_text("Details").first.click()
    expect(page.get_by_role("main")).to_contain_text("<script>window.ran=1</script>")
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize("look", [DESKTOP, PHONE, NARROWEST], ids=["desktop", "phone", "narrowest"])
def test_every_page_is_quiet_and_fits_its_window(open_browser: Open, server: Server, look: dict[str, Any]) -> None:
    """No complaint in the console, nothing loaded from elsewhere, no scrolling sideways, one main heading."""
    page, name = open_browser(**look), account_of(server, f"looker-{look['viewport']['width']}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def look_at(path: str) -> None:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{path} is too wide"
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        nameless = "node => !node.labels?.length && node.type !== 'hidden' && !node.hidden"
        assert page.evaluate(f"[...document.querySelectorAll('input')].filter({nameless}).length") == 0

    for path in ("/login", "/signup", "/logout", "/docs", "/no-such-page"):
        look_at(path)
    log_in(page, name)
    for path in ("/account", "/reauthenticate", "/logout", "/docs"):
        look_at(path)

    assert {urlsplit(url).netloc for url in asked} == {server.authority}


def test_rev_05_changing_the_password_logs_the_others_out_and_says_why(open_browser: Open, server: Server) -> None:
    home, phone, name = open_browser(), open_browser(**PHONE), account_of(server, "changing")
    log_in(home, name)
    log_in(phone, name)
    before = session_cookie(home)["value"]

    home.get_by_label("Current password").fill(PASSWORD)
    home.get_by_label("New password").fill(NEW_PASSWORD)
    home.get_by_role("button", name="Change password").click()

    expect(home.get_by_role("status")).to_contain_text("Your password is changed")
    expect(devices(home)).to_have_count(1)
    assert session_cookie(home)["value"] != before
    phone.reload()
    expect(phone.get_by_role("status")).to_have_text("The password was changed. Please log in with the new one.")
    log_in(phone, name, NEW_PASSWORD)


def test_a_refused_password_change_is_told_at_its_field(open_browser: Open, server: Server) -> None:
    page, name = open_browser(), account_of(server, "unchanged")
    log_in(page, name)
    page.get_by_label("Current password").fill("not the right passphrase")
    page.get_by_label("New password").fill(NEW_PASSWORD)

    page.get_by_role("button", name="Change password").click()

    page.get_by_role("alert").get_by_role("link", name="That is not your current password.").click()
    expect(page.get_by_label("Current password")).to_be_focused()
    expect(devices(page)).to_have_count(1)


def test_stp_01_an_old_log_in_must_be_confirmed_before_a_device_is_thrown_out(
    open_browser: Open, server: Server
) -> None:
    home, phone, name = open_browser(), open_browser(**PHONE), account_of(server, "stepping")
    log_in(home, name)
    log_in(phone, name)
    home.reload()
    let_time_pass(server, name, seconds=301)

    devices(home).filter(has_text="Android").get_by_role("button", name=re.compile("Revoke")).click()
    expect(home.get_by_role("heading", level=1)).to_have_text("Confirm it is you")
    home.get_by_label("Password").fill(PASSWORD)
    home.get_by_role("button", name="Confirm").click()
    expect(home.get_by_role("status")).to_have_text("Thank you. You can go on now.")
    expect(devices(home)).to_have_count(2)  # STP-08: what was about to be done is not repeated
    devices(home).filter(has_text="Android").get_by_role("button", name=re.compile("Revoke")).click()

    expect(home.get_by_role("status")).to_have_text("That device is logged out.")
    expect(devices(home)).to_have_count(1)


def let_time_pass(server: Server, username: str, *, seconds: int) -> None:
    """Move what the sessions of an account remember into the past, from outside: an honest stand-in for waiting."""
    connection = sqlite3.connect(server.store, timeout=PATIENCE)
    with connection:
        connection.execute(
            "UPDATE sessions SET auth_time = auth_time - :age, created_at = created_at - :age, "
            "expires_at = expires_at - :age "
            "WHERE subject = (SELECT id FROM accounts WHERE username_key = :name)",
            {"age": seconds, "name": username},
        )
    connection.close()


def test_tmo_01_a_session_that_was_not_used_for_long_is_over_and_says_so(open_browser: Open, server: Server) -> None:
    page, name = open_browser(), account_of(server, "dozing")
    log_in(page, name)
    connection = sqlite3.connect(server.store, timeout=PATIENCE)
    with connection:
        connection.execute(
            "UPDATE sessions SET last_seen_at = last_seen_at - 3660 "
            "WHERE subject = (SELECT id FROM accounts WHERE username_key = ?)",
            (name,),
        )
    connection.close()

    page.reload()

    expect(page.get_by_role("status")).to_contain_text("You were away for a while")


def test_csr_06_a_form_from_before_logging_in_elsewhere_is_refused_in_words_and_shown_again(
    open_browser: Open, server: Server
) -> None:
    """Two tabs show the log-in form; one is used; the other's form belongs to a visit that is over."""
    page, name, other = open_browser(), account_of(server, "two-tabs"), account_of(server, "other-tab")
    page.goto("/login")
    log_in(page.context.new_page(), name)
    token = session_cookie(page)["value"]

    page.get_by_label("User name or e-mail address").fill(other)
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_response("**/login") as answered:
        page.get_by_role("button", name="Log in").click()

    assert answered.value.status == 403
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("you logged in or out in another tab meanwhile")
    assert session_cookie(page)["value"] == token
    expect(page.get_by_label("User name or e-mail address")).to_have_value(other)
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    expect(page.get_by_role("main")).to_contain_text(other)


def test_fix_04_a_password_change_left_open_over_a_rotation_is_asked_for_again(
    open_browser: Open, server: Server
) -> None:
    page, name = open_browser(), account_of(server, "rotated")
    log_in(page, name)
    other_tab = page.context.new_page()
    other_tab.goto("/reauthenticate")
    other_tab.get_by_label("Password").fill(PASSWORD)
    other_tab.get_by_role("button", name="Confirm").click()
    expect(other_tab.get_by_role("status")).to_have_text("Thank you. You can go on now.")

    for _ in range(2):  # refused once, done the second time
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password").fill(NEW_PASSWORD)
        with page.expect_navigation():
            page.get_by_role("button", name="Change password").click()

    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


def test_a_reload_by_the_address_bar_after_a_refused_form_shows_the_page(open_browser: Open, server: Server) -> None:
    page, name = open_browser(), account_of(server, "reloading")
    log_in(page, name)
    page.get_by_label("Current password").fill("not the right passphrase")
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_be_visible()

    page.goto(page.url)

    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    assert urlsplit(page.url).path == "/account"


def test_the_name_just_chosen_stands_in_the_log_in_form_and_the_password_is_next(open_browser: Open) -> None:
    page = open_browser()

    sign_up(page, "carried-over")

    expect(page.get_by_label("User name or e-mail address")).to_have_value("carried-over")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


def test_a_double_click_on_sign_up_makes_one_account_and_no_error(open_browser: Open) -> None:
    page = open_browser()
    page.goto("/signup")
    page.get_by_label("User name").fill("hasty")
    page.get_by_label("Password").fill(PASSWORD)

    page.get_by_role("button", name="Sign up").dblclick(no_wait_after=True)

    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    log_in(page, "hasty")


def test_cky_01_over_tls_the_cookie_is_a_host_cookie(serve: Serve, open_browser: Open) -> None:
    server = serve("--tls-self-signed")
    page, name = open_browser(ignore_https_errors=True), account_of(server, "secured")
    page.goto(f"{server.url}/login")
    page.get_by_label("User name or e-mail address").fill(name)
    page.get_by_label("Password").fill(PASSWORD)

    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    cookie = session_cookie(page)
    assert cookie["name"] == "__Host-coatcheck"
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert cookie["domain"] == "127.0.0.1"


# Other sites


@contextmanager
def attacker(page_of: dict[str, str]) -> Iterator[int]:
    """Serve pages that are not ours on another port of this machine; `localhost` is another site than 127.0.0.1."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page_of.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield site.server_port
        site.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["cross-site", "same site, other port"])
def test_csr_02_no_form_of_another_site_is_obeyed(
    open_browser: Open, server: Server, complaints: list[str], host: str
) -> None:
    """Log-in (an attacker's account put upon the victim), log-out, "log out everywhere else": each is 403."""
    name = account_of(server, f"victim-{host.replace('.', '-')}")
    page, phone = open_browser(), open_browser(**PHONE)
    log_in(page, name)
    log_in(phone, name)
    token = session_cookie(page)["value"]
    fields = f'<input name="identifier" value="{name}"><input name="password" value="{PASSWORD}">'
    targets = ("/login", "/signup", "/logout", "/account/sessions/revoke-others", "/account/password", "/api/logout")
    form = '<link rel="icon" href="data:,"><form method="post" action="{}">{}<button>Win</button></form>'
    pages = {path: form.format(server.url + path, fields) for path in targets}
    with attacker(pages) as port:
        for path in targets:
            page.goto(f"http://{host}:{port}{path}")
            with page.expect_navigation() as answered:  # by whose end the browser has complained of it
                page.get_by_role("button", name="Win").click()
            answer = answered.value
            assert answer is not None
            assert (answer.url, answer.status) == (server.url + path, 403)
    complaints.clear()

    assert session_cookie(page)["value"] == token
    for visitor in (page, phone):
        visitor.goto("/account")
        expect(devices(visitor)).to_have_count(2)


def test_ses_03_no_link_and_no_image_logs_anybody_out(
    open_browser: Open, server: Server, complaints: list[str]
) -> None:
    page, name = open_browser(), account_of(server, "linked")
    log_in(page, name)
    lure = f'<img src="{server.url}/logout"><img src="{server.url}/api/logout"><a href="{server.url}/logout">Win</a>'
    with attacker({"/": lure}) as port:
        page.goto(f"http://localhost:{port}/", wait_until="networkidle")
        page.get_by_role("link", name="Win").click()
    complaints.clear()

    expect(page.get_by_role("heading", level=1)).to_have_text("Log out")
    page.goto("/account")
    expect(page.get_by_role("main")).to_contain_text(name)


def test_hdr_03_no_other_site_frames_a_page(open_browser: Open, server: Server, complaints: list[str]) -> None:
    page = open_browser()
    with attacker({"/": f'<iframe src="{server.url}/login"></iframe>'}) as port:
        with page.expect_console_message(lambda message: "frame" in message.text):
            page.goto(f"http://localhost:{port}/", wait_until="networkidle")

        assert page.frame_locator("iframe").get_by_role("textbox").count() == 0
    complaints.clear()


def test_a_link_from_another_site_finds_the_visitor_logged_in(open_browser: Open, server: Server) -> None:
    """SameSite=Lax lets top-level links through: whoever follows a link from a mail is not a stranger."""
    page, name = open_browser(), account_of(server, "following")
    log_in(page, name)
    with attacker({"/": f'<link rel="icon" href="data:,"><a href="{server.url}/account">Go</a>'}) as port:
        page.goto(f"http://localhost:{port}/")
        page.get_by_role("link", name="Go").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
