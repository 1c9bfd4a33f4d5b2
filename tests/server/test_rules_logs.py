"""Every kind of event as a line of the log: one form for all of them (LOG-02, LOG-05)."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import msgspec
import pytest

from coatcheck.core import audit
from coatcheck.core.audit import Event
from coatcheck.server.logs import COMMON, JsonFormatter, TextFormatter

NOW = 1_800_000_000
HOSTILE = 'x\r\n{"event": "logged_in"}\x1b[2J\x9b31m\u202e\u2028\x7f%s{0.__class__}'
KINDS = sorted(
    {kind for kind in vars(audit).values() if isinstance(kind, type) and issubclass(kind, Event)} - {Event},
    key=lambda kind: kind.name,
)


def filled(kind: type[Event], text: str) -> Event:
    """An event of a kind, with all its texts alike."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        values[field.name] = {int: NOW, bool: True}.get(field.type, text)
    return kind(**values)  # type: ignore[arg-type]


def record_of(event: Event) -> logging.LogRecord:
    made = logging.LogRecord("coatcheck.events", logging.INFO, __file__, 1, event.name, (), None)
    made.coatcheck_event = event
    return made


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_log_02_every_kind_of_event_is_one_json_line_of_the_one_form(kind: type[Event]) -> None:
    entry: dict[str, Any] = json.loads(JsonFormatter().format(record_of(filled(kind, "text"))))

    assert list(entry)[: 4 + len(COMMON)] == ["time", "level", "event", "outcome", *COMMON]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    assert entry["event"] == kind.name
    assert entry["outcome"] in ("success", "failure")
    assert entry["outcome"] == kind.outcome
    assert set(COMMON) >= {"subject", "session_id", "ip", "request_id", "user_agent"}
    assert set(list(entry)[4 + len(COMMON) :]) == set(kind.__struct_fields__) - set(Event.__struct_fields__)


@pytest.mark.parametrize("formatter", [JsonFormatter, TextFormatter])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_log_05_no_field_of_any_kind_of_event_forges_a_line(kind: type[Event], formatter: Any) -> None:
    line = formatter().format(record_of(filled(kind, HOSTILE * 50)))

    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert "<class" not in line
    if formatter is JsonFormatter:
        assert all(len(value) <= 256 for value in json.loads(line).values() if isinstance(value, str))


REFUSALS = {"log_in_failed", "throttled", "reauthentication_failed", "cross_site_refused", "duplicate_cookie"}
REFUSALS |= {"password_locked"}


def test_log_02_refusals_and_nothing_else_are_failures() -> None:
    assert {kind.name for kind in KINDS if kind.outcome == "failure"} == REFUSALS
