"""How an error is told: in words on the standard error, or under `--json` as a problem object there (RFC 9457)."""

from __future__ import annotations

import json

import click

from coatcheck.errors import ConfigurationError, CorruptRecord, NotFound, Refused, StoreConflict, StoreError

# Refusals that only an operator meets, or that an operator can mend otherwise than a visitor.
WORDS = {
    "password_too_short": "is shorter than password_min_length, 15 characters unless the settings say otherwise",
    "session_anonymous": "this session is nobody's; it ends by itself",
    "session_ended": "this session has ended already",
}


class NothingFound(NotFound):
    """What a command was pointed at is not there; `words` say what was looked for and where to look instead."""

    def __init__(self, reason: str, words: str) -> None:
        self.words = words
        super().__init__(reason)


def tell(error: BaseException, *, as_json: bool) -> None:
    """Tell an error on the standard error: a line for each mistake, or one JSON object."""
    if as_json:
        click.echo(json.dumps(problem_of(error), ensure_ascii=True), err=True)
        return
    for line, reason in lines_of(error):
        click.echo(f"error: {line}" + (f" ({reason})" if reason else ""), err=True)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"see: {error.ctx.command_path} --help", err=True)


def lines_of(error: BaseException) -> list[tuple[str, str]]:
    """Say an error in words, a line for each mistake, with the setting, field or file at fault and the mend.

    With each line goes the stable reason of a refusal; nothing where it is no refusal.
    """
    match error:
        case ConfigurationError():
            return [(problem, "") for problem in error.problems]
        case StoreError():
            words = str(error)  # which may say itself which of two or four stores it is about
            return [(words if words.startswith(("store:", "sessions:", "FROM:", "TO:")) else f"store: {words}", "")]
        case NothingFound():
            return [(error.words, error.reason)]
        case Refused():
            return _lines_of_refusal(error)
        case click.ClickException():
            return [(error.format_message(), "")]
        case OSError():
            return [(f"{error.filename or 'the output cannot be written'}: {error.strerror}", "")]
        case click.Abort() | KeyboardInterrupt():
            return [("stopped; nothing further was done", "")]
        case _:
            return [(f"unexpected {type(error).__name__}; this is a bug: coatcheck --debug ... shows where", "")]


def problem_of(error: BaseException) -> dict[str, object]:
    """Give an error as programs read it: `type`, `title`, a stable `reason`, all `errors`, as in the HTTP API.

    There is no `status`, which would be an HTTP one; the exit status tells refusals (1) from trouble (2).
    """
    reason = _reason_of(error)
    lines = [line for line, _ in lines_of(error)]
    errors: list[dict[str, str]] = []
    if isinstance(error, Refused):
        pairs = zip(error.errors, lines, strict=False)
        errors = [{"pointer": fault.pointer, "reason": fault.reason, "detail": line} for fault, line in pairs]
    elif isinstance(error, ConfigurationError):
        errors = [{"detail": line} for line in lines]
    return {
        "type": f"urn:coatcheck:problem:{reason}",
        "title": lines[0] if len(lines) == 1 else f"{len(lines)} mistakes",
        "reason": reason,
        "errors": errors,
    }


def _reason_of(error: BaseException) -> str:
    match error:
        case Refused():
            return error.reason
        case ConfigurationError():
            return "configuration"
        case CorruptRecord():
            return "corrupt_record"
        case StoreConflict():
            return "store_conflict"
        case StoreError():
            return "store_unavailable"
        case click.ClickException():
            return "usage"
        case OSError():
            return "input_output"
        case click.Abort() | KeyboardInterrupt():
            return "stopped"
        case _:
            return "internal_error"


def _lines_of_refusal(error: Refused) -> list[tuple[str, str]]:
    from coatcheck.web.pages import messages

    if not error.errors:
        return [(WORDS.get(error.reason) or messages.for_reason(error.reason), error.reason)]
    fields = [(fault.pointer.removeprefix("/"), fault.reason) for fault in error.errors]
    return [(f"{field}: {WORDS.get(reason) or messages.for_field(field, reason)}", reason) for field, reason in fields]
