"""Secrets leave by the one way they must: the cookie. Not by logs, bodies, events, files or representations."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from coatcheck.core.audit import Event

CANARY = "a canary passphrase, quite long"
NEW_CANARY = "another canary passphrase, longer"
TYPED_AS_NAME = "canary-typed-as-a-name"
FORM = ("content-type", "application/x-www-form-urlencoded")


def visit_everything(world: Any) -> tuple[set[str], list[Any]]:
    """Walk through every feature with canaries; give the secrets and all answers."""
    answers: list[Any] = []
    secrets = {CANARY, NEW_CANARY, TYPED_AS_NAME}
    browser = world.browser()
    keep = browser.keep

    def remember(answer: Any) -> None:
        answers.append(answer)
        keep(answer)
        secrets.update(value for value in answer.cookies.values() if value)

    browser.keep = remember
    browser.post("/signup", {"username": "ada", "email": "ada@example.org", "password": CANARY})
    browser.call("POST", "/api/signup", {"username": "ada", "password": CANARY})
    browser.call("POST", "/api/signup", {"username": "a !", "password": CANARY})
    browser.call("POST", "/api/login", {"identifier": TYPED_AS_NAME, "password": NEW_CANARY})
    browser.call("POST", "/api/login", {"identifier": ["ada", CANARY], "password": CANARY})
    browser.log_in("ada", NEW_CANARY)
    browser.log_in("ada", CANARY)
    browser.get(f"/api/me?token={browser.token}")
    browser.get("/account", [("authorization", f"Bearer {CANARY}")])
    browser.call("POST", "/api/reauthenticate", {"password": CANARY})
    browser.call("POST", "/api/password/change", {"current_password": NEW_CANARY, "new_password": NEW_CANARY})
    browser.call("POST", "/api/password/change", {"current_password": CANARY, "new_password": NEW_CANARY})
    for path in ("/account", "/api/sessions", "/api/events", "/api/me", f"/nowhere/{CANARY.replace(' ', '+')}"):
        browser.get(path)
    browser.send("POST", "/api/logout", [("origin", "https://evil.example"), ("x-csrf-token", CANARY)])
    browser.send("POST", "/logout", [*browser.evidence(), FORM], f"csrf_token={NEW_CANARY}".encode())
    world.fragile.broken = {"find", "identify"}
    browser.me()
    browser.call("POST", "/api/login", {"identifier": "ada", "password": NEW_CANARY})
    world.fragile.broken = set()
    world.fragile.bug_at = "identify"
    browser.call("POST", "/api/login", {"identifier": "ada", "password": NEW_CANARY})
    world.fragile.bug_at = None
    browser.post("/logout", {})
    return secrets, answers


def test_log_03_and_tok_10_no_secret_is_in_any_log_at_debug(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    secrets, _ = visit_everything(world)

    formatter = logging.Formatter("%(message)s %(coatcheck_event)s", defaults={"coatcheck_event": ""})
    told = "\n".join(formatter.format(record) for record in caplog.records)
    assert len(secrets) > 6
    assert [secret for secret in secrets if secret in told] == []
    assert [record for record in caplog.records if record.name == "coatcheck.events"]


def test_log_03_no_csrf_token_and_no_authorization_is_in_any_log_event_or_header(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.account()
    browser = world.logged_in()
    header = ("authorization", "Bearer canary-of-an-authorization")
    tokens = {browser.token_on(path) for path in ("/account", "/reauthenticate")}
    tokens.add(browser.get("/api/csrf", [header]).json["csrf_token"])

    for number, token in enumerate(sorted(tokens)):
        for sent in (token, token[:-1]):
            browser.post("/reauthenticate", {"password": CANARY}, token=sent)
            browser.send("POST", f"/logout?csrf_token={sent}", [header, ("origin", "null"), FORM], sent.encode())
            world.browser(ip=f"192.0.2.{number}").post("/login", {"identifier": "x", "password": sent}, token=sent)

    told = f"{caplog.text} {[vars(record) for record in caplog.records]} {world.events()}"
    assert world.events("cross_site_refused") or caplog.records
    assert [secret for secret in (*tokens, "canary-of-an-authorization", CANARY) if secret in told] == []


class Frames(logging.Handler):
    """What a debug page or a collector of errors finds: the variables of all frames of a logged error."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""
        self.frames = 0

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            trace = error.__traceback__
            while trace is not None:
                self.frames += 1
                self.found += repr(trace.tb_frame.f_locals)
                trace = trace.tb_next
            error = error.__cause__ or error.__context__


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "json"])
@pytest.mark.parametrize("step", ["identify", "admit", "start", "settle"])
def test_err_08_a_debugger_that_shows_the_variables_of_an_error_finds_no_secret(
    build: Callable[..., Any], step: str, by_page: bool
) -> None:
    world = build("blocking")
    world.account("ada", password=CANARY)
    browser = world.logged_in()
    token, frames, log = browser.token_on("/account"), Frames(), logging.getLogger("coatcheck")
    world.fragile.bug_at = step
    log.addHandler(frames)
    fields = {"identifier": "ada", "password": CANARY if step != "settle" else NEW_CANARY}
    try:
        answer = browser.post("/login", fields, token=token) if by_page else browser.call("POST", "/api/login", fields)
    finally:
        log.removeHandler(frames)

    assert answer.status == 500
    assert frames.frames > 3
    assert [secret for secret in (CANARY, NEW_CANARY, browser.token, token) if secret in frames.found] == []


def test_tok_10_the_token_is_in_no_body_and_no_header_but_set_cookie(world: Any) -> None:
    secrets, answers = visit_everything(world)

    for answer in answers:
        others = [value for name, value in answer.headers if name != "set-cookie"]
        told = answer.body.decode("utf-8", "replace") + "\n".join(others)
        assert [secret for secret in secrets if secret in told and secret != TYPED_AS_NAME] == []


def test_log_04_a_name_nobody_has_is_kept_as_a_keyed_hash(world: Any) -> None:
    heard: list[Event] = []
    world.desk.on(Event, heard.append)

    world.browser().call("POST", "/api/login", {"identifier": TYPED_AS_NAME, "password": "x"})

    assert TYPED_AS_NAME not in f"{heard} {world.events()}"
    assert heard[-1].name == "log_in_failed"


def test_log_02_no_event_holds_a_secret(one: Any) -> None:
    heard: list[Event] = []
    one.desk.on(Event, heard.append)

    secrets, _ = visit_everything(one)

    told = f"{heard} {one.events()}"
    assert [secret for secret in secrets if secret in told] == []


def test_tok_03_the_issued_token_is_in_no_file_of_the_store(build: Callable[..., Any], tmp_path: Any) -> None:
    world = build("blocking", "sqlite")

    secrets, _ = visit_everything(world)
    browser = world.browser()
    browser.log_in("ada", NEW_CANARY)
    secrets.add(browser.token)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        octets = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in octets] == [], path.name


def test_log_06_what_a_visitor_writes_is_never_a_format(one: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    one.account()
    hostile = "%s%d{0.__class__}%(x)s"

    one.browser(user_agent=hostile).call("POST", "/api/login", {"identifier": hostile, "password": hostile})
    one.browser(user_agent=hostile).send("POST", f"/login/{hostile}", [("origin", "null")])

    assert all(record.getMessage() for record in caplog.records)
    assert "<class" not in caplog.text


def test_records_of_a_request_do_not_print_its_secrets(one: Any) -> None:
    seen: list[str] = []
    one.desk.on(Event, lambda event: seen.append(repr(event)))

    visit_everything(one)

    assert not re.search(r"[A-Za-z0-9_-]{43}", " ".join(seen))
