"""Every page in every state it can be in, brought about as a visitor would: for the tests and for the screenshots.

A state is a function that takes a browser's page (fresh, with its own cookies) and a server, and leaves the page in
that state. Light and dark, wide and narrow are up to the caller: `page.emulate_media`, `page.set_viewport_size`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

from playwright.sync_api import Page

from coatcheck.testing.patience import PATIENCE
from tests.e2e.serving import PASSWORD, Server, Visitor


class Scene(NamedTuple):
    page: Page
    server: Server


State = Callable[[Scene], None]
STATES: dict[str, State] = {}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOOKS: dict[str, tuple[dict[str, int], str]] = {
    "light": (WIDE, "light"),
    "dark": (WIDE, "dark"),
    "phone": (NARROW, "light"),
    "phone-dark": (NARROW, "dark"),
}

ANDROID = (
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 "
    "Mobile Safari/537.36"
)
# What a page must bear: the longest names there can be, without a place to break a line.
LONG_NAME = "a" * 32
LONG_ADDRESS = f"{'l' * 60}@{'long' * 12}.{'domain' * 9}.example.org"
LONG_AGENT = f"Mozilla/5.0 ({'X' * 200})"

_numbers = count(1)


def state(function: State) -> State:
    STATES[function.__name__] = function
    return function


def look(page: Page, name: str) -> None:
    """Look at the page as it is now by day or night, on a desk or in a hand."""
    size, scheme = LOOKS[name]
    page.set_viewport_size(size)  # type: ignore[arg-type]  # a dict of the two numbers it wants
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]


# What states are made of


def new_account(server: Server, **names: str) -> str:
    """Open an account and give the name it logs in with."""
    names = names or {"username": f"visitor-{next(_numbers)}"}
    answer = Visitor(server).call("POST", "/api/signup", {**names, "password": PASSWORD})
    assert answer.status in (201, 409), answer.text
    return next(iter(names.values()))


def fill(page: Page, **fields: str) -> None:
    """Type into the fields of these ids and send their form."""
    for name, text in fields.items():
        page.locator(f"#{name}").fill(text)
    with page.expect_navigation():
        page.locator(f"#{next(reversed(fields))}").press("Enter")


def log_in(page: Page, name: str) -> None:
    page.goto("/login")
    fill(page, identifier=name, password=PASSWORD)
    assert page.url.endswith("/account"), page.url


def member(page: Page, server: Server) -> str:
    name = new_account(server)
    log_in(page, name)
    return name


def spoil_tokens(page: Page) -> None:
    """Make the page one that was left open while the visitor logged in or out elsewhere."""
    page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(e => e.value = 'A'.repeat(64))")


def post(page: Page, path: str, **fields: str) -> None:
    """Send a form to an address of ours by script, as nobody could by hand."""
    with page.expect_navigation():
        page.evaluate(
            """([path, fields]) => {
              const form = Object.assign(document.createElement('form'), { method: 'post', action: path });
              for (const [name, value] of Object.entries(fields))
                form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
              document.body.append(form);
              form.submit();
            }""",
            [path, fields],
        )


@contextmanager
def held_up(server: Server) -> Iterator[None]:
    """Keep others from writing for a while, as a backup that goes wrong does."""
    connection = sqlite3.connect(server.store, timeout=PATIENCE, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def change(server: Server, *statements: str, name: str) -> None:
    """Change what the store remembers of an account, from outside: an honest stand-in for time that passes."""
    connection = sqlite3.connect(server.store, timeout=PATIENCE)
    with connection:
        for statement in statements:
            connection.execute(statement, {"key": name.lower()})
    connection.close()


SUBJECT = "(SELECT id FROM accounts WHERE username_key = :key OR email_key = :key)"


# Log in


@state
def login(scene: Scene) -> None:
    scene.page.goto("/login")


@state
def login_refused(scene: Scene) -> None:
    scene.page.goto("/login")
    fill(scene.page, identifier=new_account(scene.server), password="not the right passphrase")


@state
def login_empty(scene: Scene) -> None:
    scene.page.goto("/login")
    fill(scene.page, identifier="", password="")


@state
def login_throttled(scene: Scene) -> None:
    scene.page.goto("/login")
    name = new_account(scene.server)
    stranger = Visitor(scene.server)
    while stranger.log_in(name, "not the right passphrase").status == 401:
        pass
    fill(scene.page, identifier=name, password=PASSWORD)


@state
def login_after_sign_up(scene: Scene) -> None:
    scene.page.goto("/signup")
    fill(scene.page, username=f"fresh-{next(_numbers)}", password=PASSWORD)


@state
def login_after_log_out(scene: Scene) -> None:
    member(scene.page, scene.server)
    scene.page.get_by_role("button", name="Log out").click()
    scene.page.wait_for_url("**/login**")


@state
def login_after_revocation(scene: Scene) -> None:
    owner = Visitor(scene.server)
    owner.log_in(member(scene.page, scene.server))
    assert owner.call("POST", "/api/sessions/revoke-others").status == 200
    scene.page.reload()


@state
def login_left_open(scene: Scene) -> None:
    scene.page.goto("/login")
    spoil_tokens(scene.page)
    fill(scene.page, identifier="somebody", password=PASSWORD)


# Sign up


@state
def signup(scene: Scene) -> None:
    scene.page.goto("/signup")


@state
def signup_refused(scene: Scene) -> None:
    scene.page.goto("/signup")
    fill(scene.page, username="x", email="nowhere", password="short")


@state
def signup_empty(scene: Scene) -> None:
    scene.page.goto("/signup")
    fill(scene.page, username="", password="")


@state
def signup_taken(scene: Scene) -> None:
    scene.page.goto("/signup")
    fill(scene.page, username=new_account(scene.server), password=PASSWORD)


@state
def signup_left_open(scene: Scene) -> None:
    scene.page.goto("/signup")
    spoil_tokens(scene.page)
    fill(scene.page, username="somebody", email="somebody@example.org", password=PASSWORD)


# Confirm it is you


@state
def reauthenticate(scene: Scene) -> None:
    member(scene.page, scene.server)
    scene.page.goto("/reauthenticate")


@state
def reauthenticate_refused(scene: Scene) -> None:
    member(scene.page, scene.server)
    scene.page.goto("/reauthenticate")
    fill(scene.page, password="not the right passphrase")


# Log out


@state
def logout(scene: Scene) -> None:
    member(scene.page, scene.server)
    scene.page.goto("/logout")


@state
def logout_stranger(scene: Scene) -> None:
    scene.page.goto("/logout")


@state
def logout_left_open(scene: Scene) -> None:
    member(scene.page, scene.server)
    scene.page.goto("/logout")
    spoil_tokens(scene.page)
    with scene.page.expect_navigation():
        scene.page.get_by_role("main").get_by_role("button").click()


# The account


@state
def account(scene: Scene) -> None:
    """Two devices, one that was revoked, a failed log-in, and who did it."""
    name = new_account(scene.server)
    for _ in range(2):
        Visitor(scene.server, headers={"User-Agent": ANDROID}).log_in(name, remember=True)
    Visitor(scene.server).log_in(name, "not the right passphrase")
    log_in(scene.page, name)
    with scene.page.expect_navigation():
        scene.page.get_by_role("button", name=re.compile("Revoke")).first.click()


@state
def account_alone(scene: Scene) -> None:
    """One device, and no event that is still kept."""
    name = member(scene.page, scene.server)
    change(scene.server, f"DELETE FROM events WHERE subject = {SUBJECT}", name=name)
    scene.page.reload()


@state
def account_by_address_only(scene: Scene) -> None:
    log_in(scene.page, new_account(scene.server, email="nameless@example.org"))


@state
def account_of_long_names(scene: Scene) -> None:
    new_account(scene.server, username=LONG_NAME, email=LONG_ADDRESS)
    Visitor(scene.server, headers={"User-Agent": LONG_AGENT}).log_in(LONG_NAME, remember=True)
    log_in(scene.page, LONG_NAME)
    for details in scene.page.get_by_text("Details", exact=False).all():
        details.click()


@state
def account_refused(scene: Scene) -> None:
    member(scene.page, scene.server)
    fill(scene.page, current_password="not the right passphrase", new_password="another long passphrase")


@state
def account_empty(scene: Scene) -> None:
    member(scene.page, scene.server)
    fill(scene.page, current_password="", new_password="")


@state
def account_changed(scene: Scene) -> None:
    member(scene.page, scene.server)
    fill(scene.page, current_password=PASSWORD, new_password="another long passphrase")


@state
def account_left_open(scene: Scene) -> None:
    member(scene.page, scene.server)
    spoil_tokens(scene.page)
    fill(scene.page, current_password=PASSWORD, new_password="another long passphrase")


# Problems


@state
def problem_400(scene: Scene) -> None:
    scene.page.goto("/login")
    post(scene.page, "/login", **{f"field-{n}": "" for n in range(200)})


@state
def problem_403(scene: Scene) -> None:
    """A form of the account, sent after logging out in another tab."""
    scene.page.goto("/login")
    post(scene.page, "/account/password", csrf_token="A" * 64)


@state
def problem_404(scene: Scene) -> None:
    scene.page.goto("/no-such-page")


@state
def problem_405(scene: Scene) -> None:
    scene.page.goto("/login")
    post(scene.page, "/account")


@state
def problem_413(scene: Scene) -> None:
    scene.page.goto("/login")
    post(scene.page, "/login", identifier="x" * 70_000)


@state
def problem_503(scene: Scene) -> None:
    name = new_account(scene.server)
    scene.page.goto("/login")
    with held_up(scene.server):
        fill(scene.page, identifier=name, password=PASSWORD)


# The API reference


@state
def docs(scene: Scene) -> None:
    scene.page.goto("/docs")


def bring(page: Page, server: Server, name: str) -> None:
    """Bring a page into the state of this name."""
    STATES[name](Scene(page, server))
    page.wait_for_load_state()
