r"""Logs of the server: one line for each record, as JSON for programs or readable for a terminal.

Nothing in a line can forge another one or steer a terminal: controls, escape sequences, bidirectional marks and
Unicode's own line ends are written as `\x1b` or `\u2028` (LOG-05). Requests are not logged, security events are.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from coatcheck.core.audit import (
    Event,
)

COMMON = tuple(name for name in Event.__struct_fields__ if name != "at")  # in every line of an event
VALUE_MAX = 256  # characters of a value that came from outside
MESSAGE_MAX = 2048
TRACE_MAX = 16_384


def logging_config(level: str, style: str) -> dict[str, Any]:
    """Give the configuration for `logging.config.dictConfig`: everything goes to the standard error.

    Args:
        level: from which level Coatcheck's own records are written; of other packages only warnings are.
        style: `json`, `text`, or `auto`, which is `text` on a terminal.
    """
    if style == "auto":
        style = "text" if sys.stderr is not None and sys.stderr.isatty() else "json"
    formatter = {"json": "coatcheck.server.logs.JsonFormatter", "text": "coatcheck.server.logs.TextFormatter"}[style]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"coatcheck": {"()": formatter}},
        "handlers": {
            "coatcheck": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "coatcheck"}
        },
        "loggers": {"coatcheck": {"level": level.upper()}, "_granian": {"level": "WARNING"}},
        "root": {"level": "WARNING", "handlers": ["coatcheck"]},
    }


class JsonFormatter(logging.Formatter):
    """One JSON object on one line, in ASCII. Events come as fields: time, level, event, outcome, then their own.

    Each event has the same first fields in the same order (`COMMON`), null where nothing is known.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        event = event_of(record)
        entry: dict[str, object] = {"time": time_of(record, event), "level": record.levelname.lower()}
        if event is not None:
            entry |= fields_of(event)
        else:
            entry |= {"logger": record.name, "message": message_of(record)}
        if trace := trace_of(self, record):
            entry["trace"] = trace
        # JSON leaves only this one control as it is.
        return json.dumps(entry, ensure_ascii=True).replace("\x7f", "\\u007f")


class TextFormatter(logging.Formatter):
    """One readable line; what belongs to an exception follows in lines that begin with `  | `."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        event = event_of(record)
        head = f"{time_of(record, event)} {record.levelname.lower():7}"
        if event is not None:
            fields = fields_of(event)
            known = {name: value for name, value in fields.items() if name != "event" and value not in (None, "")}
            shown = (f"{name}={_quoted(value)}" for name, value in known.items())
            line = f"{head} {fields['event']} {' '.join(shown)}"
        else:
            line = f"{head} {record.name}: {escaped(message_of(record))}"
        trace = "".join(f"\n  | {escaped(part)}" for part in trace_of(self, record).splitlines())
        return line + trace


def event_of(record: logging.LogRecord) -> Event | None:
    """Give the security event that a record tells of, if it tells of one."""
    event = getattr(record, "coatcheck_event", None)
    return event if isinstance(event, Event) else None


def fields_of(event: Event) -> dict[str, object]:
    """Give an event under stable names (LOG-02): what all events tell, unknown or not, then what this one adds."""
    told = {name: _capped(value) for name, value in msgspec.structs.asdict(event).items() if name != "at"}
    common = {name: told.pop(name) for name in COMMON if name in told}
    return {"event": event.name, "outcome": event.outcome, **common, **told}


def time_of(record: logging.LogRecord, event: Event | None) -> str:
    """Give the instant in RFC 3339, UTC."""
    moment = datetime.fromtimestamp(record.created if event is None else event.at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message_of(record: logging.LogRecord) -> str:
    """Give the message with its values filled in, none of them longer than 256 characters."""
    if isinstance(record.args, tuple):
        record = logging.makeLogRecord({**record.__dict__, "args": tuple(_capped(value) for value in record.args)})
    return record.getMessage()[:MESSAGE_MAX]


def trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Give the traceback of an exception that was logged, or nothing. Tracebacks show lines of code, no values."""
    return formatter.formatException(record.exc_info)[-TRACE_MAX:] if record.exc_info else ""


def escaped(text: str) -> str:
    """Give text as one line without anything that is not plainly visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _capped(value: object) -> object:
    return value[:VALUE_MAX] if isinstance(value, str) else value


def _quoted(value: object) -> str:
    text = escaped(str(value))
    return f'"{text}"' if " " in text or '"' in text or "=" in text else text
