"""Lines of the log: fields, escapes, and what can never be forged."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from typing import Any

import pytest

from coatcheck.core.audit import Event, LoggedIn, LogInFailed, SessionRevoked
from coatcheck.server.logs import COMMON, JsonFormatter, TextFormatter, logging_config

NOW = 1_800_000_000
FORGERY = 'x\r\n{"event": "logged_in"}\x1b[2J\x9b31m\u202e\u2028\x7f'
FORMATTERS = [JsonFormatter, TextFormatter]


def record(message: str, *args: object, event: object = None, exc_info: Any = None) -> logging.LogRecord:
    made = logging.LogRecord("coatcheck", logging.INFO, __file__, 1, message, args, exc_info)
    if event is not None:
        made.coatcheck_event = event
    return made


def login(user_agent: str | None = "curl/8") -> LoggedIn:
    return LoggedIn(
        at=NOW, subject="s1", session_id="h1", ip="192.0.2.7", user_agent=user_agent, methods="pwd", is_persistent=True
    )


def test_log_02_an_event_is_written_with_its_fields() -> None:
    line = JsonFormatter().format(record("logged_in", event=login()))

    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.000Z",
        "level": "info",
        "event": "logged_in",
        "outcome": "success",
        "request_id": None,
        "subject": "s1",
        "session_id": "h1",
        "ip": "192.0.2.7",
        "user_agent": "curl/8",
        "methods": "pwd",
        "is_persistent": True,
    }


def test_log_02_a_refusal_is_told_as_such() -> None:
    event = LogInFailed(at=NOW, cause="unknown_identifier", identifier_hash="ab12")

    entry = json.loads(JsonFormatter().format(record("log_in_failed", event=event)))

    assert entry["outcome"] == "failure"
    assert entry["subject"] is None


@pytest.mark.parametrize("event", [login(), LogInFailed(at=NOW, cause="unknown_identifier", identifier_hash="ab12")])
def test_log_02_each_event_has_the_same_first_fields_known_or_not(event: Event) -> None:
    entry = json.loads(JsonFormatter().format(record(event.name, event=event)))

    assert list(entry)[: 4 + len(COMMON)] == ["time", "level", "event", "outcome", *COMMON]


def test_log_02_text_leaves_out_what_is_not_known() -> None:
    line = TextFormatter().format(record("logged_in", event=login(None)))

    assert "user_agent" not in line
    assert "None" not in line


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_log_05_a_user_agent_cannot_forge_a_line(formatter: type[logging.Formatter]) -> None:
    line = formatter().format(record("logged_in", event=login(FORGERY)))

    assert line.isprintable()


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_log_05_a_message_cannot_forge_a_line(formatter: type[logging.Formatter]) -> None:
    line = formatter().format(record("path %s", FORGERY))

    assert line.isprintable()


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_log_05_lone_surrogates_are_escaped(formatter: type[logging.Formatter]) -> None:
    line = formatter().format(record("path %s", "\ud800"))

    assert line.isascii()


def test_log_05_outside_values_are_cut() -> None:
    event = SessionRevoked(at=NOW, note="n" * 1000)

    entry = json.loads(JsonFormatter().format(record("session_revoked", event=event)))
    message = json.loads(JsonFormatter().format(record("path %s", "p" * 1000)))["message"]

    assert len(entry["note"]) == 256
    assert message == "path " + "p" * 256


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_log_06_values_are_never_formats(formatter: type[logging.Formatter]) -> None:
    line = formatter().format(record("identifier %s", "%s{0.__class__}%n"))

    assert "%s{0.__class__}%n" in line


def test_a_json_line_with_an_exception_is_one_line() -> None:
    try:
        raise RuntimeError("broken\nforged")
    except RuntimeError:
        line = JsonFormatter().format(record("failed", exc_info=sys.exc_info()))

    assert "\n" not in line
    assert "RuntimeError" in json.loads(line)["trace"]


def test_a_traceback_in_text_cannot_look_like_a_line_of_its_own() -> None:
    try:
        raise RuntimeError("broken\n2027-01-15T08:00:00.000Z info logged_in")
    except RuntimeError:
        lines = TextFormatter().format(record("failed", exc_info=sys.exc_info())).splitlines()

    assert all(line.startswith("  | ") for line in lines[1:])


def test_text_is_for_eyes() -> None:
    line = TextFormatter().format(record("logged_in", event=login("a b")))

    assert line.startswith("2027-01-15T08:00:00.000Z info    logged_in outcome=success subject=s1")
    assert 'user_agent="a b"' in line


@pytest.mark.parametrize(("style", "name"), [("json", "JsonFormatter"), ("text", "TextFormatter")])
def test_the_configuration_is_what_logging_understands(style: str, name: str) -> None:
    config = logging_config("info", style)

    assert config["formatters"]["coatcheck"]["()"].endswith(name)
    logging.config.DictConfigurator(config)  # type: ignore[no-untyped-call]


def test_debugging_does_not_make_other_packages_talk() -> None:
    config = logging_config("debug", "json")

    assert config["root"]["level"] == "WARNING"
